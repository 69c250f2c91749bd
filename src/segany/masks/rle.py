"""RLE: a mask as run lengths, COCO's compressed form; area, box and IoU without decoding to pixels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.errors import MaskError
from segany.geometry.size import Size
from segany.masks import _runs
from segany.masks._checks import checked_mask

__all__ = ["MAX_PIXELS", "RLE"]

# COCO's counts are unsigned 32-bit numbers.
MAX_PIXELS = 2**32 - 1


@dataclass(frozen=True)
class RLE:
    """A binary mask as run lengths in column order (down the first column, then the second).

    Checked at birth without allocating the pixels. Runs of length zero and numbers written longer than needed are
    rewritten in the canonical form, so that two RLEs are equal exactly when their masks are.

    Attributes:
        size: Height and width in pixels; either may be 0.
        counts: COCO's compressed counts, as in `pycocotools`.
    """

    size: Size
    counts: bytes

    def __post_init__(self) -> None:
        """Check size and counts; MaskError says what is wrong with them."""
        size = _checked_size(self.size)
        if not isinstance(self.counts, bytes):
            raise MaskError(
                f"compressed counts must be bytes, got {type(self.counts).__name__}; "
                "use RLE.from_coco for text and RLE.from_counts for run lengths."
            )
        given = _runs.decode_counts(self.counts)
        runs = _checked_runs(given, size)
        object.__setattr__(self, "size", size)
        if runs is not given or not _runs.is_shortest(self.counts):
            object.__setattr__(self, "counts", _runs.encode_counts(runs))
        self._measure(runs)

    @classmethod
    def _from_runs(cls, size: Size, runs: NDArray[np.int64]) -> "RLE":
        """An RLE of canonical runs, which need no check."""
        rle = object.__new__(cls)
        object.__setattr__(rle, "size", size)
        object.__setattr__(rle, "counts", _runs.encode_counts(runs))
        return rle

    def _measure(self, runs: NDArray[np.int64]) -> "RLE":
        """Nearly every mask that is read or drawn is asked for these, and the runs are at hand only now."""
        object.__setattr__(self, "area", int(runs[1::2].sum()))
        object.__setattr__(self, "box", _box_of(runs, self.size.height))
        return self

    @classmethod
    def from_mask(cls, mask: NDArray[np.bool_]) -> "RLE":
        """Encode a mask.

        Args:
            mask: [H, W] bool, any memory order.

        Raises:
            MaskError: The array is not two-dimensional bool, or has more than 2**32 - 1 pixels.
        """
        size = _checked_size(checked_mask(mask).shape)
        return cls._from_runs(size, _runs.runs_from_toggles(_toggles(mask), size.area))

    @classmethod
    def from_column_strips(
        cls, size: Size, strips: Iterable[NDArray[np.bool_]], box: tuple[int, int, int, int] | None = None
    ) -> "RLE":
        """Encode a mask that comes in vertical strips from left to right, so that it never exists as a whole.

        Args:
            size: Size of the whole mask.
            strips: [h, w] bool each, as high as the box; their widths sum to the box's. Column-contiguous ones are
                fastest.
            box: XYXY half-open: where the strips lie, the rest being background; the whole mask when left out.

        Raises:
            MaskError: The box does not lie within the mask, a strip is not bool or has another height than the box, or
                the widths do not sum to the box's.
        """
        size = _checked_size(size)
        x0, y0, x1, y1 = box or (0, 0, size.width, size.height)
        if not (0 <= x0 <= x1 <= size.width and 0 <= y0 <= y1 <= size.height):
            raise MaskError(f"the box of the strips must lie within {size}, got {(x0, y0, x1, y1)}.")
        parts: list[NDArray[np.int64]] = []
        column = x0
        for strip in strips:
            height, width = checked_mask(strip).shape
            if height != y1 - y0 or column + width > x1:
                raise MaskError(
                    f"a strip must be {y1 - y0} pixels high and at most {x1 - column} wide here, "
                    f"got {Size(height, width)}."
                )
            if strip.size:
                parts.append(_placed_toggles(strip, size.height, column, y0))
            column += width
        if column != x1:
            raise MaskError(
                f"the strips of {Size(y1 - y0, x1 - x0)} must be {x1 - x0} pixels wide in all, got {column - x0}."
            )
        toggles = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        runs = _runs.runs_from_toggles(_cancelled(toggles, size.area), size.area)
        return cls._from_runs(size, runs)._measure(runs)

    @classmethod
    def from_counts(cls, size: Size, counts: Sequence[int] | NDArray[np.integer]) -> "RLE":
        """Encode run lengths.

        Args:
            size: Size of the mask.
            counts: Lengths of alternating background and foreground in column order, background first.

        Raises:
            MaskError: They are not whole numbers from 0 up that sum to the number of pixels.
        """
        size = _checked_size(size)
        try:
            runs = np.asarray(counts)
        except ValueError as error:
            raise MaskError(f"run lengths must be a list of whole numbers, got {_shown(counts)}.") from error
        if runs.ndim != 1 or (runs.size and runs.dtype.kind not in "iu"):
            raise MaskError(
                f"run lengths must be a list of whole numbers, got shape {list(runs.shape)} of {runs.dtype}."
            )
        if runs.dtype == np.uint64:
            # Beyond every size, and int64 still holds it.
            runs = np.minimum(runs, np.uint64(2**40))
        return cls._from_runs(size, _checked_runs(runs.astype(np.int64), size))

    @classmethod
    def from_coco(cls, value: Any) -> "RLE":
        """Read COCO's dict form.

        Args:
            value: {"size": [h, w], "counts": compressed text or bytes, or a list of run lengths}.

        Raises:
            MaskError: A key is missing or its value is not valid.
        """
        if not isinstance(value, Mapping) or not {"size", "counts"} <= value.keys():
            raise MaskError(f'an encoded mask must be {{"size": [height, width], "counts": ...}}, got {_shown(value)}.')
        size, counts = _checked_size(value["size"]), value["counts"]
        if isinstance(counts, str):
            if not counts.isascii():
                raise MaskError("compressed counts must be ASCII text; the encoding is damaged or is not COCO's.")
            return cls(size, counts.encode("ascii"))
        if isinstance(counts, bytes):
            return cls(size, counts)
        if isinstance(counts, list | tuple | np.ndarray):
            return cls.from_counts(size, counts)
        raise MaskError(f'"counts" must be text, bytes or a list of run lengths, got {type(counts).__name__}.')

    @classmethod
    def merge(cls, rles: Sequence["RLE"], intersect: bool = False) -> "RLE":
        """Union of masks, or their intersection.

        Args:
            rles: One or more masks of one size.
            intersect: Pixels that are in every mask, instead of in any.

        Raises:
            MaskError: There is no mask, or the sizes differ.
        """
        if not rles:
            raise MaskError("merging needs at least one mask, got none.")
        for other in rles[1:]:
            _check_same_size(rles[0], other)
        size = rles[0].size
        toggles = _runs.join_intervals([rle.runs for rle in rles], len(rles) if intersect else 1)
        return cls._from_runs(size, _runs.runs_from_toggles(toggles[toggles < size.area], size.area))

    @property
    def runs(self) -> NDArray[np.int64]:
        """[K] int64: run lengths, background first; canonical, decoded anew at each call."""
        return _runs.decode_counts(self.counts)

    @cached_property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(self.runs[1::2].sum())

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        """The smallest box round the mask, XYXY half-open; (0, 0, 0, 0) for an empty mask."""
        return _box_of(self.runs, self.size.height)

    def to_mask(self) -> NDArray[np.bool_]:
        """Decode: [H, W] bool, row-contiguous."""
        runs = self.runs
        pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        return np.ascontiguousarray(pixels.reshape(self.size.width, self.size.height).T)

    def to_counts(self) -> list[int]:
        """Run lengths of alternating background and foreground in column order, background first."""
        return [int(run) for run in self.runs]

    def to_coco(self) -> dict[str, Any]:
        """COCO's dict form, ready for JSON: {"size": [h, w], "counts": compressed text}."""
        return {"size": [self.size.height, self.size.width], "counts": self.counts.decode("ascii")}

    def intersection(self, other: "RLE") -> int:
        """Pixels that both masks cover. Raises MaskError when their sizes differ."""
        _check_same_size(self, other)
        starts, ends = _runs.intervals(other.runs)
        mine = self.runs
        return int((_runs.covered_before(mine, ends) - _runs.covered_before(mine, starts)).sum())

    def union(self, other: "RLE") -> int:
        """Pixels that either mask covers. Raises MaskError when their sizes differ."""
        return self.area + other.area - self.intersection(other)

    def iou(self, other: "RLE") -> float:
        """Intersection over union; 0.0 for two empty masks, as in COCO. Raises MaskError when their sizes differ."""
        shared = self.intersection(other)
        return shared / (self.area + other.area - shared) if shared else 0.0


def _checked_size(value: Any) -> Size:
    """A Size of two whole numbers within COCO's limit, or MaskError."""
    sides = tuple(value) if isinstance(value, list | tuple) else ()
    if len(sides) != 2 or not all(isinstance(side, Integral) and not isinstance(side, bool) for side in sides):
        raise MaskError(f"a mask's size must be two whole numbers (height, width), got {_shown(value)}.")
    size = Size(int(sides[0]), int(sides[1]))
    if min(size) < 0 or max(size) > MAX_PIXELS or size.area > MAX_PIXELS:
        raise MaskError(f"a mask's size must be from 0 to {MAX_PIXELS} pixels in all, got {size}.")
    return size


def _shown(value: Any) -> str:
    """What came, cut to a length that an error message can hold."""
    text = repr(value) if not isinstance(value, Mapping) else f"the keys {[str(key)[:20] for key in list(value)[:5]]}"
    return text[:80]


def _checked_runs(runs: NDArray[np.int64], size: Size) -> NDArray[np.int64]:
    """Canonical runs of the same mask, or MaskError."""
    if len(runs) and int(runs.min()) < 0:
        raise MaskError(f"run lengths must not be negative, got {runs.min()}; the encoding is damaged.")
    # Looked at before the sum, which could wrap round otherwise.
    if len(runs) and int(runs.max()) > size.area:
        raise MaskError(
            f"a run of {runs.max()} pixels is longer than the mask of {size}; the size or the encoding is wrong."
        )
    total = int(runs.sum())
    if total != size.area:
        raise MaskError(
            f"run lengths must sum to the {size.area} pixels of {size}, got {total}; the size or the encoding is wrong."
        )
    if len(runs) == 0 or not runs[1:].all():
        return _runs.runs_from_toggles(_runs.odd_positions(np.cumsum(runs)[:-1], size.area), size.area)
    return runs


def _check_same_size(a: RLE, b: RLE) -> None:
    if a.size != b.size:
        raise MaskError(f"two masks must have one size to be compared, got {a.size} and {b.size}.")


def _box_of(runs: NDArray[np.int64], height: int) -> tuple[int, int, int, int]:
    """The smallest box round the foreground, XYXY half-open."""
    starts, ends = _runs.intervals(runs)
    if len(starts) == 0:
        return (0, 0, 0, 0)
    first_column, first_row = np.divmod(starts, height)
    last_column, last_row = np.divmod(ends - 1, height)
    if (last_column > first_column).any():
        top, bottom = 0, height
    else:
        top, bottom = int(first_row.min()), int(last_row.max()) + 1
    return (int(first_column[0]), top, int(last_column[-1]) + 1, bottom)


def _toggles(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Column-order indexes at which the value changes, counting from background."""
    height, width = mask.shape
    if mask.size == 0:
        return np.zeros(0, dtype=np.int64)
    first = np.zeros(int(mask[0, 0]), dtype=np.int64)
    if mask.flags.f_contiguous:
        column_order = mask.T.reshape(-1)
        return np.concatenate([first, np.flatnonzero(column_order[1:] ^ column_order[:-1]) + 1])
    # Compared row by row, where memory is contiguous, and brought into column order afterwards: the few changes
    # are cheaper to sort than all pixels to transpose.
    y, x = np.divmod(np.flatnonzero(mask[1:] ^ mask[:-1]), width)
    joins = np.flatnonzero(mask[-1, :-1] ^ mask[0, 1:])
    return np.sort(np.concatenate([first, x * height + y + 1, (joins + 1) * height]))


def _placed_toggles(strip: NDArray[np.bool_], height: int, column: int, row: int) -> NDArray[np.int64]:
    """Column-order indexes in a mask of that height at which a strip, placed at (column, row), switches on or off.

    A run that goes on from the bottom of one column to the top of the next switches off and on at one index.
    """
    columns = np.ascontiguousarray(strip.T)
    count, length = columns.shape
    changed = np.empty((count, length + 1), dtype=np.bool_)
    changed[:, 0], changed[:, length] = columns[:, 0], columns[:, -1]
    np.not_equal(columns[:, 1:], columns[:, :-1], out=changed[:, 1:length])
    x, y = np.divmod(np.flatnonzero(changed), length + 1)
    return np.asarray((x + column) * height + (y + row))


def _cancelled(toggles: NDArray[np.int64], pixels: int) -> NDArray[np.int64]:
    """Rising toggles without the pairs that stand at one index, and without any at the very end."""
    same = toggles[1:] == toggles[:-1]
    if same.any():
        keep = np.ones(len(toggles), dtype=np.bool_)
        keep[1:] &= ~same
        keep[:-1] &= ~same
        toggles = toggles[keep]
    return toggles[:-1] if len(toggles) and toggles[-1] == pixels else toggles
