"""Edge scores, against brute force and by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segany.errors import ConfigError, MaskError
from segany.evaluate.edge_scores import EDGE_THRESHOLDS, edge_counts, edge_scores, match_edges, thin

Mask = NDArray[np.bool_]


def picture(*rows: str) -> Mask:
    return np.array([[c == "#" for c in row] for row in rows])


def best_pairing(detected: Mask, truth: Mask, reach: float) -> tuple[int, float]:
    """The most pairs that there can be and the least sum of distances with as many, by trying all."""
    a, b = np.argwhere(truth), np.argwhere(detected)
    if len(a) > len(b):
        a, b = b, a
    best = (0, 0.0)
    for chosen in itertools.permutations(range(len(b)), len(a)):
        distances = np.hypot(*(a - b[list(chosen)]).T)
        near = distances[distances <= reach]
        best = max(best, (len(near), -float(near.sum())))
    return best[0], -best[1]


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(0, 5), st.sampled_from([1.0, 1.5, 2.9, 4.3]))
def test_matching_is_what_trying_all_pairs_gives(seed: int, detections: int, truths: int, reach: float) -> None:
    rng = np.random.default_rng(seed)
    detected, truth = np.zeros((7, 9), dtype=bool), np.zeros((7, 9), dtype=bool)
    for edges, count in ((detected, detections), (truth, truths)):
        edges.ravel()[rng.choice(63, count, replace=False)] = True
    found, real = match_edges(detected, truth, reach)
    pairs, distance = best_pairing(detected, truth, reach)
    assert np.count_nonzero(found) == np.count_nonzero(real) == pairs
    assert not (found & ~detected).any()
    assert not (real & ~truth).any()
    # What was chosen, paired with nobody else at hand, costs as little as the best of all.
    assert best_pairing(found, real, reach)[1] == pytest.approx(distance)


def test_a_pair_more_is_worth_any_detour() -> None:
    # The middle one of the detected could take its neighbour at a distance of 1 and leave the others alone.
    detected = picture("#..#...", ".......")
    truth = picture("..#...#", ".......")
    found, _ = match_edges(detected, truth, 3.0)
    assert found.sum() == 2


def test_each_pixel_is_used_once() -> None:
    detected, truth = picture("###", "###", "###"), picture("...", ".#.", "...")
    found, real = match_edges(detected, truth, 2.0)
    np.testing.assert_array_equal(found, truth)
    np.testing.assert_array_equal(real, truth)


def test_arrays_in_column_order_match_too() -> None:
    truth = picture("#..", "#..", "#..")
    found, real = match_edges(np.asfortranarray(truth), np.asfortranarray(truth), 1.0)
    assert found.sum() == real.sum() == 3


def thinned_pixel_by_pixel(edges: Mask) -> Mask:
    """Guo and Hall's A1, word for word."""
    image = np.pad(edges, 1)
    while True:
        before = image.copy()
        for second in (False, True):
            gone = []
            for r, c in np.argwhere(image):
                e, ne, n, nw, w, sw, s, se = (
                    bool(image[r + dr, c + dc])
                    for dr, dc in ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
                )
                crossings = (
                    (not e and (ne or n)) + (not n and (nw or w)) + (not w and (sw or s)) + (not s and (se or e))
                )
                pairs = min(
                    (e or ne) + (n or nw) + (w or sw) + (s or se), (ne or n) + (nw or w) + (sw or s) + (se or e)
                )
                stays = ((sw or s or not nw) and w) if second else ((ne or n or not se) and e)
                if crossings == 1 and 2 <= pairs <= 3 and not stays:
                    gone.append((r, c))
            for r, c in gone:
                image[r, c] = False
        if np.array_equal(before, image):
            return image[1:-1, 1:-1]


@pytest.mark.parametrize("seed", range(4))
def test_thinning_is_the_published_rule(seed: int) -> None:
    import cv2

    noise = np.random.default_rng(seed).random((40, 50)).astype(np.float32)
    edges = np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.5) > 0.5)
    thinned = thin(edges)
    np.testing.assert_array_equal(thinned, thinned_pixel_by_pixel(edges))
    parts = [cv2.connectedComponents(e.astype(np.uint8), connectivity=8)[0] for e in (edges, thinned)]
    assert parts[0] == parts[1]


def test_a_thick_bar_becomes_a_line() -> None:
    bar = np.zeros((9, 30), dtype=bool)
    bar[3:6, 3:27] = True
    thinned = thin(bar)
    assert set(np.flatnonzero(thinned.any(axis=1)).tolist()) == {4}
    assert thinned.sum() > 20
    np.testing.assert_array_equal(thin(np.asfortranarray(bar)), thinned)


def line(row: int, columns: slice = slice(2, 38)) -> Mask:
    edges = np.zeros((60, 80), dtype=bool)
    edges[row, columns] = True
    return edges


def test_two_people_by_hand() -> None:
    """A line of 36 pixels that both drew, one of 36 that only the second drew, and one that nobody drew.

    The diagonal is 100, so that a pair may be 0.75 pixels apart: only the very pixel.
    """
    strength = np.zeros((60, 80), dtype=np.float32)
    strength[line(10)] = 0.9
    strength[line(30)] = 0.5
    strength[line(50)] = 0.2
    counts = edge_counts(strength, [line(10), line(10) | line(30)])
    assert counts.shape == (99, 4)
    at = {t: counts[round(t * 100) - 1].tolist() for t in (0.1, 0.2, 0.3, 0.5, 0.6, 0.9, 0.95)}
    assert at[0.1] == at[0.2] == [36 + 72, 108, 72, 108]
    assert at[0.3] == at[0.5] == [108, 108, 72, 72]
    assert at[0.6] == at[0.9] == [72, 108, 36, 36]
    assert at[0.95] == [0, 108, 0, 0]
    scores = edge_scores(counts[None])
    assert scores.ods == scores.ois == 1.0
    assert 0.2 < scores.threshold <= 0.5
    # Recalls below 2/3 are only reached on the straight line to nothing found, at a precision that rises from 0 to 1.
    assert scores.r50 == pytest.approx(1.0)


def test_sums_over_images_by_hand() -> None:
    thresholds = np.array([0.25, 0.75])
    # True found, true, right, detected.
    one = [[8, 10, 8, 16], [6, 10, 6, 6]]
    other = [[9, 10, 9, 9], [1, 10, 1, 1]]
    scores = edge_scores(np.array([one, other]), thresholds)
    # At 0.25: recall 17/20, precision 17/25; at 0.75: recall 7/20, precision 1; between them on a straight line.
    share = np.linspace(0, 1, 100)
    recall, precision = share * 0.35 + (1 - share) * 0.85, share * 1 + (1 - share) * 0.68
    assert scores.ods == pytest.approx((2 * recall * precision / (recall + precision)).max())
    # The first image is best at 0.75 (F 3/4 against 8/13), the other at 0.25: recall 15/20, precision 15/15.
    assert scores.ois == pytest.approx(2 * 0.75 * 1 / 1.75)
    # Recalls 0.35 to 0.85 in steps of 0.01: 51 of them, at precisions 1 down to 0.68.
    assert scores.ap == pytest.approx(51 * (1 + 0.68) / 2 / 100)
    # Precision never falls to one half: the recall at the least precision.
    assert scores.r50 == pytest.approx(0.85)


def test_recall_at_half_precision() -> None:
    counts = np.array([[[9, 10, 9, 36], [6, 10, 6, 8]]])
    # Precisions 0.25 and 0.75, recalls 0.9 and 0.6: half way.
    assert edge_scores(counts, np.array([0.2, 0.6])).r50 == pytest.approx(0.75)


def test_nothing_to_find_and_nothing_found() -> None:
    blank = np.zeros((60, 80), dtype=np.float32)
    nothing_found = edge_scores(edge_counts(blank, [line(10)])[None])
    assert nothing_found[:4] == (0.0, 0.0, 0.0, 0.0)
    nothing_there = edge_scores(edge_counts(blank, [line(10) & False])[None])
    assert all(math.isnan(value) for value in nothing_there)


def test_bad_input_says_what_was_wanted() -> None:
    edges = line(10)
    for call, kind, message in (
        (lambda: thin(edges[0]), MaskError, "edges must be a bool array [H, W], got bool [80]."),
        (
            lambda: match_edges(edges, edges[:5], 1.0),
            MaskError,
            "two edge maps must have one size, got [60, 80] and [5, 80].",
        ),
        (
            lambda: edge_counts(edges.astype(np.float32), []),
            ConfigError,
            "edges need at least one person's edges to be compared with, got none.",
        ),
        (
            lambda: edge_counts(np.full((4, 5), np.nan), [np.zeros((4, 5), dtype=bool)]),
            MaskError,
            "edge strengths must be finite and [H, W], got float64 [4, 5].",
        ),
        (
            lambda: edge_scores(np.zeros((0, 99, 4), dtype=np.int64)),
            ConfigError,
            "edge scores need counts [N, 99, 4], N >= 1, got [0, 99, 4].",
        ),
    ):
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value) == message
    assert len(EDGE_THRESHOLDS) == 99
