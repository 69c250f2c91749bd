"""mask_prompt: from a rough binary mask to what the model can use.

The mask input of SAM was trained on the model's own logits (SAM paper, sec. 3 and app. A): smooth, and large away from
the border. A person's mask is neither, and fed in as two constants it does more harm than good. So a mask becomes:

- logits that follow the signed distance to its outline, soft within the band in which the outline may be wrong;
- its box and its deepest point, the prompts that the model understands best;
- a prior for the answer: free to move inside that band, held ever more firmly outside it.

`docs/mask-prompts.md` has the figures; the constants were chosen on other objects than those measured there.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segany.errors import PromptError
from segany.geometry import Frame, Size
from segany.masks import deepest_point, equivalent_diameter, mask_box
from segany.schema import POSITIVE

__all__ = ["MaskPromptPlan", "mask_to_prompt"]

# How far a rough outline is off: a part of the object's diameter, and half a cell of each grid it went through.
_RELATIVE_ERROR = 0.05
_CELL_ERROR = 0.5
# The middle of |logit| in the model's own answers is 23; 10 and 20 do equally well.
_PROMPT_LOGIT = 20.0
# Weight of (distance / uncertainty)^3. Cubic holds what is far off and lets the outline move; linear did worse.
_PRIOR_WEIGHT = 2.0
# Beyond any logit of the model's, and still a number that may be fed back to it.
_LOGIT_LIMIT = 32.0
# Distances on a finer grid than this times the low-resolution logits would be lost in them.
_GRID_FACTOR = 4


@dataclass(frozen=True, eq=False)
class MaskPromptPlan:
    """A rough mask, ready for the model.

    Attributes:
        distance: [s, s] float32 over the model's padded input: signed distance to the mask's outline, positive inside,
            in units of how far the outline may be off.
        box: [4] float64, XYXY half-open, original pixels of the whole image: the mask's box.
        points: [N, 2] float64 (x, y), pixel indices of the whole image: the mask's deepest point, or none.
        labels: [N] int64: all 1.
        binding: Whether the answer has to stay near the mask.
    """

    distance: NDArray[np.float32]
    box: NDArray[np.float64]
    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    binding: bool = True

    @property
    def mask_logits(self) -> NDArray[np.float32]:
        """[s, s] float32: the mask as the mask input of the prompt encoder wants it."""
        return (_PROMPT_LOGIT * np.tanh(self.distance)).astype(np.float32)

    def merge(self, low_res_logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the model says, held near the mask.

        Args:
            low_res_logits: [..., s, s] float32, the decoder's answer over the padded input.

        Returns:
            The same shape: the same logits when the plan is not binding.
        """
        if not self.binding:
            return low_res_logits
        prior = np.clip(_PRIOR_WEIGHT * self.distance**3, -2 * _LOGIT_LIMIT, 2 * _LOGIT_LIMIT)
        merged: NDArray[np.float32] = np.clip(low_res_logits + prior, -_LOGIT_LIMIT, _LOGIT_LIMIT).astype(np.float32)
        return merged

    def heeding(self, points: NDArray[np.float64], labels: NDArray[np.int64], frame: Frame) -> "MaskPromptPlan":
        """The plan in the company of clicks: a click that contradicts the mask is newer and surer than the mask.

        A click contradicts it when it lies on the wrong side by more than the outline may be off. The mask then no
        longer binds the answer, and its own point is left to the clicks.

        Args:
            points: [N, 2] (x, y), pixel indices of the whole image, inside the frame.
            labels: [N], 1 on the object and 0 off it.
            frame: As in `mask_to_prompt`.
        """
        side = self.distance.shape[0]
        cells = (frame.to_model(points + 0.5) * side / max(frame.padded)).astype(np.int64).clip(0, side - 1)
        found = self.distance[cells[:, 1], cells[:, 0]]
        if not (np.where(labels == POSITIVE, found, -found) < -1.0).any():
            return self
        return replace(self, points=np.empty((0, 2)), labels=np.empty(0, dtype=np.int64), binding=False)


def mask_to_prompt(mask: NDArray[np.bool_], frame: Frame, low_res_side: int) -> MaskPromptPlan:
    """Plan how to prompt with a rough mask.

    Args:
        mask: [H', W'] bool, at least one pixel set. Its grid spans the frame's region, whatever its size.
        frame: How the region lies in the model's input.
        low_res_side: s, the side of the model's low-resolution logits.

    Raises:
        PromptError: The mask is empty, or its shape is not that of the image at any scale.
    """
    _check_shape(Size(*mask.shape), frame.original, low_res_side)
    if not mask.any():
        raise PromptError("a mask prompt must mark at least one pixel, got an empty mask.")
    height, width = frame.original
    y, x = frame.offset
    per_cell = np.array([width / mask.shape[1], height / mask.shape[0]])
    box = np.array(mask_box(mask), dtype=np.float64).reshape(2, 2) * per_cell + (x, y)
    reduced = _reduced(mask, _GRID_FACTOR * low_res_side)
    per_cell = np.array([width / reduced.shape[1], height / reduced.shape[0]])
    deepest = deepest_point(reduced)
    # An empty mask was refused above, and reducing keeps at least one cell.
    assert deepest is not None
    # The centre of a cell, as a pixel index: pixel 0 has its centre at 0.5.
    point = (np.array([deepest.x, deepest.y]) + 0.5) * per_cell - 0.5 + (x, y)
    return MaskPromptPlan(
        distance=_relative_distance(reduced, frame, low_res_side),
        box=box.reshape(4),
        points=point[None].clip((x, y), (x + width - 1, y + height - 1)),
        labels=np.array([POSITIVE], dtype=np.int64),
    )


def _check_shape(mask: Size, image: Size, low_res_side: int) -> None:
    if _same_shape(mask, image):
        return
    if _same_shape(Size(mask.width, mask.height), image):
        hint = "Height and width look swapped: transpose the mask."
    elif mask == (low_res_side, low_res_side):
        hint = "If these are low-resolution logits of an earlier prediction, pass them as mask_logits."
    else:
        hint = "Give a mask that spans the whole image, at any resolution."
    raise PromptError(f"the mask is {mask}, but the image is {image}: another shape, not another scale. {hint}")


def _same_shape(mask: Size, image: Size) -> bool:
    """Whether one scale takes the image to the mask, either side rounded up or down."""
    least = max((m - 1) / side for m, side in zip(mask, image, strict=True))
    most = min((m + 1) / side for m, side in zip(mask, image, strict=True))
    return least < most


def _reduced(mask: NDArray[np.bool_], longest: int) -> NDArray[np.bool_]:
    """The mask with no side longer than `longest`; never empty."""
    import cv2

    scale = longest / max(mask.shape)
    if scale >= 1:
        return mask
    height, width = (max(1, round(side * scale)) for side in mask.shape)
    share = cv2.resize(mask.astype(np.uint8) * np.uint8(255), (width, height), interpolation=cv2.INTER_AREA)
    share = share.reshape(height, width)
    reduced = share >= 128
    if not reduced.any():
        # Less than half of any cell: a speck, kept where most of it is.
        x0, y0, _, _ = mask_box(mask)
        y, x = np.unravel_index(int(share.argmax()), share.shape)
        if share[y, x] == 0:
            y, x = np.int64(y0 * height // mask.shape[0]), np.int64(x0 * width // mask.shape[1])
        reduced[y, x] = True
    return reduced


def _relative_distance(mask: NDArray[np.bool_], frame: Frame, side: int) -> NDArray[np.float32]:
    """Signed distance to the outline in units of its uncertainty, [side, side] over the padded input."""
    import cv2

    # The long side has the truer ratio: the short one is rounded to whole cells, and may be one.
    pixels_per_cell = max(frame.original) / max(mask.shape)
    pixels_per_logit = max(frame.padded) / side / max(frame.model) * max(frame.original)
    uncertainty = np.sqrt(
        (_RELATIVE_ERROR * equivalent_diameter(mask) * pixels_per_cell) ** 2
        + (_CELL_ERROR * pixels_per_cell) ** 2
        + (_CELL_ERROR * pixels_per_logit) ** 2
    )
    signed = _signed_distance(mask) * np.float32(pixels_per_cell / uncertainty)
    # Where the centres of the low-resolution cells lie on the mask's grid, as pixel indices.
    centres = (np.arange(side) + 0.5) * max(frame.padded) / side
    scale_y, scale_x = frame.scale
    columns = (centres / scale_x * mask.shape[1] / frame.original.width - 0.5).astype(np.float32)
    rows = (centres / scale_y * mask.shape[0] / frame.original.height - 0.5).astype(np.float32)
    x, y = np.meshgrid(columns, rows)
    distance = np.asarray(cv2.remap(signed, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32)
    distance[centres > frame.model.height] = -_LOGIT_LIMIT
    distance[:, centres > frame.model.width] = -_LOGIT_LIMIT
    return distance


def _signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """[H, W] float32: cells to the outline, positive inside. The image's edge is no outline."""
    import cv2

    if mask.all():
        # No outline at all: inside by more than any distance on the grid.
        return np.full(mask.shape, sum(mask.shape), dtype=np.float32)
    inside = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Distances are to the nearest cell's centre on the other side; the outline runs half a cell before it.
    return np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)
