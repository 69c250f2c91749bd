"""What a person would point at, made from a true mask: clicks and boxes, for training and evaluation alike."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError, MaskError
from segany.masks import deepest_point, largest_component, mask_box
from segany.schema import NEGATIVE, POSITIVE

__all__ = ["Click", "NextClickRule", "first_click", "next_click", "random_click", "true_box"]

NextClickRule = Literal["largest", "deepest"]

# SAM paper, app. A, "Interactive training".
_NOISE_SHARE = 0.1
_NOISE_LIMIT = 20.0


class Click(NamedTuple):
    """A click; pixel indexes.

    Attributes:
        x: Column.
        y: Row.
        label: 1 on the object, 0 off it.
    """

    x: int
    y: int
    label: int


def first_click(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """The pixel of an object that is farthest from its outline (SAM paper, sec. 7.1).

    Args:
        mask: [H, W] bool, not empty; beyond the image counts as outside.

    Returns:
        x and y; of equally deep pixels the first in row order.

    Raises:
        MaskError: The mask is empty or not [H, W] bool.
    """
    deepest = deepest_point(mask)
    if deepest is None:
        raise MaskError("a click needs a mask with at least one pixel, got an empty one; leave such objects out.")
    return deepest.x, deepest.y


def random_click(mask: NDArray[np.bool_], seed: int) -> tuple[int, int]:
    """Any pixel of an object: near an edge or on a part it leaves more open what is meant than the middle does.

    Args:
        mask: [H, W] bool, not empty.
        seed: The same seed gives the same pixel.

    Returns:
        x and y; every pixel is as likely.

    Raises:
        MaskError: The mask is empty or not [H, W] bool.
    """
    if mask_box(mask)[2] == 0:
        raise MaskError("a click needs a mask with at least one pixel, got an empty one; leave such objects out.")
    pixels = np.flatnonzero(mask)
    y, x = divmod(int(pixels[np.random.default_rng(seed).integers(len(pixels))]), mask.shape[1])
    return x, y


def next_click(
    prediction: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    rule: NextClickRule = "largest",
    *,
    clicked: NDArray[np.int64] | None = None,
) -> Click | None:
    """Where a person would correct a mask: as deep as possible inside what is wrong (SAM paper, sec. 7.1).

    What is missing and what is too much are looked at apart, so that a click never lies between two errors.

    Args:
        prediction: [H, W] bool.
        truth: [H, W] bool, the same size.
        rule: "largest": the wrong region (8-connected) with the most pixels. "deepest": the one that holds the point
            farthest from its outline, the rule of the click literature's NoC (RITM, SimpleClick). Of equals, what is
            missing goes before what is too much, and the first in row order before others.
        clicked: [N, 2] (x, y) of earlier clicks: such a pixel is not clicked again, deep as it may be (RITM); those
            outside the masks do not matter.

    Returns:
        A click on the object where it is missing or off it where it is too much; None where nothing is wrong, or only
        pixels that were clicked before.

    Raises:
        MaskError: The masks are not [H, W] bool of one size.
        ConfigError: No such rule.
    """
    if prediction.shape != truth.shape or prediction.dtype != np.bool_ or truth.dtype != np.bool_:
        raise MaskError(
            f"prediction and truth must be bool masks of one size, got {prediction.dtype} {list(prediction.shape)} and "
            f"{truth.dtype} {list(truth.shape)}."
        )
    if rule not in ("largest", "deepest"):
        raise ConfigError(f"rule must be largest or deepest, got {rule!r}.")
    best: tuple[float, Click] | None = None
    for wrong, label in ((truth & ~prediction, POSITIVE), (prediction & ~truth, NEGATIVE)):
        region = largest_component(wrong) if rule == "largest" else wrong
        deepest = deepest_point(region, clicked)
        if deepest is None:
            continue
        worth = float(np.count_nonzero(region)) if rule == "largest" else deepest.distance
        if best is None or worth > best[0]:
            best = worth, Click(deepest.x, deepest.y, label)
    return None if best is None else best[1]


def true_box(mask: NDArray[np.bool_], noise_seed: int | None = None) -> tuple[float, float, float, float]:
    """The box that a person would draw round an object.

    Args:
        mask: [H, W] bool, not empty.
        noise_seed: None for the tight box. Else each side is moved by normal noise with a standard deviation of 10 % of
            the box's width (or height), at most 20 pixels (SAM paper, app. A); the same seed gives the same box. It
            stays in the image and at least one pixel wide and high.

    Returns:
        XYXY half-open, original pixels.

    Raises:
        MaskError: The mask is empty or not [H, W] bool.
    """
    x0, y0, x1, y1 = mask_box(mask)
    if x1 == 0:
        raise MaskError("a box needs a mask with at least one pixel, got an empty one; leave such objects out.")
    if noise_seed is None:
        return float(x0), float(y0), float(x1), float(y1)
    sides = np.array([x1 - x0, y1 - y0] * 2)
    noise = np.random.default_rng(noise_seed).normal(0, _NOISE_SHARE * sides).clip(-_NOISE_LIMIT, _NOISE_LIMIT)
    height, width = mask.shape
    left, top, right, bottom = (np.array([x0, y0, x1, y1]) + noise).tolist()
    left, right = _ordered(left, right, width)
    top, bottom = _ordered(top, bottom, height)
    return left, top, right, bottom


def _ordered(low: float, high: float, limit: int) -> tuple[float, float]:
    """Two ends in order, within 0 to the limit and at least a pixel apart."""
    low, high = min(low, high), max(low, high)
    low = min(max(low, 0.0), limit - 1.0)
    return low, min(max(high, low + 1.0), float(limit))
