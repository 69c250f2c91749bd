"""From pixels to the model's input: resize the long side, normalise, pad. Imports no torch."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segany.errors import ImageError
from segany.geometry import Frame, Size
from segany.model.config import PreprocessConfig

__all__ = ["normalize_image", "resize_image"]

_LARGE = 4_000_000


def resize_image(pixels: NDArray[np.uint8], preprocess: PreprocessConfig) -> tuple[NDArray[np.uint8], Frame]:
    """Bring the long side to the model's input side, keeping the aspect ratio.

    Args:
        pixels: [H, W, 3] uint8 RGB, original pixels.
        preprocess: The model's preprocessing.

    Returns:
        The resized image [h, w, 3] uint8, and the frame that maps original to model pixels.

    Raises:
        ImageError: Not an [H, W, 3] uint8 array, or an empty one.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or pixels.size == 0:
        raise ImageError(
            f"expected a non-empty [H, W, 3] uint8 RGB array, got shape {pixels.shape} of {pixels.dtype}. "
            "Convert it first, for example with segany.sources."
        )
    frame = Frame.longest_side(Size(pixels.shape[0], pixels.shape[1]), preprocess.input_side)
    size = (frame.model.width, frame.model.height)
    if preprocess.resample == "area":
        # Here, not at the top: only LiteMedSAM needs it, and its import costs a tenth of a second.
        import cv2

        resized = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA)
        return np.asarray(resized, dtype=np.uint8), frame
    if frame.model == frame.original:
        return pixels, frame
    return _resize(pixels, size), frame


def _resize(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Pillow's bilinear filter, which widens with the scale: that is what "antialias" means."""
    if pixels.shape[0] * pixels.shape[1] < _LARGE:
        return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BILINEAR))
    # Of a colour image Pillow holds four bytes for each pixel; channel by channel it is one, with the same result.
    resized = np.empty((size[1], size[0], 3), dtype=np.uint8)
    for channel in range(3):
        plane = Image.fromarray(np.ascontiguousarray(pixels[..., channel]))
        resized[..., channel] = np.asarray(plane.resize(size, Image.Resampling.BILINEAR))
    return resized


def normalize_image(resized: NDArray[np.uint8], preprocess: PreprocessConfig) -> NDArray[np.float32]:
    """Normalise a resized image and pad it with zeros on the right and below.

    Args:
        resized: [h, w, 3] uint8 RGB, model pixels; h and w at most `preprocess.input_side`.
        preprocess: The model's preprocessing.

    Returns:
        [3, S, S] float32 with S = `preprocess.input_side`, model pixels.
    """
    # Only 256 values come in, so the arithmetic is done once per value and looked up.
    levels = np.arange(256, dtype=np.float32)
    if preprocess.normalize == "mean_std":
        mean = np.asarray(preprocess.mean, dtype=np.float32)[:, None]
        std = np.asarray(preprocess.std, dtype=np.float32)[:, None]
        table = (levels - mean) / std
    else:
        low, high = float(resized.min()), float(resized.max())
        scaled = (levels.astype(np.float64) - low) / max(high - low, 1e-8)
        table = np.broadcast_to(scaled.astype(np.float32), (3, 256))
    height, width = resized.shape[:2]
    padded = np.zeros((3, preprocess.input_side, preprocess.input_side), dtype=np.float32)
    for channel in range(3):
        padded[channel, :height, :width] = table[channel][resized[:, :, channel]]
    return padded
