import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from segany.masks import RLE
from segany.render._masks import fit_mask, fit_rle

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14)))


@given(MASKS, st.integers(1, 3))
def test_run_lengths_are_fitted_as_arrays_are(mask: NDArray[np.bool_], times: int) -> None:
    assert (fit_rle(RLE.from_mask(mask), mask.shape) == mask).all()
    large = np.kron(mask, np.ones((times, times), dtype=np.bool_))
    assert (fit_rle(RLE.from_mask(large), mask.shape) == mask).all()


@given(MASKS, st.data())
def test_a_shrunk_mask_never_vanishes(mask: NDArray[np.bool_], data: st.DataObject) -> None:
    shape = tuple(data.draw(st.integers(1, side)) for side in mask.shape)
    fitted = fit_rle(RLE.from_mask(mask), shape)
    assert fitted.shape == shape
    assert fitted.any() == mask.any()


@pytest.mark.parametrize("shape", [(97, 131), (200, 260), (150, 150)])
@pytest.mark.parametrize("decoded", [1, 20_000, 10**9])
def test_an_edge_stays_within_a_pixel(shape: tuple[int, int], decoded: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segany.render._masks._DECODED", decoded)
    y, x = np.mgrid[:301, :403]
    mask = np.hypot(y - 140, x - 222) < 77
    fitted, expected = fit_rle(RLE.from_mask(mask), shape), fit_mask(mask, shape)
    near_edge = np.zeros(shape, dtype=np.bool_)
    for axis in (0, 1):
        for step in (-1, 1):
            near_edge |= expected != np.roll(expected, step, axis)
    assert not (fitted != expected)[~near_edge].any()
    assert abs(int(fitted.sum()) - int(expected.sum())) < 0.03 * expected.sum()
