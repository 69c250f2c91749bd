"""Prediction: the answer to one prompt."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segany.errors import MaskError
from segany.geometry import Frame
from segany.masks.rle import RLE
from segany.masks.upscale import LogitWindow, upscale_logits, upscale_strips

__all__ = ["Prediction"]

MASK_THRESHOLD = 0.0


@dataclass(frozen=True, eq=False)
class Prediction:
    """Candidate masks for one prompt, kept small; full-size masks are made on demand.

    Attributes:
        iou_predictions: [M] float32, the model's estimate of each mask's IoU with the object.
        low_res_logits: [M, h, w] float32, over the model's padded input; positive on the object.
        frame: Where the image lies in the model's input.
        preferences: [M] float32: by these candidates are ranked, the highest first; the predicted IoUs when left out. A
            `MaskChooser` gives others.
    """

    iou_predictions: NDArray[np.float32]
    low_res_logits: NDArray[np.float32]
    frame: Frame
    preferences: NDArray[np.float32] = None  # type: ignore[assignment]  # filled in below, never None to a reader

    def __post_init__(self) -> None:
        """Check that there is one score for each mask."""
        if self.preferences is None:
            object.__setattr__(self, "preferences", self.iou_predictions)
        if self.low_res_logits.ndim != 3 or self.iou_predictions.shape != self.low_res_logits.shape[:1]:
            raise MaskError(
                "a prediction needs logits [M, h, w] and M scores, got "
                f"{list(self.low_res_logits.shape)} and {list(self.iou_predictions.shape)}."
            )
        if self.preferences.shape != self.iou_predictions.shape:
            raise MaskError(
                f"a prediction of {len(self)} masks needs as many preferences, got {list(self.preferences.shape)}."
            )

    def __len__(self) -> int:
        """Number of candidate masks."""
        return len(self.iou_predictions)

    @property
    def ranking(self) -> NDArray[np.int64]:
        """[M] int64: candidates from the most preferred to the least: by predicted IoU unless a chooser was asked."""
        return np.argsort(-self.preferences, kind="stable")

    @property
    def best_index(self) -> int:
        """The most preferred candidate: that of highest predicted IoU, unless a `MaskChooser` was asked."""
        return int(self.ranking[0])

    def logits(self, index: int) -> NDArray[np.float32]:
        """[H, W] float32: one candidate's logits at original pixels."""
        return upscale_logits(self.low_res_logits[index], self.frame)

    def mask(self, index: int) -> NDArray[np.bool_]:
        """[H, W] bool: one candidate at original pixels."""
        mask = np.zeros(self.frame.original, dtype=np.bool_)
        self._draw(index, mask)
        return mask

    def masks(self) -> NDArray[np.bool_]:
        """[M, H, W] bool: all candidates at original pixels."""
        masks = np.zeros((len(self), *self.frame.original), dtype=np.bool_)
        for index, mask in enumerate(masks):
            self._draw(index, mask)
        return masks

    def _draw(self, index: int, mask: NDArray[np.bool_]) -> None:
        window = self._window(index)
        left, top, _, bottom = window.box
        for strip in window.strips(self.frame):
            right = left + strip.shape[1]
            np.greater(strip, MASK_THRESHOLD, out=mask[top:bottom, left:right])
            left = right

    def rle(self, index: int) -> RLE:
        """One candidate at original pixels; made in vertical strips, so a huge image needs little memory."""
        window = self._window(index)
        strips = (strip > MASK_THRESHOLD for strip in window.strips(self.frame))
        return RLE.from_column_strips(self.frame.original, strips, window.box)

    def _window(self, index: int) -> LogitWindow:
        """What its mask is made from: a pixel mixes cells, and where none is above the threshold, neither is it."""
        logits = np.asarray(self.low_res_logits[index], dtype=np.float32)
        return LogitWindow.cut(logits, self.frame, MASK_THRESHOLD)

    def rles(self) -> tuple[RLE, ...]:
        """All candidates at original pixels, in the model's order."""
        return tuple(self.rle(k) for k in range(len(self)))

    def stability_score(self, index: int, offset: float = 1.0) -> float:
        """IoU of one candidate cut at a higher and at a lower threshold (SAM paper, sec. 5), at original pixels.

        Args:
            index: Which candidate.
            offset: How far above and below the threshold, in logits.
        """
        inner = outer = 0
        for strip in upscale_strips(self.low_res_logits[index], self.frame):
            inner += int(np.count_nonzero(strip > MASK_THRESHOLD + offset))
            outer += int(np.count_nonzero(strip > MASK_THRESHOLD - offset))
        return inner / outer if outer else 0.0

    def best(self) -> RLE:
        """The most preferred candidate, at original pixels."""
        return self.rle(self.best_index)
