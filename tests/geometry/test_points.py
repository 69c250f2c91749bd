import numpy as np
import pytest

from segany.errors import ConfigError
from segany.geometry import grid_in_box, point_grid, point_grids


def test_a_grid_lies_in_the_middle_of_its_cells_row_by_row() -> None:
    expected = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    np.testing.assert_allclose(point_grid(2), expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(point_grid(1), [[0.5, 0.5]])


@pytest.mark.parametrize("side", [3, 32, 64])
def test_a_grid_has_one_point_in_each_cell(side: int) -> None:
    cells = np.floor(point_grid(side) * side).astype(int)
    assert {(int(x), int(y)) for x, y in cells} == {(x, y) for x in range(side) for y in range(side)}


def test_each_crop_layer_has_its_own_grid() -> None:
    assert [len(grid) for grid in point_grids(32, 2, 2)] == [1024, 256, 64]
    assert [len(grid) for grid in point_grids(5, 1, 2)] == [25, 4]


def test_a_grid_in_a_box_is_scaled_and_moved_without_a_half_pixel() -> None:
    np.testing.assert_allclose(grid_in_box(point_grid(1), [10, 20, 40, 30]), [[25.0, 25.0]])
    np.testing.assert_allclose(grid_in_box(point_grid(2), [0, 0, 8, 4])[-1], [6.0, 3.0])


def test_a_grid_of_no_points_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 point per side, got 0"):
        point_grid(0)
    with pytest.raises(ConfigError, match="at least 1 point per side, got 0"):
        point_grids(0, 1, 2)


def test_a_layer_without_points_is_refused() -> None:
    with pytest.raises(ConfigError, match="4 points per side, divided by 2 for each of 3 crop layers, leaves a layer"):
        point_grids(4, 3, 2)
    with pytest.raises(ConfigError, match="got -1 and 2"):
        point_grids(4, -1, 2)
