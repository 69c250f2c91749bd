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
    ys, xs = np.nonzero(mask.to_mask()[y0:y1, x0:x1])
    scale_y, scale_x = frame.scale
    rows = ((ys + y0 + 0.5) * scale_y * cells[0] / frame.padded.height).astype(np.int64).clip(0, cells[0] - 1)
    columns = ((xs + x0 + 0.5) * scale_x * cells[1] / frame.padded.width).astype(np.int64).clip(0, cells[1] - 1)
    np.add.at(shares, (rows, columns), 1.0)
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


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0), dtype=np.float32)
