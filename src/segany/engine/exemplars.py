"""Exemplars: a mask on one image proposes objects of the same kind on others.

Where the features of an image are like the exemplars', the model is clicked; of the masks that come, those whose own
features are like the exemplars' are kept. No detector and no training: the features are there already.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segany.engine.features import feature_map, mask_features
from segany.errors import ConfigError
from segany.geometry import nms
from segany.predict import ImageEmbedding, Predictor
from segany.predict.choose import MaskChooser
from segany.schema import Annotation, Prompt

__all__ = ["propose_like"]

# Cells of 64 a side: clicks closer together would find the same object.
_APART = 2


def propose_like(
    predictor: Predictor,
    embedding: ImageEmbedding,
    exemplars: NDArray[np.floating],
    *,
    others: NDArray[np.floating] | None = None,
    limit: int = 64,
    least: float = 0.0,
    chooser: MaskChooser | None = None,
    category: str | None = None,
) -> list[Annotation]:
    """Objects of an image that are like exemplars.

    Args:
        predictor: The model whose features the exemplars' are.
        embedding: Of the image to look at.
        exemplars: [N, C] of `mask_features` on other images, at least one.
        others: [M, C] of things that are not meant, such as rejected masks; the image's mean when left out.
        limit: Most clicks.
        least: Keep masks whose likeness is above this: cosine with the direction from the others to the exemplars.
        chooser: Ranks each click's masks, beside their likeness.
        category: Name for what is found.

    Returns:
        The most alike first; `extra["likeness"]` says how much. They do not overlap by an IoU of more than .5.

    Raises:
        ConfigError: No exemplar, or of another width than this model's features.
        EmbeddingError: As `feature_map`.
    """
    cells = feature_map(embedding)
    meant = np.asarray(exemplars, dtype=np.float64)
    if meant.ndim != 2 or len(meant) == 0 or meant.shape[1] != len(cells):
        raise ConfigError(f"exemplars must be [N, {len(cells)}] with N >= 1, got {list(meant.shape)}.")
    unlike = cells.mean(axis=(1, 2), dtype=np.float64)[None] if others is None else np.asarray(others, dtype=np.float64)
    axis = _axis(meant, unlike)
    lengths = np.linalg.norm(cells, axis=0)
    alike = np.tensordot(axis, cells, axes=1) / np.maximum(lengths, 1e-9)
    clicks = _peaks(alike, embedding, limit)
    if not clicks:
        return []
    prompts = [Prompt(points=[click]) for click in clicks]
    found: list[Annotation] = []
    likeness: list[float] = []
    for prompt, answer in zip(prompts, predictor.predict_many(embedding, prompts, chooser=chooser), strict=True):
        masks = list(answer.rles())
        like = mask_features(embedding, masks).astype(np.float64) @ axis
        # A mask is taken for its outline (the model's score) and for what it shows (its likeness).
        best = int(np.argmax(answer.preferences + like))
        if masks[best].area == 0 or like[best] <= least:
            continue
        found.append(
            Annotation(
                len(found),
                masks[best],
                predicted_iou=float(answer.iou_predictions[best]),
                prompts=(prompt,),
                category=category,
                model_digest=embedding.model_digest,
                extra={"likeness": round(float(like[best]), 4)},
            )
        )
        likeness.append(float(like[best]))
    return _distinct(found, likeness)


def _axis(meant: NDArray[np.float64], unlike: NDArray[np.float64]) -> NDArray[np.float64]:
    """The direction from what is not meant to what is, [C], of unit length."""
    inside = (meant / np.maximum(np.linalg.norm(meant, axis=1, keepdims=True), 1e-9)).mean(axis=0)
    outside = (unlike / np.maximum(np.linalg.norm(unlike, axis=1, keepdims=True), 1e-9)).mean(axis=0)
    gap = inside - outside
    length = float(np.linalg.norm(gap))
    return np.asarray(gap / length if length > 1e-9 else inside)


def _peaks(alike: NDArray[np.float64], embedding: ImageEmbedding, limit: int) -> list[tuple[float, float]]:
    """Local maxima of the likeness inside the image, the highest first, as original pixels (x, y)."""
    frame = embedding.frame
    rows, columns = alike.shape
    height = max(1, round(frame.model.height * rows / frame.padded.height))
    width = max(1, round(frame.model.width * columns / frame.padded.width))
    left = alike[:height, :width].copy()
    found: list[tuple[float, float]] = []
    while len(found) < limit and np.isfinite(left).any():
        row, column = (int(value) for value in np.unravel_index(int(np.argmax(left)), left.shape))
        place = np.array([(column + 0.5) * frame.padded.width / columns, (row + 0.5) * frame.padded.height / rows])
        x, y = frame.to_original(place).tolist()
        x, y = min(max(x, 0.0), frame.original.width - 1.0), min(max(y, 0.0), frame.original.height - 1.0)
        found.append((float(int(x)), float(int(y))))
        left[max(0, row - _APART + 1) : row + _APART, max(0, column - _APART + 1) : column + _APART] = -np.inf
    return found


def _distinct(found: Sequence[Annotation], likeness: Sequence[float]) -> list[Annotation]:
    if not found:
        return []
    boxes = np.array([one.box for one in found], dtype=np.float64)
    scores = np.array([(one.predicted_iou or 0.0) + like for one, like in zip(found, likeness, strict=True)])
    kept = nms(boxes, scores, 0.5)
    return sorted((found[int(place)] for place in kept), key=lambda one: -float(one.extra["likeness"]))
