import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from segany.errors import OutputError, RecordError
from segany.formats import sa1b
from segany.formats.problems import ProblemLog
from segany.geometry import Size
from segany.masks.rle import RLE
from segany.schema import Annotation, ImageInfo, Parent, Prompt, Record

SIZE = Size(40, 60)


def a_mask() -> RLE:
    mask = np.zeros(SIZE, dtype=bool)
    mask[10:20, 5:25] = True
    mask[12, 30] = True
    return RLE.from_mask(mask)


def document() -> dict[str, Any]:
    """A record as the reference generator writes it: its box is one pixel short."""
    return {
        "image": {"image_id": 7, "width": 60, "height": 40, "file_name": "sa_7.jpg"},
        "annotations": [
            {
                "segmentation": a_mask().to_coco(),
                "bbox": [5, 10, 25, 9],
                "area": 201,
                "predicted_iou": 0.9471235275268555,
                "point_coords": [[12.5, 14.0]],
                "stability_score": 0.9664233326911926,
                "crop_box": [0, 0, 60, 40],
                "id": 533,
            }
        ],
    }


def test_a_published_record_is_read_with_half_open_boxes_taken_from_the_mask() -> None:
    record = sa1b.record_from_json(document(), "sa_7.json")
    (annotation,) = record.annotations
    assert record.image == ImageInfo(7, "sa_7.jpg", SIZE)
    assert (annotation.id, annotation.segmentation) == (533, a_mask())
    assert list(annotation.box) == [5, 10, 31, 20]
    assert annotation.area == 201
    assert (annotation.predicted_iou, annotation.stability_score) == (0.9471235275268555, 0.9664233326911926)
    assert annotation.point_coords == ((12.5, 14.0),)
    assert annotation.crop_box == (0.0, 0.0, 60.0, 40.0)
    assert annotation.source == "automatic"
    assert dict(annotation.extra) == {}


def test_a_published_record_is_written_back_with_the_right_box() -> None:
    written = sa1b.record_to_json(sa1b.record_from_json(document(), "sa_7.json"))
    expected = document()
    expected["annotations"][0]["bbox"] = [5, 10, 26, 10]
    assert written == expected


def test_boxes_in_the_file_are_xywh_and_a_crop_is_moved_back() -> None:
    annotation = Annotation(1, a_mask(), box=(5.5, 10, 31, 20), crop_box=(20, 10, 60, 40))
    record = Record(ImageInfo("a", "a.png", SIZE), (annotation,))
    values = sa1b.record_to_json(record)["annotations"][0]
    assert values["bbox"] == [5.5, 10, 25.5, 10]
    assert values["crop_box"] == [20, 10, 40, 30]
    back = sa1b.record_from_json(sa1b.record_to_json(record), "a.json")
    assert back.annotations[0].crop_box == (20, 10, 60, 40)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")
def test_pycocotools_decodes_what_is_written(tmp_path: Path) -> None:
    record = Record(ImageInfo(1, "a.png", SIZE), (Annotation(1, a_mask()),))
    sa1b.write_record(record, tmp_path / "a.json")
    (values,) = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["annotations"]
    np.testing.assert_array_equal(coco.decode(values["segmentation"]), a_mask().to_mask())
    assert coco.toBbox(values["segmentation"]).tolist() == values["bbox"]
    assert coco.area(values["segmentation"]) == values["area"]


def test_everything_segany_knows_survives_the_file(tmp_path: Path) -> None:
    image = ImageInfo(
        "scan",
        "scan é.tif",
        SIZE,
        digest="ab",
        source_digest="cd",
        channels=1,
        dtype="uint16",
        parent=Parent("volume", "v", 3),
        spacing=(0.5, 0.25),
        affine=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        crs="EPSG:32616",
        licence="CC-BY-4.0",
        group="patient 1",
    )
    rough = np.zeros((4, 6), dtype=bool)
    rough[1:3, 2:4] = True
    annotation = Annotation(
        "one",
        a_mask(),
        predicted_iou=float(np.float32(0.1)),
        point_coords=((1.0, 2.0), (3.25, 4.0)),
        crop_box=(0, 0, 30, 40),
        source="manual",
        category="leaf",
        iscrowd=True,
        prompts=(Prompt(points=[[1, 2], [3, 4]], labels=[1, 0]), Prompt(box=[1, 2, 30, 31], mask=rough)),
        model_digest="ef",
        annotator="ann",
        seconds_spent=14.25,
        parent_id=9,
        review_state="accepted",
        created_at=datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
        outline=(np.array([[0.5, 1.0], [4.0, 1.0], [4.0, 9.0]]),),
        extra={"score": 0.5, "note": {"by": ["x", None]}},
    )
    path = tmp_path / "deep" / "scan.json"
    sa1b.write_record(Record(image, (annotation, Annotation(2, a_mask()))), path)
    back = sa1b.read_record(path)
    assert back.image == image
    first, second = back.annotations
    for name in set(Annotation.__dataclass_fields__) - {"prompts", "outline", "extra"}:
        assert getattr(first, name) == getattr(annotation, name), name
    assert dict(first.extra) == dict(annotation.extra)
    assert [prompt.to_dict() for prompt in first.prompts] == [prompt.to_dict() for prompt in annotation.prompts]
    assert first.outline is not None
    assert [ring.tolist() for ring in first.outline] == [[[0.5, 1.0], [4.0, 1.0], [4.0, 9.0]]]
    assert (second.predicted_iou, second.prompts, second.outline) == (None, (), None)


def test_fields_of_others_come_back_and_never_replace_ours() -> None:
    values = document()
    values["annotations"][0]["colour"] = "red"
    record = sa1b.record_from_json(values, "x.json")
    assert dict(record.annotations[0].extra) == {"colour": "red"}
    assert sa1b.record_to_json(record)["annotations"][0]["colour"] == "red"
    forged = Annotation(1, a_mask(), extra={"area": 5, "segany": {"source": "manual"}})
    written = sa1b.record_to_json(Record(ImageInfo(1, "a.png", SIZE), (forged,)))["annotations"][0]
    assert written["area"] == 201
    assert written["segany"] == {"extra": {"area": 5}, "crop_box": None}
    document_of = {"image": sa1b.record_to_json(Record(ImageInfo(1, "a.png", SIZE)))["image"], "annotations": [written]}
    (back,) = sa1b.record_from_json(document_of, "x.json").annotations
    assert (back.area, back.source, dict(back.extra)) == (201, "automatic", {"area": 5})


def test_fields_that_are_no_json_are_left_out_and_told() -> None:
    values = document()
    values["annotations"][0]["score"] = [float("inf")]
    log = ProblemLog()
    record = sa1b.record_from_json(values, "x.json", log)
    assert dict(record.annotations[0].extra) == {}
    assert [problem.kind for problem in log.kept] == ["not_a_number"]


def test_run_lengths_that_are_not_compressed_are_read() -> None:
    values = document()
    values["annotations"][0]["segmentation"]["counts"] = a_mask().to_counts()
    assert sa1b.record_from_json(values, "x.json").annotations[0].segmentation == a_mask()


def in_annotation(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["annotations"][0].__setitem__(key, value)


def in_own(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["annotations"][0].__setitem__("segany", {key: value})


def in_image(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["image"].__setitem__(key, value)


def twice(document: dict[str, Any]) -> None:
    document["annotations"].append(copy.deepcopy(document["annotations"][0]))


HUGE_MASK = {"size": [65_000, 65_000], "counts": RLE.from_counts(Size(65_000, 65_000), [0, 65_000**2]).counts.decode()}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d.pop("image"), r"^x\.json: image is missing\.$"),
        (lambda d: d.pop("annotations"), r"^x\.json: annotations is missing\.$"),
        (lambda d: d.update(annotations={}), r"^x\.json: annotations must be a list, got dict\.$"),
        (lambda d: d.update(annotations=[3]), r"^x\.json: annotation 0 must be an object, got 3\.$"),
        (lambda d: d["image"].pop("width"), r"^x\.json: image: width is missing\.$"),
        (in_image("width", "60"), r"^x\.json: image: width must be a whole number, got '60'\.$"),
        (in_image("width", True), r"image: width must be a whole number, got True"),
        (in_image("width", 0), r"height and width must be from 1 to 4294967295 pixels in all, got 40x0"),
        (in_image("width", 10**9), r"height and width must be from 1 to 4294967295 pixels in all"),
        (in_image("width", 10**400), r"image: width must be a whole number, got 1000"),
        (in_image("width", 61), r"^x\.json: annotation 533 of sa_7\.jpg: its mask is 40x60 .* but the image is 40x61"),
        (in_image("file_name", None), r"image: file_name is missing"),
        (in_image("image_id", [1]), r"image: image_id must be a whole number or text, got list"),
        (in_image("segany", {"spacing": [1, "a"]}), r"image: segany: spacing must be a list of finite numbers"),
        (in_image("segany", {"parent": {"kind": "film"}}), r"parent: kind must be one of volume, video, mosaic"),
        (in_annotation("id", None), r"^x\.json: annotation 0: id is missing\.$"),
        (in_annotation("id", 1.5), r"annotation 0: id must be a whole number or text, got 1\.5"),
        (
            in_annotation("segmentation", [[1, 2, 3]]),
            r"annotation 0 \(id 533\): segmentation must be an object, got list",
        ),
        (
            in_annotation("segmentation", {"size": [40, 60], "counts": "12"}),
            r"^x\.json: annotation 0 \(id 533\): segmentation: run lengths must sum to the 2400 pixels",
        ),
        (in_annotation("segmentation", {"size": [40, 60]}), r"segmentation: an encoded mask must be"),
        (in_annotation("bbox", [1, 2, 3]), r"\(id 533\): bbox must be a list of 4 finite numbers, got list"),
        (in_annotation("area", "big"), r"\(id 533\): area must be a finite number, got 'big'"),
        (in_annotation("predicted_iou", "0.9"), r"\(id 533\): predicted_iou must be a finite number, got '0\.9'"),
        (in_annotation("stability_score", 1e999), r"\(id 533\): stability_score must be a finite number, got inf"),
        (in_annotation("point_coords", [[1, 2, 3]]), r"\(id 533\): point_coords must be a list of \[x, y\], got list"),
        (in_annotation("crop_box", [0, 0, None, 4]), r"\(id 533\): crop_box must be a list of 4 finite numbers"),
        (in_own("source", "robot"), r"segany: source must be one of manual, semi_automatic, automatic, got 'robot'"),
        (in_own("review_state", "?"), r"segany: review_state must be one of unreviewed, accepted"),
        (in_own("created_at", "today"), r"segany: created_at must be an ISO 8601 time, got 'today'"),
        (in_own("created_at", "2024-01-01"), r"created_at must have a time zone"),
        (in_own("iscrowd", "yes"), r"segany: iscrowd must be true or false, got 'yes'"),
        (in_own("outline", [[1, 2]]), r"segany: outline must be a list of lists of \[x, y\], got list"),
        (in_own("prompts", [{"points": [[1, 2]], "labels": []}]), r"segany: prompts: .*label"),
        (in_own("prompts", [{"word": "dog"}]), r"segany: prompts: unknown key 'word'"),
        (
            in_own("prompts", [{"mask": HUGE_MASK}]),
            r"prompts: a mask prompt may have 200000000 pixels, got 65000x65000",
        ),
        (in_own("prompts", [{"mask": {"size": 3}}]), r"segany: prompts: mask: an encoded mask must be"),
        (twice, r"^x\.json: sa_7\.jpg has two annotations with the id 533"),
    ],
)
def test_each_problem_names_the_file_the_annotation_and_the_field(
    damage: Callable[[dict[str, Any]], None], message: str
) -> None:
    values = document()
    damage(values)
    with pytest.raises(RecordError, match=message):
        sa1b.record_from_json(values, "x.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not valid JSON: Expecting value"),
        (b'{"image": ', "is not valid JSON"),
        (b"[]", r"must be an object, got list"),
        (b'{"image": NaN}', "is not valid JSON: NaN is no JSON number"),
        (b'{"a": "\xff"}', r"is not UTF-8 text \(byte 7\)"),
        (b"[" * 200_000, "is nested too deeply to be a record"),
        (b'{"image": ' + b"9" * 5000 + b"}", "is not valid JSON: .*digits"),
    ],
)
def test_what_is_no_record_is_refused_with_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "photo.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=message) as caught:
        sa1b.read_record(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_a_folder_and_a_huge_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecordError, match=r"cannot read .*nowhere\.json: No such file"):
        sa1b.read_record(tmp_path / "nowhere.json")
    with pytest.raises(RecordError, match="cannot read"):
        sa1b.read_record(tmp_path)
    path = tmp_path / "large.json"
    path.write_text(json.dumps(document()), encoding="utf-8")
    monkeypatch.setattr(sa1b, "MAX_ANNOTATIONS", 0)
    with pytest.raises(RecordError, match=r"large\.json has 1 annotations; a record may have 0"):
        sa1b.read_record(path)


def test_a_record_that_json_cannot_hold_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old", encoding="utf-8")
    for extra in ({"x": float("nan")}, {"x": object()}):
        record = Record(ImageInfo(1, "a.png", SIZE), (Annotation(1, a_mask(), extra=extra),))
        with pytest.raises(RecordError, match=r"^the record of a\.png cannot be written as JSON"):
            sa1b.write_record(record, path)
    assert path.read_text(encoding="utf-8") == "old"
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        sa1b.write_record(Record(ImageInfo(1, "a.png", SIZE)), tmp_path / "folder.json")
