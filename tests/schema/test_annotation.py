from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from segany.errors import RecordError
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, ImageInfo, Masklet, Record


def rle(height: int = 6, width: int = 8) -> RLE:
    mask = np.zeros((height, width), dtype=bool)
    mask[1:4, 2:7] = True
    return RLE.from_mask(mask)


class TestAnnotation:
    def test_box_and_area_come_from_the_mask(self) -> None:
        annotation = Annotation(1, rle())
        assert annotation.box == (2.0, 1.0, 7.0, 4.0)
        assert annotation.area == 15
        assert (annotation.source, annotation.review_state) == ("automatic", "unreviewed")

    def test_given_ones_are_kept(self) -> None:
        annotation = Annotation(1, rle(), box=(2, 1, 6, 3), area=14)
        assert (annotation.box, annotation.area) == ((2, 1, 6, 3), 14)

    def test_an_empty_mask(self) -> None:
        annotation = Annotation(1, RLE.from_mask(np.zeros((4, 4), dtype=bool)))
        assert (annotation.box, annotation.area) == ((0.0, 0.0, 0.0, 0.0), 0)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            (
                {"source": "guessed"},
                "annotation 7: source must be manual, semi_automatic or automatic, got 'guessed'.",
            ),
            (
                {"review_state": "maybe"},
                "annotation 7: review_state must be unreviewed, accepted, rejected or flagged, got 'maybe'.",
            ),
            (
                {"created_at": datetime(2024, 5, 6)},
                "annotation 7: created_at must have a time zone, got 2024-05-06 00:00:00.",
            ),
        ],
    )
    def test_refusals(self, fields: dict[str, Any], message: str) -> None:
        with pytest.raises(RecordError) as caught:
            Annotation(7, rle(), **fields)
        assert str(caught.value) == message

    def test_a_time_with_a_zone(self) -> None:
        assert Annotation(1, rle(), created_at=datetime(2024, 5, 6, tzinfo=UTC)).created_at is not None

    def test_extra_fields_are_not_shared(self) -> None:
        with pytest.raises(TypeError):
            Annotation(1, rle()).extra["a"] = 1  # type: ignore[index]  # the point of the test


class TestRecord:
    info = ImageInfo(5, "a.jpg", Size(6, 8))

    def test_annotations_become_a_tuple(self) -> None:
        record = Record(self.info, [Annotation(1, rle()), Annotation(2, rle())])  # type: ignore[arg-type]  # a list
        assert [annotation.id for annotation in record.annotations] == [1, 2]
        assert isinstance(record.annotations, tuple)
        assert Record(self.info).annotations == ()

    def test_a_mask_of_another_size(self) -> None:
        with pytest.raises(RecordError) as caught:
            Record(self.info, (Annotation(1, rle(8, 8)),))
        assert str(caught.value) == (
            "annotation 1 of a.jpg: its mask is 8x8 (height x width) but the image is 6x8 (height x width)."
        )

    def test_an_id_twice(self) -> None:
        with pytest.raises(RecordError, match=r"^a\.jpg has two annotations with the id 1\.$"):
            Record(self.info, (Annotation(1, rle()), Annotation(1, rle())))


class TestMasklet:
    def test_masks_of_one_size(self) -> None:
        assert Masklet(1, {0: rle(), 5: rle()}).rles[5] == rle()
        assert Masklet(1, {}).rles == {}

    def test_masks_of_two_sizes(self) -> None:
        with pytest.raises(RecordError, match=r"^object 4: its masks have 2 sizes, e\.g\. "):
            Masklet(4, {0: rle(), 1: rle(9, 9)})


class TestWhatAnEvaluationLeavesOut:
    info = ImageInfo(1, "a.png", Size(6, 8))

    def test_crowds_are_no_objects_and_belong_to_the_undecided_pixels(self) -> None:
        region = RLE.from_counts(Size(6, 8), [0, 2, 46])
        crowd = Annotation(2, rle(), iscrowd=True)
        record = Record(self.info, (Annotation(1, rle()), crowd), region)
        assert [annotation.id for annotation in record.objects] == [1]
        assert record.undecided == RLE.merge([rle(), region])
        assert Record(self.info, (crowd,)).undecided == rle()
        assert Record(self.info, (Annotation(1, rle()),)).undecided is None

    def test_the_region_has_the_images_size(self) -> None:
        with pytest.raises(RecordError, match=r"^the region to ignore of a\.png is 4x4 .* but the image is 6x8"):
            Record(self.info, (), rle(4, 4))
