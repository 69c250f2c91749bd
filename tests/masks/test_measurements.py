import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from segany.errors import MaskError
from segany.masks import (
    RLE,
    centroid,
    concavity,
    deepest_point,
    equivalent_diameter,
    mask_area,
    mask_box,
    measure,
    perimeter,
)

Mask = NDArray[np.bool_]
masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda shape: hnp.arrays(np.bool_, shape))


def disc(radius: float, side: int = 401) -> Mask:
    y, x = np.mgrid[:side, :side]
    return np.asarray((x - side // 2) ** 2 + (y - side // 2) ** 2 <= radius**2)


@given(masks)
def test_area_box_and_centroid_are_those_of_the_pixels(mask: Mask) -> None:
    found = measure(mask)
    rle = RLE.from_mask(mask)
    y, x = np.nonzero(mask)
    assert (found.area, found.box) == (rle.area, rle.box) == (int(mask_area(mask)), mask_box(mask))
    if len(x):
        assert found.centroid == pytest.approx((x.mean(), y.mean()))
    else:
        assert found.centroid is None


@given(masks)
def test_the_deepest_point_is_the_farthest_from_everything_outside(mask: Mask) -> None:
    point = deepest_point(mask)
    distance = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    if not mask.any():
        assert point is None
        return
    assert point is not None
    assert mask[point.y, point.x]
    assert point.distance == pytest.approx(distance.max(), rel=1e-5)
    assert distance[point.y, point.x] == pytest.approx(distance.max(), rel=1e-5)


def test_the_border_of_the_image_is_outside() -> None:
    point = deepest_point(np.ones((21, 11), dtype=bool))
    assert point is not None
    assert (point.x, point.distance) == (5, 6.0)
    assert 5 <= point.y <= 15


@given(masks)
def test_concavity_is_that_of_the_hull_of_the_pixel_squares(mask: Mask) -> None:
    y, x = np.nonzero(mask)
    if not len(x):
        assert concavity(mask) == 0
        return
    corners = np.concatenate([np.stack([x + dx, y + dy], axis=1) for dx in (0, 1) for dy in (0, 1)])
    # In two dimensions SciPy calls the area "volume".
    assert concavity(mask) == pytest.approx(1 - len(x) / ConvexHull(corners).volume)


def test_a_rectangle_is_convex_and_a_ring_is_not() -> None:
    mask = np.zeros((30, 30), dtype=bool)
    mask[5:25, 3:20] = True
    assert concavity(mask) == 0
    assert concavity(disc(100) & ~disc(90)) == pytest.approx(0.81, abs=0.01)


@pytest.mark.parametrize("radius", [20.0, 60.5, 150.0])
def test_the_perimeter_of_a_disc_is_its_circumference(radius: float) -> None:
    assert perimeter(disc(radius)) == pytest.approx(2 * math.pi * radius, rel=0.02)


def test_holes_have_a_perimeter_too_and_the_border_of_the_image_counts() -> None:
    assert perimeter(disc(100) & ~disc(50)) == pytest.approx(2 * math.pi * 150, rel=0.02)
    square = np.ones((100, 100), dtype=bool)
    assert perimeter(square) == pytest.approx(400, rel=0.06)
    assert perimeter(square) == perimeter(np.pad(square, 7))


def test_the_equivalent_diameter_of_a_disc_is_its_own() -> None:
    assert equivalent_diameter(disc(80)) == pytest.approx(160, rel=0.01)
    assert equivalent_diameter(np.zeros((3, 3), dtype=bool)) == 0


def test_an_empty_mask_has_measurements_but_no_position() -> None:
    found = measure(np.zeros((3, 4), dtype=bool))
    assert (found.area, found.box, found.perimeter, found.concavity) == (0, (0, 0, 0, 0), 0.0, 0.0)
    assert found.centroid is None
    assert found.deepest is None


def test_areas_of_many_masks() -> None:
    stack = np.zeros((2, 3, 4, 5), dtype=bool)
    stack[1, 2, :2] = True
    assert mask_area(stack).tolist() == [[0, 0, 0], [0, 0, 10]]
    assert mask_area(stack[:0]).shape == (0, 3)
    assert mask_area(np.zeros((2, 0, 5), dtype=bool)).tolist() == [0, 0]


def test_a_part_far_from_the_corner_keeps_its_place() -> None:
    mask = np.zeros((50, 60), dtype=np.uint8)
    cv2.circle(mask, (41, 33), 6, 1, -1)
    assert deepest_point(mask.astype(bool))[:2] == (41, 33)  # type: ignore[index]
    assert centroid(mask.astype(bool)) == pytest.approx((41, 33))


def test_what_is_no_mask_is_refused() -> None:
    with pytest.raises(MaskError, match=r"must be a bool array \[H, W\], got float64 \[2, 2\]"):
        measure(np.ones((2, 2)))  # type: ignore[arg-type]
    with pytest.raises(MaskError, match=r"must be a bool array \[\.\.\., H, W\], got bool \[3\]"):
        mask_area(np.ones(3, dtype=bool))
