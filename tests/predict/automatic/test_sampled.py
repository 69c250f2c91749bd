"""Masks known by a sample: bounds that hold, and windows drawn when they are asked for."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from segany import Predictor
from segany.geometry import Frame, Size
from segany.masks import LogitWindow
from segany.predict.agreement import mask_agreement
from segany.predict.automatic import AutomaticMaskGenerator, GridSettings, Thresholds
from segany.predict.automatic._measure import measure
from segany.predict.automatic._sampled import DrawnLater, sample_bounds
from segany.predict.backends import FakeBackend, Scored

FRAME = Frame.longest_side(Size(300, 400), 1024)


class SampledDiscs(FakeBackend):
    """Discs, with or without a sample; counts the masks it draws."""

    def __init__(self, sampled: bool) -> None:
        super().__init__()
        self.sampled = sampled
        self.drawn = 0

    def low_res(self, scored: Scored, index: NDArray[np.int64], near: float | None = None) -> NDArray[np.float32]:
        self.drawn += len(index)
        return super().low_res(scored, index)

    def sample(self, scored: Scored, index: NDArray[np.int64]) -> NDArray[np.float32] | None:  # type: ignore[override]
        return super().low_res(scored, index)[:, 2::4, 2::4] if self.sampled else None


def disc(x: float, y: float, radius: float) -> NDArray[np.float32]:
    rows, columns = np.mgrid[:256, :256] + 0.5
    return np.asarray(radius - np.hypot(columns - x, rows - y), dtype=np.float32)


@pytest.mark.parametrize(("x", "y", "radius"), [(60.3, 80.9, 40), (128, 90, 14.2), (250, 60, 30), (30, 185, 20)])
def test_bounds_hold_the_box_and_the_stability(x: float, y: float, radius: float) -> None:
    logits = disc(x, y, radius)
    bounds = sample_bounds(logits[None, 2::4, 2::4], FRAME, 1.0)
    exact = measure(LogitWindow.cut(logits, FRAME, -1.0), FRAME, 1.0)
    assert bounds.told[0]
    assert (bounds.outer[0][:2] <= exact.inner[:2]).all()
    assert (bounds.outer[0][2:] >= exact.inner[2:]).all()
    assert (bounds.inner[0][:2] >= exact.outer[:2]).all()
    assert (bounds.inner[0][2:] <= exact.outer[2:]).all()
    assert abs(bounds.stability[0] - exact.stability) <= bounds.slack[0]


def test_a_sample_tells_nothing_of_a_speck() -> None:
    assert not sample_bounds(disc(100.5, 100.5, 5)[None, 2::4, 2::4], FRAME, 1.0).told[0]
    assert not sample_bounds(np.full((1, 64, 64), -3, np.float32), FRAME, 1.0).told[0]


def test_windows_are_drawn_once_and_only_when_asked_for() -> None:
    asked: list[list[int]] = []

    def draw(numbers: Sequence[int]) -> list[LogitWindow]:
        asked.append(list(numbers))
        return [LogitWindow.cut(disc(50 + 10 * number, 50, 10), FRAME, -1.0) for number in numbers]

    windows = DrawnLater(5, draw)
    windows.prefetch([3, 1])
    assert windows[1].corner != windows[3].corner
    assert not windows.has(0)
    assert windows.nbytes > 0
    assert windows[-2] is windows[3]
    assert [window.corner for window in windows[2:4]] == [windows[2].corner, windows[3].corner]
    assert asked == [[3, 1], [2]]
    assert len(windows) == 5
    with pytest.raises(IndexError):
        windows[5]


@pytest.mark.parametrize("thresholds", [Thresholds(), Thresholds(box_nms_thresh=0.9), Thresholds(0.55, 0.8)])
def test_samples_save_drawing_and_select_the_same(photo: NDArray[np.uint8], thresholds: Thresholds) -> None:
    grid = GridSettings(points_per_side=12, floor=0.5)
    backends = [SampledDiscs(sampled) for sampled in (False, True)]
    records = [
        AutomaticMaskGenerator(Predictor(backend=backend, cache=None), grid).propose(photo).select(thresholds)
        for backend in backends
    ]
    agreement = mask_agreement(records[0], records[1], 0.9)
    assert len(records[0].annotations) > 0
    assert agreement.share_a > 0.95
    assert agreement.share_b > 0.95
    assert backends[1].drawn < backends[0].drawn
