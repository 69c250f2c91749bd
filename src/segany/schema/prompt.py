"""Prompt: what a person points at; PromptBatch: many prompts in the model's frame."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segany.errors import PromptError
from segany.masks.rle import RLE

__all__ = ["BOX_CORNERS", "NEGATIVE", "PADDING", "POSITIVE", "Prompt", "PromptBatch", "PromptGroup", "VideoPrompt"]

NEGATIVE, POSITIVE = 0, 1
BOX_CORNERS = (2, 3)
PADDING = -1


@dataclass(frozen=True, eq=False)
class Prompt:
    """Clicks, a box, a rough mask, or any of them together; at least one.

    The constructor takes anything NumPy can read and keeps checked arrays.

    Attributes:
        points: [N, 2] float64 (x, y), pixel indices of the original image, or None.
        labels: [N] int64, 1 on the object and 0 off it; all 1 when left out.
        box: [4] float64, XYXY half-open, original pixels, or None.
        mask: [H, W] bool: a rough mask of the object. Its grid spans the whole image; its size may differ.
        mask_logits: [h, w] float32: low-resolution logits of an earlier prediction, or None.

    Raises:
        PromptError: Nothing was given, a number is NaN or infinite, lengths differ, a label is not 0 or 1, a box is
            empty, or both kinds of mask were given.
    """

    points: NDArray[np.float64] | None = None
    labels: NDArray[np.int64] | None = None
    box: NDArray[np.float64] | None = None
    mask: NDArray[np.bool_] | None = None
    mask_logits: NDArray[np.float32] | None = None

    def __init__(
        self,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        mask_logits: ArrayLike | None = None,
    ) -> None:
        """Check and convert; see the class."""
        if points is None and box is None and mask is None and mask_logits is None:
            raise PromptError("a prompt needs points, a box or a mask, got none of them; give at least one.")
        if points is None and labels is not None:
            raise PromptError("labels belong to points, but no points came; give both or neither.")
        if mask is not None and mask_logits is not None:
            raise PromptError("a prompt takes a mask or mask_logits, got both; leave one out.")
        checked_points = None if points is None else _points(points)
        fields = {
            "points": checked_points,
            "labels": None if checked_points is None else _labels(labels, len(checked_points)),
            "box": None if box is None else _box(box),
            "mask": None if mask is None else _mask(mask),
            "mask_logits": None if mask_logits is None else _mask_logits(mask_logits),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def is_ambiguous(self) -> bool:
        """Whether one click is all there is, so that several masks may be meant (SAM paper, sec. 3)."""
        alone = self.box is None and self.mask is None and self.mask_logits is None
        return alone and self.points is not None and len(self.points) == 1

    def to_dict(self) -> dict[str, Any]:
        """As JSON values: points, labels, box (XYXY), mask (COCO RLE). `mask_logits` are not kept."""
        values: dict[str, Any] = {}
        if self.points is not None and self.labels is not None:
            values["points"] = self.points.tolist()
            values["labels"] = self.labels.tolist()
        if self.box is not None:
            values["box"] = self.box.tolist()
        if self.mask is not None:
            values["mask"] = RLE.from_mask(self.mask).to_coco()
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Prompt":
        """The inverse of `to_dict`.

        Raises:
            PromptError: An unknown key, or values that the constructor refuses.
        """
        known = {"points", "labels", "box", "mask"}
        if unknown := sorted(values.keys() - known):
            raise PromptError(f"unknown key {unknown[0]!r} in a prompt; it may have {', '.join(sorted(known))}.")
        mask = values.get("mask")
        return cls(
            points=values.get("points"),
            labels=values.get("labels"),
            box=values.get("box"),
            mask=None if mask is None else RLE.from_coco(mask).to_mask(),
        )


class PromptGroup(NamedTuple):
    """Prompts of one batch that have equally many tokens and alike masks, so that one call decodes them.

    Attributes:
        indices: [G] int64, their places in the batch.
        coords: [G, T, 2] float32 (x, y), model pixels; the prompt encoder adds the half pixel.
        labels: [G, T] int32.
        mask_logits: [G, h, w] float32, or None.
    """

    indices: NDArray[np.int64]
    coords: NDArray[np.float32]
    labels: NDArray[np.int32]
    mask_logits: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """The ragged array form of many prompts for one image, in the model's frame.

    Attributes:
        coords: P arrays [T_i, 2] float32 (x, y), model pixels without the half pixel.
        labels: P arrays [T_i] int32: -1 padding, 0 negative, 1 positive, 2 and 3 box corners.
        mask_logits: P entries, [h, w] float32 or None.
    """

    coords: tuple[NDArray[np.float32], ...]
    labels: tuple[NDArray[np.int32], ...]
    mask_logits: tuple[NDArray[np.float32] | None, ...]

    def __post_init__(self) -> None:
        """Check that the three have one length and that there is a prompt."""
        if not len(self.coords) == len(self.labels) == len(self.mask_logits):
            raise PromptError("coords, labels and mask_logits of a batch must have one length.")
        if not self.coords:
            raise PromptError("a batch needs at least one prompt, got an empty list; give a prompt or skip the image.")

    def __len__(self) -> int:
        """Number of prompts."""
        return len(self.coords)

    def groups(self, limit: int) -> Iterator[PromptGroup]:
        """Split into groups that one decoder call can take; a prompt's answer never depends on its company.

        Args:
            limit: Most prompts in a group.
        """
        keys = [(len(c), () if m is None else m.shape) for c, m in zip(self.coords, self.mask_logits, strict=True)]
        for key in sorted(set(keys)):
            members = [i for i, k in enumerate(keys) if k == key]
            for start in range(0, len(members), limit):
                part = members[start : start + limit]
                logits = [m for i in part if (m := self.mask_logits[i]) is not None]
                yield PromptGroup(
                    np.array(part, dtype=np.int64),
                    np.stack([self.coords[i] for i in part]),
                    np.stack([self.labels[i] for i in part]),
                    np.stack(logits) if logits else None,
                )


@dataclass(frozen=True)
class VideoPrompt:
    """A prompt on one frame of a video, for one object.

    Attributes:
        object_id: Which object.
        frame_index: Which frame, from 0.
        prompt: In pixels of that frame.
    """

    object_id: int
    frame_index: int
    prompt: Prompt


def _numbers(values: ArrayLike, what: str) -> NDArray[np.float64]:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError(f"{what} must be numbers, got {values!r:.80}.") from error
    if not np.isfinite(array).all():
        raise PromptError(f"{what} must be finite, got NaN or infinity in {array.tolist()!r:.80}.")
    array.flags.writeable = False
    return array


def _points(values: ArrayLike) -> NDArray[np.float64]:
    points = _numbers(values, "points")
    if points.ndim == 1 and points.shape == (2,):
        points = points[None]
    if points.size == 0:
        raise PromptError("points must hold at least one (x, y), got an empty list; leave points out instead.")
    if points.ndim != 2 or points.shape[1] != 2:
        raise PromptError(f"points must be [N, 2] (x, y), got shape {list(points.shape)}.")
    return points


def _labels(values: ArrayLike | None, count: int) -> NDArray[np.int64]:
    if values is None:
        return np.ones(count, dtype=np.int64)
    labels = _numbers(values, "labels").reshape(-1)
    if len(labels) != count:
        raise PromptError(f"points and labels must have one length, got {count} points and {len(labels)} labels.")
    if wrong := sorted(set(labels.tolist()) - {0.0, 1.0}):
        raise PromptError(f"a label must be 1 (on the object) or 0 (off it), got {wrong[0]:g}.")
    return labels.astype(np.int64)


def _box(values: ArrayLike) -> NDArray[np.float64]:
    box = _numbers(values, "a box")
    if box.shape != (4,):
        raise PromptError(
            f"a box must be four numbers x0, y0, x1, y1, got shape {list(box.shape)}; give one prompt per box."
        )
    x0, y0, x1, y1 = box.tolist()
    if x1 <= x0 or y1 <= y0:
        raise PromptError(
            f"a box must have x1 > x0 and y1 > y0, got x0={x0:g}, y0={y0:g}, x1={x1:g}, y1={y1:g}; "
            "boxes are corners (x0, y0, x1, y1), not a corner with width and height."
        )
    return box


def _mask(values: ArrayLike) -> NDArray[np.bool_]:
    try:
        mask = np.asarray(values)
    except ValueError as error:
        raise PromptError(f"a mask must be one [H, W] array, got {values!r:.80}.") from error
    if mask.ndim == 3 and 1 in (mask.shape[0], mask.shape[2]):
        mask = mask.squeeze(0 if mask.shape[0] == 1 else 2)
    if mask.ndim != 2 or mask.size == 0:
        raise PromptError(f"a mask must be one [H, W] array, got shape {list(mask.shape)}.")
    if mask.dtype != np.bool_:
        if not np.issubdtype(mask.dtype, np.number) or not np.isfinite(mask).all():
            raise PromptError(f"a mask must be binary (bool, 0/1 or 0/255), got {mask.dtype} with other values.")
        levels = np.unique(mask)
        # Two values of which neither is 0 say of no pixel that it is off the object.
        if len(levels) > 2 or levels[0] < 0 or (len(levels) == 2 and levels[0] != 0):
            raise PromptError(
                f"a mask must be binary (bool, 0/1 or 0/255), got {len(levels)} values from {levels[0]:g} "
                f"to {levels[-1]:g}; pass logits of an earlier prediction as mask_logits."
            )
        mask = mask > 0
    if not mask.any():
        raise PromptError("a mask prompt must mark at least one pixel, got an empty mask.")
    mask = mask.copy()
    mask.flags.writeable = False
    return mask


def _mask_logits(values: ArrayLike) -> NDArray[np.float32]:
    logits = _numbers(values, "mask_logits").astype(np.float32)
    if logits.ndim == 3 and logits.shape[0] == 1:
        logits = logits[0]
    if logits.ndim != 2 or logits.size == 0:
        raise PromptError(f"mask_logits must be one [h, w] array, got shape {list(logits.shape)}.")
    logits.flags.writeable = False
    return logits
