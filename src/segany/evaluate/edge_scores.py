"""How well edges match those that people drew: ODS, OIS, AP and R50, by the rules of the BSDS500 benchmark.

Edges are cut at 99 thresholds, thinned, and matched one to one with each person's edges (Martin et al. 2004, "Learning
to detect natural image boundaries"; Arbelaez et al. 2011, "Contour detection and hierarchical image segmentation").
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError, MaskError

__all__ = ["EDGE_THRESHOLDS", "EdgeScores", "edge_counts", "edge_scores", "match_edges", "thin"]

EDGE_THRESHOLDS = np.arange(1, 100) / 100
_MAX_DISTANCE = 0.0075
# Points between two thresholds at which the F-measure is looked at, as in the benchmark.
_STEPS = 100

# Neighbours x1 to x8 of Guo and Hall, from the right and on against the clock: (row, column).
_NEIGHBOURS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


class EdgeScores(NamedTuple):
    """What the benchmark reports, 0 to 1; NaN where nobody drew an edge.

    Attributes:
        ods: F-measure at the one threshold that is best for all images.
        ois: F-measure with the best threshold for each image.
        ap: Average precision: the mean over recalls 0 to 1; recalls that are never reached count as 0.
        r50: Recall at a precision of one half.
        threshold: The best one for all images.
    """

    ods: float
    ois: float
    ap: float
    r50: float
    threshold: float


def thin(edges: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Make lines one pixel wide (Guo and Hall 1989, algorithm A1, until nothing changes; MATLAB's `bwmorph(..., "thin",
    Inf)`, which the benchmark uses).

    Args:
        edges: [H, W] bool.

    Returns:
        [H, W] bool: a part of the edges that is connected as they are.

    Raises:
        MaskError: The edges are not [H, W] bool.
    """  # noqa: D205
    _check_edges(edges)
    padded = np.ascontiguousarray(np.pad(edges, 1), dtype=np.uint8)
    flat = padded.ravel()
    steps = [row * padded.shape[1] + column for row, column in _NEIGHBOURS]
    left = np.flatnonzero(flat)
    changed = True
    while changed:
        changed = False
        for removable in _REMOVABLE:
            around = np.zeros(len(left), dtype=np.uint8)
            for bit, step in enumerate(steps):
                around |= flat[left + step] << bit
            gone = removable[around]
            flat[left[gone]] = 0
            left = left[~gone]
            changed |= bool(gone.any())
    return np.asarray(padded[1:-1, 1:-1] > 0)


def match_edges(
    detected: NDArray[np.bool_], truth: NDArray[np.bool_], max_distance: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Pair detected edge pixels with true ones, each at most once.

    Of all ways to pair as many as possible, the one with the least sum of distances.

    Args:
        detected: [H, W] bool.
        truth: [H, W] bool.
        max_distance: Farthest that a pair may be apart, pixels.

    Returns:
        [H, W] bool detected pixels that have a partner, and [H, W] bool true ones that have.

    Raises:
        MaskError: The two are not [H, W] bool of one size.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    _check_edges(detected)
    _check_edges(truth)
    if detected.shape != truth.shape:
        raise MaskError(f"two edge maps must have one size, got {list(detected.shape)} and {list(truth.shape)}.")
    found, real = np.zeros(truth.shape, dtype=np.bool_), np.zeros(truth.shape, dtype=np.bool_)
    true_places, detected_places, distances = _candidates(detected, truth, max_distance)
    if len(distances) == 0:
        return found, real
    rows, row = np.unique(true_places, return_inverse=True)
    columns, column = np.unique(detected_places, return_inverse=True)
    # Each true pixel may also stay alone, at a price that no detour of distances outweighs. Weights of 0 would be taken
    # for missing ones.
    alone = (max_distance + 1) * (len(rows) + 1)
    weights = np.concatenate([distances + 1, np.full(len(rows), alone)])
    places = np.arange(len(rows))
    graph = csr_array(
        (weights, (np.concatenate([row, places]), np.concatenate([column, len(columns) + places]))),
        shape=(len(rows), len(columns) + len(rows)),
    )
    chosen_rows, chosen = min_weight_full_bipartite_matching(graph)
    paired = chosen < len(columns)
    real.ravel()[rows[chosen_rows[paired]]] = True
    found.ravel()[columns[chosen[paired]]] = True
    return found, real


def edge_counts(
    strength: NDArray[np.floating],
    annotators: Sequence[NDArray[np.bool_]],
    *,
    max_distance: float = _MAX_DISTANCE,
    thresholds: NDArray[np.float64] = EDGE_THRESHOLDS,
) -> NDArray[np.int64]:
    """Count what matches in one image, at each threshold.

    A detected pixel is right when it has a partner with any of the people; a true pixel counts once for each person.

    Args:
        strength: [H, W], 0 to 1, 0 where there is no edge.
        annotators: For each person [H, W] bool, edges one or two pixels wide; at least one.
        max_distance: Farthest that a pair may be apart, as a share of the image's diagonal.
        thresholds: [T], rising.

    Returns:
        [T, 4] int64: true pixels found, true pixels, detected pixels that are right, detected pixels.

    Raises:
        MaskError: The arrays are not [H, W] of one size, or not bool.
        ConfigError: There is no annotator.
    """
    if not annotators:
        raise ConfigError("edges need at least one person's edges to be compared with, got none.")
    if strength.ndim != 2 or not np.isfinite(strength).all():
        raise MaskError(f"edge strengths must be finite and [H, W], got {strength.dtype} {list(strength.shape)}.")
    reach = max_distance * float(np.hypot(*strength.shape))
    counts = np.zeros((len(thresholds), 4), dtype=np.int64)
    earlier = None
    # In the strengths' own precision, so that 0.3 reaches 0.3.
    for place, threshold in enumerate(thresholds.astype(strength.dtype)):
        edges = strength >= threshold
        if earlier is not None and np.array_equal(edges, earlier):
            counts[place] = counts[place - 1]
            continue
        earlier = edges
        thinned = thin(edges)
        right = np.zeros(thinned.shape, dtype=np.bool_)
        for truth in annotators:
            found, real = match_edges(thinned, truth, reach)
            right |= found
            counts[place, 0] += np.count_nonzero(real)
            counts[place, 1] += np.count_nonzero(truth)
        counts[place, 2:] = np.count_nonzero(right), np.count_nonzero(thinned)
    return counts


def edge_scores(counts: NDArray[np.int64], thresholds: NDArray[np.float64] = EDGE_THRESHOLDS) -> EdgeScores:
    """Sum up images as the benchmark does.

    Args:
        counts: [N, T, 4], `edge_counts` of each image.
        thresholds: [T], those of the counts.

    Raises:
        ConfigError: There is no image, or the counts have another number of thresholds.
    """
    if counts.ndim != 3 or counts.shape[1:] != (len(thresholds), 4) or len(counts) == 0:
        raise ConfigError(f"edge scores need counts [N, {len(thresholds)}, 4], N >= 1, got {list(counts.shape)}.")
    total = counts.sum(axis=0)
    if total[0, 1] == 0:
        return EdgeScores(*[float("nan")] * 5)
    recall, precision = _recall_precision(total)
    # F between two thresholds, on the straight line from one point to the next.
    share = np.linspace(0, 1, _STEPS)[:, None]
    between = [share * v[1:] + (1 - share) * v[:-1] for v in (recall, precision, thresholds)]
    f = _f_measure(between[0], between[1])
    best = np.unravel_index(int(np.argmax(f)), f.shape)
    own = counts[np.arange(len(counts)), np.argmax(_f_measure(*_recall_precision(counts)), axis=1)].sum(axis=0)
    ois = float(_f_measure(*_recall_precision(own)))
    return EdgeScores(float(f[best]), ois, *_curve(recall, precision), float(between[2][best]))


def _curve(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> tuple[float, float]:
    """Average precision, and recall at a precision of 0.5 or the least that there is."""
    order = np.lexsort((-precision, recall))
    recalls, first = np.unique(recall[order], return_index=True)
    at = np.linspace(0, 1, 101)
    heights = np.interp(at, recalls, precision[order][first], left=0.0, right=0.0)
    order = np.lexsort((-recall, precision))
    precisions, first = np.unique(precision[order], return_index=True)
    # Thresholds that no pixel reaches have a precision of 0 and say nothing.
    useful = precisions > 0
    if not useful.any():
        return float(heights.sum() / 100), 0.0
    precisions, reached = precisions[useful], recall[order][first][useful]
    return float(heights.sum() / 100), float(np.interp(0.5, precisions, reached, right=0.0))


def _recall_precision(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return counts[..., 0] / np.maximum(counts[..., 1], 1), counts[..., 2] / np.maximum(counts[..., 3], 1)


def _f_measure(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
    both = recall + precision
    return np.asarray(2 * recall * precision / np.where(both > 0, both, 1))


def _candidates(
    detected: NDArray[np.bool_], truth: NDArray[np.bool_], max_distance: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """All pairs within reach: places of true pixels, of detected ones, and distances."""
    reach = int(max_distance)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    distance = np.hypot(y, x)
    near = distance <= max_distance
    y, x, distance = y[near], x[near], distance[near]
    padded = np.pad(detected, reach).ravel()
    width = detected.shape[1] + 2 * reach
    rows, columns = np.nonzero(truth)
    places = ((rows + reach) * width + columns + reach)[:, None] + (y * width + x)
    which, step = np.nonzero(padded[places])
    own = rows[which] * detected.shape[1] + columns[which]
    return own, own + y[step] * detected.shape[1] + x[step], distance[step]


def _removable(second: bool) -> NDArray[np.bool_]:
    """[256] bool: for each pattern of neighbours, whether a sub-iteration removes the pixel (Guo and Hall, A1)."""
    x = ((np.arange(256)[:, None] >> np.arange(8)) & 1).astype(bool)
    after = np.roll(x, -1, axis=1)
    crossings = (~x[:, 0::2] & (x[:, 1::2] | np.roll(after, -1, axis=1)[:, 0::2])).sum(axis=1)
    pairs = (x[:, 0::2] | x[:, 1::2]).sum(axis=1), (x[:, 1::2] | after[:, 1::2]).sum(axis=1)
    fewer = np.minimum(*pairs)
    turned = np.roll(x, -4, axis=1) if second else x
    border = (turned[:, 1] | turned[:, 2] | ~turned[:, 7]) & turned[:, 0]
    return np.asarray((crossings == 1) & (fewer >= 2) & (fewer <= 3) & ~border)


_REMOVABLE = (_removable(False), _removable(True))


def _check_edges(edges: NDArray[np.bool_]) -> None:
    if edges.dtype != np.bool_ or edges.ndim != 2:
        raise MaskError(f"edges must be a bool array [H, W], got {edges.dtype} {list(edges.shape)}.")
