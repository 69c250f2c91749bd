"""segment: from a photo and a prompt to masks, in one line."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segany.errors import ConfigError
from segany.files import atomic_path
from segany.masks.rle import RLE
from segany.predict.cache import EmbeddingCache
from segany.predict.image import Predictor
from segany.schema import Image, Prediction, Prompt
from segany.sources import open_image

if TYPE_CHECKING:
    from PIL import Image as PillowImage

__all__ = ["Segmentation", "SegmentedMask", "segment", "segment_many"]

_WITH_ALPHA = (".png", ".webp", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class SegmentedMask:
    """One mask together with its picture.

    Attributes:
        image: The picture.
        rle: The mask, original pixels.
        predicted_iou: The model's estimate of its IoU with the object.
    """

    image: Image
    rle: RLE
    predicted_iou: float

    def to_mask(self) -> NDArray[np.bool_]:
        """[H, W] bool, original pixels."""
        return self.rle.to_mask()

    def cutout(self, *, crop: bool = True) -> "PillowImage.Image":
        """The object on transparent ground, as an RGBA picture.

        Args:
            crop: Keep only the mask's box; False keeps the whole picture's size.
        """
        from segany.render import cutout

        return cutout(self.image, self.rle, crop=crop)

    def save(self, path: str | os.PathLike[str], *, crop: bool = True) -> Path:
        """Write the cut-out.

        Args:
            path: A .png, .webp or .tiff file; other formats have no transparency.
            crop: As in `cutout`.

        Returns:
            The path.

        Raises:
            ConfigError: The format has no transparency.
            OutputError: The file cannot be written.
        """
        target = Path(path)
        if target.suffix.lower() not in _WITH_ALPHA:
            raise ConfigError(
                f"a cut-out needs a format with transparency ({', '.join(_WITH_ALPHA)}), got {target.name!r}."
            )
        picture = self.cutout(crop=crop)
        with atomic_path(target) as temporary:
            picture.save(temporary)
        return target


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A picture, what was pointed at, and the answer.

    Attributes:
        image: The picture.
        prompt: What was pointed at.
        prediction: The model's answer: candidate masks and scores.
    """

    image: Image
    prompt: Prompt
    prediction: Prediction

    def best(self) -> SegmentedMask:
        """The candidate of highest predicted IoU."""
        return self._candidate(self.prediction.best_index)

    def candidates(self) -> tuple[SegmentedMask, ...]:
        """All candidates, from the highest predicted IoU to the lowest."""
        return tuple(self._candidate(int(k)) for k in self.prediction.ranking)

    def _candidate(self, index: int) -> SegmentedMask:
        return SegmentedMask(self.image, self.prediction.rle(index), float(self.prediction.iou_predictions[index]))

    def overlay(self) -> "PillowImage.Image":
        """The picture with the best mask, its score and the prompt drawn on it."""
        from segany.render import overlay

        best = self.best()
        return overlay(self.image, [best.rle], prompts=[self.prompt], scores=[best.predicted_iou])


def segment(
    image: Any,
    points: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    *,
    box: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    model: str | os.PathLike[str] = "mobile_sam",
    device: str = "auto",
    precision: str = "auto",
    multimask: bool | None = None,
    refine: int = 0,
) -> Segmentation:
    """Segment what is pointed at.

    The model is loaded at the first call and kept; weights are fetched when they are not here yet. The picture's
    embedding is kept in the cache that `segany cache info` shows, so that asking again is quick.

    Args:
        image: A file, an array or an `Image`: whatever `segany.open_image` reads.
        points: [N, 2] (x, y), pixels of the original image.
        labels: [N], 1 on the object and 0 off it; all 1 when left out.
        box: x0, y0, x1, y1, pixels of the original image.
        mask: [H, W] binary: a rough mask.
        model: A name of `segany weights list`, or a checkpoint file.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto", "float32" or "bfloat16".
        multimask: As in `Predictor.predict`.
        refine: As in `Predictor.predict`.

    Raises:
        ImageError: The image cannot be read.
        PromptError: The prompt is not one, or does not fit the image.
        WeightsError: The model's weights cannot be had.
    """
    prompt = Prompt(points=points, labels=labels, box=box, mask=mask)
    return segment_many(
        image, [prompt], model=model, device=device, precision=precision, multimask=multimask, refine=refine
    )[0]


def segment_many(
    image: Any,
    prompts: Sequence[Prompt],
    *,
    model: str | os.PathLike[str] = "mobile_sam",
    device: str = "auto",
    precision: str = "auto",
    multimask: bool | None = None,
    refine: int = 0,
) -> list[Segmentation]:
    """Segment many things in one picture, embedding it once.

    Args:
        image: As in `segment`.
        prompts: At least one, of any kinds.
        model: As in `segment`.
        device: As in `segment`.
        precision: As in `segment`.
        multimask: As in `segment`.
        refine: As in `segment`.

    Returns:
        One Segmentation for each prompt, in order.

    Raises:
        ImageError: The image cannot be read.
        PromptError: No prompt, or one that does not fit the image.
        WeightsError: The model's weights cannot be had.
    """
    opened = image if isinstance(image, Image) else open_image(image)
    predictor = _predictor(os.fspath(model), device, precision)
    embedding = predictor.embed(opened)
    predictions = predictor.predict_many(embedding, prompts, multimask=multimask, refine=refine)
    return [Segmentation(opened, p, prediction) for p, prediction in zip(prompts, predictions, strict=True)]


@lru_cache(maxsize=1)
def _predictor(model: str, device: str, precision: str) -> Predictor:
    return Predictor(model, device=device, precision=precision, cache=EmbeddingCache.default())
