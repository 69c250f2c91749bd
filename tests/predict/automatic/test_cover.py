import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from segany.errors import ConfigError
from segany.geometry import Size
from segany.masks import RLE
from segany.predict.automatic.cover import cover
from segany.schema import Annotation, ImageInfo, Record

stacks = st.integers(0, 6).flatmap(lambda count: hnp.arrays(np.bool_, (count, 5, 7)))


def record(*masks: NDArray[np.bool_], scores: tuple[float, ...] = ()) -> Record:
    annotations = [
        Annotation(id=10 + k, segmentation=RLE.from_mask(mask), predicted_iou=scores[k] if scores else None)
        for k, mask in enumerate(masks)
    ]
    size = Size(*masks[0].shape) if masks else Size(5, 7)
    return Record(ImageInfo(image_id=1, file_name="a.png", size=size), tuple(annotations))


def columns(start: int, stop: int, width: int = 10) -> NDArray[np.bool_]:
    mask = np.zeros((4, width), dtype=bool)
    mask[:, start:stop] = True
    return mask


def test_a_part_lies_on_its_whole_though_the_whole_is_surer() -> None:
    laid = cover(record(columns(0, 8), columns(2, 4), scores=(0.99, 0.95)))
    assert [annotation.id for annotation in laid.annotations] == [10, 11]
    assert laid.labels.dtype == np.uint16
    np.testing.assert_array_equal(laid.labels[0], [1, 1, 2, 2, 1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(laid.labels, np.broadcast_to(laid.labels[0], (4, 10)))


@pytest.mark.parametrize(("scores", "middle"), [((0.99, 0.9), 1), ((0.9, 0.99), 2)])
def test_of_two_masks_of_about_one_size_the_better_lies_on_top(scores: tuple[float, float], middle: int) -> None:
    laid = cover(record(columns(0, 6), columns(4, 10), scores=scores))
    own = {annotation.id: k for k, annotation in enumerate(laid.annotations, start=1)}
    expected = [own[10]] * 4 + [own[10 if middle == 1 else 11]] * 2 + [own[11]] * 4
    np.testing.assert_array_equal(laid.labels[0], expected)


def test_a_mask_of_which_little_is_seen_is_left_out() -> None:
    whole, left, right = columns(0, 10), columns(0, 5), columns(5, 9)
    parts = record(whole, left, right)
    assert len(cover(parts).annotations) == len(cover(parts, min_visible=0.1).annotations) == 3
    laid = cover(parts, min_visible=0.2)
    assert sorted(annotation.id for annotation in laid.annotations) == [11, 12]
    assert (laid.labels[:, 9] == 0).all()


def test_a_mask_that_is_left_out_hides_nothing() -> None:
    # The middle mask is hidden by the smallest but for a column, so that the largest is seen there.
    largest, middle, smallest = columns(0, 10), columns(0, 4), columns(0, 3)
    laid = cover(record(largest, middle, smallest), min_visible=0.5)
    assert [annotation.id for annotation in laid.annotations] == [10, 12]
    np.testing.assert_array_equal(laid.labels[0], [2] * 3 + [1] * 7)


def test_what_has_no_mask_takes_the_nearest_label() -> None:
    laid = cover(record(columns(0, 2), columns(7, 8), scores=(0.9, 0.9)), fill=True)
    np.testing.assert_array_equal(laid.labels[0], [1] * 5 + [2] * 5)
    assert (cover(record(columns(0, 0)), fill=True).labels == 0).all()


@given(stacks, st.sampled_from([0.0, 0.3, 1.0]), st.booleans())
def test_every_pixel_has_one_label_and_only_of_a_mask_that_covers_it(
    masks: NDArray[np.bool_], min_visible: float, fill: bool
) -> None:
    laid = cover(record(*masks), min_visible, fill)
    assert laid.labels.shape == (5, 7)
    assert set(np.unique(laid.labels)) - {0} == set(range(1, 1 + len(laid.annotations)))
    covered = np.zeros((5, 7), dtype=bool)
    for label, annotation in enumerate(laid.annotations, start=1):
        mask, seen = annotation.segmentation.to_mask(), laid.labels == label
        covered |= mask
        if not fill:
            assert not (seen & ~mask).any()
            assert seen.sum() >= min_visible * mask.sum()
    if fill and laid.annotations:
        assert (laid.labels > 0).all()
    if not fill:
        np.testing.assert_array_equal(laid.labels > 0, covered)


@pytest.mark.parametrize("value", [-0.1, 1.01, float("nan")])
def test_a_share_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^min_visible must be from 0 to 1, got {value}\.$"):
        cover(record(), value)
