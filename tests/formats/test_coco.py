"""COCO instances, checked against pycocotools."""

import copy
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from segany.errors import OutputError, RecordError
from segany.formats import coco
from segany.geometry import Size
from segany.masks.rle import RLE
from segany.schema import Annotation, ImageInfo, Prompt, Record
from segany.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")
SIZE = Size(40, 60)
BOWTIE = [5.0, 5.0, 30.5, 20.25, 30.5, 5.0, 5.0, 20.25]
SQUARE = [40, 10, 50, 10, 50, 20, 40, 20]


def a_mask() -> RLE:
    mask = np.zeros(SIZE, dtype=bool)
    mask[10:20, 5:25] = True
    mask[12, 30] = True
    return RLE.from_mask(mask)


def document() -> dict[str, Any]:
    """Two images; polygons, a crowd as run lengths, a compressed mask with a field that COCO does not know."""
    return {
        "info": None,
        "licenses": [{"id": 4, "name": "CC BY 2.0", "url": "https://creativecommons.org/licenses/by/2.0/"}],
        "categories": [{"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush", "supercategory": "indoor"}],
        "images": [
            {"id": 5001, "width": 60, "height": 40, "file_name": "a.jpg", "license": 4, "flickr_url": "x"},
            {"id": 7, "width": 60, "height": 40, "file_name": "b.jpg", "license": 3},
        ],
        "annotations": [
            {
                "id": 11,
                "image_id": 5001,
                "category_id": 90,
                "segmentation": [BOWTIE, SQUARE],
                "bbox": [5.0, 5.0, 45.0, 15.25],
                "area": 294.4375,
                "iscrowd": 0,
            },
            {
                "id": 900100,
                "image_id": 5001,
                "category_id": 1,
                "segmentation": {"size": [40, 60], "counts": a_mask().to_counts()},
                "bbox": [5, 10, 26, 10],
                "area": 201,
                "iscrowd": 1,
            },
            {
                "id": 12,
                "image_id": 5001,
                "category_id": 1,
                "segmentation": a_mask().to_coco(),
                "bbox": [5, 10, 26, 10],
                "area": 201,
                "iscrowd": 0,
                "attributes": {"occluded": True},
            },
        ],
    }


def write(path: Path, values: Any) -> Path:
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def theirs(path: Path, capsys: pytest.CaptureFixture[str]) -> COCO:
    loaded = COCO(str(path))
    capsys.readouterr()
    return loaded


def test_masks_are_those_of_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "instances.json", document())
    expected = theirs(path, capsys)
    first, second = coco.read_records(path)
    assert first.image == ImageInfo(5001, "a.jpg", SIZE, licence="CC BY 2.0")
    assert second.image == ImageInfo(7, "b.jpg", SIZE, licence="3")
    assert second.annotations == ()
    for annotation in first.annotations:
        own = expected.annToRLE(expected.anns[annotation.id])
        assert annotation.segmentation == RLE.from_coco(own)
        assert annotation.area == annotation.segmentation.area == int(coco_mask.area(own))
        assert annotation.box == annotation.segmentation.box
        assert annotation.source == "manual"


def test_what_coco_says_is_kept(tmp_path: Path) -> None:
    first, _ = coco.read_records(write(tmp_path / "instances.json", document()))
    polygons, crowd, extra = first.annotations
    assert [annotation.category for annotation in first.annotations] == ["toothbrush", "person", "person"]
    assert [annotation.iscrowd for annotation in first.annotations] == [False, True, False]
    assert polygons.outline is not None
    assert [ring.tolist() for ring in polygons.outline] == [
        np.reshape(BOWTIE, (-1, 2)).tolist(),
        np.reshape(SQUARE, (-1, 2)).tolist(),
    ]
    assert coco.stated_area(polygons) == 294.4375 != polygons.area
    assert coco.stated_area(crowd) == 201
    assert dict(crowd.extra) == {}
    assert dict(extra.extra) == {"attributes": {"occluded": True}}


def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "in.json", document())
    coco.write_records(coco.read_records(path), tmp_path / "out.json", categories=coco.read_categories(path))
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    expected = document()
    expected["annotations"][1]["segmentation"] = a_mask().to_coco()
    assert written["annotations"] == expected["annotations"]
    assert [{k: image[k] for k in ("id", "file_name", "license")} for image in written["images"]] == [
        {"id": 5001, "file_name": "a.jpg", "license": 1},
        {"id": 7, "file_name": "b.jpg", "license": 3},
    ]
    assert written["licenses"] == [{"id": 1, "name": "CC BY 2.0"}, {"id": 3, "name": "3"}]
    assert written["categories"] == [{"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}]


def test_an_edited_mask_takes_its_box_and_area_along(tmp_path: Path) -> None:
    from dataclasses import replace

    first, _ = coco.read_records(write(tmp_path / "in.json", document()))
    edited = replace(first.annotations[0], segmentation=a_mask(), outline=None, box=a_mask().box, area=a_mask().area)
    assert coco.stated_area(edited) == 201
    coco.write_records([replace(first, annotations=(edited,))], tmp_path / "out.json")
    (entry,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["annotations"]
    assert (entry["bbox"], entry["area"], entry["segmentation"]) == ([5, 10, 26, 10], 201, a_mask().to_coco())


def full_record(image_id: int | str, name: str) -> Record:
    info = ImageInfo(image_id, name, SIZE, digest="d" * 64, source_digest="s" * 64, licence="CC0-1.0", group="g")
    made = Annotation(
        0,
        a_mask(),
        predicted_iou=0.9471235275268555,
        stability_score=0.97,
        point_coords=((12.5, 14.0),),
        crop_box=(20, 10, 60, 40),
        model_digest="m" * 64,
        prompts=(Prompt(points=[(12, 14)]),),
    )
    drawn = Annotation("x", a_mask(), source="manual", category="leaf", parent_id=0, annotator="ann", seconds_spent=3.5,
                       review_state="accepted", created_at=datetime(2024, 5, 1, tzinfo=UTC))  # fmt: skip
    return Record(info, (made, drawn))


def test_everything_of_a_record_survives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [full_record("one", "one.png"), full_record("two", "two.png"), full_record(1, "three.png")]
    path = tmp_path / "out.json"
    coco.write_records(iter(records), path)
    for record, back in zip(records, coco.read_records(path), strict=True):
        assert back.image == record.image
        for before, after in zip(record.annotations, back.annotations, strict=True):
            for key, value in vars(before).items():
                if key == "prompts":
                    assert [each.to_dict() for each in after.prompts] == [each.to_dict() for each in value]
                else:
                    assert getattr(after, key) == value, key
    loaded = theirs(path, capsys)
    # pycocotools takes an annotation 0 for none, and looks names up letter by letter.
    assert sorted(loaded.imgs) == [1, 2, 3]
    assert sorted(loaded.anns) == [1, 2, 3, 4, 5, 6]
    assert [loaded.cats[ann["category_id"]]["name"] for ann in loaded.anns.values()] == ["object", "leaf"] * 3
    assert (loaded.annToMask(loaded.anns[1]) == a_mask().to_mask()).all()
    assert coco.read_categories(path) == {"leaf": 2, "object": 1}


def test_records_are_taken_one_by_one_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def records() -> Iterator[Record]:
        yield full_record(1, "one.png")
        assert list(tmp_path.iterdir()) != []
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        coco.write_records(records(), tmp_path / "out.json")
    assert list(tmp_path.iterdir()) == []
    odd = Record(ImageInfo(1, "odd.png", SIZE), (Annotation(1, a_mask(), extra={"a": float("nan")}),))
    with pytest.raises(RecordError, match=r"^the record of odd.png cannot be written as JSON: "):
        coco.write_records([odd], tmp_path / "out.json")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        coco.write_records([], tmp_path / "file" / "out.json")


def test_no_records_make_a_file_that_can_be_read(tmp_path: Path) -> None:
    coco.write_records([], tmp_path / "out.json")
    assert list(coco.read_records(tmp_path / "out.json")) == []


def of_annotation(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        values["annotations"][0][key] = value

    return change


def of_image(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        values["images"][1][key] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("images"), "in.json: images is missing."),
        (lambda v: v.pop("annotations"), "in.json: annotations is missing."),
        (lambda v: v.update(categories=7), "in.json: categories must be a list, got 7."),
        (of_image("id", None), "in.json: image 1: id is missing."),
        (of_image("id", 5001), "in.json: image 1 (id 5001): the id 5001 is there twice."),
        (of_image("width", 0), "in.json: image 1 (id 7): height and width must be from 1 to 4294967295 pixels in all, "
         "got 40x0 ("),
        (of_image("file_name", None), "in.json: image 1 (id 7): file_name is missing."),
        (of_annotation("id", 12), "in.json: annotation 2 (id 12): the id 12 is there twice."),
        (of_annotation("image_id", 8), "in.json: annotation 0 (id 11): there is no image with its image_id 8."),
        (of_annotation("image_id", None), "in.json: annotation 0 (id 11): image_id is missing."),
        (of_annotation("category_id", 3), "in.json: annotation 0 (id 11): there is no category with its "
         "category_id 3."),
        (of_annotation("segmentation", None), "in.json: annotation 0 (id 11): segmentation is missing."),
        (of_annotation("segmentation", []), "in.json: annotation 0 (id 11): segmentation is an empty list; a mask "
         "needs at least one ring."),
        (of_annotation("segmentation", [[1, 2, 3, 4]]), "in.json: annotation 0 (id 11): segmentation must be rings "
         "[x0, y0, x1, y1, ...] of at least three points, got one of 4 numbers."),
        (of_annotation("segmentation", [[1, 2, 3, 4, 5, "6"]]), "in.json: annotation 0 (id 11): segmentation must be a "
         "list of finite numbers, got list."),
        (of_annotation("segmentation", [[1, 2, 3, 4, 5, 1e9]]), "in.json: annotation 0 (id 11): a ring's coordinates "
         "must be numbers up to 16777216 pixels from the origin."),
        (of_annotation("segmentation", {"size": [40, 60], "counts": [5]}), "in.json: annotation 0 (id 11): "
         "segmentation: "),
        (of_annotation("segmentation", RLE.from_counts(Size(2, 2), [4]).to_coco()), "in.json: image 0 (id 5001): "
         "annotation 11 of a.jpg: its mask is 2x2 (height x width) but the image is "),
        (of_annotation("iscrowd", 2), "in.json: annotation 0 (id 11): iscrowd must be true or false, got 2."),
        (of_annotation("bbox", [1, 2]), "in.json: annotation 0 (id 11): bbox must be a list of 4 finite numbers, "
         "got list."),
    ],
)  # fmt: skip
def test_errors_name_file_entry_and_field(
    change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = copy.deepcopy(document())
    change(values)
    write(Path("in.json"), values)
    with pytest.raises(RecordError) as caught:
        list(coco.read_records("in.json"))
    assert str(caught.value).startswith(message), str(caught.value)


def test_real_annotations_are_those_of_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = Settings.from_environment().data
    if data is None:
        pytest.skip("SEGANY_DATA, the folder of annotated data, is not set")
    path = data / "coco_val80" / "instances.json"
    expected = theirs(path, capsys)
    seen = 0
    for record in coco.read_records(path):
        for annotation in record.annotations:
            entry = expected.anns[annotation.id]
            assert annotation.segmentation == RLE.from_coco(expected.annToRLE(entry))
            assert (annotation.category, annotation.iscrowd) == (
                expected.cats[entry["category_id"]]["name"],
                bool(entry["iscrowd"]),
            )
            assert entry["iscrowd"] or coco.stated_area(annotation) == entry["area"]
            seen += 1
    assert seen == len(expected.anns)
    coco.write_records(coco.read_records(path), tmp_path / "out.json", categories=coco.read_categories(path))
    back = theirs(tmp_path / "out.json", capsys)
    for identity, entry in expected.anns.items():
        ours = back.anns[identity]
        assert ours["category_id"] == entry["category_id"]
        if not entry["iscrowd"]:
            assert {key: ours[key] for key in ("segmentation", "bbox", "area")} == {
                key: entry[key] for key in ("segmentation", "bbox", "area")
            }


@given(st.lists(st.one_of(st.integers(-2, 12), st.just(2**70), st.text(max_size=1)), max_size=30))
def test_every_id_is_given_out_once(wanted: list[int | str]) -> None:
    ids = coco._Ids([3])
    taken = {3}
    for each in wanted:
        number = ids.take(each)
        assert number not in taken
        assert number > 0
        usable = isinstance(each, int) and 0 < each < 2**62 and each not in taken
        assert number == (each if usable else max(taken) + 1)
        taken.add(number)
