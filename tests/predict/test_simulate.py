import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from segany.errors import ConfigError, MaskError
from segany.predict.simulate import Click, first_click, next_click, random_click, true_box

MASKS = arrays(np.bool_, (12, 17))


def boxed(*boxes: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    mask = np.zeros((40, 60), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


@given(MASKS.filter(lambda mask: bool(mask.any())))
def test_the_first_click_is_as_deep_as_any_pixel(mask: NDArray[np.bool_]) -> None:
    x, y = first_click(mask)
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    assert depth[y, x] == pytest.approx(depth.max(), abs=1e-4)


def test_the_first_click_of_a_square_is_its_centre() -> None:
    assert first_click(boxed((10, 20, 21, 31))) == (15, 25)
    # Beyond the image is outside: a click at the border would be no better than one at an edge.
    assert first_click(boxed((0, 0, 11, 11))) == (5, 5)


def test_the_next_click_goes_into_the_largest_error() -> None:
    truth = boxed((5, 5, 25, 25))
    assert next_click(truth, truth) is None
    assert next_click(np.zeros_like(truth), truth) == Click(14, 14, 1)
    missing_and_too_much = boxed((5, 5, 25, 20), (40, 5, 49, 14))
    # 20 x 5 pixels are missing; 9 x 9 are too much.
    x, y, label = next_click(missing_and_too_much, truth) or pytest.fail("an error was not seen")
    assert (y, label) == (22, 1)
    assert 5 + 2 <= x < 25 - 2
    # Thin errors are large but not deep.
    assert next_click(missing_and_too_much, truth, "deepest") == Click(44, 9, 0)


def test_of_equal_errors_the_missing_one_goes_first() -> None:
    assert next_click(boxed((30, 5, 39, 14)), boxed((5, 5, 14, 14))) == Click(9, 9, 1)


@given(MASKS, MASKS)
def test_the_next_click_is_always_wrong_before_and_right_after(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> None:
    for rule in ("largest", "deepest"):
        click = next_click(prediction, truth, rule)
        if click is None:
            assert (prediction == truth).all()
        else:
            assert truth[click.y, click.x] == click.label != prediction[click.y, click.x]


def test_no_pixel_is_clicked_twice() -> None:
    truth, nothing = boxed((5, 5, 14, 14)), boxed()
    assert next_click(nothing, truth, "deepest") == Click(9, 9, 1)
    click = next_click(nothing, truth, "deepest", clicked=np.array([[9, 9], [70, -3]]))
    assert click is not None
    assert max(abs(click.x - 9), abs(click.y - 9)) == 1
    # What cannot be clicked any more does not hide another error.
    dot = boxed((20, 20, 21, 21), (30, 30, 31, 31))
    assert next_click(nothing, dot, "deepest", clicked=np.array([[20, 20]])) == Click(30, 30, 1)
    assert next_click(nothing, dot, "deepest", clicked=np.array([[20, 20], [30, 30]])) is None


def ritm_click(prediction: NDArray[np.bool_], truth: NDArray[np.bool_], clicked: list[tuple[int, int]]) -> float:
    """Depth of RITM's next click: of both errors apart, clicked pixels left out."""
    free = np.ones_like(truth)
    for x, y in clicked:
        free[y, x] = False
    depths = [
        distance_transform_edt(np.pad(wrong, 1))[1:-1, 1:-1] * free
        for wrong in (truth & ~prediction, prediction & ~truth)
    ]
    return float(np.max(depths))


@given(MASKS, MASKS, st.lists(st.tuples(st.integers(0, 16), st.integers(0, 11)), max_size=4))
def test_the_deepest_rule_is_ritms(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], clicked: list[tuple[int, int]]
) -> None:
    deepest = ritm_click(prediction, truth, clicked)
    click = next_click(prediction, truth, "deepest", clicked=np.array(clicked, dtype=np.int64).reshape(-1, 2))
    if click is None:
        assert deepest == 0
        return
    assert (click.x, click.y) not in clicked
    wrong = truth & ~prediction if click.label else prediction & ~truth
    assert distance_transform_edt(np.pad(wrong, 1))[click.y + 1, click.x + 1] == pytest.approx(deepest, abs=1e-4)


def test_a_random_click_is_anywhere_on_the_object() -> None:
    mask = boxed((5, 7, 8, 9), (30, 20, 31, 21))
    clicks = {random_click(mask, seed) for seed in range(300)}
    assert clicks == {(x, y) for y, x in np.argwhere(mask).tolist()}
    assert random_click(mask, 3) == random_click(mask, 3)
    with pytest.raises(MaskError, match="a click needs a mask with at least one pixel"):
        random_click(boxed(), 0)


def test_a_tight_box_is_half_open() -> None:
    assert true_box(boxed((5, 7, 25, 31))) == (5, 7, 25, 31)


def test_noise_is_the_seeds_and_a_tenth_of_the_side_up_to_20_pixels() -> None:
    mask = np.zeros((1000, 1000), dtype=bool)
    mask[400:440, 300:700] = True
    boxes = np.array([true_box(mask, seed) for seed in range(400)])
    assert true_box(mask, 7) == true_box(mask, 7) != true_box(mask, 8)
    moved = boxes - [300, 400, 700, 440]
    assert np.abs(moved).max() == 20
    # Along x the deviation is 40 and nearly always cut at 20; along y it is 4.
    assert (np.abs(moved[:, [0, 2]]) == 20).mean() == pytest.approx(0.62, abs=0.05)
    assert moved[:, [1, 3]].std() == pytest.approx(4, abs=0.4)
    assert np.abs(moved.mean(axis=0)).max() < 2


@given(st.integers(0, 2**32), st.integers(0, 11), st.integers(0, 16))
def test_a_noisy_box_is_a_box_in_the_image(seed: int, y: int, x: int) -> None:
    mask = np.zeros((12, 17), dtype=bool)
    mask[y, x] = True
    x0, y0, x1, y1 = true_box(mask, seed)
    assert 0 <= x0 <= x1 - 1 + 1e-9 <= 16 + 1e-9
    assert 0 <= y0 <= y1 - 1 + 1e-9 <= 11 + 1e-9


def test_bad_input_says_what_was_wanted() -> None:
    empty = np.zeros((4, 5), dtype=bool)
    with pytest.raises(MaskError, match=r"^a click needs a mask with at least one pixel, got an empty one; leave"):
        first_click(empty)
    with pytest.raises(MaskError, match=r"^a box needs a mask with at least one pixel, got an empty one; leave"):
        true_box(empty)
    with pytest.raises(MaskError) as caught:
        next_click(empty, np.zeros((5, 4), dtype=bool))
    assert str(caught.value) == "prediction and truth must be bool masks of one size, got bool [4, 5] and bool [5, 4]."
    with pytest.raises(ConfigError, match=r"^rule must be largest or deepest, got 'any'\.$"):
        next_click(empty, empty, "any")  # type: ignore[arg-type]
