import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pycocotools import mask as coco

from segany.errors import MaskError
from segany.geometry import Size
from segany.masks.rle import MAX_PIXELS, RLE

Mask = NDArray[np.bool_]

# Tall, flat, single pixels, and without any pixel.
shapes = st.tuples(st.integers(0, 9), st.integers(0, 9))
masks = shapes.flatmap(lambda shape: hnp.arrays(np.bool_, shape))


@st.composite
def blocky(draw: st.DrawFn) -> Mask:
    """A mask of blocks, whose runs need several characters."""
    seed = draw(hnp.arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(1, 4))))
    return np.kron(seed, np.ones((draw(st.integers(1, 40)), draw(st.integers(1, 40))), dtype=bool)).astype(bool)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Mask, Mask]:
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    return draw(hnp.arrays(np.bool_, shape)), draw(hnp.arrays(np.bool_, shape))


def theirs(mask: Mask) -> dict[str, Any]:
    encoded: dict[str, Any] = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return encoded


@given(st.one_of(masks, blocky()))
def test_counts_area_and_box_equal_pycocotools_byte_for_byte(mask: Mask) -> None:
    rle = RLE.from_mask(mask)
    expected = theirs(mask)
    assert rle.counts == expected["counts"]
    assert rle.size == tuple(expected["size"])
    assert rle.area == mask.sum()
    if mask.size:
        x, y, w, h = coco.toBbox(expected).tolist()
        assert rle.area == int(coco.area(expected))
        assert rle.box == (x, y, x + w, y + h)


@given(st.one_of(masks, blocky()))
def test_a_mask_comes_back_as_it_went(mask: Mask) -> None:
    rle = RLE.from_mask(mask)
    decoded = rle.to_mask()
    np.testing.assert_array_equal(decoded, mask)
    assert decoded.shape == mask.shape
    assert decoded.flags.c_contiguous
    assert RLE.from_mask(np.asfortranarray(mask)) == rle
    assert RLE(rle.size, rle.counts) == rle
    assert RLE.from_counts(rle.size, rle.to_counts()) == rle


@given(pairs(), st.booleans())
def test_iou_and_merge_equal_pycocotools(pair: tuple[Mask, Mask], intersect: bool) -> None:
    a, b = (RLE.from_mask(mask) for mask in pair)
    their_a, their_b = (theirs(mask) for mask in pair)
    assert a.iou(b) == coco.iou([their_a], [their_b], [0])[0, 0]
    assert RLE.merge([a, b], intersect).counts == coco.merge([their_a, their_b], intersect)["counts"]
    assert a.intersection(b) == (pair[0] & pair[1]).sum()
    assert a.union(b) == (pair[0] | pair[1]).sum()


@given(st.tuples(st.integers(0, 6), st.integers(0, 6)).flatmap(lambda s: st.lists(hnp.arrays(np.bool_, s), min_size=1)))
def test_merging_many_is_any_or_all_of_them(many: list[Mask]) -> None:
    rles = [RLE.from_mask(mask) for mask in many]
    assert RLE.merge(rles) == RLE.from_mask(np.logical_or.reduce(many))
    assert RLE.merge(rles, intersect=True) == RLE.from_mask(np.logical_and.reduce(many))


@given(st.one_of(masks, blocky()), st.lists(st.integers(0, 40), max_size=5))
def test_vertical_strips_join_to_the_whole_mask(mask: Mask, cuts: list[int]) -> None:
    strips = np.split(mask, sorted(min(cut, mask.shape[1]) for cut in cuts), axis=1)
    assert RLE.from_column_strips(Size(*mask.shape), iter(strips)) == RLE.from_mask(mask)


@given(masks, st.data())
def test_strips_in_a_box_are_the_whole_with_background_around(mask: Mask, data: st.DataObject) -> None:
    height, width = mask.shape
    margin = [data.draw(st.integers(0, 3)) for _ in range(4)]
    whole = np.pad(mask, ((margin[0], margin[1]), (margin[2], margin[3])))
    cut = data.draw(st.integers(0, width))
    box = (margin[2], margin[0], margin[2] + width, margin[0] + height)
    strips = [np.asfortranarray(mask[:, :cut]), mask[:, cut:]]
    assert RLE.from_column_strips(Size(*whole.shape), strips, box) == RLE.from_mask(whole)


def test_a_box_of_strips_that_is_not_within_the_mask_is_refused() -> None:
    strip = np.ones((2, 2), dtype=bool)
    with pytest.raises(MaskError, match=r"box of the strips must lie within 2x3 .*, got \(2, 0, 4, 2\)"):
        RLE.from_column_strips(Size(2, 3), [strip], (2, 0, 4, 2))
    with pytest.raises(MaskError, match=r"strips of 2x3 .* must be 3 pixels wide in all, got 2"):
        RLE.from_column_strips(Size(4, 4), [strip], (1, 1, 4, 3))


def test_a_mask_far_too_large_for_memory_is_joined_measured_and_compared() -> None:
    size = Size(60_000, 60_000)
    one_pixel = np.ones((1, 1), dtype=bool)

    def strips() -> Iterator[Mask]:
        # Views of one pixel: no strip takes memory, and only a few columns are looked at closely.
        for column in (0, 1, 2):
            yield np.broadcast_to(one_pixel & (column == 1), (size.height, 1))

    narrow = RLE.from_column_strips(Size(size.height, 3), strips())
    assert (narrow.area, narrow.box) == (60_000, (1, 0, 2, 60_000))
    full = RLE.from_counts(size, [0, size.area])
    half = RLE.from_counts(size, [size.area // 2, size.area // 2])
    assert full.area == 3_600_000_000
    assert full.box == (0, 0, 60_000, 60_000)
    assert half.box == (30_000, 0, 60_000, 60_000)
    assert full.iou(half) == 0.5
    assert coco.area(full.to_coco()) == full.area


def test_coco_dicts_are_read_in_all_three_forms() -> None:
    mask = np.zeros((3, 4), dtype=bool)
    mask[1, 1:3] = True
    rle = RLE.from_mask(mask)
    assert rle.to_coco() == {"size": [3, 4], "counts": theirs(mask)["counts"].decode()}
    for counts in (rle.counts, rle.counts.decode(), [4, 1, 2, 1, 4], np.array([4, 1, 2, 1, 4])):
        assert RLE.from_coco({"size": [3, 4], "counts": counts}) == rle


def test_empty_and_full_masks() -> None:
    empty, full = RLE.from_mask(np.zeros((5, 7), dtype=bool)), RLE.from_mask(np.ones((5, 7), dtype=bool))
    assert (empty.area, empty.box, empty.to_counts()) == (0, (0, 0, 0, 0), [35])
    assert (full.area, full.box, full.to_counts()) == (35, (0, 0, 7, 5), [0, 35])
    assert empty.iou(empty) == 0.0
    assert full.iou(full) == 1.0
    assert RLE.from_counts(Size(0, 5), []).to_counts() == [0]


def test_equal_masks_are_equal_however_they_were_written() -> None:
    rle = RLE.from_counts(Size(2, 3), [1, 2, 3])
    assert RLE.from_counts(Size(2, 3), [1, 1, 0, 1, 3]) == rle
    assert RLE.from_counts(Size(2, 3), [1, 2, 3, 0]) == rle
    assert RLE.from_counts(Size(2, 3), [0, 0, 1, 2, 0, 0, 3]) == rle
    # 'Q0' is the number 1 written with one character more than needed.
    assert RLE(Size(2, 3), b"Q023") == RLE(Size(2, 3), b"123") == rle
    assert hash(RLE(Size(2, 3), b"Q023")) == hash(rle)


@given(st.binary(max_size=30), st.integers(0, 40), st.integers(0, 40))
def test_any_bytes_are_either_a_mask_or_a_mask_error(counts: bytes, height: int, width: int) -> None:
    try:
        rle = RLE(Size(height, width), counts)
    except MaskError:
        return
    assert sum(rle.to_counts()) == height * width
    assert RLE.from_mask(rle.to_mask()) == rle


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")
@given(st.one_of(masks, blocky()), st.data())
def test_a_damaged_string_is_refused_or_reads_as_pycocotools_reads_it(mask: Mask, data: st.DataObject) -> None:
    damaged = bytearray(RLE.from_mask(mask).counts)
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(48, 111))
    try:
        rle = RLE(Size(*mask.shape), bytes(damaged))
    except MaskError:
        return
    if mask.size:
        their_mask = coco.decode({"size": list(mask.shape), "counts": bytes(damaged)})
        np.testing.assert_array_equal(rle.to_mask(), their_mask.astype(bool))


HUGE = Size(2**16, 2**15)


@pytest.mark.parametrize(
    ("size", "counts", "message"),
    [
        (Size(2, 3), b"12", r"must sum to the 6 pixels of 2x3 \(height x width\), got 3"),
        (Size(2, 3), b"", "must sum to the 6 pixels of 2x3 .*, got 0"),
        (Size(2, 3), b"127", "a run of 7 pixels is longer than the mask of 2x3"),
        (Size(2, 3), b"1N7", "must not be negative, got -2"),
        (Size(2, 3), b"12Q", "stop within a number after 3 characters; the string was cut"),
        (Size(2, 3), b"1 3", "got byte 32 at position 1"),
        (Size(2, 3), b"1\xff3", "got byte 255 at position 1"),
        (Size(2, 3), b"PPPPPPP0", "a number of 8 characters, at most 7 are possible"),
        (HUGE, b"ooooooO", "must sum to the 2147483648 pixels|must not be negative"),
        (Size(2**16, 2**16), b"0", f"from 0 to {MAX_PIXELS} pixels in all"),
        (Size(10**30, 1), b"0", f"from 0 to {MAX_PIXELS} pixels in all"),
        (Size(-1, 3), b"0", "from 0 to"),
        ((2.0, 3), b"123", "must be two whole numbers"),
        ((True, 3), b"123", "must be two whole numbers"),
        ((2, 3, 1), b"123", "must be two whole numbers"),
        (Size(2, 3), "123", "must be bytes, got str; use RLE.from_coco"),
    ],
)
def test_a_wrong_encoding_is_refused_at_birth(size: Any, counts: Any, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        RLE(size, counts)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"size": [2, 3], "counts": [1, 2]}, "must sum to the 6 pixels of 2x3 .*, got 3"),
        ({"size": [2, 3], "counts": [1, -2, 7]}, "must not be negative, got -2"),
        ({"size": [2, 3], "counts": [1, 2**62, 2**62, 3]}, "a run of 4611686018427387904 pixels is longer"),
        ({"size": [2, 3], "counts": np.array([2**63, 3], dtype=np.uint64)}, "is longer than the mask"),
        ({"size": [2, 3], "counts": [10**40]}, "must be a list of whole numbers"),
        ({"size": [2, 3], "counts": [1.0, 5.0]}, "must be a list of whole numbers, got shape .2. of float64"),
        ({"size": [2, 3], "counts": [[1], [5]]}, "must be a list of whole numbers"),
        ({"size": [2, 3], "counts": ["1", "5"]}, "must be a list of whole numbers"),
        ({"size": [2, 3], "counts": [True, True]}, "must be a list of whole numbers"),
        ({"size": [2, 3], "counts": [[1], [5, 3]]}, "must be a list of whole numbers"),
        ({"size": [2, 3], "counts": "12é"}, "must be ASCII text"),
        ({"size": [2, 3], "counts": None}, "must be text, bytes or a list of run lengths, got NoneType"),
        ({"size": "23", "counts": "123"}, "must be two whole numbers .*, got '23'"),
        ({"counts": "123"}, r"an encoded mask must be .* got the keys \['counts'\]"),
        (["123"], "an encoded mask must be"),
    ],
)
def test_a_wrong_dict_is_refused(value: Any, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        RLE.from_coco(value)


def test_what_is_no_bool_mask_is_refused() -> None:
    with pytest.raises(MaskError, match=r"must be a bool array \[H, W\], got uint8 \[2, 3\]; threshold it first"):
        RLE.from_mask(np.ones((2, 3), dtype=np.uint8))
    with pytest.raises(MaskError, match=r"got bool \[1, 2, 3\]"):
        RLE.from_mask(np.ones((1, 2, 3), dtype=bool))


def test_strips_that_do_not_make_the_mask_are_refused() -> None:
    with pytest.raises(MaskError, match=r"must be 3 pixels wide in all, got 2"):
        RLE.from_column_strips(Size(2, 3), [np.ones((2, 2), dtype=bool)])
    with pytest.raises(MaskError, match=r"at most 1 wide here, got 2x2"):
        RLE.from_column_strips(Size(2, 3), [np.ones((2, 2), dtype=bool)] * 2)
    with pytest.raises(MaskError, match=r"must be 2 pixels high and at most 3 wide here, got 1x2"):
        RLE.from_column_strips(Size(2, 3), [np.ones((1, 2), dtype=bool)])


def test_masks_of_two_sizes_are_not_compared() -> None:
    a, b = RLE.from_counts(Size(2, 3), [6]), RLE.from_counts(Size(3, 2), [6])
    for compare in (a.iou, a.union, a.intersection, lambda other: RLE.merge([a, other])):
        with pytest.raises(MaskError, match=r"must have one size to be compared, got 2x3 .* and 3x2"):
            compare(b)
    with pytest.raises(MaskError, match="at least one mask, got none"):
        RLE.merge([])


def test_the_codec_needs_no_opencv() -> None:
    code = "import sys, segany.masks.rle; sys.exit('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
