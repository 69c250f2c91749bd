"""The reference's class names and signatures, so that a script runs after one changed line.

    >>> from segany.compat import SamAutomaticMaskGenerator, SamPredictor, sam_model_registry

takes the place of the same names from `segment_anything` or `mobile_sam`. Weights files, parameter names, tensors and
answers are the same; what is refused is refused with segany's errors.
"""

from segany.compat.automatic import SamAutomaticMaskGenerator
from segany.compat.build import (
    build_sam,
    build_sam_vit_b,
    build_sam_vit_h,
    build_sam_vit_l,
    build_sam_vit_t,
    sam_model_registry,
)
from segany.compat.predictor import ImageNotSetError, SamPredictor
from segany.compat.sam import Sam
from segany.compat.transforms import ResizeLongestSide

__all__ = [
    "ImageNotSetError",
    "ResizeLongestSide",
    "Sam",
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "build_sam_vit_t",
    "sam_model_registry",
]
