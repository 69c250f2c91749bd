import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from segany.errors import ConfigError, RecordError
from segany.geometry import Size
from segany.masks import RLE
from segany.predict.automatic.hierarchy import find_parents, levels, link_parts
from segany.schema import Annotation, ImageInfo, Record

stacks = st.integers(0, 7).flatmap(lambda count: hnp.arrays(np.bool_, (count, 4, 6)))


def square(x0: int, y0: int, x1: int, y1: int) -> RLE:
    mask = np.zeros((20, 20), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return RLE.from_mask(mask)


def record(*rles: RLE, parents: tuple[int | None, ...] = ()) -> Record:
    annotations = [
        Annotation(id=10 + k, segmentation=rle, parent_id=parents[k] if parents else None) for k, rle in enumerate(rles)
    ]
    return Record(ImageInfo(image_id=1, file_name="a.png", size=Size(20, 20)), tuple(annotations))


def test_whole_part_and_subpart() -> None:
    car, wheel, hub, tree = square(0, 0, 12, 12), square(1, 1, 7, 7), square(2, 2, 4, 4), square(13, 0, 19, 19)
    linked = link_parts(record(hub, tree, car, wheel))
    assert [annotation.parent_id for annotation in linked.annotations] == [13, None, None, 12]
    assert levels(linked) == [2, 0, 0, 1]


def test_the_parent_is_the_smallest_that_holds_enough() -> None:
    # 9 of the part's 10 columns lie inside the first, all inside the second.
    part, tight, wide = square(0, 0, 10, 5), square(1, 0, 12, 6), square(0, 0, 20, 20)
    assert find_parents([part, tight, wide]) == [1, 2, None]
    assert find_parents([part, tight, wide], min_inside=0.95) == [2, 2, None]


def test_equal_masks_are_no_circle() -> None:
    one = square(0, 0, 5, 5)
    assert find_parents([one, one, one]) == [None, 0, 1]


def test_an_empty_mask_has_no_parent() -> None:
    assert find_parents([square(0, 0, 0, 0), square(0, 0, 5, 5)]) == [None, None]
    assert find_parents([]) == []


@given(stacks, st.sampled_from([0.6, 0.9, 1.0]))
def test_there_are_no_circles_and_each_child_lies_in_its_parent(masks: NDArray[np.bool_], min_inside: float) -> None:
    parents = find_parents([RLE.from_mask(mask) for mask in masks], min_inside)
    for child, parent in enumerate(parents):
        seen, at = {child}, parent
        while at is not None:
            assert at not in seen
            seen.add(at)
            at = parents[at]
        if parent is not None:
            assert (masks[child] & masks[parent]).sum() >= min_inside * masks[child].sum() - 1e-9
            assert masks[parent].sum() >= masks[child].sum() > 0


def test_linking_again_changes_nothing_and_old_links_go() -> None:
    loose = record(square(0, 0, 5, 5), square(8, 8, 12, 12), parents=(11, None))
    linked = link_parts(loose)
    assert [annotation.parent_id for annotation in linked.annotations] == [None, None]
    assert link_parts(linked).annotations[0].parent_id is None


def test_links_that_lead_nowhere_or_round_are_refused() -> None:
    with pytest.raises(RecordError, match=r"^annotation 10: its parent 99 is not in the record\.$"):
        levels(record(square(0, 0, 5, 5), parents=(99,)))
    with pytest.raises(RecordError, match=r"^annotation 10 is its own ancestor; set parent_id anew\.$"):
        levels(record(square(0, 0, 5, 5), square(0, 0, 6, 6), parents=(11, 10)))


@pytest.mark.parametrize("value", [0.5, 1.01, float("nan")])
def test_a_share_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^min_inside must be above 0\.5 and at most 1, got {value}\.$"):
        find_parents([], value)
