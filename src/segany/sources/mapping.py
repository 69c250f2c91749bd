"""From stored values of any depth and number of channels to 8-bit RGB, with the mapping recorded.

| stored | shown as |
|---|---|
| uint8 | as it is |
| bool, 1-bit | 0 and 255 |
| float within 0..1 | 0 as 0, 1 as 255 |
| float or int64 holding whole numbers within 0..255 | as it is |
| any other integer or float | from the 0.1th to the 99.9th percentile of the shown bands, one window for all of them |
| 1 channel | grey |
| 2 channels | the first as grey |
| 3 channels | red, green, blue |
| 4 channels | red, green, blue and transparency, laid on white |
| more | the first three as red, green, blue |

`bands` and `window` replace the choice; with `bands`, transparency is not applied.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.errors import ImageError
from segany.schema import PixelMapping
from segany.sources._stored import Stored, taken, to_stored_view

__all__ = ["to_rgb"]

PERCENTILES = (0.1, 99.9)

# Percentiles of this many evenly spread pixels are as good as those of all, and need little memory.
SAMPLE_PIXELS = 4_000_000


def to_rgb(
    stored: Stored, name: str, bands: Sequence[int] | None = None, window: Sequence[float] | None = None
) -> tuple[NDArray[np.uint8], PixelMapping]:
    """Make an upright 8-bit RGB picture; see the table above.

    Args:
        stored: What was decoded.
        name: What to call the image in an error.
        bands: One channel for grey or three for red, green, blue, from 0; None for the choice of the table.
        window: Stored values to show as 0 and 255; None for the choice of the table.

    Returns:
        [H, W, 3] uint8 RGB, upright, and how it was made.

    Raises:
        ImageError: NaN or infinite values, bands that are not there, an empty window.
    """
    notes = list(stored.notes)
    shown, alpha = _choose_bands(stored, name, bands, notes)
    limits = _choose_window(stored, name, sorted(set(shown)), window)
    plain = limits is None and shown == (0, 1, 2) and stored.shape[2] == 3
    if plain and (whole := taken(stored)) is not None:
        return whole, PixelMapping(shown, limits, stored.orientation, tuple(notes))
    convert = _Converter(stored.dtype, limits)
    height, width, _ = stored.shape
    pixels = np.empty((width, height, 3) if stored.orientation >= 5 else (height, width, 3), dtype=np.uint8)
    view = to_stored_view(pixels, stored.orientation)
    for top, values in stored.strips():
        part = view[top : top + len(values)]
        if shown == (0, 1, 2):
            part[...] = convert(values[..., :3])
        else:
            for place, band in enumerate(shown):
                part[..., place] = convert(values[..., band])
        if alpha:
            part[...] = _on_white(part, values[..., -1])
    if alpha:
        notes.append("transparency laid on white")
    return pixels, PixelMapping(shown, limits, stored.orientation, tuple(notes))


def _choose_bands(
    stored: Stored, name: str, bands: Sequence[int] | None, notes: list[str]
) -> tuple[tuple[int, int, int], bool]:
    channels = stored.shape[2]
    if bands is not None:
        chosen = [int(band) for band in bands]
        if len(chosen) not in (1, 3) or not all(0 <= band < channels for band in chosen):
            raise ImageError(
                f"bands must be one or three channels from 0 to {channels - 1}, got {list(bands)} for {name} "
                f"with {channels} channel{'s' if channels > 1 else ''}."
            )
        return ((chosen[0],) * 3 if len(chosen) == 1 else (chosen[0], chosen[1], chosen[2])), False
    colours = channels - stored.alpha
    if colours >= 3:
        if colours > 3:
            notes.append(f"{colours} channels: the first three shown as red, green and blue")
        return (0, 1, 2), stored.alpha
    if colours == 2:
        notes.append("2 channels: the first shown as grey")
    return (0, 0, 0), stored.alpha


def _choose_window(
    stored: Stored, name: str, bands: list[int], window: Sequence[float] | None
) -> tuple[float, float] | None:
    kind = stored.dtype.kind
    if window is not None:
        if len(window) != 2 or not all(math.isfinite(limit) for limit in window) or window[1] <= window[0]:
            raise ImageError(f"a value window must be (low, high) with high > low, got {list(window)} for {name}.")
        if kind == "f":
            _survey(stored, name, bands)
        return (float(window[0]), float(window[1]))
    if kind == "b":
        return (0.0, 1.0)
    if stored.dtype == np.uint8:
        return None
    low, high, whole, sample = _survey(stored, name, bands)
    if kind == "f" and low >= 0 and high <= 1:
        return (0.0, 1.0)
    # int64 and float are what arithmetic on an 8-bit picture gives; other types were chosen for their depth.
    if (kind == "f" or stored.dtype.itemsize == 8) and low >= 0 and high <= 255 and whole:
        return (0.0, 255.0)
    inner_low, inner_high = (float(limit) for limit in np.percentile(sample, PERCENTILES))
    return (inner_low, inner_high) if inner_high > inner_low else (low, high)


def _survey(stored: Stored, name: str, bands: list[int]) -> tuple[float, float, bool, NDArray[Any]]:
    """Least and greatest value, whether all are whole numbers, and an even sample of the shown bands."""
    step = max(1, math.ceil(math.sqrt(stored.shape[0] * stored.shape[1] / SAMPLE_PIXELS)))
    low, high, whole = math.inf, -math.inf, True
    samples: list[NDArray[Any]] = []
    for top, values in stored.strips():
        for band in bands:
            part = values[..., band]
            least, greatest = float(part.min()), float(part.max())
            if not (math.isfinite(least) and math.isfinite(greatest)):
                raise ImageError(
                    f"{name} holds NaN or infinite values; replace them first, for example with numpy.nan_to_num."
                )
            low, high = min(low, least), max(high, greatest)
            if whole and stored.dtype.kind == "f":
                whole = bool((part == np.rint(part)).all())
            samples.append(part[-top % step :: step, ::step].ravel())
    return low, high, whole, np.concatenate(samples)


class _Converter:
    """Stored values to 0..255 through a window: by table where a table is small, else by arithmetic."""

    def __init__(self, dtype: np.dtype[Any], window: tuple[float, float] | None) -> None:
        self._window = window
        self._table: NDArray[np.uint8] | None = None
        if window is not None and dtype in (np.bool_, np.uint8, np.uint16):
            self._table = self._scale(np.arange(2 ** (8 * dtype.itemsize)))

    def __call__(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        if self._window is None:
            return values.astype(np.uint8, copy=False)
        if self._table is not None:
            table: NDArray[np.uint8] = self._table[values.astype(np.uint8) if values.dtype == np.bool_ else values]
            return table
        return self._scale(values)

    def _scale(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        assert self._window is not None
        low, high = self._window
        if high <= low:
            return np.zeros(values.shape, dtype=np.uint8)
        # Double precision: the difference of two large integers must not lose the small steps.
        scaled = (values.astype(np.float64) - low) * (255.0 / (high - low))
        return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def _on_white(colours: NDArray[np.uint8], alpha: NDArray[Any]) -> NDArray[np.uint8]:
    """[h, W, 3] colours over white, by the opacity [h, W] of any dtype whose full range is its type's."""
    full = 1.0 if alpha.dtype.kind in "fb" else float(np.iinfo(alpha.dtype).max)
    opacity = np.clip(alpha.astype(np.float32) / np.float32(full), 0, 1)[..., None]
    laid: NDArray[np.float32] = 255 - (255 - colours.astype(np.float32)) * opacity
    return np.rint(laid).astype(np.uint8)
