"""Masks: run-length codec, polygons, components, IoU, stability and measurements."""

from segany.masks.rle import RLE

__all__ = ["RLE"]
