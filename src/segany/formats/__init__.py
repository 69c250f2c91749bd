"""Annotation codecs, one module for each format: masks to files and back."""

from segany.formats import sa1b

__all__ = ["sa1b"]
