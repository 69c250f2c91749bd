"""Mask-pooled embeddings: what the image encoder saw of each object, with no run of the encoder of its own."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segany.errors import EmbeddingError
from segany.geometry import Frame
from segany.masks import RLE
from segany.predict import ImageEmbedding

__all__ = ["cell_shares", "feature_map", "image_feature", "mask_features"]


def feature_map(embedding: ImageEmbedding) -> NDArray[np.float32]:
    """The encoder's last feature map, [C, h, w] float32, over the model's padded input.

    Raises:
        EmbeddingError: The model has no such map.
    """
    arrays = embedding.features.to_numpy()
    array = arrays.get("embedding")
    if array is None or array.ndim not in (3, 4):
        raise EmbeddingError(
            f"{embedding.model_name} gives no feature map [C, h, w] as `embedding`, but {', '.join(sorted(arrays))}."
        )
    return np.asarray(array.reshape(array.shape[-3:]), dtype=np.float32)


def cell_shares(mask: RLE, frame: Frame, cells: tuple[int, int]) -> NDArray[np.float64]:
    """How many of each cell's pixels a mask covers, [h, w] float64, so that the smallest mask counts somewhere.

    Args:
        mask: Original pixels of the frame.
        frame: Where the image lies in the model's input.
        cells: Rows and columns of the feature map, over the model's padded input.
    """
    x0, y0, x1, y1 = mask.box
    shares = np.zeros(cells)
    if x0 == x1:
        return shares
    crop = mask.to_mask()[y0:y1, x0:x1]
    scale_y, scale_x = frame.scale
    rows, row_starts = _cells(y0, y1, scale_y * cells[0] / frame.padded.height, cells[0])
    columns, column_starts = _cells(x0, x1, scale_x * cells[1] / frame.padded.width, cells[1])
    # Whole stripes are added up: to list each pixel of a large mask takes seconds, and gigabytes.
    stripes = np.add.reduceat(crop, column_starts, axis=1, dtype=np.int32)
    shares[np.ix_(rows, columns)] = np.add.reduceat(stripes, row_starts, axis=0)
    return shares


def mask_features(embedding: ImageEmbedding, masks: Sequence[RLE]) -> NDArray[np.float32]:
    """The mean feature of each mask, of unit length.

    Args:
        embedding: Of the image.
        masks: Original pixels.

    Returns:
        [N, C] float32; zeros for an empty mask.

    Raises:
        EmbeddingError: As `feature_map`.
    """
    features = feature_map(embedding)
    cells = (features.shape[1], features.shape[2])
    flat = features.reshape(len(features), -1).astype(np.float64)
    shares = np.array([cell_shares(mask, embedding.frame, cells).ravel() for mask in masks])
    return _unit(shares.reshape(-1, flat.shape[1]) @ flat.T)


def image_feature(embedding: ImageEmbedding) -> NDArray[np.float32]:
    """[C] float32: the mean feature of an image, without the padding, of unit length. Raises as `feature_map`."""
    features, frame = feature_map(embedding), embedding.frame
    height = max(1, round(frame.model.height * features.shape[1] / frame.padded.height))
    width = max(1, round(frame.model.width * features.shape[2] / frame.padded.width))
    return np.asarray(_unit(features[:, :height, :width].mean(axis=(1, 2), dtype=np.float64)[None])[0])


def _cells(start: int, stop: int, per_pixel: float, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cells that the pixels from `start` to `stop` lie in, and where the pixels of each begin."""
    places = ((np.arange(start, stop) + 0.5) * per_pixel).astype(np.int64).clip(0, count - 1)
    cells, starts = np.unique(places, return_index=True)
    return cells, starts.astype(np.int64)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0), dtype=np.float32)
