import json
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pycocotools import mask as coco

from segany.errors import MaskError
from segany.geometry import Size
from segany.masks.polygons import Polygon, mask_to_polygons, polygons_to_rle, rings_to_rle
from segany.masks.rle import RLE
from segany.settings import Settings

Mask = NDArray[np.bool_]

masks = st.tuples(st.integers(0, 12), st.integers(0, 12)).flatmap(lambda shape: hnp.arrays(np.bool_, shape))
coordinates = st.one_of(st.floats(-5, 30), st.integers(-5, 30), st.integers(-20, 120).map(lambda n: n / 4))
rings = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=9)


def shoelace(ring: NDArray[np.float64]) -> float:
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


@given(masks)
def test_a_mask_comes_back_exactly(mask: Mask) -> None:
    polygons = mask_to_polygons(mask)
    assert polygons_to_rle(polygons, Size(*mask.shape)) == RLE.from_mask(mask)
    assert sum(polygon.area for polygon in polygons) == mask.sum()


@given(masks.filter(lambda mask: mask.size > 0))
def test_parts_and_holes_are_those_of_opencv(mask: Mask) -> None:
    contours, hierarchy = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    polygons = mask_to_polygons(mask)
    parents = [int(entry[3]) for entry in hierarchy[0]] if len(contours) else []
    holes_per_part = [parents.count(index) for index, parent in enumerate(parents) if parent == -1]
    assert sorted(len(polygon.holes) for polygon in polygons) == sorted(holes_per_part)
    for polygon in polygons:
        assert shoelace(polygon.exterior) > 0
        assert all(shoelace(hole) < 0 for hole in polygon.holes)
        for ring in (polygon.exterior, *polygon.holes):
            # Each vertex is a turn: edges are horizontal and vertical in turn.
            steps = np.roll(ring, -1, axis=0) - ring
            assert ((steps == 0).sum(axis=1) == 1).all()
            assert ((steps == 0) != np.roll(steps == 0, 1, axis=0)).all()


def test_an_outline_runs_along_the_corners_of_the_pixels() -> None:
    mask = np.zeros((6, 7), dtype=bool)
    mask[1:5, 2:6] = True
    mask[3, 3] = False
    mask[0, 0] = True
    dot, square = mask_to_polygons(mask)
    assert dot.exterior.tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]
    assert square.exterior.tolist() == [[2, 1], [6, 1], [6, 5], [2, 5]]
    assert [hole.tolist() for hole in square.holes] == [[[3, 3], [3, 4], [4, 4], [4, 3]]]


def test_pixels_that_touch_at_a_corner_are_one_part() -> None:
    (polygon,) = mask_to_polygons(np.eye(3, dtype=bool))
    assert polygon.area == 3
    assert mask_to_polygons(np.zeros((3, 3), dtype=bool)) == ()


@given(st.lists(rings, max_size=3), st.integers(1, 25), st.integers(1, 25))
def test_the_rasteriser_equals_pycocotools_bit_for_bit(
    polygons: list[list[tuple[float, float]]], height: int, width: int
) -> None:
    rle = rings_to_rle(polygons, Size(height, width))
    flat = [[float(value) for vertex in ring for value in vertex] for ring in polygons]
    if flat:
        assert rle.counts == coco.merge(coco.frPyObjects(flat, height, width))["counts"]
    else:
        assert rle.area == 0


def test_a_large_circle_is_rasterised_as_by_pycocotools() -> None:
    angle = np.linspace(0, 2 * np.pi, 700, endpoint=False)
    ring = np.stack([900.3 + 700 * np.cos(angle), 600.7 + 700 * np.sin(3 * angle)], axis=1)
    expected = coco.merge(coco.frPyObjects([ring.ravel().tolist()], 1200, 1800))
    assert rings_to_rle([ring], Size(1200, 1800)).counts == expected["counts"]


def test_people_s_polygons_are_rasterised_as_by_pycocotools() -> None:
    data = Settings.from_environment().data
    if data is None:
        pytest.skip("needs coco_val80 of the annotated data; set SEGANY_DATA to its folder")
    document = json.loads(next((data / "coco_val80").rglob("instances.json")).read_text(encoding="utf-8"))
    sizes = {image["id"]: Size(image["height"], image["width"]) for image in document["images"]}
    for annotation in document["annotations"][::4]:
        size, flat = sizes[annotation["image_id"]], annotation["segmentation"]
        if isinstance(flat, list):
            rle = rings_to_rle([np.reshape(ring, (-1, 2)) for ring in flat], size)
            assert rle.counts == coco.merge(coco.frPyObjects(flat, *size))["counts"]
            assert polygons_to_rle(mask_to_polygons(rle.to_mask()), size) == rle


def test_a_hole_does_not_cut_another_part() -> None:
    outer = Polygon(np.array([[0, 0], [9, 0], [9, 9], [0, 9]]), (np.array([[1, 1], [8, 1], [8, 8], [1, 8]]),))
    island = Polygon(np.array([[3, 3], [6, 3], [6, 6], [3, 6]]))
    rle = polygons_to_rle([outer, island], Size(9, 9))
    assert rle.area == 81 - 49 + 9
    assert outer.area + island.area == rle.area
    assert polygons_to_rle([], Size(4, 4)).area == 0


def test_simplification_keeps_the_shape_within_epsilon_with_fewer_vertices() -> None:
    mask = np.zeros((300, 400), dtype=np.uint8)
    cv2.circle(mask, (200, 150), 120, 1, -1)
    cv2.circle(mask, (180, 140), 50, 0, -1)
    mask[2, 2] = 1
    exact = mask_to_polygons(mask.astype(bool))
    simple = mask_to_polygons(mask.astype(bool), epsilon=1.5)
    assert [len(polygon.holes) for polygon in simple] == [0, 1]
    # The dot would be flattened, so it keeps its outline.
    assert simple[0].exterior.tolist() == exact[0].exterior.tolist()
    assert len(simple[1].exterior) * 4 < len(exact[1].exterior)
    rle = polygons_to_rle(simple, Size(300, 400))
    changed = rle.to_mask() ^ mask.astype(bool)
    edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((7, 7), dtype=np.uint8)).astype(bool)
    assert not (changed & ~edge).any()
    assert rle.iou(RLE.from_mask(mask.astype(bool))) > 0.97


def test_a_hole_that_simplification_flattens_is_dropped() -> None:
    mask = np.ones((30, 30), dtype=bool)
    mask[10, 10] = False
    assert [len(polygon.holes) for polygon in mask_to_polygons(mask, epsilon=2)] == [0]


@pytest.mark.parametrize(
    ("ring", "message"),
    [
        ([[0, 0], [1, 1]], r"at least three vertices \[N, 2\], got shape \[2, 2\]"),
        ([0, 0, 1, 1, 2, 2], r"got shape \[6\]"),
        ([[0, 0], [1, 1], [float("nan"), 2]], "must be numbers up to 16777216 pixels from the origin"),
        ([[0, 0], [1, 1], [1e30, 2]], "must be numbers up to 16777216 pixels"),
        ([["a", 0], [1, 1], [2, 2]], "vertices must be numbers"),
        ([[0, 0], [1], [2, 2]], "vertices must be numbers"),
        ([[0, 0], [1.6e7, 0], [0, 1.6e7]], "an outline must be at most 26843545 pixels long"),
    ],
)
def test_a_wrong_ring_is_refused(ring: Any, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        rings_to_rle([ring], Size(8, 8))


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(MaskError, match="epsilon must be a number of pixels from 0 up, got -1"):
        mask_to_polygons(np.ones((2, 2), dtype=bool), epsilon=-1)
    with pytest.raises(MaskError, match=r"must be a bool array \[H, W\], got int64 \[2, 2\]"):
        mask_to_polygons(np.ones((2, 2), dtype=np.int64))
    with pytest.raises(MaskError, match="at least three vertices"):
        Polygon(np.array([[0, 0], [1, 1]]))
