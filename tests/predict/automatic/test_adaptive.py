from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segany.errors import ConfigError
from segany.geometry import point_grid
from segany.predict import Predictor
from segany.predict.agreement import mask_agreement
from segany.predict.automatic import AutomaticMaskGenerator, GridSettings, Proposals
from segany.predict.backends import FakeBackend, Features, Scored
from segany.schema import PromptBatch

GREY = np.full((256, 256, 3), 128, dtype=np.uint8)


class Scene(FakeBackend):
    """A picture of discs on plain ground: a click finds what lies under it, three times over."""

    def __init__(self, *discs: tuple[float, float, float]) -> None:
        super().__init__()
        self.discs = discs
        y, x = np.mgrid[:256, :256] + 0.5
        heights = [radius - np.hypot(x - left, y - top) for left, top, radius in discs]
        ground = np.minimum(40, -np.max(heights, axis=0)) if discs else np.full((256, 256), 40.0)
        # One for each disc, and the ground's last.
        self.masks = 50 * np.array([*heights, ground], dtype=np.float32)
        self.asked: list[tuple[float, float]] = []

    def score(self, features: Features, batch: PromptBatch) -> Scored:
        places = [(float(coords[0, 0]) / 4, float(coords[0, 1]) / 4) for coords in batch.coords]
        self.asked += places
        return Scored(np.full((len(places), 4), 0.95, dtype=np.float32), places)

    def low_res(self, scored: Scored, index: NDArray[np.int64], near: float | None = None) -> NDArray[np.float32]:
        return np.array([self.masks[self.under(scored.state[prompt])] for prompt, _ in index])

    def under(self, at: tuple[float, float]) -> int:
        """The disc at a place, or the ground."""
        found = (k for k, (x, y, radius) in enumerate(self.discs) if np.hypot(x - at[0], y - at[1]) < radius)
        return next(found, len(self.discs))


def proposals(backend: FakeBackend, side: int = 16, **settings: Any) -> Proposals:
    grid = GridSettings(points_per_side=side, adaptive=True, **settings)
    return AutomaticMaskGenerator(Predictor(backend=backend), grid).propose(GREY)


def test_a_plain_picture_needs_half_of_the_clicks() -> None:
    scene = Scene()
    found = proposals(scene)
    assert (found.clicks, found.complete) == (128, True)
    # A checkerboard: in both directions, neighbours of a click that was made were not.
    places = {(int(x // 16), int(y // 16)) for x, y in scene.asked}
    assert places == {(x, y) for x in range(16) for y in range(16) if x % 2 == y % 2}
    assert len(found.select().annotations) == 1


def test_a_large_disc_needs_no_more() -> None:
    assert proposals(Scene((64, 128, 40))).clicks == 128


def test_where_most_masks_are_small_every_click_is_made() -> None:
    few, many = ([(24 + 40.0 * k, 20 + 36.0 * j, 12.0) for k in range(6) for j in range(rows)] for rows in (3, 6))
    assert proposals(Scene(*few)).clicks < 256
    assert proposals(Scene(*many)).clicks == 256


def test_beside_a_small_mask_every_click_is_made() -> None:
    scene = Scene((152, 88, 7))
    found = proposals(scene)
    beside = {at for at in scene.asked if np.hypot(at[0] - 152, at[1] - 88) < 18}
    assert len(beside) == 5
    assert len(found.select().annotations) == 2


def test_where_no_mask_is_every_click_is_made() -> None:
    class Blind(FakeBackend):
        def score(self, features: Features, batch: PromptBatch) -> Scored:
            return Scored(np.zeros((len(batch), 4), dtype=np.float32), None)

    found = proposals(Blind(), side=8)
    assert (found.clicks, len(found), found.complete) == (64, 0, True)


@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_small_grids_click_at_least_once_and_at_most_everywhere(side: int) -> None:
    found = proposals(Scene((64, 128, 40)), side=side)
    assert 1 <= found.clicks <= side * side
    assert len(found) > 0


def test_no_click_is_made_twice_and_all_are_of_the_grid() -> None:
    scene = Scene((64, 128, 40), (152, 88, 7), (200, 200, 20))
    proposals(scene)
    assert len(set(scene.asked)) == len(scene.asked)
    grid = {(float(x), float(y)) for x, y in point_grid(16) * 256}
    assert set(scene.asked) <= grid


def test_most_masks_of_the_full_grid_are_found() -> None:
    discs = [(30 + 45.0 * k, 40 + 50.0 * j, 6.0 + 2 * k) for k in range(5) for j in range(4)]
    generators = [
        AutomaticMaskGenerator(Predictor(backend=Scene(*discs)), GridSettings(points_per_side=24, adaptive=adaptive))
        for adaptive in (False, True)
    ]
    full, part = (generator.propose(GREY) for generator in generators)
    assert part.clicks < full.clicks == 576
    assert mask_agreement(full.select(), part.select()).share_a > 0.9


def test_crops_are_adapted_each_and_progress_ends_at_the_end() -> None:
    seen: list[tuple[int, int, float]] = []
    grid = GridSettings(points_per_side=8, crop_n_layers=1, adaptive=True)
    generator = AutomaticMaskGenerator(Predictor(backend=Scene()), grid)
    found = generator.propose(GREY, progress=lambda *state: seen.append(state))
    assert (found.clicks, found.complete) == (32 * 5, True)
    assert [layer.layer for layer in found.crops] == [0, 1, 1, 1, 1]
    assert seen[-1][0] == 160


def test_time_that_is_over_is_not_taken_for_done() -> None:
    grid = GridSettings(points_per_side=16, adaptive=True)
    found = AutomaticMaskGenerator(Predictor(backend=Scene((64, 128, 40))), grid).propose(GREY, max_seconds=1e-9)
    assert (found.clicks, found.complete) == (64, False)


def test_own_clicks_are_not_adapted() -> None:
    with pytest.raises(ConfigError, match=r"^adaptive clicking needs a regular grid, got point_grids; leave one of "):
        GridSettings(point_grids=(point_grid(4),), adaptive=True)
