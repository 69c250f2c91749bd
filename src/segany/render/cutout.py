"""The object alone, and masks as files."""

import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import ConfigError, MaskError
from segany.files import atomic_path
from segany.geometry import Size
from segany.masks.rle import RLE
from segany.render._pixels import Picture, check_masks, pixels_of, signed_distance

__all__ = ["cutout", "save_image", "save_mask"]


def cutout(image: Picture, mask: RLE, *, crop: bool = False, feather: float = 0.0) -> PillowImage.Image:
    """Lay the object on transparent ground.

    The edge is hard: a pixel is in the mask or not. With `feather` its opacity falls over so many pixels, half of them
    inside the mask. Pixels of no opacity are black, so that nothing of the background stays in the file.

    Args:
        image: The picture: an Image, uint8 [H, W, 3] RGB, or a Pillow image.
        mask: The object, of the picture's size.
        crop: Keep only the mask's box.
        feather: Width of a soft edge, pixels; 0 for a hard one.

    Returns:
        An RGBA picture.

    Raises:
        ImageError: The picture is none.
        MaskError: The mask has another size, or is empty and the picture is to be cropped to it.
        ConfigError: `feather` is negative.
    """
    pixels = pixels_of(image)
    size = Size(*pixels.shape[:2])
    check_masks([mask], size)
    if not (math.isfinite(feather) and feather >= 0):
        raise ConfigError(f"feather must be 0 or a number of pixels, got {feather:g}.")
    if crop and mask.area == 0:
        raise MaskError("an empty mask has no box to crop to; choose another mask or crop=False.")
    margin = math.ceil(feather / 2)
    x0, y0, x1, y1 = (int(edge) for edge in mask.box)
    y0, y1 = max(0, y0 - margin), min(size.height, y1 + margin)
    x0, x1 = max(0, x0 - margin), min(size.width, x1 + margin)
    rows, columns = slice(y0, y1), slice(x0, x1)
    opacity = _opacity(mask.to_mask()[rows, columns], feather) if mask.area else np.zeros((0, 0), dtype=np.uint8)
    if crop:
        result = np.zeros((y1 - y0, x1 - x0, 4), dtype=np.uint8)
        target = result
    else:
        result = np.zeros((*size, 4), dtype=np.uint8)
        target = result[rows, columns]
    if mask.area:
        np.copyto(target[..., :3], pixels[rows, columns], where=(opacity > 0)[..., None])
        target[..., 3] = opacity
    return PillowImage.fromarray(result)


def save_mask(mask: RLE | NDArray[np.bool_], path: str | os.PathLike[str], *, one_bit: bool = False) -> Path:
    """Write a mask as a PNG, 255 on the object and 0 elsewhere.

    Args:
        mask: An RLE or [H, W] bool.
        path: A .png file; it appears whole or not at all.
        one_bit: Store one bit a pixel instead of eight.

    Returns:
        The path.

    Raises:
        ConfigError: The name does not end in .png.
        MaskError: The array is no mask, or has no pixels.
        OutputError: The file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise ConfigError(f"a mask is written as .png, which keeps every pixel, got {target.name!r}.")
    values = mask.to_mask() if isinstance(mask, RLE) else mask
    if values.dtype != np.bool_ or values.ndim != 2 or values.size == 0:
        raise MaskError(f"a mask to write must be bool [H, W], got {values.dtype} {list(values.shape)}.")
    picture = PillowImage.fromarray(np.ascontiguousarray(values, dtype=np.uint8) * np.uint8(255))
    return save_image(picture.convert("1", dither=PillowImage.Dither.NONE) if one_bit else picture, target)


def save_image(image: PillowImage.Image, path: str | os.PathLike[str]) -> Path:
    """Write a picture; the file appears whole or not at all.

    Args:
        image: Any Pillow image that the format can hold.
        path: The suffix says the format.

    Returns:
        The path.

    Raises:
        ConfigError: The suffix is unknown, or the format cannot hold such a picture (JPEG has no transparency).
        OutputError: The file cannot be written.
    """
    target = Path(path)
    PillowImage.init()
    if target.suffix.lower() not in PillowImage.EXTENSION:
        raise ConfigError(
            f"a picture's name must end in .png, .jpg, .webp or another known suffix, got {target.name!r}."
        )
    with atomic_path(target) as temporary:
        try:
            image.save(temporary)
        except OSError as error:
            if error.errno is not None:
                raise
            raise ConfigError(f"{target.suffix} cannot hold a picture of mode {image.mode}; write .png.") from error
    return target


def _opacity(mask: NDArray[np.bool_], feather: float) -> NDArray[np.uint8]:
    if feather == 0:
        return mask.astype(np.uint8) * np.uint8(255)
    opacity: NDArray[np.float32] = np.clip(0.5 - signed_distance(mask) / feather, 0, 1)
    return np.rint(255 * opacity).astype(np.uint8)
