import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from segany.errors import InputError
from segany.geometry import Size
from segany.masks import RLE, mask_iou_matrix
from segany.predict.agreement import mask_agreement, pooled_agreement
from segany.schema import Annotation, ImageInfo, Record

stacks = st.integers(0, 4).flatmap(lambda count: hnp.arrays(np.bool_, (count, 6, 5)))


def record(masks: NDArray[np.bool_], size: tuple[int, int] = (6, 5)) -> Record:
    annotations = tuple(Annotation(id=k, segmentation=RLE.from_mask(mask)) for k, mask in enumerate(masks))
    return Record(ImageInfo(image_id=1, file_name="a.png", size=Size(*size)), annotations)


def columns(*widths: int) -> NDArray[np.bool_]:
    masks = np.zeros((len(widths), 6, 5), dtype=bool)
    for mask, width in zip(masks, widths, strict=True):
        mask[:, :width] = True
    return masks


def test_each_direction_counts_its_own_masks() -> None:
    # IoU of 4 and 5 columns is 0.8; of 1 and 4 columns 0.25.
    agreement = mask_agreement(record(columns(4, 1)), record(columns(5, 5, 4)), min_iou=0.8)
    assert (agreement.masks_a, agreement.masks_b) == (2, 3)
    assert (agreement.found_a, agreement.found_b) == (1, 3)
    assert (agreement.share_a, agreement.share_b) == (0.5, 1.0)
    assert agreement.best_iou_a == pytest.approx((1 + 0.25) / 2)
    assert agreement.best_iou_b == pytest.approx((0.8 + 0.8 + 1) / 3)


@given(stacks, stacks, st.sampled_from([0.25, 0.5, 1.0]))
def test_it_equals_the_plain_count_and_swaps_with_its_arguments(
    a: NDArray[np.bool_], b: NDArray[np.bool_], min_iou: float
) -> None:
    agreement, swapped = mask_agreement(record(a), record(b), min_iou), mask_agreement(record(b), record(a), min_iou)
    iou = mask_iou_matrix(a, b)
    assert agreement.found_a == sum(any(value >= min_iou for value in row) for row in iou)
    assert (agreement.found_a, agreement.masks_a) == (swapped.found_b, swapped.masks_b)
    assert agreement.best_iou_b == swapped.best_iou_a or not len(b)


def test_nothing_agrees_with_nothing_and_finds_nothing() -> None:
    nothing = record(columns())
    assert math.isnan(mask_agreement(nothing, nothing).share_a)
    assert math.isnan(mask_agreement(nothing, nothing).best_iou_b)
    one = mask_agreement(record(columns(2)), nothing)
    assert (one.found_a, one.share_a, one.best_iou_a) == (0, 0.0, 0.0)
    assert math.isnan(one.share_b)


def test_two_images_are_not_compared() -> None:
    other = record(np.zeros((0, 5, 6), dtype=bool), (5, 6))
    with pytest.raises(
        InputError,
        match=r"^two records must be of one image to be compared, got 6x5 \(.*\) and 5x6 \(height x width\)\.$",
    ):
        mask_agreement(record(columns(1)), other)


@pytest.mark.parametrize("value", [0, 1.1, float("nan")])
def test_an_iou_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(InputError, match=rf"^min_iou must be above 0 and at most 1, got {value}\.$"):
        mask_agreement(record(columns(1)), record(columns(1)), value)


def test_pooling_counts_every_mask_once_and_an_image_without_masks_not_at_all() -> None:
    empty = mask_agreement(record(columns()), record(columns()))
    one = mask_agreement(record(columns(4, 1)), record(columns(5, 5, 4)), min_iou=0.8)
    other = mask_agreement(record(columns(2)), record(columns()), min_iou=0.8)
    both = pooled_agreement([empty, one, other])
    assert (both.masks_a, both.masks_b, both.found_a, both.found_b) == (3, 3, 1, 3)
    assert both.best_iou_a == pytest.approx((1 + 0.25 + 0) / 3)
    assert both.best_iou_b == one.best_iou_b
    nothing = pooled_agreement([])
    assert (nothing.masks_a, nothing.found_b) == (0, 0)
    assert math.isnan(nothing.best_iou_a)
    assert math.isnan(nothing.share_b)
