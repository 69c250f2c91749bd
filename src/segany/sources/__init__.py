"""Image readers: files, arrays and Pillow images, as upright 8-bit RGB or as stored."""

from segany.sources.array import ArraySource
from segany.sources.open import ImageLike, open_image, open_source, pixel_digest
from segany.sources.paths import IMAGE_SUFFIXES, iter_image_paths
from segany.sources.photo import PhotoSource, PillowSource

__all__ = [
    "IMAGE_SUFFIXES",
    "ArraySource",
    "ImageLike",
    "PhotoSource",
    "PillowSource",
    "iter_image_paths",
    "open_image",
    "open_source",
    "pixel_digest",
]
