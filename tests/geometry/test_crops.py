import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segany.errors import ConfigError
from segany.geometry import Size, crop_boxes, tile_boxes

sides = st.integers(1, 300)


def test_the_first_crop_is_the_whole_image() -> None:
    crops = crop_boxes(Size(1200, 1800), 0)
    assert crops.boxes.tolist() == [[0, 0, 1800, 1200]]
    assert crops.layers.tolist() == [0]


def test_one_layer_has_four_crops_that_overlap_by_the_published_ratio() -> None:
    # 512/1500 of the short side, 1200 px, is 409 px.
    crops = crop_boxes(Size(1200, 1800), 1)
    assert crops.boxes[1:].tolist() == [
        [0, 0, 1105, 805],
        [0, 396, 1105, 1200],
        [696, 0, 1800, 805],
        [696, 396, 1800, 1200],
    ]
    assert crops.layers.tolist() == [0, 1, 1, 1, 1]


@given(sides, sides, st.integers(0, 3), st.sampled_from([0.0, 0.1, 512 / 1500, 0.9]))
def test_the_crops_of_every_layer_cover_the_image_and_stay_inside(h: int, w: int, layers: int, ratio: float) -> None:
    crops = crop_boxes(Size(h, w), layers, ratio)
    for layer in range(layers + 1):
        covered = np.zeros((h, w), dtype=bool)
        for x0, y0, x1, y1 in crops.boxes[crops.layers == layer]:
            assert 0 <= x0 < x1 <= w
            assert 0 <= y0 < y1 <= h
            covered[y0:y1, x0:x1] = True
        assert covered.all()
    if min(h, w) >= 64:
        assert np.bincount(crops.layers).tolist() == [4**layer for layer in range(layers + 1)]


@given(sides, sides, st.integers(1, 120), st.integers(1, 120), st.integers(0, 60))
def test_tiles_cover_the_image_with_equal_windows_and_enough_overlap(
    h: int, w: int, tile_h: int, tile_w: int, overlap: int
) -> None:
    overlap = min(overlap, tile_h - 1, tile_w - 1)
    # Windows that move by one pixel are many; the rule is the same for fewer.
    h, w = min(h, tile_h + 20 * (tile_h - overlap)), min(w, tile_w + 20 * (tile_w - overlap))
    boxes = tile_boxes(Size(h, w), Size(tile_h, tile_w), overlap)
    assert np.unique(boxes[:, 2] - boxes[:, 0]).tolist() == [min(w, tile_w)]
    assert np.unique(boxes[:, 3] - boxes[:, 1]).tolist() == [min(h, tile_h)]
    for axis, length in ((0, w), (1, h)):
        starts, ends = np.unique(boxes[:, axis]), np.unique(boxes[:, axis + 2])
        assert (starts[0], ends[-1]) == (0, length)
        assert (ends[:-1] - starts[1:] >= overlap).all()
    assert len(boxes) == len(np.unique(boxes[:, 0])) * len(np.unique(boxes[:, 1]))


def test_a_tile_larger_than_the_image_is_the_image() -> None:
    assert tile_boxes(Size(10, 20), Size(1024, 1024), 128).tolist() == [[0, 0, 20, 10]]


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"overlap ratio from 0 to below 1, got 1 and 1\.0"):
        crop_boxes(Size(10, 10), 1, 1.0)
    with pytest.raises(ConfigError, match=r"got -1 and 0\.34"):
        crop_boxes(Size(10, 10), -1)
    with pytest.raises(ConfigError, match=r"an overlap below the tile's sides, got image .* overlap 8"):
        tile_boxes(Size(10, 10), Size(8, 9), 8)
