"""The OpenVINO backend: CPUs, float32 or bfloat16. With converted graphs on disk it starts without torch."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from segany.errors import DeviceError
from segany.model.config import ModelConfig, ViTConfig
from segany.model.preprocess import normalize_image
from segany.predict.backends import _openvino_runtime as runtime
from segany.predict.backends._openvino_cache import Graphs, find_or_convert
from segany.predict.backends._openvino_requests import CompiledGraph, to_array
from segany.predict.backends._tiles import HALF, TiledDecoder, TiledPrompt, fits
from segany.predict.backends.base import Features, Scored, embedding_of
from segany.predict.backends.kernels import are_supported, load_kernels
from segany.schema import PromptBatch
from segany.settings import Settings

if TYPE_CHECKING:
    from segany.model.sam import Sam

__all__ = ["OpenVINOBackend"]

# What the image encoder and the decoder compute in. Prompts and what the image's prompts share are always float32.
_PRECISIONS = {
    "float32": ("f32", "f32"),
    "mixed": ("f32", "bf16"),
    # In the encoder, "balanced" and "int8" carry float32 on from layer to layer.
    "balanced": ("bf16", "bf16"),
    "bfloat16": ("bf16", "bf16"),
    "int8": ("bf16", "bf16"),
}
# What passes between graphs in bfloat16 when the decoder computes in it; the order is that of `prepare`'s outputs.
_HALF = (
    *("keys1", "values1", "queries1", "cross1", "keys2", "values2", "queries2", "cross2", "keys3", "values3"),
    *("position_keys2", "position_queries2", "position_keys3"),
)
_DRAWN_FROM = "upscaled"
_SCORE_BATCH = 32
_USUAL_TOKENS = 7
# A click by itself: half the wait, with two threads.
_ALONE = "_alone"
_STAGES = ("begin", "follow", "proceed", "finish")
# From so many prompts of one kind on, kernels are quicker than graphs.
_MANY = 8


class OpenVINOFeatures:
    """The image embedding as the encoder left it, and what prompts share, projected when it is first asked for.

    Attributes:
        embedding: [1, E, s, s] float32.
    """

    def __init__(
        self,
        embedding: NDArray[np.float32],
        prepare: Callable[[NDArray[np.float32]], Any],
        place: Callable[[NDArray[np.float32]], Any],
    ) -> None:
        """Take an embedding, and what projects it: for graphs, and for kernels."""
        self.embedding = embedding
        self._prepare = prepare
        self._place = place
        self._making = threading.Lock()
        self._placed: Mapping[str, Any] | None = None

    @cached_property
    def cells(self) -> NDArray[np.float32]:
        """[1, N, E] float32: the embedding cell by cell, for prompts with a mask."""
        return np.ascontiguousarray(self.embedding.reshape(*self.embedding.shape[:2], -1).swapaxes(1, 2))

    @cached_property
    def shared(self) -> Mapping[str, Any]:
        """By name, the tensors of `SharedProjections`; under two threads they may be made twice, to the same end."""
        return cast(Mapping[str, Any], self._prepare(self.embedding))

    @property
    def placed(self) -> Mapping[str, Any]:
        """The same for the kernels: `Placed`, by name; whoever asks first makes it, others wait."""
        with self._making:
            if self._placed is None:
                self._placed = self._place(self.embedding)
            return self._placed

    def to_numpy(self) -> Mapping[str, NDArray[Any]]:
        """The embedding; the rest follows from it."""
        return {"embedding": self.embedding}


class _Scored(NamedTuple):
    """One prompt: weights of its four masks [1, 4, C], and the other inputs of the graph that draws them."""

    hyper: NDArray[np.float32]
    graph: str
    before: tuple[Any, ...]
    after: tuple[Any, ...]


class _Tiled(NamedTuple):
    """One prompt that the kernels scored, and what draws it."""

    prompt: TiledPrompt
    placed: Mapping[str, Any]
    decoder: TiledDecoder
    graph: str = "kernels"


class OpenVINOBackend:
    """Runs a converted `Sam`. See `Backend` for the methods.

    Of several prompts each runs on one thread, as many at once as there are threads; one alone runs on all of them, as
    does an image.
    """

    def __init__(
        self,
        source: str,
        load: "Callable[[], Sam]",
        precision: str = "auto",
        *,
        threads: int | None = None,
        folder: Path | None = None,
        int8: Graphs | None = None,
    ) -> None:
        """Find the model's graphs, or convert them.

        Args:
            source: What tells the model from all others: its checkpoint's digest, or that of its parameters.
            load: Reads the model into float32 on the CPU; called only if there is something to convert.
            precision: "float32", "bfloat16", "mixed" (encoder in float32, decoder in bfloat16), "balanced" (as "mixed",
                but the encoder's attention and MLPs in bfloat16), "int8" (as "balanced", but most products of the
                encoder in int8; bfloat16 where the CPU has it), or "auto": where the CPU has bfloat16 "balanced" for a
                ViT and "mixed" for others, else "float32".
            threads: CPU threads; None for as many as this process has cores.
            folder: Where converted graphs are kept; `openvino` in the home of segany when left out.
            int8: The quantised encoder that "int8" runs; see `segany.predict.quantize`.

        Raises:
            DeviceError: OpenVINO is not installed or does not run here, or the CPU has not the precision.
            ConfigError: The model cannot be converted.
            OSError: The model cannot be read.
        """
        precision = _check_precision(precision)
        if (precision == "int8") != (int8 is not None):
            raise DeviceError(f"a quantised encoder belongs to precision int8 and to no other, got {precision}.")
        self._threads = threads or runtime.available_threads()
        folder = folder or Settings.from_environment().home / "openvino"
        graphs = find_or_convert(folder, source, load)
        if precision == "auto":
            precision = _best_precision(graphs.config)
        self.config = graphs.config
        self.model_digest = graphs.model_digest
        self.encoder_digest = graphs.encoder_digest
        # An embedding that one quantised encoder made is never given to another.
        made_by = f"{precision}-{int8.notes['identity']}" if int8 is not None else precision
        self.key = f"openvino/{runtime.version()}/cpu/{made_by}"
        self.encode_batch = 1
        self.score_batch = _SCORE_BATCH
        self._graphs = graphs
        self._precision, self._int8 = precision, int8
        has_bfloat16 = runtime.has_bfloat16()
        self._encoder_precision, self._decoder_precision = _PRECISIONS[precision] if has_bfloat16 else ("f32", "f32")
        self._compiled: dict[str, CompiledGraph] = {}
        self._compiling = threading.Lock()
        self._tiled: TiledDecoder | None = None
        if self._decoder_precision == "bf16" and fits(self.config) and are_supported():
            kernels = load_kernels(folder)
            self._tiled = TiledDecoder(self._graph, kernels, self.config.embedding_side**2, self._threads)
        self.score_least = _MANY if self._tiled is not None else 1
        # Two: while one group's masks are drawn and measured in Python, no thread waits for work.
        self.score_ahead = 2 if self._tiled is not None else 0

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Features]:
        """See `Backend.encode`."""
        encoder = self._graph("encoder")
        pixels = (normalize_image(image, self.config.preprocess)[None] for image in images)
        return [self._features(to_array(encoder.run(one)[0])) for one in pixels]

    def score(self, features: Features, batch: PromptBatch) -> Scored:
        """See `Backend.score`."""
        own = cast(OpenVINOFeatures, features)
        scores = np.empty((len(batch), 4), dtype=np.float32)
        state: list[_Scored | _Tiled | None] = [None] * len(batch)
        for group in batch.groups(len(batch)):
            tokens = to_array(self._graph("prompt").run(group.coords, group.labels)[0])
            rows = [tokens[row : row + 1] for row in range(len(tokens))]
            usual = tokens.shape[1] == _USUAL_TOKENS and group.mask_logits is None
            if self._tiled is not None and usual and len(tokens) >= _MANY:
                scores[group.indices], prompts = self._tiled.score(own.placed, tokens)
                for prompt, one in zip(group.indices, prompts, strict=True):
                    state[prompt] = _Tiled(one, own.placed, self._tiled)
                continue
            if group.mask_logits is None:
                shared = [tensor for name, tensor in own.shared.items() if name != _DRAWN_FROM]
                name = "score_usual" if tokens.shape[1] == _USUAL_TOKENS else "score"
                outputs = self._graph(name, len(rows)).run_many([row, *shared] for row in rows)
            else:
                masks = group.mask_logits
                outputs = self._graph("score_dense", len(rows)).run_many(
                    [own.cells, masks[number : number + 1], row] for number, row in enumerate(rows)
                )
            for prompt, (iou_predictions, hyper, *rest) in zip(group.indices, outputs, strict=True):
                scores[prompt] = to_array(iou_predictions)[0]
                if group.mask_logits is None:
                    state[prompt] = _Scored(to_array(hyper), "draw", (own.shared[_DRAWN_FROM],), tuple(rest))
                else:
                    state[prompt] = _Scored(to_array(hyper), "draw_dense", (), tuple(rest))
        return Scored(scores, state)

    def low_res(self, scored: Scored, index: NDArray[np.int64], near: float | None = None) -> NDArray[np.float32]:
        """See `Backend.low_res`."""
        side = self.config.low_res_side
        logits = np.empty((len(index), side, side), dtype=np.float32)
        for decoder, placed, wanted, places in _tiled(scored, index):
            for place, masks in zip(places, decoder.draw(placed, wanted, near), strict=True):
                logits[place] = masks
        for graph in ("draw", "draw_dense"):
            prompts = [int(prompt) for prompt in np.unique(index[:, 0]) if scored.state[prompt].graph == graph]
            if not prompts:
                continue
            places = [np.flatnonzero(index[:, 0] == prompt) for prompt in prompts]
            drawn = self._graph(graph, len(prompts)).run_many(
                [*one.before, np.ascontiguousarray(one.hyper[:, index[place, 1]]), *one.after]
                for one, place in ((scored.state[prompt], place) for prompt, place in zip(prompts, places, strict=True))
            )
            for place, (masks,) in zip(places, drawn, strict=True):
                logits[place] = to_array(masks)[0]
        return logits

    def sample(self, scored: Scored, index: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """See `Backend.sample`."""
        side = self.config.embedding_side
        logits = np.empty((len(index), side, side), dtype=np.float32)
        found = 0
        for decoder, placed, wanted, places in _tiled(scored, index):
            for place, masks in zip(places, decoder.sample(placed, wanted), strict=True):
                logits[place] = masks
                found += len(place)
        return logits if found == len(index) else None

    def features_from_numpy(self, arrays: Mapping[str, NDArray[Any]]) -> Features:
        """See `Backend.features_from_numpy`."""
        embedding = embedding_of(arrays, self.config)
        return self._features(np.array(embedding, dtype=np.float32))

    def _features(self, embedding: NDArray[np.float32]) -> OpenVINOFeatures:
        return OpenVINOFeatures(embedding, self._prepare, self._place)

    def _place(self, embedding: NDArray[np.float32]) -> Mapping[str, Any]:
        assert self._tiled is not None
        return self._tiled.place(embedding)

    def _prepare(self, embedding: NDArray[np.float32]) -> dict[str, Any]:
        outputs = self._graph("prepare").run(embedding)
        return dict(zip((*_HALF, _DRAWN_FROM, "norms"), outputs, strict=True))

    def _graph(self, name: str, inputs: int = 0) -> CompiledGraph:
        """A graph, compiled when it is first needed; for one input all threads work on it, for many each on its own."""
        name += _ALONE if inputs == 1 else ""
        with self._compiling:
            if name not in self._compiled:
                self._compiled[name] = self._compile(name)
            return self._compiled[name]

    def _read(self, name: str) -> Any:
        if name == "encoder" and self._precision in ("balanced", "int8"):
            return (self._int8 or self._graphs).read_carried(name)
        return self._graphs.read(name)

    def _compile(self, name: str) -> CompiledGraph:
        many = 1 if name.endswith(_ALONE) else self._threads
        name = name.removesuffix(_ALONE)
        graph = self._read(name.removesuffix("_usual"))
        if name.endswith("_usual"):
            # Most prompts have as many tokens; a graph whose sizes are known is a tenth faster.
            graph.reshape({"tokens": [1, _USUAL_TOKENS, self.config.embed_dim]})
        if name == "encoder":
            precision, streams = self._encoder_precision, 1
        elif name in ("prompt", "prepare", "place"):
            precision, streams = "f32", 1
        elif name in _STAGES:
            precision, streams = "f32", many
        else:
            precision, streams = self._decoder_precision, many
        half: tuple[str, ...] = ()
        if name in ("place", *_STAGES):
            half = HALF
        elif self._decoder_precision == "bf16":
            half = (*_HALF, _DRAWN_FROM, "z", "keys")
        return CompiledGraph(graph, precision=precision, threads=self._threads, streams=streams, half=half)


def _tiled(
    scored: Scored, index: NDArray[np.int64]
) -> Iterator[
    tuple[TiledDecoder, Mapping[str, Any], list[tuple[TiledPrompt, NDArray[np.int64]]], list[NDArray[np.int64]]]
]:
    """What the kernels draw: their prompts with the masks wanted of each, and where these stand in the index."""
    prompts = [int(prompt) for prompt in np.unique(index[:, 0]) if isinstance(scored.state[prompt], _Tiled)]
    if prompts:
        first: _Tiled = scored.state[prompts[0]]
        places = [np.flatnonzero(index[:, 0] == prompt) for prompt in prompts]
        wanted = [(scored.state[one].prompt, index[place, 1]) for one, place in zip(prompts, places, strict=True)]
        yield first.decoder, first.placed, wanted, places


def _best_precision(config: ModelConfig) -> str:
    """Most of a ViT's time goes into products that "balanced" halves; a small encoder gains less, and loses more."""
    if not runtime.has_bfloat16():
        return "float32"
    return "balanced" if isinstance(config.encoder, ViTConfig) else "mixed"


def _check_precision(precision: str) -> str:
    if precision == "auto":
        return precision
    if precision not in _PRECISIONS:
        raise DeviceError(f"precision must be auto, {', '.join(_PRECISIONS)}, got {precision!r}.")
    if precision not in ("float32", "int8") and not runtime.has_bfloat16():
        raise DeviceError(f"this CPU does not compute in bfloat16, which {precision} needs; use --precision float32.")
    return precision
