"""J, F, recall and decay of videos, on cases worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segany.errors import ConfigError, MaskError
from segany.evaluate.video import FrameScores, contour_accuracy, frame_scores, region_similarity, video_scores
from segany.masks import RLE
from segany.schema import Masklet

Mask = NDArray[np.bool_]


def square(x0: int, y0: int, x1: int, y1: int, shape: tuple[int, int] = (30, 40)) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


EMPTY = square(0, 0, 0, 0)


def test_region_similarity_by_hand() -> None:
    # 10 x 10 pixels, moved by 5: 50 shared of 150.
    assert region_similarity(square(0, 0, 10, 10), square(5, 0, 15, 10)) == 50 / 150
    assert region_similarity(EMPTY, EMPTY) == 1
    assert region_similarity(EMPTY, square(0, 0, 1, 1)) == 0


def test_contour_accuracy_by_hand() -> None:
    """A square of 10 moved by 3. The diagonal of 50 pixels makes 0.008 one pixel.

    The contour of pixels x0 to x1 - 1 is a ring over columns x0 - 1 to x1 - 1 and rows likewise: 40 pixels. Of the 11
    of the upper side, 8 are shared and one more is next to a shared one; of the moved square's side as well. Below the
    same: 18. One pixel under the upper left corner of the moved ring, and one above the lower, are next to what is
    shared.
    """
    found, truth = square(5, 5, 15, 15), square(8, 5, 18, 15)
    contour = {(r, c) for r in range(4, 15) for c in range(4, 15) if r in (4, 14) or c in (4, 14)}
    assert len(contour) == 40
    moved = {(r, c + 3) for r, c in contour}
    near = sum(any(abs(r - a) + abs(c - b) <= 1 for a, b in moved) for r, c in contour)
    back = sum(any(abs(r - a) + abs(c - b) <= 1 for a, b in contour) for r, c in moved)
    assert (near, back) == (20, 20)
    assert contour_accuracy(found, truth) == pytest.approx(0.5)


def test_a_shift_within_the_tolerance_is_forgiven() -> None:
    found, truth = square(5, 5, 15, 15), square(6, 5, 16, 15)
    assert contour_accuracy(found, truth) == 1
    assert contour_accuracy(found, square(7, 5, 17, 15), tolerance=2) == 1
    assert contour_accuracy(found, square(7, 5, 17, 15)) < 1


def test_no_contour() -> None:
    whole = ~EMPTY
    assert contour_accuracy(EMPTY, EMPTY) == contour_accuracy(whole, EMPTY) == 1
    assert contour_accuracy(EMPTY, square(3, 3, 9, 9)) == contour_accuracy(square(3, 3, 9, 9), EMPTY) == 0
    # The image's rim is no contour: half an image has one line of 30 pixels.
    assert contour_accuracy(square(0, 0, 20, 30), square(0, 0, 20, 30)) == 1
    assert contour_accuracy(square(0, 0, 20, 30), square(0, 0, 30, 30)) == 0


@given(st.integers(0, 2**32 - 1))
def test_both_are_symmetric_and_perfect_for_equal_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.random((2, 12, 17)) > 0.6).astype(bool)
    assert region_similarity(a, a) == contour_accuracy(a, a) == 1
    assert contour_accuracy(a, b) == contour_accuracy(b, a)
    assert 0 <= contour_accuracy(a, b) <= 1


def test_a_video_by_hand() -> None:
    """Ten frames: the first and last do not count, and in one of the others nothing was found."""
    truth = Masklet(1, {t: RLE.from_mask(square(t, 5, t + 10, 15)) for t in range(10)})
    found = {t: RLE.from_mask(square(t, 5, t + 10, 15)) for t in range(9)}
    found[4] = RLE.from_mask(square(9, 5, 19, 15))
    del found[5]
    scores = frame_scores(Masklet(1, found), truth)
    # Frame 4 is moved by 5 pixels: J 50/150; its contours share 6 pixels above and 6 below, and one more at each end.
    assert scores.j.tolist() == [1, 1, 1, 50 / 150, 0, 1, 1, 1]
    assert scores.f.tolist() == pytest.approx([1, 1, 1, 16 / 40, 0, 1, 1, 1])
    summed = video_scores([scores])
    assert summed.j == pytest.approx((6 + 1 / 3) / 8)
    assert summed.f == pytest.approx((6 + 0.4) / 8)
    assert summed.j_and_f == pytest.approx((summed.j + summed.f) / 2)
    assert summed.j_recall == summed.f_recall == 6 / 8
    assert summed.j_decay == summed.f_decay == 0
    assert frame_scores(Masklet(1, found), truth, [4, 5]).j.tolist() == [50 / 150, 0]


def test_decay_compares_the_first_quarter_with_the_last() -> None:
    # Quarters of 8 frames end at 1, 2.75, 4.5, 6.25 and 8, rounded to 1, 3, 5, 6, 8: frames 1-3 and 6-8.
    falling = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])
    scores = video_scores([FrameScores(falling, np.full(8, 0.5))])
    assert scores.j_decay == pytest.approx(0.9 - 0.4)
    assert scores.f_decay == 0
    # A recall counts what is above one half, not what is at it.
    assert scores.j_recall == 5 / 8
    assert scores.f_recall == 0


def test_objects_weigh_the_same_however_long_they_are_seen() -> None:
    long, short = FrameScores(np.ones(20), np.ones(20)), FrameScores(np.zeros(4), np.full(4, 0.5))
    scores = video_scores([long, short])
    assert (scores.j, scores.f, scores.j_and_f) == (0.5, 0.75, 0.625)


def test_bad_input_says_what_was_wanted() -> None:
    rle = RLE.from_mask(square(1, 1, 4, 4))
    two, three = Masklet(7, {0: rle, 1: rle}), Masklet(7, {0: rle, 1: rle, 2: rle})
    other = Masklet(7, {1: RLE.from_mask(np.ones((4, 5), dtype=bool))})
    for call, kind, message in (
        (
            lambda: frame_scores(two, two),
            ConfigError,
            "object 7 has 2 annotated frames; at least 3 are needed, as the first and the last do not count.",
        ),
        (
            lambda: frame_scores(three, three, [1, 5]),
            ConfigError,
            "object 7 is not annotated in frame 5; leave the frame out.",
        ),
        (lambda: video_scores([]), ConfigError, "video scores need at least one object, got none."),
        (
            lambda: video_scores([FrameScores(np.ones(2), np.ones(3))]),
            ConfigError,
            "an object needs as many J as F, at least one, got 2 and 3.",
        ),
        (
            lambda: contour_accuracy(EMPTY, EMPTY[:5]),
            MaskError,
            "contours need two bool masks [H, W] of one size, got bool [30, 40] and bool [5, 40].",
        ),
        (lambda: contour_accuracy(EMPTY, EMPTY, 0), ConfigError, "tolerance must be above 0, got 0."),
        (
            lambda: frame_scores(other, three),
            MaskError,
            "two masks must have one height and width, got [4, 5] and [30, 40].",
        ),
    ):
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value) == message
