"""Exemplars: a mask on one image proposes objects of the same kind on others.

Of everything that the model finds on an image, the masks whose features are like an exemplar's are proposed. There is
no detector and no training: the features are there already.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.engine.features import mask_features
from segany.errors import ConfigError
from segany.predict import ImageEmbedding, Predictor
from segany.predict.automatic import AutomaticMaskGenerator, GridSettings, Thresholds
from segany.schema import Annotation

__all__ = ["LEAST_LIKE", "likeness", "propose_like", "rank_like"]

# On coco_val80 nine of ten objects of a kind are above this with five exemplars, and half of all other masks below.
LEAST_LIKE = 0.65
# Clicks along each side: a quarter of everything's clicks, and a third of its time.
_GRID = 16
# An outline that the model is sure of goes before one that looks as much like an exemplar.
_SCORE_WEIGHT = 0.5


def propose_like(
    predictor: Predictor,
    image: Any,
    exemplars: NDArray[np.floating],
    *,
    others: NDArray[np.floating] | None = None,
    limit: int = 64,
    least: float = LEAST_LIKE,
    grid: GridSettings | None = None,
    thresholds: Thresholds | None = None,
    category: str | None = None,
) -> list[Annotation]:
    """Objects of an image that are like exemplars.

    Args:
        predictor: The model whose features the exemplars' are.
        image: What `segany.open_image` reads.
        exemplars: [N, C] of `mask_features` on other images, at least one.
        others: [M, C] of things that are not meant, such as rejected masks; what is more like these is left out.
        limit: Most proposals.
        least: Leave out what is less like every exemplar than this, a cosine.
        grid: Where the model is clicked; 16 clicks along each side when left out. More find smaller objects.
        thresholds: What outlines must pass.
        category: Name for what is found.

    Returns:
        The likeliest first, by their likeness and half of their predicted IoU; `extra["likeness"]` is the cosine. They
        overlap by no more than `thresholds` lets them.

    Raises:
        ConfigError: No exemplar, or of another width than this model's features.
        EmbeddingError: As `feature_map`.
        ImageError: It cannot be read as an image.
    """
    generator = AutomaticMaskGenerator(predictor, grid or GridSettings(points_per_side=_GRID))
    found = generator.generate(image, thresholds).annotations
    ranked = rank_like(predictor.embed(image), found, exemplars, others=others, least=least)[:limit]
    return [replace(one, id=number, category=category) for number, one in enumerate(ranked)]


def rank_like(
    embedding: ImageEmbedding,
    masks: Sequence[Annotation],
    exemplars: NDArray[np.floating],
    *,
    others: NDArray[np.floating] | None = None,
    least: float = LEAST_LIKE,
) -> list[Annotation]:
    """As `propose_like`, of masks that are there already.

    Args:
        embedding: Of their image.
        masks: To choose from.
        exemplars: As in `propose_like`.
        others: Likewise.
        least: Likewise.

    Returns:
        Those that are like an exemplar, the likeliest first, with `extra["likeness"]`.

    Raises:
        ConfigError: As `propose_like`.
        EmbeddingError: As `feature_map`.
    """
    if not masks:
        return []
    features = mask_features(embedding, [one.segmentation for one in masks])
    like = likeness(features, exemplars)
    wanted = like >= least
    if others is not None and len(others):
        wanted &= like > likeness(features, others)
    worth = like + _SCORE_WEIGHT * np.array([one.predicted_iou or 0.0 for one in masks])
    order = [int(place) for place in np.argsort(-worth, kind="stable") if wanted[place]]
    return [_told(masks[place], float(like[place])) for place in order]


def likeness(features: NDArray[np.floating], exemplars: NDArray[np.floating]) -> NDArray[np.float64]:
    """How much masks are like the exemplar that they are most like, [N] float64: a cosine.

    Args:
        features: [N, C] of `mask_features`.
        exemplars: [M, C] likewise, at least one.

    Raises:
        ConfigError: There is no exemplar, or it has another width.
    """
    meant = np.asarray(exemplars, dtype=np.float64)
    width = np.shape(features)[1]
    if meant.ndim != 2 or len(meant) == 0 or meant.shape[1] != width:
        raise ConfigError(f"exemplars must be [N, {width}] with N >= 1, got {list(meant.shape)}.")
    return np.asarray((_unit(np.asarray(features, dtype=np.float64)) @ _unit(meant).T).max(axis=1))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))


def _told(annotation: Annotation, like: float) -> Annotation:
    return replace(annotation, extra={**annotation.extra, "likeness": round(like, 4)})
