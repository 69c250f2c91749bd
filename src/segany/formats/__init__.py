"""Annotation codecs, one module for each format: masks to files and back."""

from segany.formats import coco, label_map, sa1b

__all__ = ["coco", "label_map", "sa1b"]
