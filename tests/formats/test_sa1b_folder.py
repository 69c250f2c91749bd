"""SA-1B as folders and as shards."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage

from segany.errors import RecordError
from segany.formats import open_dataset, sa1b, sa1b_shards
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, ImageInfo, Record

Rectangle = Callable[..., RLE]


def a_record(name: str, mask: RLE, *more: RLE) -> Record:
    annotations = tuple(Annotation(number, each) for number, each in enumerate((mask, *more)))
    return Record(ImageInfo(name, f"{name}.jpg", Size(40, 60)), annotations)


def jpeg(size: tuple[int, int] = (60, 40)) -> bytes:
    content = io.BytesIO()
    PillowImage.new("RGB", size, (9, 99, 199)).save(content, "JPEG")
    return content.getvalue()


def text(record: Record) -> bytes:
    return json.dumps(sa1b.record_to_json(record)).encode()


def files_of(folder: Path, records: Iterable[Record], images: str = ".") -> None:
    for record in records:
        (folder / images).mkdir(parents=True, exist_ok=True)
        sa1b.write_record(record, folder / f"{record.image.image_id}.json")
        (folder / images / record.image.file_name).write_bytes(jpeg())


@pytest.mark.parametrize("images", [".", "images", "../images"])
def test_records_and_images_in_one_folder_or_two(tmp_path: Path, rectangle: Rectangle, images: str) -> None:
    files_of(
        tmp_path / "set", [a_record("sa_1", rectangle(1, 2, 9, 9)), a_record("sa_2", rectangle(1, 2, 5, 5))], images
    )
    dataset = open_dataset(tmp_path / "set", strict=True)
    first, second = dataset.records()
    assert (dataset.format, len(dataset)) == ("sa1b", 2)
    assert first.annotations[0].segmentation == rectangle(1, 2, 9, 9)
    assert second.image.channels == 3
    path = dataset.image_path(second)
    assert path is not None
    assert path.name == "sa_2.jpg"
    assert dataset.annotation_path(second) == tmp_path / "set" / "sa_2.json"


def test_a_set_of_folders_and_a_single_record(tmp_path: Path, rectangle: Rectangle) -> None:
    for number in (1, 2):
        files_of(tmp_path / f"sa_00000{number}", [a_record(f"sa_{number}", rectangle(1, 2, 9, 9))])
    assert [record.image.image_id for record in open_dataset(tmp_path, strict=True).records()] == ["sa_1", "sa_2"]
    single = open_dataset(tmp_path / "sa_000002" / "sa_2.json", strict=True)
    assert (single.format, len(single), len(list(single.records()))) == ("sa1b", 1, 1)


def test_problems_of_records_and_of_masks(tmp_path: Path, rectangle: Rectangle) -> None:
    good = a_record("good", rectangle(1, 2, 9, 9))
    files_of(tmp_path, [good])
    document = sa1b.record_to_json(a_record("bad", rectangle(1, 2, 9, 9), rectangle(3, 3, 3, 3), rectangle(0, 0, 2, 2)))
    document["annotations"].append(document["annotations"][0])
    document["annotations"][2]["predicted_iou"] = float("nan")
    document["annotations"].append({"id": 9, "segmentation": rectangle(0, 0, 1, 1, (4, 4)).to_coco()})
    (tmp_path / "bad.json").write_text(json.dumps(document), encoding="utf-8")
    (tmp_path / "bad.jpg").write_bytes(jpeg())
    (tmp_path / "broken.json").write_text('{"image": {', encoding="utf-8")
    away = sa1b.record_to_json(good)
    away["image"]["file_name"] = "../../etc/passwd"
    (tmp_path / "hostile.json").write_text(json.dumps(away), encoding="utf-8")
    away["image"]["file_name"] = "away.jpg"
    (tmp_path / "away.json").write_text(json.dumps(away), encoding="utf-8")
    sa1b.write_record(a_record("cut", rectangle(0, 0, 2, 2)), tmp_path / "cut.json")
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    sa1b.write_record(a_record("wide", rectangle(0, 0, 2, 2)), tmp_path / "wide.json")
    (tmp_path / "wide.jpg").write_bytes(jpeg((61, 40)))
    dataset = open_dataset(tmp_path)
    assert [(record.image.image_id, len(record.annotations)) for record in dataset.records()] == [
        ("bad", 1),
        ("good", 1),
    ]
    found = sorted((problem.kind, Path(problem.file).name, problem.key) for problem in dataset.problems)
    assert found == [
        ("bad_json", "broken.json", ""),
        ("duplicate_id", "bad.json", "annotation 3"),
        ("empty_mask", "bad.json", "bad.jpg, annotation 1"),
        ("missing_image", "away.json", "away.jpg"),
        ("not_a_number", "bad.json", "annotation 2 (id 2)"),
        ("refused", "hostile.json", "../../etc/passwd"),
        ("unreadable", "cut.jpg", ""),
        ("wrong_size", "bad.json", "annotation 4"),
        ("wrong_size", "wide.json", "wide.jpg"),
    ]
    assert dataset.problem_counts["wrong_size"] == 2
    with pytest.raises(RecordError):
        list(open_dataset(tmp_path, strict=True).records())


def test_records_without_images_on_request(tmp_path: Path, rectangle: Rectangle) -> None:
    sa1b.write_record(a_record("sa_1", rectangle(1, 2, 9, 9)), tmp_path / "sa_1.json")
    dataset = open_dataset(tmp_path, require_images=False)
    (record,) = dataset.records()
    assert dataset.image_path(record) is None
    assert [problem.kind for problem in dataset.problems] == ["missing_image"]
    with pytest.raises(RecordError, match=r"the image sa_1\.jpg is not there"):
        dataset.open_image(record)


# Shards


def shard(path: Path, members: Iterable[tuple[str | tarfile.TarInfo, bytes]]) -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    content = buffer.getvalue()
    path.write_bytes(gzip.compress(content) if path.name.endswith("gz") else content)
    return path


def members_of(*records: Record) -> list[tuple[str | tarfile.TarInfo, bytes]]:
    found: list[tuple[str | tarfile.TarInfo, bytes]] = []
    for record in records:
        found += [(f"./{record.image.file_name}", jpeg()), (f"./{record.image.image_id}.json", text(record))]
    return found


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz"])
def test_shards_are_read_in_place(tmp_path: Path, rectangle: Rectangle, suffix: str) -> None:
    for number in (0, 1):
        records = [a_record(f"sa_{number}{inner}", rectangle(1, 2, 9 + inner, 9)) for inner in (0, 1)]
        shard(tmp_path / f"sa_{number}.{suffix}", members_of(*records))
    dataset = open_dataset(tmp_path, strict=True)
    assert (dataset.format, len(dataset)) == ("sa1b_shards", 4)
    seen = []
    for record in dataset.records():
        seen.append(record)
        assert dataset.image_path(record) is None
        image = dataset.open_image(record)
        assert (image.size, image.info.file_name) == ((40, 60), record.image.file_name)
    assert [record.image.image_id for record in seen] == ["sa_00", "sa_01", "sa_10", "sa_11"]
    assert seen[3].annotations[0].segmentation == rectangle(1, 2, 10, 9)
    assert dataset.annotation_path(seen[3]) == tmp_path / f"sa_1.{suffix}"
    assert dataset.open_image(seen[0]).size == (40, 60), "an image of the archive before"
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"sa_0.{suffix}", f"sa_1.{suffix}"]


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


HOSTILE: list[tuple[str | tarfile.TarInfo, str]] = [
    ("/etc/sa_9.json", "its name is an absolute path"),
    ("C:\\sa_9.json", "its name is an absolute path"),
    ("\\\\host\\sa_9.json", "its name is an absolute path"),
    ("../sa_9.json", "its name leads out of the archive"),
    ("a/..\\..\\sa_9.json", "its name leads out of the archive"),
    (special("sa_9.json", tarfile.SYMTYPE, "/etc/passwd"), "it is a link"),
    (special("sa_9.json", tarfile.LNKTYPE, "sa_1.json"), "it is a link"),
    (special("sa_9.json", tarfile.CHRTYPE), "it is a device"),
    (special("sa_9.json", tarfile.BLKTYPE), "it is a device"),
    (special("sa_9.json", tarfile.FIFOTYPE), "it is a device"),
]


@pytest.mark.parametrize(
    ("member", "reason"), HOSTILE, ids=[f"{number} {reason}" for number, (_, reason) in enumerate(HOSTILE)]
)
def test_hostile_members_are_refused_and_the_rest_is_read(
    tmp_path: Path, rectangle: Rectangle, member: str | tarfile.TarInfo, reason: str
) -> None:
    content = b"" if isinstance(member, tarfile.TarInfo) else b"{}"
    good = members_of(a_record("sa_1", rectangle(1, 2, 9, 9)))
    path = shard(tmp_path / "x.tar", [(member, content), *good, ("readme.txt", b"hello")])
    dataset = open_dataset(path)
    assert [record.image.image_id for record in dataset.records()] == ["sa_1"]
    (problem,) = dataset.problems
    assert (problem.kind, problem.file) == ("refused", str(path))
    assert reason in problem.what
    with pytest.raises(RecordError, match=reason):
        list(open_dataset(path, strict=True).records())


def test_members_beyond_any_record_are_refused(
    tmp_path: Path, rectangle: Rectangle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sa1b_shards, "_MAX_IMAGE_BYTES", 100)
    dataset = open_dataset(shard(tmp_path / "x.tar", members_of(a_record("sa_1", rectangle(1, 2, 9, 9)))))
    assert list(dataset.records()) == []
    assert [problem.kind for problem in dataset.problems] == ["refused", "missing_image"]
    monkeypatch.setattr(sa1b_shards, "_MAX_MEMBERS", 1)
    dataset = open_dataset(tmp_path / "x.tar")
    assert list(dataset.records()) == []
    assert "it has more than 1 members" in dataset.problems[-1].what


def test_an_archive_that_grows_beyond_reason_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sa1b_shards, "_ALWAYS_ALLOWED_BYTES", 2**16)
    dataset = open_dataset(shard(tmp_path / "x.tar.gz", [("a.json", b" " * 2**22)]))
    assert list(dataset.records()) == []
    assert dataset.problems[0].kind == "refused"
    assert "it grows to more than 20 times its size" in dataset.problems[0].what


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
@pytest.mark.parametrize("share", [0.55, 0.3])
def test_a_truncated_archive_gives_what_it_has(tmp_path: Path, rectangle: Rectangle, suffix: str, share: float) -> None:
    records = [a_record(f"sa_{number}", rectangle(number, 2, 19, 9)) for number in range(8)]
    path = shard(tmp_path / f"x.{suffix}", members_of(*records))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    dataset = open_dataset(path)
    read = [record.image.image_id for record in dataset.records()]
    assert read == [f"sa_{number}" for number in range(len(read))]
    assert suffix == "tar.gz" or 0 < len(read) < 8
    assert "truncated" in {problem.kind for problem in dataset.problems}
    with pytest.raises(RecordError, match="ends too early"):
        list(open_dataset(path, strict=True).records())


def test_what_is_no_archive_and_what_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"no archive" * 100)
    (tmp_path / "y.tar.gz").write_bytes(b"no archive" * 100)
    shard(tmp_path / "z.tar", [("a.json", b"{"), ("b.json", b"[]"), ("b.json", b"[]")])
    dataset = open_dataset(tmp_path)
    assert list(dataset.records()) == []
    found = [(problem.kind, Path(problem.file).name, problem.key) for problem in dataset.problems]
    assert set(found) >= {
        ("truncated", "x.tar", ""),
        ("truncated", "y.tar.gz", ""),
        ("duplicate_id", "z.tar", "b.json"),
        ("bad_json", "z.tar", "a.json"),
        ("invalid", "z.tar", "b.json"),
    }


def test_extra_fields_of_the_image_and_the_region_to_ignore_survive(tmp_path: Path, rectangle: Rectangle) -> None:
    region: Any = rectangle(0, 0, 60, 3)
    record = Record(ImageInfo(1, "1.jpg", Size(40, 60)), (), region, {"date": "2024"})
    sa1b.write_record(record, tmp_path / "1.json")
    back = sa1b.read_record(tmp_path / "1.json")
    assert back.ignore == region
    assert dict(back.extra) == {"date": "2024"}
