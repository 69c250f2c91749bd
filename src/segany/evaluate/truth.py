"""Truth: a mask that people drew, measured against answers in small windows, never at the size of the image."""

import zlib

import numpy as np
from numpy.typing import NDArray

from segany.evaluate.segmenter import MaskCrop
from segany.masks import RLE, boundary
from segany.predict.simulate import Click, NextClickRule, first_click, next_click, random_click

__all__ = ["BOUNDARY_RATIO", "Truth"]

# Cheng et al. 2021, "Boundary IoU", sec. 4: the width that the paper's figures are for.
BOUNDARY_RATIO = 0.02

Box = tuple[int, int, int, int]


class Truth:
    """One true mask, without the pixels that count for nothing.

    Attributes:
        mask: The object, ignored pixels left out.
        size: Of the image.
        area: Pixels of the object.
    """

    def __init__(self, mask: RLE, ignore: RLE | None = None) -> None:
        """Take a mask.

        Args:
            mask: The object.
            ignore: Pixels that nobody decided on, or None.
        """
        self.size = mask.size
        self._ignore = None if ignore is None or ignore.area == 0 else MaskCrop.of(ignore)
        crop = MaskCrop.of(mask)
        if self._ignore is not None:
            crop = MaskCrop(crop.box, crop.pixels & ~self._ignore.within(crop.box))
        self.mask = crop
        self.area = int(np.count_nonzero(crop.pixels))
        self._boundary: MaskCrop | None = None

    def iou(self, answer: MaskCrop) -> float:
        """IoU where pixels count; 0 for an empty union."""
        return self.mask.iou(self._counted(answer))

    def boundary_iou(self, answer: MaskCrop) -> float:
        """IoU of the boundaries (Cheng et al. 2021): as wide as 2 % of the image's diagonal."""
        if self._boundary is None:
            self._boundary = self._edge(self.mask)
        return self._boundary.iou(self._edge(self._counted(answer)))

    def first_click(self) -> tuple[int, int]:
        """Give x and y of the object's deepest pixel. MaskError for an object without pixels."""
        x, y = first_click(self.mask.pixels)
        return x + self.mask.box[0], y + self.mask.box[1]

    def random_click(self) -> tuple[int, int]:
        """Give x and y of any of the object's pixels, always the same one. MaskError for an object without pixels."""
        x, y = random_click(self.mask.pixels, zlib.crc32(np.packbits(self.mask.pixels).tobytes()))
        return x + self.mask.box[0], y + self.mask.box[1]

    def next_click(self, answer: MaskCrop, rule: NextClickRule, clicked: NDArray[np.int64]) -> Click | None:
        """Where a person would correct an answer; None where nothing is wrong.

        Args:
            answer: To be corrected.
            rule: See `segany.predict.simulate.next_click`.
            clicked: [N, 2] (x, y): pixels that no click goes to again.
        """
        counted = self._counted(answer)
        box = _union(self.mask.box, counted.box)
        corner = np.array(box[:2])
        click = next_click(counted.within(box), self.mask.within(box), rule, clicked=clicked - corner)
        return None if click is None else Click(click.x + box[0], click.y + box[1], click.label)

    def _counted(self, answer: MaskCrop) -> MaskCrop:
        if self._ignore is None:
            return answer
        return MaskCrop(answer.box, answer.pixels & ~self._ignore.within(answer.box))

    def _edge(self, crop: MaskCrop) -> MaskCrop:
        # A crop's own border is background or the image's border, and both count as background here.
        return MaskCrop(crop.box, boundary(crop.pixels, BOUNDARY_RATIO, image_size=self.size))


def _union(a: Box, b: Box) -> Box:
    """The smallest box round two, of which either may be empty."""
    if a[0] >= a[2]:
        return b
    if b[0] >= b[2]:
        return a
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
