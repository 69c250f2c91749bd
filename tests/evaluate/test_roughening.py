import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segany.evaluate import ROUGHENINGS, Roughening, rough_mask
from segany.masks import equivalent_diameter, mask_iou


def disc(radius: float, side: int = 200) -> NDArray[np.bool_]:
    y, x = np.ogrid[:side, :side]
    return np.asarray((x - side // 2) ** 2 + (y - side // 2) ** 2 <= radius**2)


def test_an_eighth_of_the_resolution() -> None:
    mask = np.zeros((17, 24), dtype=np.bool_)
    mask[:8, 8:16] = True
    rough = rough_mask(mask, "eighth")
    assert rough.shape == (3, 3)
    assert rough[0, 1]
    assert np.count_nonzero(rough[:, [0, 2]]) == 0


@pytest.mark.parametrize(("kind", "expected"), [("eroded", 0.9), ("dilated", 1.1)])
def test_outlines_move_by_a_twentieth_of_the_diameter(kind: Roughening, expected: float) -> None:
    mask = disc(60)
    ratio = equivalent_diameter(rough_mask(mask, kind)) / equivalent_diameter(mask)
    assert ratio == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("direction", "moved"), [(0, (0, 6)), (1, (4, 4)), (2, (6, 0)), (4, (0, -6)), (6, (-6, 0))])
def test_a_shift_moves_the_mask_as_it_is(direction: int, moved: tuple[int, int]) -> None:
    mask = disc(60)
    rough = rough_mask(mask, "shifted", direction=direction)
    np.testing.assert_array_equal(rough, np.roll(mask, moved, axis=(0, 1)))


def test_how_far_is_a_choice() -> None:
    mask = disc(60)
    near, far = (mask_iou(rough_mask(mask, "shifted", by=by), mask) for by in (0.05, 0.2))
    assert near > 0.85 > far


@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 40), width=st.integers(1, 40))
def test_never_empty(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) < 0.1
    mask[rng.integers(height), rng.integers(width)] = True
    for kind in ROUGHENINGS:
        rough = rough_mask(mask, kind, direction=int(rng.integers(8)))
        assert rough.any()
        assert rough.dtype == np.bool_
        assert rough.shape == ((-(-height // 8), -(-width // 8)) if kind == "eighth" else mask.shape)
