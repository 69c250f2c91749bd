"""Edge maps: from masks of known outline, and Canny's known score."""

import numpy as np
import pytest

from segany.errors import ConfigError
from segany.evaluate.edge_maps import canny_edges, mask_edges, proposal_edges, suppress_non_maxima
from segany.predict import Predictor
from segany.predict.automatic import AutomaticMaskGenerator, GridSettings
from segany.predict.backends.fake import FakeBackend
from segany.sources import open_image


def test_edges_run_along_outlines() -> None:
    """One click in the middle: discs of 16, 32 and 64 cells' radius; 4 model pixels a cell, 1024 for 256 pixels."""
    image = open_image(np.full((256, 256, 3), 100, dtype=np.uint8))
    grid = GridSettings(point_grids=(np.array([[0.5, 0.5]]),), floor=0.0, stability_score_offset=5.0)
    edges = proposal_edges(AutomaticMaskGenerator(Predictor(backend=FakeBackend()), grid).propose(image))
    assert edges.shape == (256, 256)
    assert edges.dtype == np.float32
    assert edges.max() == pytest.approx(1, abs=0.02)
    y, x = np.nonzero(edges > 0.5)
    radius = np.hypot(y + 0.5 - 128.5, x + 0.5 - 128.5)
    off = np.abs(radius[:, None] - np.array([16, 32, 64])).min(axis=1)
    assert off.max() < 1.6
    for wanted in (16, 32, 64):
        # An outline is one or two pixels wide, and closed.
        count = np.count_nonzero(np.abs(radius - wanted) < 3)
        assert 0.8 * 2 * np.pi * wanted < count < 2 * 2 * np.pi * wanted


def test_every_click_of_the_papers_grid_is_made() -> None:
    image = open_image(np.full((128, 128, 3), 100, dtype=np.uint8))
    edges = mask_edges(Predictor(backend=FakeBackend()), image)
    assert edges.shape == (128, 128)
    assert np.count_nonzero(edges > 0.5) > 500


def test_suppression_keeps_the_ridge_only() -> None:
    x = np.arange(80, dtype=np.float32)
    strength = np.tile(np.exp(-((x - 40) ** 2) / 8), (60, 1)).astype(np.float32)
    kept = suppress_non_maxima(strength)
    assert set(np.flatnonzero((kept[10:-10] > 1e-3).any(axis=0)).tolist()) == {40}
    np.testing.assert_allclose(kept[5:-5, 40], 1)
    # At the rim it fades: 0, 1/5, 2/5 ...
    np.testing.assert_allclose(kept[:6, 40], np.arange(6) / 5, atol=1e-6)
    slanted = np.exp(-((np.add.outer(np.arange(60), x) - 70) ** 2) / 16).astype(np.float32)
    rows, columns = np.nonzero(suppress_non_maxima(slanted)[10:-10, 10:-10] > 0.1)
    assert np.abs(rows + columns + 20 - 70).max() <= 1


def test_canny_finds_a_step_at_thresholds_up_to_its_height() -> None:
    pixels = np.zeros((60, 80, 3), dtype=np.uint8)
    pixels[:, 40:] = 255
    high = canny_edges(open_image(pixels))
    assert set(np.flatnonzero(high.any(axis=0)).tolist()) <= {39, 40}
    assert high.max() == pytest.approx(0.95, abs=0.03)
    low = canny_edges(open_image(pixels // 2))
    assert low.max() == pytest.approx(high.max() / 2, abs=0.02)
    assert canny_edges(open_image(np.full((60, 80, 3), 7, dtype=np.uint8))).max() == 0
    with pytest.raises(ConfigError, match=r"^sigma must be above 0, got 0\.$"):
        canny_edges(open_image(pixels), 0)
