"""Models in int8: calibrated on images, with a figure of what it costs, and kept for every later start."""

import hashlib
import itertools
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany import weights
from segany.errors import ConfigError
from segany.geometry import Frame
from segany.masks import mask_iou
from segany.model.preprocess import normalize_image, resize_image
from segany.predict._checkpoints import Checkpoint, locate
from segany.predict.backends._openvino_cache import Graphs, find_or_convert
from segany.predict.backends._openvino_int8 import find_int8, identity, keep_int8, quantize_encoder
from segany.predict.backends.openvino import OpenVINOBackend
from segany.schema import PADDING, POSITIVE, Image, PromptBatch
from segany.settings import Settings
from segany.sources import open_image

__all__ = ["MOST_IMAGES", "Quantized", "find_or_quantize", "quantize"]

MOST_IMAGES = 32
"""More images than these change the ranges no more, and take longer."""

# Clicks along each side of an image, to measure by.
_CLICKS = 4


@dataclass(frozen=True)
class Quantized:
    """What a model became.

    Attributes:
        model: Its name.
        images: How many it was calibrated on.
        calibration: Digest of their pixels.
        clicks: How many clicks it was measured by, on the same images.
        mask_iou: Mean IoU of their masks with those of float32: of each click the mask that float32 prefers.
        chosen_iou: The same where each chooses its own of the three masks.
    """

    model: str
    images: int
    calibration: str
    clicks: int
    mask_iou: float
    chosen_iou: float

    def __str__(self) -> str:
        """One line."""
        return (
            f"{self.model} quantised to int8 on {self.images} images: mean mask IoU with float32 {self.mask_iou:.3f} "
            f"over {self.clicks} clicks ({self.chosen_iou:.3f} where each chooses its mask)"
        )


def quantize(
    model: str | os.PathLike[str] = weights.DEFAULT_MODEL,
    images: Iterable[Any] | None = None,
    *,
    progress: weights.Progress | None = None,
) -> Quantized:
    """Quantise a model's image encoder to int8, for `precision="int8"` from now on.

    What the model sees most in use is what it should be calibrated on. The figure of what it costs is also printed to
    standard error.

    Args:
        model: A name of `segany weights list`, or a checkpoint file.
        images: Files, arrays or `Image`s, of which `MOST_IMAGES` are taken, spread evenly; the sample photos when left
            out.
        progress: As in `load_backend`.

    Raises:
        ImageError: One of them cannot be read.
        ConfigError: There are none, or the model's encoder is of another kind than int8 is made for.
        MissingExtraError: NNCF is not installed.
        DeviceError: OpenVINO is not installed or does not run here.
        WeightsError: As `load_backend`.
    """
    chosen = _samples() if images is None else _spread(images)
    checkpoint = locate(model, progress)
    graphs = find_or_convert(_folder(), checkpoint.identity, checkpoint.load)
    return _quantize(checkpoint, graphs, chosen)[1]


def find_or_quantize(checkpoint: Checkpoint) -> Graphs:
    """The quantised encoder that is kept for a model; calibrated on the sample photos if there is none.

    Raises:
        ConfigError: As `quantize`.
        MissingExtraError: As `quantize`.
        WeightsError: A sample photo cannot be had.
    """
    graphs = find_or_convert(_folder(), checkpoint.identity, checkpoint.load)
    if (found := find_int8(_folder(), checkpoint.identity)) is not None:
        return found
    return _quantize(checkpoint, graphs, _samples())[0]


def _quantize(checkpoint: Checkpoint, graphs: Graphs, images: Sequence[Any]) -> tuple[Graphs, Quantized]:
    inputs: list[NDArray[np.float32]] = []
    seen: list[tuple[NDArray[np.uint8], Frame]] = []
    digest = hashlib.sha256()
    for given in images:
        image = given if isinstance(given, Image) else open_image(given)
        resized, frame = resize_image(image.pixels, graphs.config.preprocess)
        inputs.append(normalize_image(resized, graphs.config.preprocess)[None])
        seen.append((resized, frame))
        digest.update(str(image.info.digest).encode())
    encoder = quantize_encoder(graphs, inputs)
    calibration = digest.hexdigest()
    notes = {"identity": identity(checkpoint.identity, calibration)}
    trial = Graphs(graphs.config, graphs.model_digest, graphs.encoder_digest, {"encoder": encoder}, notes)
    ious = _compare(_backend(checkpoint, "float32", None), _backend(checkpoint, "int8", trial), seen)
    same, own = np.mean(ious, axis=0).tolist()
    report = Quantized(graphs.config.name, len(seen), calibration, len(ious), same, own)
    print(report, file=sys.stderr)
    return keep_int8(_folder(), checkpoint.identity, graphs, encoder, notes | asdict(report)), report


def _compare(
    exact: OpenVINOBackend, rounded: OpenVINOBackend, images: Sequence[tuple[NDArray[np.uint8], Frame]]
) -> list[tuple[float, float]]:
    """For each click of a grid over each image: IoU of the masks, of the same output and of each one's choice."""
    ious: list[tuple[float, float]] = []
    for pixels, frame in images:
        shares = (np.arange(_CLICKS) + 0.5) / _CLICKS
        clicks = [(x * frame.model.width, y * frame.model.height) for y, x in itertools.product(shares, shares)]
        coords = tuple(np.array([click, (0, 0)], dtype=np.float32) for click in clicks)
        batch = PromptBatch(coords, (np.array([POSITIVE, PADDING], np.int32),) * len(clicks), (None,) * len(clicks))
        answers = [_three_masks(backend, pixels, batch) for backend in (exact, rounded)]
        for (scores, masks), (own_scores, own_masks) in zip(*answers, strict=True):
            wanted = masks[scores.argmax()]
            found = own_masks[scores.argmax()], own_masks[own_scores.argmax()]
            ious.append((float(mask_iou(found[0], wanted)), float(mask_iou(found[1], wanted))))
    return ious


def _three_masks(
    backend: OpenVINOBackend, pixels: NDArray[np.uint8], batch: PromptBatch
) -> list[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """For each prompt, the scores and masks of whole, part and subpart."""
    (features,) = backend.encode([pixels])
    scored = backend.score(features, batch)
    index = np.array(list(itertools.product(range(len(batch)), (1, 2, 3))), dtype=np.int64)
    masks = backend.low_res(scored, index) > 0
    return list(zip(scored.iou_predictions[:, 1:], masks.reshape(len(batch), 3, *masks.shape[1:]), strict=True))


def _backend(checkpoint: Checkpoint, precision: str, int8: Graphs | None) -> OpenVINOBackend:
    threads = Settings.from_environment().threads
    return OpenVINOBackend(
        checkpoint.identity, checkpoint.load, precision, threads=threads, folder=_folder(), int8=int8
    )


def _samples() -> list[Any]:
    return [weights.sample(entry.name) for entry in weights.entries("sample")]


def _spread(images: Iterable[Any]) -> list[Any]:
    every = list(images)
    if not every:
        raise ConfigError("calibration needs at least one image, got none; give photos like those to come.")
    count = min(len(every), MOST_IMAGES)
    return [every[place * len(every) // count] for place in range(count)]


def _folder() -> Path:
    return Settings.from_environment().home / "openvino"
