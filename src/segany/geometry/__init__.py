"""Boxes, points, frames, crops and NMS: arithmetic only."""

from segany.geometry.boxes import (
    box_area,
    box_intersection,
    box_iou,
    clip_boxes,
    half_open_to_inclusive,
    inclusive_to_half_open,
    xywh_to_xyxy,
    xyxy_to_xywh,
)
from segany.geometry.crops import DEFAULT_OVERLAP_RATIO, Crops, crop_boxes, tile_boxes
from segany.geometry.frame import Frame
from segany.geometry.nms import batched_nms, nms
from segany.geometry.points import grid_in_box, point_grid, point_grids
from segany.geometry.size import Size

__all__ = [
    "DEFAULT_OVERLAP_RATIO",
    "Crops",
    "Frame",
    "Size",
    "batched_nms",
    "box_area",
    "box_intersection",
    "box_iou",
    "clip_boxes",
    "crop_boxes",
    "grid_in_box",
    "half_open_to_inclusive",
    "inclusive_to_half_open",
    "nms",
    "point_grid",
    "point_grids",
    "tile_boxes",
    "xywh_to_xyxy",
    "xyxy_to_xywh",
]
