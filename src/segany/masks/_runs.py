"""Arithmetic on runs: lengths of alternating background and foreground, background first, in column order.

Three views of one mask are used here, all [K] int64:
- runs: the lengths; a canonical list has no zero but perhaps the first and sums to the number of pixels;
- toggles: the pixel indexes at which the value changes, strictly rising, below the number of pixels;
- starts and ends: half-open intervals of foreground.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segany.errors import MaskError

__all__ = [
    "covered_before",
    "decode_counts",
    "encode_counts",
    "intervals",
    "is_shortest",
    "join_intervals",
    "odd_positions",
    "runs_from_toggles",
]

Runs = NDArray[np.int64]

# A run below 2**32 and the difference of two such runs fit into 7 characters of 5 bits.
_MAX_CHARACTERS = 7
# The least values that need 2, 3 ... characters.
_LIMITS = np.int64(1) << (5 * np.arange(1, _MAX_CHARACTERS, dtype=np.int64) - 1)


def encode_counts(runs: Runs) -> bytes:
    """COCO's compressed counts: signed base-32 numbers, 5 bits a character from ASCII 48 on, low bits first.

    From the fourth run on, the difference to the run two places before is written. Bit 6 says that the number
    goes on; the top bit of its last character is the sign.
    """
    values = runs.copy()
    values[3:] -= runs[1:-2]
    # k characters hold -2**(5k-1) <= value < 2**(5k-1).
    magnitude = values ^ (values >> 63)
    most = 1 + int((int(magnitude.max()) >= _LIMITS).sum())
    characters = np.empty((len(values), most), dtype=np.uint8)
    written = np.ones((len(values), most), dtype=bool)
    for place in range(most):
        characters[:, place] = 48 + ((values >> (5 * place)) & 31)
        if place + 1 < most:
            written[:, place + 1] = magnitude >= _LIMITS[place]
            characters[:, place] += np.where(written[:, place + 1], np.uint8(32), np.uint8(0))
    return characters[written].tobytes()


def decode_counts(counts: bytes) -> Runs:
    """The runs of compressed counts, not yet checked against a size; they may even be negative.

    Raises:
        MaskError: A byte is outside the code, the string stops within a number, or a number is too long.
    """
    # A byte below 48 wraps round to more than 63.
    codes = np.frombuffer(counts, dtype=np.uint8) - np.uint8(48)
    if len(codes) == 0:
        return np.zeros(0, dtype=np.int64)
    if codes.max() > 63:
        at = int((codes > 63).argmax())
        raise MaskError(
            f"compressed counts use the characters '0' to 'o' only, got byte {counts[at]} at position {at}; "
            "the encoding is damaged or is not COCO's."
        )
    ends = np.flatnonzero(codes < 32)
    if len(ends) == 0 or ends[-1] != len(codes) - 1:
        raise MaskError(f"compressed counts stop within a number after {len(codes)} characters; the string was cut.")
    lengths = np.diff(ends, prepend=-1)
    longest = int(lengths.max())
    if longest > _MAX_CHARACTERS:
        raise MaskError(
            f"compressed counts hold a number of {longest} characters, at most {_MAX_CHARACTERS} are possible; "
            "the encoding is damaged."
        )
    digits = (codes & 31).astype(np.int64)
    starts = ends - lengths + 1
    runs = digits[starts]
    for place in range(1, longest):
        longer = np.flatnonzero(lengths > place)
        runs[longer] += digits[starts[longer] + place] << (5 * place)
    negative = np.flatnonzero(digits[ends] & 16)
    runs[negative] -= np.int64(1) << (5 * lengths[negative])
    for first in (1, 2):
        runs[first::2] = np.cumsum(runs[first::2])
    return runs


def is_shortest(counts: bytes) -> bool:
    """Whether no number of valid compressed counts is written with more characters than it needs."""
    codes = np.frombuffer(counts, dtype=np.uint8) - np.uint8(48)
    # A last character says nothing when it only repeats the sign: the top bit of the one before.
    sign = codes[:-1] & 16
    return not (((codes[:-1] & 32) != 0) & (codes[1:] == np.where(sign, np.uint8(31), np.uint8(0)))).any()


def runs_from_toggles(toggles: Runs, pixels: int) -> Runs:
    """Canonical runs of a mask of `pixels` pixels."""
    return np.diff(np.concatenate([[0], toggles, [pixels]])).astype(np.int64)


def odd_positions(positions: Runs, pixels: int) -> Runs:
    """Toggles from positions in any order: two at one place cancel, and those at the very end do nothing."""
    unique, times = np.unique(positions, return_counts=True)
    return np.asarray(unique[(times % 2 == 1) & (unique < pixels)])


def intervals(runs: Runs) -> tuple[Runs, Runs]:
    """Starts and ends of the foreground."""
    borders = np.cumsum(runs)
    ends = borders[1::2]
    return borders[: 2 * len(ends) : 2], ends


def covered_before(runs: Runs, positions: Runs) -> Runs:
    """Foreground pixels before each position."""
    starts, ends = intervals(runs)
    covered = np.concatenate([[0], np.cumsum(ends - starts)])
    begun = np.searchsorted(starts, positions, side="left")
    # The last interval that has begun may reach beyond the position.
    overhang = np.concatenate([[0], ends])[begun] - positions
    return np.asarray(covered[begun] - np.maximum(overhang, 0))


def join_intervals(masks: Sequence[Runs], at_least: int) -> Runs:
    """Toggles of the pixels that at least so many of the masks cover."""
    edges = [intervals(runs) for runs in masks]
    starts = np.concatenate([start for start, _ in edges])
    ends = np.concatenate([end for _, end in edges])
    positions = np.concatenate([starts, ends])
    steps = np.concatenate([np.ones(len(starts), dtype=np.int64), -np.ones(len(ends), dtype=np.int64)])
    order = np.argsort(positions, kind="stable")
    positions = positions[order]
    depth = np.cumsum(steps[order])
    # The depth at a place is the one after all of its steps.
    final = np.append(positions[1:] != positions[:-1], True)[: len(positions)]
    positions, inside = positions[final], depth[final] >= at_least
    changed = inside != np.concatenate([[False], inside[:-1]])[: len(inside)]
    return np.asarray(positions[changed])
