"""Targets: true masks on the decoder's grid, with where an answer counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segany.geometry import Frame, Size
from segany.masks import mask_box
from segany.model.config import ModelConfig
from segany.predict.simulate import true_box
from segany.schema import Annotation, Record
from segany.train.views import View

__all__ = ["Targets", "make_targets", "on_grid"]


@dataclass(frozen=True, eq=False)
class Targets:
    """Objects of one view of an image.

    Attributes:
        masks: [P, s, s] float32, 0 or 1, the decoder's grid over the padded input.
        valid: [s, s] float32, 1 where an answer counts: on the image, and where people decided.
        boxes: [P, 4] float32 XYXY, model pixels, noisy as a person's.
    """

    masks: Tensor
    valid: Tensor
    boxes: Tensor

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.masks)

    def to(self, device: torch.device) -> "Targets":
        """The same on a device."""
        return Targets(self.masks.to(device), self.valid.to(device), self.boxes.to(device))


def make_targets(
    record: Record,
    annotations: Sequence[Annotation],
    view: View,
    config: ModelConfig,
    rng: np.random.Generator,
    *,
    min_cells: int,
) -> Targets | None:
    """Put the masks of a view on the decoder's grid.

    Args:
        record: Of the image.
        annotations: Some of its masks.
        view: What is seen of it.
        config: The model's.
        rng: Of the boxes' noise.
        min_cells: Objects of which fewer cells are left are left out.

    Returns:
        None if no object is left.
    """
    side = config.low_res_side
    seen = view.of_mask(np.ones(record.image.size, dtype=np.bool_))
    frame = Frame.longest_side(Size(*seen.shape), config.input_side)
    undecided = record.undecided
    valid = on_grid(seen if undecided is None else view.of_mask(~undecided.to_mask()), frame, side)
    masks, boxes = [], []
    for annotation in annotations:
        mask = view.of_mask(annotation.segmentation.to_mask())
        cells = on_grid(mask, frame, side)
        # Its noise is drawn even if it is left out: what others get does not depend on it.
        noise_seed = int(rng.integers(2**31))
        if np.count_nonzero(cells & valid) < min_cells:
            continue
        assert mask_box(mask)[2] > 0
        masks.append(cells)
        boxes.append(frame.to_model(np.array(true_box(mask, noise_seed)).reshape(2, 2)).reshape(4))
    if not masks:
        return None
    return Targets(
        torch.from_numpy(np.stack(masks)).float(),
        torch.from_numpy(valid).float(),
        torch.from_numpy(np.stack(boxes)).float(),
    )


def on_grid(mask: NDArray[np.bool_], frame: Frame, side: int) -> NDArray[np.bool_]:
    """A mask on the decoder's grid: cells of which at least half is covered.

    Args:
        mask: [H, W] bool, original pixels of the frame.
        frame: How it lies in the model's input.
        side: Cells a side of the grid over the padded input.

    Returns:
        [side, side] bool.
    """
    import cv2

    height, width = frame.model
    shrinks = max(frame.original) > max(frame.model)
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(mask.view(np.uint8) * np.uint8(255), (width, height), interpolation=how)
    padded = np.zeros(frame.padded, dtype=np.uint8)
    padded[:height, :width] = resized
    step = frame.padded.height // side
    share = padded.reshape(side, step, side, step).mean(axis=(1, 3))
    return np.asarray(share >= 127.5)
