"""The model's voice: from images and prompts to masks."""

from segany.predict.cache import CacheInfo, EmbeddingCache
from segany.predict.embedding import ImageEmbedding
from segany.predict.image import Predictor
from segany.predict.segment import Segmentation, SegmentedMask, segment, segment_many

__all__ = [
    "CacheInfo",
    "EmbeddingCache",
    "ImageEmbedding",
    "Predictor",
    "Segmentation",
    "SegmentedMask",
    "segment",
    "segment_many",
]
