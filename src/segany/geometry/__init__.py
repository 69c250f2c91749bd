"""Boxes, points, frames, crops and NMS: arithmetic only."""

from segany.geometry.frame import Frame
from segany.geometry.size import Size

__all__ = ["Frame", "Size"]
