"""The torch backend: CPU, CUDA and MPS, float32 or bfloat16."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from segany.errors import DeviceError, EmbeddingError
from segany.model.checkpoint import model_digest
from segany.model.preprocess import normalize_image
from segany.model.sam import Sam
from segany.predict.backends.base import Features, Scored
from segany.schema import PromptBatch

__all__ = ["TorchBackend", "choose_device"]

# Prompts in one decoder call. Each holds 4096 x 256 keys; small groups stay in a CPU's cache.
_GROUP = {"cpu": 4, "mps": 16, "cuda": 64}


@dataclass(frozen=True, eq=False)
class TorchFeatures:
    """The image embedding as the encoder left it.

    Attributes:
        embedding: [1, 256, s, s], the backend's dtype and device.
    """

    embedding: torch.Tensor

    def to_numpy(self) -> Mapping[str, NDArray[Any]]:
        """The embedding as [1, 256, s, s] float32, which holds every bfloat16 exactly."""
        return {"embedding": self.embedding.float().cpu().numpy()}


@dataclass(frozen=True, eq=False)
class _ScoredGroup:
    mask_tokens: torch.Tensor
    keys: torch.Tensor


class TorchBackend:
    """Runs a `Sam` in eager torch. See `Backend` for the methods."""

    def __init__(self, model: Sam, device: str = "auto", precision: str = "auto") -> None:
        """Move the model to the device and precision.

        Args:
            model: The model; it belongs to the backend from now on.
            device: "auto" (CUDA, then MPS, then CPU), "cpu", "cuda", "cuda:1" or "mps".
            precision: "float32", "bfloat16", or "auto", which is float32 so that every device gives one answer.

        Raises:
            DeviceError: This machine does not have the device, or the device not the precision.
        """
        self._device = choose_device(device)
        self._dtype = _choose_dtype(precision, self._device)
        self.config = model.config
        self.model_digest = model_digest(model)
        self.key = f"torch/{torch.__version__}/{self._device.type}/{str(self._dtype).removeprefix('torch.')}"
        self.encode_batch = 1 if self._device.type == "cpu" else 8
        self.score_batch = _GROUP[self._device.type] * 4
        self._group = _GROUP[self._device.type]
        self._model = model.eval().requires_grad_(False).to(self._device)
        # Random Fourier features need fp32: bfloat16 has 8 bits for an angle of many turns.
        self._model.image_encoder.to(self._dtype)
        self._model.mask_decoder.to(self._dtype)
        self._model.fuse()

    @torch.inference_mode()
    def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Features]:
        """See `Backend.encode`."""
        arrays = [normalize_image(image, self.config.preprocess) for image in images]
        pixels = torch.from_numpy(np.stack(arrays)).to(self._device, self._dtype)
        embeddings = self._model.image_encoder(pixels)
        # Copied, so that keeping one image's features does not keep the whole batch.
        return [TorchFeatures(_own(embedding[None].clone())) for embedding in embeddings]

    @torch.inference_mode()
    def score(self, features: Features, batch: PromptBatch) -> Scored:
        """See `Backend.score`."""
        embedding = cast(TorchFeatures, features).embedding
        encoder, decoder = self._model.prompt_encoder, self._model.mask_decoder
        dense_pe = encoder.dense_pe().to(self._dtype)
        scores = np.empty((len(batch), 4), dtype=np.float32)
        state: dict[int, tuple[_ScoredGroup, int]] = {}
        for group in batch.groups(self._group):
            coords = torch.from_numpy(group.coords).to(self._device)
            labels = torch.from_numpy(group.labels).to(self._device)
            logits = None if group.mask_logits is None else torch.from_numpy(group.mask_logits).to(self._device)
            sparse = encoder.sparse(coords, labels).to(self._dtype)
            dense = encoder.dense(logits).to(self._dtype)
            mask_tokens, keys, iou = decoder.tokens(embedding, dense_pe, sparse, dense)
            scores[group.indices] = iou.float().cpu().numpy()
            scored = _ScoredGroup(mask_tokens, keys)
            state.update({int(prompt): (scored, row) for row, prompt in enumerate(group.indices)})
        return Scored(scores, state)

    @torch.inference_mode()
    def low_res(self, scored: Scored, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Backend.low_res`."""
        side = self.config.low_res_side
        logits = np.empty((len(index), side, side), dtype=np.float32)
        for prompt in np.unique(index[:, 0]):
            rows = np.flatnonzero(index[:, 0] == prompt)
            group, row = scored.state[int(prompt)]
            wanted = torch.from_numpy(index[rows, 1]).to(self._device)
            masks = self._model.mask_decoder.masks(group.mask_tokens[row : row + 1], group.keys[row : row + 1], wanted)
            logits[rows] = masks[0].float().cpu().numpy()
        return logits

    def features_from_numpy(self, arrays: Mapping[str, NDArray[Any]]) -> Features:
        """See `Backend.features_from_numpy`."""
        side = self.config.embedding_side
        embedding = arrays.get("embedding")
        if embedding is None or embedding.shape != (1, self.config.embed_dim, side, side):
            shape = None if embedding is None else list(embedding.shape)
            raise EmbeddingError(
                f"{self.config.name} needs an embedding [1, {self.config.embed_dim}, {side}, {side}], got {shape}; "
                "embed the image again."
            )
        return TorchFeatures(_own(torch.from_numpy(np.array(embedding)).to(self._device, self._dtype)))


def _own(embedding: torch.Tensor) -> torch.Tensor:
    # One memory order, whether it was just computed or read from a file: the order of sums follows it, to the last bit.
    return embedding.contiguous(memory_format=torch.channels_last)


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


def _choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision in ("auto", "float32"):
        return torch.float32
    if precision != "bfloat16":
        raise DeviceError(f"precision must be auto, float32 or bfloat16, got {precision!r}.")
    if device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise DeviceError("this GPU does not compute in bfloat16; use --precision float32.")
    return torch.bfloat16
