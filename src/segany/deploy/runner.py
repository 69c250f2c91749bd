"""ONNXBackend: exported graphs in ONNX Runtime. It needs numpy and onnxruntime, and no torch."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from segany.deploy.card import ExportCard, read_card
from segany.errors import (
    CheckpointError,
    ConfigError,
    DeviceError,
    EmbeddingError,
    MissingExtraError,
    PromptError,
)
from segany.model.preprocess import normalize_image
from segany.predict import Predictor
from segany.predict.backends.base import Features, Scored, embedding_of
from segany.schema import PromptBatch
from segany.settings import Settings

__all__ = ["ONNXBackend", "ONNXFeatures", "open_exported"]


class ONNXFeatures:
    """An embedding, and what prompts share, made when it is first asked for.

    Attributes:
        embedding: [1, E, S, S] float32.
    """

    def __init__(self, embedding: NDArray[np.float32], prepare: Any) -> None:
        """Take an embedding, and what projects it."""
        self.embedding = embedding
        self._prepare = prepare

    @cached_property
    def shared(self) -> Mapping[str, NDArray[Any]]:
        """What `prepare` gives, by name; under two threads it may be made twice, to the same end."""
        return cast(Mapping[str, NDArray[Any]], self._prepare({"embedding": self.embedding}))

    def to_numpy(self) -> Mapping[str, NDArray[Any]]:
        """The embedding; the rest follows from it."""
        return {"embedding": self.embedding}


class ONNXBackend:
    """Runs exported graphs. See `Backend` for the methods; `Predictor(backend=...)` takes it.

    Attributes:
        cards: "decoder" and "encoder", as far as they are given, to their cards.
    """

    def __init__(
        self,
        decoder: str | os.PathLike[str] | None = None,
        encoder: str | os.PathLike[str] | None = None,
        *,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        threads: int | None = None,
    ) -> None:
        """Open an export, or a pair of them.

        Args:
            decoder: Folder of `segany export decoder`; without it, images can be embedded and that is all.
            encoder: Folder of `segany export encoder`; without it, embeddings must come from elsewhere.
            providers: Of ONNX Runtime, the first that fits.
            threads: CPU threads; `SEGANY_THREADS` or ONNX Runtime's own choice when left out.

        Raises:
            ConfigError: Neither folder is given.
            CheckpointError: A folder holds no such export, or the two are of different models.
            DigestError: A file is not the one that was written.
            DeviceError: ONNX Runtime does not have a provider.
            MissingExtraError: ONNX Runtime is not installed.
        """
        folders = {kind: folder for kind, folder in (("decoder", decoder), ("encoder", encoder)) if folder is not None}
        if not folders:
            raise ConfigError("a runner needs an exported decoder, an exported encoder, or both; got neither.")
        self.cards = {kind: _card(folder, kind) for kind, folder in folders.items()}
        card, *others = self.cards.values()
        if any(other.encoder_digest != card.encoder_digest for other in others):
            raise CheckpointError(f"{decoder} and {encoder} were exported from two models; export both from one.")
        self._threads = threads or Settings.from_environment().threads
        self._providers = list(providers)
        self._graphs = {
            name: self._open(folders[kind], own, name) for kind, own in self.cards.items() for name in own.graphs
        }
        self.config = card.config
        self.model_digest = card.model_digest
        self.encoder_digest = card.encoder_digest
        encoding = self.cards.get("encoder")
        made_by = "none" if encoding is None else f"{encoding.precision}-{encoding.digest[:16]}"
        self.key = f"onnx/{_runtime().__version__}/{self._providers[0]}/{made_by}"
        self.encode_batch = 1
        self.score_batch = 16
        self.score_least = 1
        self.score_ahead = 0

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Features]:
        """See `Backend.encode`.

        Raises:
            EmbeddingError: No encoder was given.
        """
        if "encoder" not in self._graphs:
            raise EmbeddingError("this runner has a decoder only; give it an encoder, or an embedding.")
        pixels = (normalize_image(image, self.config.preprocess)[None] for image in images)
        return [self._features(self._run("encoder", {"pixels": one})["embedding"]) for one in pixels]

    def score(self, features: Features, batch: PromptBatch) -> Scored:
        """See `Backend.score`; masks are drawn with it.

        Raises:
            PromptError: A prompt has neither a point nor a box.
            ConfigError: No decoder was given, or one without `refine` for a prompt with earlier logits.
        """
        if "decode" not in self._graphs:
            raise ConfigError("this runner has an encoder only; give it a decoder to ask for masks.")
        own = cast(ONNXFeatures, features)
        scores = np.empty((len(batch), 4), dtype=np.float32)
        logits = []
        for place, (coords, labels, earlier) in enumerate(
            zip(batch.coords, batch.labels, batch.mask_logits, strict=True)
        ):
            if len(coords) == 0:
                raise PromptError(f"prompt {place}: an exported decoder needs a point or a box beside earlier logits.")
            prompt = {"coords": coords[None], "labels": labels[None]}
            if earlier is None:
                answer = self._run("decode", {**prompt, **own.shared})
            elif "refine" not in self._graphs:
                raise ConfigError(f"prompt {place}: a decoder for the page takes no earlier logits; export it whole.")
            else:
                given = {"embedding": own.embedding, "mask_logits": earlier[None]}
                answer = self._run("refine", {**prompt, **given})
            scores[place] = answer["iou_predictions"][0]
            logits.append(answer["logits"][0])
        return Scored(scores, logits)

    def low_res(self, scored: Scored, index: NDArray[np.int64], near: float | None = None) -> NDArray[np.float32]:
        """See `Backend.low_res`."""
        side = self.config.low_res_side
        chosen = [scored.state[prompt][mask] for prompt, mask in index.tolist()]
        return np.array(chosen, dtype=np.float32).reshape(-1, side, side)

    def sample(self, scored: Scored, index: NDArray[np.int64]) -> None:
        """See `Backend.sample`: there is none."""

    def features_from_numpy(self, arrays: Mapping[str, NDArray[Any]]) -> Features:
        """See `Backend.features_from_numpy`."""
        embedding = embedding_of(arrays, self.config)
        return self._features(embedding)

    def _features(self, embedding: NDArray[Any]) -> ONNXFeatures:
        whole = np.ascontiguousarray(embedding, dtype=np.float32)
        return ONNXFeatures(whole, lambda inputs: self._run("prepare", inputs))

    def _run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        session = self._graphs[graph]
        # The exporter leaves out what a graph does not read.
        wanted = {port.name: inputs[port.name] for port in session.get_inputs()}
        names = [port.name for port in session.get_outputs()]
        return dict(zip(names, session.run(names, wanted), strict=True))

    def _open(self, folder: str | os.PathLike[str], card: ExportCard, name: str) -> Any:
        runtime = _runtime()
        options = runtime.SessionOptions()
        # Warnings are of casts that it puts in, as it should.
        options.log_severity_level = 3
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        if missing := sorted(set(self._providers) - set(runtime.get_available_providers())):
            have = ", ".join(runtime.get_available_providers())
            raise DeviceError(f"this ONNX Runtime has no {missing[0]}; it has: {have}.")
        path = Path(folder) / card.graphs[name].file
        try:
            return runtime.InferenceSession(str(path), options, providers=self._providers)
        except Exception as error:
            # Its exceptions have no class in common below that.
            raise CheckpointError(f"ONNX Runtime cannot open {path}: {error}") from error


def open_exported(
    decoder: str | os.PathLike[str],
    encoder: str | os.PathLike[str],
    *,
    providers: Sequence[str] = ("CPUExecutionProvider",),
    threads: int | None = None,
) -> Predictor:
    """A predictor over exported graphs. Arguments and errors as `ONNXBackend`."""
    return Predictor(backend=ONNXBackend(decoder, encoder, providers=providers, threads=threads))


def _card(folder: str | os.PathLike[str], kind: str) -> ExportCard:
    card = read_card(folder)
    if card.kind != kind:
        raise CheckpointError(f"{folder} holds an exported {card.kind}, not {kind}.")
    return card


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("Running exported graphs", "export") from error
    return onnxruntime
