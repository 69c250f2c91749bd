"""Edges of a photo: from automatic masks, as the SAM paper makes them, or by Canny's method."""

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError
from segany.predict import Predictor
from segany.predict.automatic import AutomaticMaskGenerator, GridSettings, Proposals, Thresholds
from segany.schema import Image

__all__ = ["CANNY_SIGMA", "canny_edges", "mask_edges", "proposal_edges", "suppress_non_maxima"]

# SAM paper, app. D.3: 16 x 16 clicks with three masks each, none of them filtered by its scores.
_POINTS_PER_SIDE = 16
_KEEP_ALL = Thresholds(pred_iou_thresh=0.0, stability_score_thresh=0.0, box_nms_thresh=0.7)
# Logits further below zero are cut off before the masks are enlarged: a probability under 0.01.
_LEAST_LOGIT = 5.0
# Beyond it a 32-bit probability is 0 or 1.
_MOST_LOGIT = 40.0
# Of the strengths whose second derivatives tell where an edge runs, pixels.
_SMOOTHING = 2.0
# A pixel may be this much below its neighbours and still count as a ridge.
_SLACK = 1.01
# Pixels from the photo's rim over which edges fade in: nobody draws them there.
_RIM = 5

# Of the Gaussian that smooths the photo, pixels.
CANNY_SIGMA = 2.0
_CANNY_STEPS = 100
# The lower threshold of Canny's hysteresis as a share of the upper one, as in MATLAB.
_CANNY_RATIO = 0.4


def mask_edges(predictor: Predictor, image: Image) -> NDArray[np.float32]:
    """Edges from the masks that clicks on a regular grid give.

    Args:
        predictor: Whose masks.
        image: The photo.

    Returns:
        [H, W] float32, 0 to 1: as `proposal_edges`.
    """
    grid = GridSettings(points_per_side=_POINTS_PER_SIDE, floor=0.0, stability_score_offset=_LEAST_LOGIT)
    return proposal_edges(AutomaticMaskGenerator(predictor, grid).propose(image))


def proposal_edges(proposals: Proposals) -> NDArray[np.float32]:
    """Edges from masks (SAM paper, app. D.3).

    Duplicates are removed by their boxes. Of each mask that is left, Sobel's filter measures how steep the probability
    is, and what is not next to the mask's outside is put to 0. Each pixel gets the largest value of all masks, the
    largest of all becomes 1, and what is no ridge is removed.

    Args:
        proposals: Of any thresholds; masks should reach some logits below 0, which is what their
            `stability_score_offset` says.

    Returns:
        [H, W] float32, 0 to 1, original pixels.
    """
    import cv2

    size = proposals.image.size
    strongest = np.zeros(size, dtype=np.float32)
    for _, crop, index in proposals.survivors(_KEEP_ALL):
        window = crop.windows[index]
        x0, y0, x1, y1 = window.box
        logits = np.concatenate(list(window.strips(crop.frame)), axis=1)
        probability = np.ascontiguousarray(1 / (1 + np.exp(-logits.clip(-_MOST_LOGIT, _MOST_LOGIT))))
        dx = cv2.Sobel(probability, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE)
        dy = cv2.Sobel(probability, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE)
        steep = np.hypot(dx, dy)
        inside = (logits > 0).astype(np.uint8)
        # One pixel on either side of the outline.
        cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        outline = cv2.morphologyEx(np.ascontiguousarray(inside), cv2.MORPH_GRADIENT, cross) > 0
        left, top = crop.box[:2]
        place = strongest[top + y0 : top + y1, left + x0 : left + x1]
        np.maximum(place, np.where(outline, steep, 0), out=place)
    return suppress_non_maxima(strongest / max(float(strongest.max()), 1e-12))


def suppress_non_maxima(strength: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keep ridges only: pixels that are not exceeded one pixel further across the edge.

    Across is where the smoothed strengths bend most (the eigenvector of their second derivatives), which is certain
    even where two sides are equally strong. Near the photo's rim, edges are faded (both as in Dollar and Zitnick 2015,
    "Fast edge detection using structured forests", whose suppression the SAM paper names).

    Args:
        strength: [H, W] float32, not below 0.

    Returns:
        [H, W] float32: the strengths of ridges, less within 5 pixels of the rim, 0 elsewhere.
    """
    import cv2

    smooth = cv2.GaussianBlur(strength, (0, 0), _SMOOTHING)
    xx = cv2.Sobel(smooth, cv2.CV_32F, 2, 0, ksize=5)
    yy = cv2.Sobel(smooth, cv2.CV_32F, 0, 2, ksize=5)
    xy = cv2.Sobel(smooth, cv2.CV_32F, 1, 1, ksize=5)
    # The axis of the largest second derivative is the first angle, that of the least at a right angle to it. Across is
    # the axis on which it is farther from 0: the least on a ridge, the largest at its foot.
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.where(xx + yy > 0, 0, np.pi / 2)
    dx, dy = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    y, x = np.mgrid[: strength.shape[0], : strength.shape[1]].astype(np.float32)
    sides = [
        cv2.remap(strength, x + way * dx, y + way * dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for way in (-1, 1)
    ]
    from_rim = [np.minimum(v, v.max() - v) for v in (y, x)]
    faded = strength * np.minimum(np.minimum(*from_rim) / _RIM, 1)
    return np.where(strength * _SLACK >= np.maximum(*sides), faded, 0).astype(np.float32)


def canny_edges(image: Image, sigma: float = CANNY_SIGMA) -> NDArray[np.float32]:
    """Canny's edges (Canny 1986) at every threshold at once.

    Args:
        image: The photo; made grey.
        sigma: Of the Gaussian that smooths it first, pixels.

    Returns:
        [H, W] float32: the largest of 99 upper thresholds at which the pixel is an edge, as a share of the steepest
        gradient that a photo can have after that smoothing; 0 for none.

    Raises:
        ConfigError: Sigma is not above 0.
    """
    import cv2

    if not 0 < sigma < float("inf"):
        raise ConfigError(f"sigma must be above 0, got {sigma}.")
    grey = cv2.cvtColor(image.pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), sigma)
    # A step of 255 that a Gaussian has smoothed is this steep at most; Sobel's kernel weighs it by 8. Gradients must
    # be 16-bit numbers.
    steepest = 255 / (sigma * float(np.sqrt(2 * np.pi)))
    scale = 2**14 / steepest / 8
    dx, dy = (cv2.Sobel(smooth, cv2.CV_32F, *order) * scale for order in ((1, 0), (0, 1)))
    dx, dy = (np.clip(np.rint(d), -(2**15 - 1), 2**15 - 1).astype(np.int16) for d in (dx, dy))
    strength = np.zeros(grey.shape, dtype=np.float32)
    for step in range(1, _CANNY_STEPS):
        upper = 2**14 * step / _CANNY_STEPS
        edges = cv2.Canny(dx, dy, _CANNY_RATIO * upper, upper, L2gradient=True) > 0
        strength[edges] = step / _CANNY_STEPS
    return strength
