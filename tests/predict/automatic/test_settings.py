from typing import Any

import numpy as np
import pytest

from segany.errors import ConfigError
from segany.predict.automatic import GridSettings, Thresholds


def test_defaults_are_the_reference_generators() -> None:
    thresholds, grid = Thresholds(), GridSettings()
    assert (thresholds.pred_iou_thresh, thresholds.stability_score_thresh) == (0.88, 0.95)
    assert (thresholds.box_nms_thresh, thresholds.crop_nms_thresh, thresholds.min_mask_region_area) == (0.7, 0.7, 0)
    assert (grid.points_per_side, grid.points_per_batch, grid.stability_score_offset) == (32, 64, 1.0)
    assert (grid.crop_n_layers, grid.crop_n_points_downscale_factor, grid.point_grids) == (0, 1, None)
    assert grid.crop_overlap_ratio == 512 / 1500
    (clicks,) = grid.layer_grids()
    assert clicks.shape == (1024, 2)
    np.testing.assert_allclose(clicks[0], (1 / 64, 1 / 64))


@pytest.mark.parametrize("name", ["pred_iou_thresh", "stability_score_thresh", "box_nms_thresh", "crop_nms_thresh"])
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_thresholds_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be from 0 to 1, got {value}\.$"):
        Thresholds(**{name: value})  # type: ignore[arg-type]


def test_a_negative_area_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^min_mask_region_area must be 0 or more pixels, got -1\.$"):
        Thresholds(min_mask_region_area=-1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"points_per_side": 0}, r"a point grid needs at least 1 point per side, got 0; give 1 or more\."),
        ({"points_per_batch": 0}, r"points_per_batch must be at least 1, got 0\."),
        ({"crop_n_layers": -1}, r"crop_n_layers must be from 0 to 8, got -1\."),
        ({"crop_n_layers": 9}, r"crop_n_layers must be from 0 to 8, got 9\."),
        (
            {"crop_overlap_ratio": 1.0},
            r"crop_overlap_ratio must be from 0 to below 1, or crops would be larger than the image; got 1\.0\.",
        ),
        ({"crop_overlap_ratio": -0.1}, r"crop_overlap_ratio must be from 0 to below 1, .* got -0\.1\."),
        ({"crop_n_points_downscale_factor": 0}, r"point grids need .* a downscale factor of at least 1, got 0 and 0\."),
        (
            {"points_per_side": 4, "crop_n_layers": 3, "crop_n_points_downscale_factor": 2},
            r"4 points per side, divided by 2 for each of 3 crop layers, leaves a layer without points; use more .*\.",
        ),
        ({"stability_score_offset": -1}, r"stability_score_offset must be 0 or more logits, got -1\."),
        ({"floor": 1.01}, r"floor must be from 0 to 1, got 1\.01\."),
        (
            {"point_grids": (np.zeros((1, 2)),), "crop_n_layers": 1},
            r"point_grids must hold one grid for the whole image and one for each of 1 crop layers, got 1\.",
        ),
        (
            {"point_grids": (np.zeros((3, 3)),)},
            r"point grid 0 must be \[N, 2\] with at least one click, got \[3, 3\]\.",
        ),
        (
            {"point_grids": (np.zeros((0, 2)),)},
            r"point grid 0 must be \[N, 2\] with at least one click, got \[0, 2\]\.",
        ),
        (
            {"point_grids": (np.array([[10.0, 20.0]]),)},
            r"point grid 0 must hold shares of width and height from 0 to 1, got 10 to 20\.",
        ),
    ],
)
def test_grids_that_cannot_be_meant_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        GridSettings(**wrong)


def test_layers_thin_out() -> None:
    grid = GridSettings(points_per_side=32, crop_n_layers=2, crop_n_points_downscale_factor=2)
    assert [len(one) for one in grid.layer_grids()] == [1024, 256, 64]
