"""What was found in one crop of an image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segany.geometry import Frame
from segany.masks import LogitWindow
from segany.predict.automatic._clicks import MASK_OVERHEAD
from segany.predict.automatic._sampled import DrawnLater

__all__ = ["CropProposals"]


@dataclass(frozen=True, eq=False)
class CropProposals:
    """What was found in one crop. K masks, from the highest predicted IoU to the lowest, ties by click.

    Attributes:
        box: XYXY half-open, the crop in the whole image.
        layer: Crop layer, 0 the whole image.
        frame: Where the crop lies in the model's input.
        points: [K, 2] float64 (x, y), the click of each mask, pixels of the whole image.
        levels: [K] int64: 1 whole, 2 part, 3 subpart, as the decoder numbers its masks.
        iou_predictions: [K] float32.
        stability: [K] float64, estimated at low resolution.
        stability_slack: [K] float64, how much higher it may be at full size.
        inner: [K, 4] int64, XYXY with inclusive maxima, pixels of the crop: no larger than the enlarged mask's box.
        outer: [K, 4] int64, the same, no smaller.
        windows: K windows of logits, drawn now or when they are asked for.
    """

    box: tuple[int, int, int, int]
    layer: int
    frame: Frame
    points: NDArray[np.float64]
    levels: NDArray[np.int64]
    iou_predictions: NDArray[np.float32]
    stability: NDArray[np.float64]
    stability_slack: NDArray[np.float64]
    inner: NDArray[np.int64]
    outer: NDArray[np.int64]
    windows: Sequence[LogitWindow]

    @property
    def nbytes(self) -> int:
        """Memory that the masks take, in bytes; those that are not drawn have none."""
        drawn = (
            self.windows.nbytes if isinstance(self.windows, DrawnLater) else sum(w.cells.nbytes for w in self.windows)
        )
        return drawn + MASK_OVERHEAD * len(self.windows)
