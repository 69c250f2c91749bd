"""The nouns: what every part of segany passes to every other."""

from segany.schema.annotation import Annotation, AnnotationSource, Masklet, Record, ReviewState
from segany.schema.image import Image, ImageInfo, Parent, PixelMapping, Source
from segany.schema.model_card import DatasetVersion, ModelCard, ModelStatus, Report
from segany.schema.prediction import Prediction
from segany.schema.prompt import BOX_CORNERS, NEGATIVE, PADDING, POSITIVE, Prompt, PromptBatch, PromptGroup, VideoPrompt

__all__ = [
    "BOX_CORNERS",
    "NEGATIVE",
    "PADDING",
    "POSITIVE",
    "Annotation",
    "AnnotationSource",
    "DatasetVersion",
    "Image",
    "ImageInfo",
    "Masklet",
    "ModelCard",
    "ModelStatus",
    "Parent",
    "PixelMapping",
    "Prediction",
    "Prompt",
    "PromptBatch",
    "PromptGroup",
    "Record",
    "Report",
    "ReviewState",
    "Source",
    "VideoPrompt",
]
