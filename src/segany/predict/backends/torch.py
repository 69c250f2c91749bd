"""The torch backend: CPU, CUDA and MPS, float32 or bfloat16."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from segany.errors import DeviceError
from segany.model.checkpoint import encoder_digest, model_digest
from segany.model.decode import PromptDecoder, ScoredGroup
from segany.model.preprocess import normalize_image
from segany.model.sam import Sam
from segany.model.structured import SharedProjections
from segany.predict.backends.base import Features, Scored, embedding_of
from segany.schema import PromptBatch

__all__ = ["TorchBackend", "choose_device"]

# Prompts in one decoder call: small groups stay in a CPU's cache, large ones keep a GPU busy.
_GROUP = {"cpu": 4, "mps": 16, "cuda": 64}
# Prompts whose masks are drawn in one call, likewise.
_DRAWN = {"cpu": 1, "mps": 4, "cuda": 16}

# Of the image encoder and of the work on the image's cells in the decoder. Tokens and prompts are always float32.
_PRECISIONS = {
    "float32": (torch.float32, torch.float32),
    "mixed": (torch.float32, torch.bfloat16),
    "bfloat16": (torch.bfloat16, torch.bfloat16),
}


class TorchFeatures:
    """The image embedding as the encoder left it, and what prompts share, projected when it is first asked for.

    Attributes:
        embedding: [1, 256, s, s], the backend's dtype and device.
    """

    def __init__(self, embedding: torch.Tensor, decoder: PromptDecoder) -> None:
        """Take an embedding of the encoder that belongs to the decoder."""
        self.embedding = embedding
        self._decoder = decoder

    @cached_property
    def shared(self) -> SharedProjections | None:
        """As `PromptDecoder.prepare`; under two threads it may be made twice, to the same end."""
        with torch.inference_mode():
            return self._decoder.prepare(self.embedding)

    def to_numpy(self) -> Mapping[str, NDArray[Any]]:
        """The embedding as [1, 256, s, s] float32, which holds every bfloat16 exactly; the rest follows from it."""
        return {"embedding": self.embedding.float().cpu().numpy()}


class TorchBackend:
    """Runs a `Sam` in eager torch. See `Backend` for the methods."""

    def __init__(
        self, model: Sam, device: str = "auto", precision: str = "auto", *, threads: int | None = None
    ) -> None:
        """Move the model to the device and precision.

        Args:
            model: The model; it belongs to the backend from now on.
            device: "auto" (CUDA, then MPS, then CPU), "cpu", "cuda", "cuda:1" or "mps".
            precision: "float32", "bfloat16", "mixed" (encoder in float32, decoder in bfloat16), or "auto", which is
                float32 so that every device gives one answer.
            threads: CPU threads for all of torch, or None for its own choice.

        Raises:
            DeviceError: This machine does not have the device, or the device not the precision.
        """
        self._device = choose_device(device)
        precision = _check_precision(precision, self._device)
        self._dtype, decoder_dtype = _PRECISIONS[precision]
        if threads is not None:
            torch.set_num_threads(threads)
        self.config = model.config
        self.model_digest = model_digest(model)
        self.encoder_digest = encoder_digest(model)
        self.key = f"torch/{torch.__version__}/{self._device.type}/{precision}"
        self.encode_batch = 1 if self._device.type == "cpu" else 8
        self.score_batch = _GROUP[self._device.type] * 4
        self.score_least = 1
        self.score_ahead = 0
        self._model = model.eval().requires_grad_(False).to(self._device)
        # Bfloat16 has 8 bits for an angle of many turns: prompts, and all that is small, stay float32.
        self._model.prompt_encoder.float()
        self._model.mask_decoder.float()
        self._model.image_encoder.to(self._dtype)
        self._model.fuse()
        with torch.inference_mode():
            self._decoder = PromptDecoder(self._model, decoder_dtype)

    @torch.inference_mode()
    def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Features]:
        """See `Backend.encode`."""
        arrays = [normalize_image(image, self.config.preprocess) for image in images]
        pixels = torch.from_numpy(np.stack(arrays)).to(self._device, self._dtype)
        embeddings = self._model.image_encoder(pixels)
        # Copied, so that keeping one image's features does not keep the whole batch.
        return [self._features(embedding[None].clone()) for embedding in embeddings]

    @torch.inference_mode()
    def score(self, features: Features, batch: PromptBatch) -> Scored:
        """See `Backend.score`."""
        own = cast(TorchFeatures, features)
        scores = np.empty((len(batch), 4), dtype=np.float32)
        state: dict[int, tuple[ScoredGroup, int]] = {}
        for group in batch.groups(_GROUP[self._device.type]):
            coords, labels = (torch.from_numpy(array).to(self._device) for array in (group.coords, group.labels))
            logits = None if group.mask_logits is None else torch.from_numpy(group.mask_logits).to(self._device)
            scored = self._decoder.score(own.embedding, lambda: own.shared, coords, labels, logits)
            scores[group.indices] = scored.iou_predictions.float().cpu().numpy()
            state.update({int(prompt): (scored, row) for row, prompt in enumerate(group.indices)})
        return Scored(scores, state)

    @torch.inference_mode()
    def low_res(self, scored: Scored, index: NDArray[np.int64], near: float | None = None) -> NDArray[np.float32]:
        """See `Backend.low_res`."""
        side = self.config.low_res_side
        logits = np.empty((len(index), side, side), dtype=np.float32)
        prompts = [int(prompt) for prompt in np.unique(index[:, 0])]
        groups = {id(group): group for group, _ in map(scored.state.__getitem__, prompts)}
        for key, group in groups.items():
            members = [prompt for prompt in prompts if id(scored.state[prompt][0]) == key]
            for start in range(0, len(members), _DRAWN[self._device.type]):
                part = members[start : start + _DRAWN[self._device.type]]
                places = [np.flatnonzero(index[:, 0] == prompt) for prompt in part]
                # Prompts of which fewer masks are wanted draw some in vain, so that all go in one call.
                wanted = np.zeros((len(part), max(map(len, places))), dtype=np.int64)
                for row, place in enumerate(places):
                    wanted[row, : len(place)] = index[place, 1]
                rows = torch.tensor([scored.state[prompt][1] for prompt in part], device=self._device)
                masks = group.draw(rows, torch.from_numpy(wanted).to(self._device)).float().cpu().numpy()
                for row, place in enumerate(places):
                    logits[place] = masks[row, : len(place)]
        return logits

    def _features(self, embedding: torch.Tensor) -> TorchFeatures:
        # One memory order, just computed or read from a file: the order of sums follows it, to the last bit.
        return TorchFeatures(embedding.contiguous(memory_format=torch.channels_last), self._decoder)

    def sample(self, scored: Scored, index: NDArray[np.int64]) -> None:
        """See `Backend.sample`: there is none."""

    def features_from_numpy(self, arrays: Mapping[str, NDArray[Any]]) -> Features:
        """See `Backend.features_from_numpy`."""
        embedding = embedding_of(arrays, self.config)
        return self._features(torch.from_numpy(np.array(embedding)).to(self._device, self._dtype))


def choose_device(device: str) -> torch.device:
    """Check a device's name against this machine.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        DeviceError: Unknown, or not here.
    """
    has_mps = torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f"device must be auto, cpu, cuda, cuda:N or mps, got {device!r}.") from error
    here = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(has_mps)}
    if chosen.type not in here or (chosen.index or 0) >= here[chosen.type]:
        present = ", ".join(name for name, count in here.items() if count)
        raise DeviceError(f"device {device!r} is not on this machine, which has: {present}; use --device auto.")
    return chosen


def _check_precision(precision: str, device: torch.device) -> str:
    if precision in ("auto", "float32"):
        return "float32"
    if precision not in _PRECISIONS:
        raise DeviceError(f"precision must be auto, {', '.join(_PRECISIONS)}, got {precision!r}.")
    if device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise DeviceError("this GPU does not compute in bfloat16; use --precision float32.")
    return precision
