"""Otsu and watershed: a threshold, and what touches cut apart where it is thin; what a microscopist does first."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany.evaluate.baselines._shrunk import Shrunk, shrink
from segany.evaluate.segmenter import MaskAnswer, Question
from segany.formats.label_map import record_from_label_map
from segany.schema import POSITIVE, Image, Prompt, Record

__all__ = ["OtsuWatershed"]

_LONG_SIDE = 1024
_SMOOTHING = 1.0
# Smaller spots are noise, working pixels.
_MIN_AREA = 16
# Middles of two objects are at least half of this apart, working pixels (width, height).
_APART = (15, 15)
# A region of which a box holds this much is meant by it.
_INSIDE = 0.5
_UNKNOWN = np.array([np.nan], dtype=np.float32)


class _Regions(NamedTuple):
    """An image cut up.

    Attributes:
        image: At working size.
        labels: [h, w] int32: objects from 1 to `objects`, parts of the background from there on.
        objects: How many objects.
    """

    image: Shrunk
    labels: NDArray[np.int32]
    objects: int


class OtsuWatershed:
    """Otsu's threshold (1979) on grey values, then watershed on the distance to the background; see `Segmenter`.

    What is less of the image's rim is the object. A click means its region; where a region has positive and negative
    clicks, each of its pixels goes to the nearest one. A box means all regions that lie mostly inside it.
    """

    name = "otsu"

    def __init__(self) -> None:
        """Take OpenCV."""
        import cv2

        self.digest = f"otsu 1 opencv {cv2.__version__} {_LONG_SIDE} {_SMOOTHING} {_MIN_AREA} {_APART} {_INSIDE}"
        self.about = {"method": f"Otsu's threshold and watershed, OpenCV {cv2.__version__}"}

    def prepare(self, image: Image) -> _Regions:
        """Cut the image up."""
        shrunk = shrink(image, _LONG_SIDE)
        foreground = _foreground(shrunk.pixels)
        labels, count = _cut_apart(foreground)
        return _Regions(shrunk, _with_background(labels, count), count)

    def predict(self, prepared: Any, questions: Sequence[Question]) -> list[MaskAnswer]:
        """Answer each question by itself."""
        return [
            MaskAnswer(prepared.image.enlarge(_chosen(prepared, question.prompt)), _UNKNOWN) for question in questions
        ]

    def find(self, image: Image) -> Record:
        """All objects of an image."""
        import cv2

        regions = self.prepare(image)
        objects = np.where(regions.labels <= regions.objects, regions.labels, 0).astype(np.float32)
        if objects.shape != tuple(image.size):
            objects = np.asarray(cv2.resize(objects, image.size[::-1], interpolation=cv2.INTER_NEAREST))
        return record_from_label_map(objects.astype(np.int32), image.info)


def _foreground(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    import cv2

    grey = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (0, 0), _SMOOTHING)
    threshold, _ = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    bright = np.asarray(grey > threshold)
    rim = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    return bright if rim.mean() <= 0.5 else ~bright


def _cut_apart(foreground: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Numbered objects [h, w] int32, 0 for background, and how many."""
    import cv2

    parts, stats = cv2.connectedComponentsWithStats(foreground.astype(np.uint8), connectivity=8)[1:3]
    large = stats[:, cv2.CC_STAT_AREA] >= _MIN_AREA
    large[0] = False
    kept = np.asarray(large[parts])
    inside = cv2.distanceTransform(kept.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    smooth = cv2.GaussianBlur(inside, (0, 0), _SMOOTHING)
    middles = kept & (smooth >= cv2.dilate(smooth, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, _APART)))
    objects, seeds = cv2.connectedComponents(middles.astype(np.uint8), connectivity=8)
    labels = np.asarray(seeds, dtype=np.float32)
    # The water sinks: each level's pixels go to the objects that they touch, the deepest first.
    for level in range(int(smooth.max()), -1, -1):
        reached = kept & (smooth >= level)
        while True:
            grown = cv2.dilate(labels, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
            new = reached & (labels == 0) & (grown > 0)
            if not new.any():
                break
            labels[new] = grown[new]
    return labels.astype(np.int32), objects - 1


def _with_background(labels: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    import cv2

    _, background = cv2.connectedComponents((labels == 0).astype(np.uint8), connectivity=4)
    return np.asarray(np.where(labels == 0, np.asarray(background) + count, labels), dtype=np.int32)


def _chosen(regions: _Regions, prompt: Prompt) -> NDArray[np.bool_]:
    labels = regions.labels
    chosen = np.zeros(int(labels.max()) + 1, dtype=np.bool_)
    if prompt.box is not None:
        x0, y0, x1, y1 = (prompt.box.reshape(2, 2) * regions.image.scale).ravel().round().astype(int).tolist()
        within = np.bincount(labels[max(y0, 0) : y1, max(x0, 0) : x1].ravel(), minlength=len(chosen))
        share = within / np.maximum(np.bincount(labels.ravel(), minlength=len(chosen)), 1)
        chosen |= share >= _INSIDE
        chosen[regions.objects + 1 :] = False
    mask = np.asarray(chosen[labels])
    if prompt.points is None or prompt.labels is None:
        return mask
    places = regions.image.clicks(prompt.points)
    numbers, positive = labels[places[:, 1], places[:, 0]], prompt.labels == POSITIVE
    for number in np.unique(numbers).tolist():
        region, own = labels == number, numbers == number
        if positive[own].all() or not positive[own].any():
            mask[region] = positive[own].all()
        else:
            pixels = np.argwhere(region)[:, ::-1]
            far = ((pixels[:, None] - places[own][None]) ** 2).sum(axis=2)
            mask[region] = positive[own][far.argmin(axis=1)]
    return mask
