"""Vector kernels for the passes over an image's cells, compiled in memory for the CPU at hand."""

from segany.predict.backends.kernels._compiled import Kernels, are_supported, load_kernels

__all__ = ["Kernels", "are_supported", "load_kernels"]
