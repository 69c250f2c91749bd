"""ResizeLongestSide: images, points and boxes into the model's frame."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segany.geometry import Frame, Size
from segany.model.config import PreprocessConfig
from segany.model.preprocess import resize_image

__all__ = ["ResizeLongestSide"]


class ResizeLongestSide:
    """Scales the long side to `target_length` and keeps the aspect ratio.

    Attributes:
        target_length: The long side afterwards, pixels.
    """

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    def apply_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize an image.

        Args:
            image: [H, W, 3] uint8, original pixels.

        Returns:
            [h, w, 3] uint8, model pixels; a copy.

        Raises:
            ImageError: Another shape or dtype.
        """
        resized, _ = resize_image(image, PreprocessConfig(input_side=self.target_length))
        return np.array(resized, order="C")

    def apply_coords(self, coords: NDArray[Any], original_size: Sequence[int]) -> NDArray[np.float64]:
        """Map points.

        Args:
            coords: [..., 2] (x, y), original pixels.
            original_size: (H, W) of the image.

        Returns:
            [..., 2] float64, model pixels.
        """
        return self._frame(original_size).to_model(np.asarray(coords))

    def apply_boxes(self, boxes: NDArray[Any], original_size: Sequence[int]) -> NDArray[np.float64]:
        """Map boxes.

        Args:
            boxes: [B, 4] or [4] XYXY, original pixels.
            original_size: (H, W) of the image.

        Returns:
            [B, 4] float64 XYXY, model pixels.
        """
        return self.apply_coords(np.asarray(boxes).reshape(-1, 2, 2), original_size).reshape(-1, 4)

    def apply_image_torch(self, image: Tensor) -> Tensor:
        """Resize a batch on its own device. Pillow's rounding, which `apply_image` has, is not reproduced.

        Args:
            image: [B, C, H, W] floating point, original pixels.

        Returns:
            [B, C, h, w], model pixels.
        """
        size = self.get_preprocess_shape(image.shape[2], image.shape[3], self.target_length)
        return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)

    def apply_coords_torch(self, coords: Tensor, original_size: Sequence[int]) -> Tensor:
        """Map points.

        Args:
            coords: [..., 2] (x, y), original pixels.
            original_size: (H, W) of the image.

        Returns:
            [..., 2] float32, model pixels, on the same device.
        """
        scale_y, scale_x = self._frame(original_size).scale
        return coords.to(torch.float32) * torch.tensor([scale_x, scale_y], dtype=torch.float32, device=coords.device)

    def apply_boxes_torch(self, boxes: Tensor, original_size: Sequence[int]) -> Tensor:
        """Map boxes.

        Args:
            boxes: [B, 4] XYXY, original pixels.
            original_size: (H, W) of the image.

        Returns:
            [B, 4] float32 XYXY, model pixels, on the same device.
        """
        return self.apply_coords_torch(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """(h, w) after scaling the long side of an (oldh, oldw) image to `long_side_length`; at least one pixel."""
        height, width = Frame.longest_side(Size(oldh, oldw), long_side_length).model
        return height, width

    def _frame(self, original_size: Sequence[int]) -> Frame:
        height, width = original_size
        return Frame.longest_side(Size(int(height), int(width)), self.target_length)
