"""Label maps, black and white masks, VOC and DAVIS, all through open_dataset."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segany.formats import label_map, open_dataset
from segany.formats._folders import Pair
from segany.formats.masks_in_folders import Encoding, read_encoding
from segany.formats.problems import FlawError
from segany.geometry import Size
from segany.schema import Annotation, ImageInfo, Parent, Record

Save = Callable[..., Path]


def numbers(dtype: str = "uint8", **places: int) -> np.ndarray:
    """A 40x60 map with squares of 10 pixels in a row, by number."""
    labels = np.zeros((40, 60), dtype=dtype)
    for place, number in enumerate(places.values()):
        labels[5:15, 10 * place : 10 * place + 10] = number
    return labels


def test_label_maps(save: Save, tmp_path: Path) -> None:
    save("images/b.jpg")
    save("images/a.png")
    save("labels/a.png", numbers("uint16", x=1, y=700))
    save("labels/b.png", numbers("uint16", x=2))
    dataset = open_dataset(tmp_path, strict=True)
    first, second = dataset.records()
    assert dataset.format == "label_maps"
    assert dataset.notes == ("each number is an object",)
    assert (len(dataset), dataset.categories) == (2, ())
    assert first.image == ImageInfo("a", "a.png", Size(40, 60))
    assert [(each.id, each.area, each.source) for each in first.annotations] == [
        (1, 100, "manual"),
        (700, 100, "manual"),
    ]
    assert [each.id for each in second.annotations] == [2]
    assert dataset.image_path(second) == tmp_path / "images" / "b.jpg"
    assert dataset.annotation_path(second) == tmp_path / "labels" / "b.png"
    assert dataset.open_image(second).size == (40, 60)
    assert next(iter(dataset.records())).image == first.image, "a second pass"


def test_255_among_few_numbers_is_undecided_and_among_many_an_object(save: Save, tmp_path: Path) -> None:
    save("images/a.png")
    save("labels/a.png", numbers(x=1, y=2, z=255), mode="P")
    (record,) = (dataset := open_dataset(tmp_path)).records()
    assert dataset.format == "voc"
    assert dataset.notes == ("each number is an object, 255 is undecided",)
    assert [each.id for each in record.annotations] == [1, 2]
    assert record.ignore is not None
    assert record.ignore.box == (20, 5, 30, 15)
    save("labels/a.png", numbers(x=1, y=254, z=255))
    (record,) = (dataset := open_dataset(tmp_path)).records()
    assert (dataset.format, [each.id for each in record.annotations]) == ("label_maps", [1, 254, 255])
    (record,) = open_dataset(tmp_path, ignore=[254]).records()
    assert [each.id for each in record.annotations] == [1, 255]


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "tif"])
def test_black_and_white_masks_with_a_band_that_nobody_decided_on(save: Save, tmp_path: Path, suffix: str) -> None:
    save("images/a.jpg")
    save("images/b.jpg")
    save(f"masks/a.{suffix}", numbers(x=255))
    save(f"masks/b.{suffix}", numbers(x=255, y=128))
    first, second = (dataset := open_dataset(tmp_path, strict=True)).records()
    assert dataset.format == "binary_masks"
    assert dataset.notes == ("255 is the object, 128 is undecided",)
    assert [(each.id, each.area) for each in first.annotations + second.annotations] == [(1, 100), (1, 100)]
    assert first.ignore is None
    assert second.ignore is not None
    assert second.ignore.box == (10, 5, 20, 15)
    (_, record) = open_dataset(tmp_path, ignore=[]).records()
    assert (record.annotations[0].area, record.ignore) == (200, None)


def test_a_softened_edge_is_cut_in_the_middle(save: Save, tmp_path: Path) -> None:
    save("images/a.jpg")
    soft = numbers(x=255, y=255)
    soft[15, :20] = np.linspace(5, 250, 20).astype(np.uint8)
    soft[4, :20] = np.linspace(6, 251, 20).astype(np.uint8)
    save("masks/a.png", soft)
    (record,) = (dataset := open_dataset(tmp_path)).records()
    assert dataset.format == "binary_masks"
    assert record.annotations[0].area == int((soft >= 128).sum())


def test_masks_with_three_equal_channels_are_read(save: Save, tmp_path: Path) -> None:
    save("images/a.jpg")
    save("masks/a_mask.png", np.repeat(numbers(x=255)[..., None], 3, axis=2))
    (record,) = open_dataset(tmp_path, strict=True).records()
    assert [each.area for each in record.annotations] == [100]


def test_several_masks_of_one_image_in_a_folder_of_its_name(save: Save, tmp_path: Path) -> None:
    save("images/a.jpg")
    save("images/b.jpg")
    save("masks/a/leaf.png", numbers(x=255))
    save("masks/a/stem.png", numbers(x=0, y=255))
    save("masks/b.png", numbers(x=255))
    first, second = open_dataset(tmp_path, strict=True).records()
    assert [(each.id, each.box[0]) for each in first.annotations] == [("leaf", 0), ("stem", 10)]
    assert [each.id for each in second.annotations] == [1]
    save("masks/a/odd.png", np.full((4, 4), 255, dtype=np.uint8))
    dataset = open_dataset(tmp_path)
    assert [record.image.file_name for record in dataset.records()] == ["b.jpg"]
    (problem,) = dataset.problems
    assert (problem.kind, Path(problem.file).name) == ("wrong_size", "leaf.png")


def test_a_folder_for_each_image_as_in_the_data_science_bowl(save: Save, tmp_path: Path) -> None:
    for name in ("0a", "0b"):
        save(f"{name}/images/{name}.png")
        save(f"{name}/masks/f1.png", numbers(x=255))
        save(f"{name}/masks/f2.png", numbers(x=0, y=255))
    first, second = (dataset := open_dataset(tmp_path, strict=True)).records()
    assert dataset.format == "binary_masks"
    assert (first.image.file_name, second.image.file_name) == ("0a/0a.png", "0b/0b.png")
    assert [each.id for each in second.annotations] == ["f1", "f2"]
    assert dataset.image_path(second) == tmp_path / "0b" / "images" / "0b.png"


def test_voc_as_it_is_published(save: Save, tmp_path: Path) -> None:
    for name in ("1", "2", "3"):
        save(f"JPEGImages/{name}.jpg")
    (tmp_path / "Annotations").mkdir()
    save("SegmentationObject/1.png", numbers(x=1, y=2, z=255), mode="P")
    save("SegmentationClass/1.png", numbers(x=15, y=21, z=255), mode="P")
    save("SegmentationObject/2.png", numbers(x=1), mode="P")
    dataset = open_dataset(tmp_path)
    records = list(dataset.records())
    assert (dataset.format, len(dataset), len(dataset.categories)) == ("voc", 2, 20)
    assert [[each.category for each in record.annotations] for record in records] == [["person", None], [None]]
    assert [(problem.kind, Path(problem.file).parent.name, problem.key) for problem in dataset.problems] == [
        ("unknown_category", "SegmentationClass", "object 2"),
        ("unreadable", "SegmentationClass", ""),
    ]


@pytest.mark.parametrize("pattern", ["{sequence}/{kind}/{frame}", "{kind}/480p/{sequence}/{frame}"])
def test_davis_frames_know_their_sequence(save: Save, tmp_path: Path, pattern: str) -> None:
    folders = ("images", "masks") if pattern.startswith("{seq") else ("JPEGImages", "Annotations")
    for sequence in ("dog", "swan"):
        for frame in ("00000", "00001"):
            for kind, suffix in zip(folders, (".jpg", ".png"), strict=True):
                name = pattern.format(sequence=sequence, frame=frame, kind=kind) + suffix
                save(name, None if suffix == ".jpg" else numbers(x=255))
    records = list((dataset := open_dataset(tmp_path, strict=True)).records())
    assert dataset.format == "davis"
    last = records[-1].image
    sequence = "swan" if pattern.startswith("{seq") else "480p/swan"
    assert (last.group, last.parent) == (sequence, Parent("video", sequence, 1))
    assert (last.image_id, last.file_name) == (f"{sequence}/00001", f"{sequence}/00001.jpg")


def test_numbered_images_of_a_split_are_no_video(save: Save, tmp_path: Path) -> None:
    for split in ("train", "val"):
        save(f"images/{split}/0001.png")
        save(f"labels/{split}/0001.png", numbers(x=1, y=2))
    dataset = open_dataset(tmp_path, strict=True)
    assert dataset.format == "label_maps"
    assert [record.image.parent for record in dataset.records()] == [None, None]


def test_what_is_missing_or_does_not_fit_is_told_file_by_file(save: Save, tmp_path: Path) -> None:
    for name in ("alone", "good", "odd", "damaged", "twin"):
        save(f"images/{name}.png")
    save("images/twin.jpg")
    for name in ("good", "orphan", "twin"):
        save(f"labels/{name}.png", numbers(x=1, y=3))
    save("labels/odd.png", numbers(x=1, y=3)[:20])
    (tmp_path / "labels" / "damaged.png").write_bytes((tmp_path / "labels" / "good.png").read_bytes()[:60])
    dataset = open_dataset(tmp_path)
    assert [record.image.image_id for record in dataset.records()] == ["good", "twin"]
    assert sorted((problem.kind, Path(problem.file).name) for problem in dataset.problems) == [
        ("duplicate_id", "twin.png"),
        ("missing_image", "orphan.png"),
        ("missing_mask", "alone.png"),
        ("unreadable", "damaged.png"),
        ("wrong_size", "odd.png"),
    ]
    with pytest.raises(FlawError, match=r"twin\.png: only its suffix tells it from twin\.jpg"):
        open_dataset(tmp_path, strict=True)


def test_hidden_files_do_not_count(save: Save, tmp_path: Path) -> None:
    save("images/a.png")
    save("labels/a.png", numbers(x=1))
    for name in ("images/.DS_Store", "images/._a.png", "labels/._a.png", "labels/.thumbs/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert len(list(open_dataset(tmp_path, strict=True).records())) == 1


def test_a_sample_of_nothing_readable_is_label_maps(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"x")
    assert read_encoding([Pair("x", None, (tmp_path / "x.png",))]) == Encoding("label_map")


@given(labels=hnp.arrays(np.uint8, (7, 9), elements=st.integers(0, 4)))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_as_label_maps_is_read_back(labels: np.ndarray, tmp_path: Path, save: Save) -> None:
    image = save("images/a.png", np.zeros((7, 9, 3), dtype=np.uint8))
    info = ImageInfo("a", image.name, Size(7, 9))
    masks = label_map.record_from_label_map(labels, info).annotations
    record = Record(info, tuple(Annotation(number, each.segmentation) for number, each in enumerate(masks, start=1)))
    label_map.write_record(record, tmp_path / "labels" / "a.png")
    (back,) = open_dataset(tmp_path, strict=True).records()
    assert [each.segmentation for each in back.annotations] == [each.segmentation for each in record.annotations]
