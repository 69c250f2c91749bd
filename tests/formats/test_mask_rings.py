import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from segany.formats._mask_rings import crop_mask, joined_ring, polygons_of
from segany.geometry import Size
from segany.masks import RLE, polygons_to_rle, rings_to_rle

masks = arrays(np.bool_, st.tuples(st.integers(1, 10), st.integers(1, 12)), elements=st.booleans())


@given(masks)
def test_only_the_box_is_decoded(mask: NDArray[np.bool_]) -> None:
    rle = RLE.from_mask(mask)
    if rle.area:
        x0, y0, x1, y1 = rle.box
        assert (crop_mask(rle) == mask[y0:y1, x0:x1]).all()


@given(masks)
def test_polygons_and_the_joined_ring_give_the_mask_back(mask: NDArray[np.bool_]) -> None:
    rle, size = RLE.from_mask(mask), Size(*mask.shape)
    polygons = polygons_of(rle)
    assert polygons_to_rle(polygons, size) == rle
    if polygons:
        rings = [ring for each in polygons for ring in (each.exterior, *each.holes)]
        assert rings_to_rle([joined_ring(rings)], size) == rle
