"""segany: point at something in a picture and get its exact outline.

    >>> import segany
    >>> segany.segment("photo.jpg", points=[(500, 375)]).best().save("cut-out.png")

Names are loaded when they are first used, so that `import segany` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segany.errors import SeganyError
    from segany.predict import ImageEmbedding, Predictor
    from segany.predict.segment import Segmentation, SegmentedMask, segment, segment_many
    from segany.schema import Annotation, Image, ImageInfo, Prediction, Prompt, Record
    from segany.sources import open_image

__all__ = [
    "Annotation",
    "Image",
    "ImageEmbedding",
    "ImageInfo",
    "Prediction",
    "Predictor",
    "Prompt",
    "Record",
    "SeganyError",
    "Segmentation",
    "SegmentedMask",
    "__version__",
    "open_image",
    "segment",
    "segment_many",
]

__version__ = "0.1.0"

_HOME = {
    **dict.fromkeys(
        ("ImageEmbedding", "Predictor", "Segmentation", "SegmentedMask", "segment", "segment_many"), "segany.predict"
    ),
    **dict.fromkeys(("Annotation", "Image", "ImageInfo", "Prediction", "Prompt", "Record"), "segany.schema"),
    "SeganyError": "segany.errors",
    "open_image": "segany.sources",
}


def __getattr__(name: str) -> Any:
    """Load a public name from the package that has it."""
    if name not in _HOME:
        raise AttributeError(f"module 'segany' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)
