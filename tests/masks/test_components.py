import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from segany.errors import MaskError
from segany.masks import label_components, largest_component, remove_small_regions

Mask = NDArray[np.bool_]
masks = st.tuples(st.integers(0, 10), st.integers(0, 10)).flatmap(lambda shape: hnp.arrays(np.bool_, shape))
EIGHT = np.ones((3, 3), dtype=int)


@given(masks)
def test_parts_are_those_of_scipy(mask: Mask) -> None:
    for connectivity, structure in ((8, EIGHT), (4, None)):
        labels, count = label_components(mask, connectivity)  # type: ignore[arg-type]
        expected, expected_count = ndimage.label(mask, structure)
        assert count == expected_count
        assert len(set(zip(labels.ravel().tolist(), expected.ravel().tolist(), strict=True)) - {(0, 0)}) == count
        np.testing.assert_array_equal(labels > 0, mask)


@given(masks)
def test_the_largest_part_is_one_part_of_the_most_pixels(mask: Mask) -> None:
    labels, count = ndimage.label(mask, EIGHT)
    areas = [int((labels == label).sum()) for label in range(1, count + 1)]
    largest = largest_component(mask)
    assert largest.sum() == max(areas, default=0)
    assert not (largest & ~mask).any()
    assert ndimage.label(largest, EIGHT)[1] == min(count, 1)


@given(masks)
def test_of_equal_parts_the_first_in_row_order_is_taken(mask: Mask) -> None:
    labels, count = ndimage.label(mask, EIGHT)
    areas = [int((labels == label).sum()) for label in range(1, count + 1)]
    # SciPy numbers parts by their first pixel in row order.
    expected = labels == 1 + int(np.argmax(areas)) if count else mask
    np.testing.assert_array_equal(largest_component(mask), expected)


@given(masks, st.integers(0, 12))
def test_small_holes_are_filled_and_others_are_not(mask: Mask, min_area: int) -> None:
    labels, count = ndimage.label(~mask, EIGHT)
    expected = mask.copy()
    for label in range(1, count + 1):
        if (labels == label).sum() < min_area:
            expected[labels == label] = True
    cleaned, changed = remove_small_regions(mask, min_area, "holes")
    np.testing.assert_array_equal(cleaned, expected)
    assert changed == (not np.array_equal(mask, expected))


@given(masks, st.integers(0, 12))
def test_small_islands_are_dropped_but_never_the_last(mask: Mask, min_area: int) -> None:
    labels, count = ndimage.label(mask, EIGHT)
    areas = [int((labels == label).sum()) for label in range(1, count + 1)]
    cleaned, changed = remove_small_regions(mask, min_area, "islands")
    assert changed == any(area < min_area for area in areas)
    if all(area < min_area for area in areas):
        assert cleaned.sum() == max(areas, default=0)
        assert ndimage.label(cleaned, EIGHT)[1] == min(count, 1)
    else:
        kept = [label + 1 for label, area in enumerate(areas) if area >= min_area]
        np.testing.assert_array_equal(cleaned, np.isin(labels, kept))


def test_a_clean_mask_is_returned_as_it_is() -> None:
    mask = np.ones((4, 4), dtype=bool)
    assert remove_small_regions(mask, 5, "islands")[0] is mask


def test_wrong_arguments_are_refused() -> None:
    mask = np.ones((4, 4), dtype=bool)
    with pytest.raises(MaskError, match="mode must be 'holes' or 'islands', got 'both'"):
        remove_small_regions(mask, 5, "both")  # type: ignore[arg-type]
    with pytest.raises(MaskError, match="connectivity must be 4 or 8, got 6"):
        label_components(mask, 6)  # type: ignore[arg-type]
    with pytest.raises(MaskError, match=r"must be a bool array \[H, W\], got uint8 \[4, 4\]"):
        largest_component(mask.astype(np.uint8))
