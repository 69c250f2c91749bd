"""Colours that the eye tells apart, as many as are asked for."""

import math
from functools import lru_cache

__all__ = ["RGB", "distinct_colors", "ink_on"]

RGB = tuple[int, int, int]

_GOLDEN_TURN = (3 - math.sqrt(5)) / 2
_FIRST_HUE = 255 / 360

# (lightness, chroma) in turn. Hues that come 5, 8 or 13 places apart are alike, so the tones repeat after seven, in the
# order, of all orders, that keeps the two most alike of the first 21 colours farthest apart.
_TONES = ((0.70, 0.19), (0.60, 0.21), (0.74, 0.12), (0.86, 0.16), (0.66, 0.24), (0.78, 0.17), (0.52, 0.20))


def distinct_colors(count: int) -> list[RGB]:
    """Colours for so many masks; the first of a long list are those of a short one.

    The hue turns by the golden angle in OKLCH (B. Ottosson, "A perceptual color space for image processing", 2020),
    where equal steps look equally large. The first is azure: neither the green nor the red of the prompt marks.

    Args:
        count: How many.

    Returns:
        (red, green, blue) of 0 to 255 each.
    """
    return [_color(index) for index in range(count)]


def ink_on(color: RGB) -> RGB:
    """Black or white, whichever is read better on a colour (WCAG 2, relative luminance)."""
    linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if luminance > 0.18 else (255, 255, 255)


@lru_cache(maxsize=4096)
def _color(index: int) -> RGB:
    hue = 2 * math.pi * ((_FIRST_HUE + index * _GOLDEN_TURN) % 1)
    lightness, chroma = _TONES[index % len(_TONES)]
    # What the screen cannot show loses chroma, not lightness or hue.
    while chroma > 0:
        linear = _oklch_to_linear(lightness, chroma, hue)
        if all(-1e-4 <= value <= 1 + 1e-4 for value in linear):
            break
        chroma -= 0.005
    red, green, blue = (_encode(value) for value in linear)
    return (red, green, blue)


def _oklch_to_linear(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )


def _encode(linear: float) -> int:
    value = min(max(linear, 0.0), 1.0)
    value = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return round(255 * value)
