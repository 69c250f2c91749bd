"""Masks through a video: region similarity J, contour accuracy F, their mean, recall and decay, as DAVIS defines them.

Perazzi et al. 2016, "A benchmark dataset and evaluation methodology for video object segmentation", sec. 5.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError, MaskError
from segany.masks import RLE, mask_iou
from segany.schema import Masklet

__all__ = ["FrameScores", "VideoScores", "contour_accuracy", "frame_scores", "region_similarity", "video_scores"]

# As the benchmark's own code has them.
_CONTOUR_TOLERANCE = 0.008
_RECALL_THRESHOLD = 0.5
_QUARTERS = 4


class FrameScores(NamedTuple):
    """What the frames of one object got, in their order.

    Attributes:
        j: [N] float64, region similarity.
        f: [N] float64, contour accuracy.
    """

    j: NDArray[np.float64]
    f: NDArray[np.float64]


class VideoScores(NamedTuple):
    """One object in one video, or the mean of several; 0 to 1, decays -1 to 1.

    Attributes:
        j: Mean region similarity.
        f: Mean contour accuracy.
        j_and_f: Mean of the two.
        j_recall: Share of frames with a J above one half.
        f_recall: The same of F.
        j_decay: Mean J of the first quarter of the frames, less that of the last.
        f_decay: The same of F.
    """

    j: float
    f: float
    j_and_f: float
    j_recall: float
    f_recall: float
    j_decay: float
    f_decay: float


def region_similarity(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """J: IoU, and 1 where both are empty.

    Args:
        found: [H, W] bool.
        truth: [H, W] bool, the same size.

    Raises:
        MaskError: The masks are not [H, W] bool of one size.
    """
    iou = float(mask_iou(found, truth))
    return iou if found.any() or truth.any() else 1.0


def contour_accuracy(
    found: NDArray[np.bool_], truth: NDArray[np.bool_], tolerance: float = _CONTOUR_TOLERANCE
) -> float:
    """F: how well the outlines agree, a few pixels aside being near enough.

    A contour pixel of one mask is right when the other's contour has a pixel within the tolerance. F is the harmonic
    mean of the share of found ones that are right and the share of true ones that are; 1 where there is no contour at
    all, 0 where one mask alone has none.

    Args:
        found: [H, W] bool.
        truth: [H, W] bool, the same size.
        tolerance: As a share of the image's diagonal, rounded up to pixels; from 1 up: pixels.

    Raises:
        MaskError: The masks are not [H, W] bool of one size.
        ConfigError: The tolerance is not above 0.
    """
    if found.shape != truth.shape or found.ndim != 2 or found.dtype != np.bool_ or truth.dtype != np.bool_:
        raise MaskError(
            f"contours need two bool masks [H, W] of one size, got {found.dtype} {list(found.shape)} and "
            f"{truth.dtype} {list(truth.shape)}."
        )
    if not 0 < tolerance < float("inf"):
        raise ConfigError(f"tolerance must be above 0, got {tolerance}.")
    pixels = tolerance if tolerance >= 1 else np.ceil(tolerance * np.hypot(*found.shape))
    contours = _contour(found), _contour(truth)
    if not contours[0].any() or not contours[1].any():
        return float(not contours[0].any() and not contours[1].any())
    precision = np.count_nonzero(contours[0] & _widened(contours[1], int(pixels))) / np.count_nonzero(contours[0])
    recall = np.count_nonzero(contours[1] & _widened(contours[0], int(pixels))) / np.count_nonzero(contours[1])
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def frame_scores(found: Masklet, truth: Masklet, frames: Sequence[int] | None = None) -> FrameScores:
    """J and F of each frame of one object.

    Args:
        found: A frame without a mask counts as one where the object was not found.
        truth: What people drew.
        frames: Which frames count. All that people drew when left out, but not the first and the last of them, as
            DAVIS has it: the first is given to the method.

    Raises:
        ConfigError: No frame is left, or one that people did not draw was asked for.
        MaskError: The sizes differ.
    """
    drawn = sorted(truth.rles)
    wanted = drawn[1:-1] if frames is None else list(frames)
    if not wanted:
        raise ConfigError(
            f"object {truth.object_id} has {len(drawn)} annotated frames; at least 3 are needed, as the first and the "
            "last do not count."
        )
    if strange := sorted(set(wanted) - set(drawn)):
        raise ConfigError(f"object {truth.object_id} is not annotated in frame {strange[0]}; leave the frame out.")
    scores = np.empty((len(wanted), 2))
    for place, frame in enumerate(wanted):
        real = truth.rles[frame].to_mask()
        rle: RLE | None = found.rles.get(frame)
        mask = np.zeros_like(real) if rle is None else rle.to_mask()
        scores[place] = region_similarity(mask, real), contour_accuracy(mask, real)
    return FrameScores(scores[:, 0], scores[:, 1])


def video_scores(objects: Iterable[FrameScores]) -> VideoScores:
    """Sum up objects: statistics of each, and their mean over objects.

    Raises:
        ConfigError: There is no object, or one without frames.
    """
    rows = [_summary(scores) for scores in objects]
    if not rows:
        raise ConfigError("video scores need at least one object, got none.")
    return VideoScores(*np.mean(rows, axis=0).tolist())


def _summary(scores: FrameScores) -> VideoScores:
    if len(scores.j) == 0 or len(scores.j) != len(scores.f):
        raise ConfigError(f"an object needs as many J as F, at least one, got {len(scores.j)} and {len(scores.f)}.")
    j, f = float(scores.j.mean()), float(scores.f.mean())
    return VideoScores(j, f, (j + f) / 2, _recall(scores.j), _recall(scores.f), _decay(scores.j), _decay(scores.f))


def _recall(values: NDArray[np.float64]) -> float:
    return float(np.mean(values > _RECALL_THRESHOLD))


def _decay(values: NDArray[np.float64]) -> float:
    """Mean of the first quarter less that of the last; neighbouring quarters share the frame between them."""
    # The benchmark rounds halves up, and so counts from 1.
    ends = np.floor(np.linspace(1, len(values), _QUARTERS + 1) + 0.5 + 1e-10).astype(np.int64) - 1
    return float(values[ends[0] : ends[1] + 1].mean() - values[ends[-2] : ends[-1] + 1].mean())


def _contour(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels that differ from the one right of them, below them, or both; the image's rim is no contour."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here, right, below, beyond = mask, padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return np.asarray((here ^ right) | (here ^ below) | (here ^ beyond))


def _widened(contour: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    import cv2

    y, x = np.mgrid[-pixels : pixels + 1, -pixels : pixels + 1]
    disc = (x * x + y * y <= pixels * pixels).astype(np.uint8)
    return np.asarray(cv2.dilate(np.ascontiguousarray(contour).view(np.uint8), disc) > 0)
