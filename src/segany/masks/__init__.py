"""Masks: run lengths, polygons, components, IoU, stability and measurements.

OpenCV is imported where a function needs it, so that this package is cheap to import.
"""

from segany.masks.components import label_components, largest_component, remove_small_regions
from segany.masks.iou import boundary, boundary_iou, mask_iou, mask_iou_matrix, rle_iou_matrix
from segany.masks.measurements import (
    DeepestPoint,
    Measurements,
    centroid,
    concavity,
    deepest_point,
    equivalent_diameter,
    mask_area,
    mask_box,
    measure,
    perimeter,
)
from segany.masks.polygons import Polygon, mask_to_polygons, polygons_to_rle, rings_to_rle
from segany.masks.rle import RLE
from segany.masks.stability import stability_score
from segany.masks.upscale import LogitWindow, upscale_logits, upscale_strips

__all__ = [
    "RLE",
    "DeepestPoint",
    "LogitWindow",
    "Measurements",
    "Polygon",
    "boundary",
    "boundary_iou",
    "centroid",
    "concavity",
    "deepest_point",
    "equivalent_diameter",
    "label_components",
    "largest_component",
    "mask_area",
    "mask_box",
    "mask_iou",
    "mask_iou_matrix",
    "mask_to_polygons",
    "measure",
    "perimeter",
    "polygons_to_rle",
    "remove_small_regions",
    "rings_to_rle",
    "rle_iou_matrix",
    "stability_score",
    "upscale_logits",
    "upscale_strips",
]
