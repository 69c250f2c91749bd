import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segany.geometry import Frame, Size
from segany.masks import LogitWindow, upscale_logits
from segany.predict.automatic._measure import measure


def box_of(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    y, x = np.nonzero(mask)
    return (int(x.min()), int(y.min()), int(x.max()), int(y.max()))


@settings(max_examples=60)
@given(st.tuples(st.integers(1, 700), st.integers(1, 700)), st.integers(0, 10**6), st.floats(0.1, 40), st.floats(0, 2))
def test_the_enlarged_box_lies_between_the_bounds(size: tuple[int, int], seed: int, steep: float, noise: float) -> None:
    rng = np.random.default_rng(seed)
    frame = Frame.longest_side(Size(*size), 1024)
    y, x = np.mgrid[:256, :256] + 0.5
    radius = rng.uniform(0.5, 90, 2)
    centre = rng.uniform(0, 256, 2) * np.array(frame.model) / 1024
    logits = steep * (1 - np.hypot((y - centre[0]) / radius[0], (x - centre[1]) / radius[1]))
    logits = np.maximum(logits + rng.normal(0, noise, logits.shape), -30).astype(np.float32)
    window = LogitWindow.cut(logits, frame, -1.0)
    measured = measure(window, frame, 1.0)
    full = upscale_logits(logits, frame)
    mask = full > 0
    if not mask.any():
        assert measured.inner == (0, 0, -1, -1)
        return
    exact = box_of(mask)
    assert not measured.is_empty
    outer, inner = measured.outer, measured.inner
    assert all(a <= b for a, b in zip(outer[:2], exact[:2], strict=True))
    assert all(a >= b for a, b in zip(outer[2:], exact[2:], strict=True))
    if inner[2] >= inner[0]:
        assert all(a >= b for a, b in zip(inner[:2], exact[:2], strict=True))
        assert all(a <= b for a, b in zip(inner[2:], exact[2:], strict=True))


@pytest.mark.parametrize("size", [Size(400, 640), Size(1200, 1800)], ids=str)
def test_the_bounds_of_a_smooth_mask_are_tight_and_its_stability_near(size: Size) -> None:
    frame = Frame.longest_side(size, 1024)
    y, x = np.mgrid[:256, :256] + 0.5
    logits = (8 * (1 - np.hypot((y - 70) / 40, (x - 120) / 60))).astype(np.float32)
    measured = measure(LogitWindow.cut(logits, frame, -1.0), frame, 1.0)
    full = upscale_logits(logits, frame)
    assert np.abs(np.subtract(measured.outer, box_of(full > 0))).max() <= 1
    assert np.abs(np.subtract(measured.inner, box_of(full > 0))).max() <= 1
    exact = np.count_nonzero(full > 1) / np.count_nonzero(full > -1)
    assert measured.stability == pytest.approx(exact, abs=0.01)


def test_nothing_is_measured_of_nothing() -> None:
    frame = Frame.longest_side(Size(10, 10), 1024)
    measured = measure(LogitWindow.cut(np.full((256, 256), -2, np.float32), frame, -1.0), frame, 1.0)
    assert measured == (0.0, 0.0, (0, 0, -1, -1), (0, 0, -1, -1))
    assert measured.is_empty
