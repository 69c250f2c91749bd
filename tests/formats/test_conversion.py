"""Every format that is written, read back: by segany, and by the published tools where there are any.

One file, for its full record and what compares two serve nearly every test.
"""

import csv
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image as PillowImage
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from segany.errors import ConfigError, OutputError, RecordError
from segany.formats import TARGETS, Category, Options, Target, convert, open_dataset, plan_conversion
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, ImageInfo, Parent, Prompt, Record

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")
SIZE = Size(24, 32)
# Those that keep every field of a record.
WHOLE: tuple[Target, ...] = ("coco", "sa1b", "labelme", "geojson", "parquet")


def png(size: Size = SIZE) -> bytes:
    content = io.BytesIO()
    PillowImage.fromarray(np.zeros((*size, 3), dtype=np.uint8)).save(content, "PNG")
    return content.getvalue()


class Given:
    """Records in memory as a source."""

    name = "given"
    metadata_columns: tuple[str, ...] = ()

    def __init__(self, records: Sequence[Record], categories: Sequence[Category] = ()) -> None:
        self._records, self.categories = records, tuple(categories)

    def records(self) -> Iterator[Record]:
        return iter(self._records)

    def image_file(self, record: Record) -> Path | IO[bytes] | None:
        return io.BytesIO(png(record.image.size))

    def metadata(self, record: Record) -> Mapping[str, str]:
        return {}


def written(
    records: Sequence[Record], folder: Path, to: Target, categories: Sequence[Category] = (), **options: Any
) -> list[Record]:
    """The records as they come back."""
    source = Given(records, categories)
    convert(source, folder, plan_conversion(source, Options(to, categories=source.categories, **options)))
    # Of a video, frames that nobody annotated are in the file, but not their pictures.
    back = open_dataset(folder, strict=to != "sav", require_images=to != "sav")
    return list(back.records())


def rectangle(x0: int, y0: int, x1: int, y1: int) -> RLE:
    mask = np.zeros(SIZE, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return RLE.from_mask(mask)


def ring_mask() -> RLE:
    """A ring with an island in its hole, and a part that touches it at a corner."""
    mask = np.zeros(SIZE, dtype=bool)
    mask[2:12, 2:12] = True
    mask[4:10, 4:10] = False
    mask[6:8, 6:8] = True
    mask[12:14, 12:14] = True
    return RLE.from_mask(mask)


def full_record(name: str = "a.png", identity: int | str = "scan-7") -> Record:
    """Every field has a value."""
    info = ImageInfo(
        identity,
        name,
        SIZE,
        digest="d" * 64,
        source_digest="e" * 64,
        parent=Parent("volume", "head", 3),
        spacing=(0.5, 0.25),
        affine=(2.0, 0.0, 100.0, 0.0, -2.0, 900.0),
        crs="EPSG:32616",
        licence="CC-BY-4.0",
        group="patient 1",
    )
    first = Annotation(
        "m1",
        ring_mask(),
        predicted_iou=0.9471235275268555,
        stability_score=0.97,
        point_coords=((12.5, 14.0),),
        crop_box=(2, 1, 30, 20),
        source="semi_automatic",
        category="leaf",
        prompts=(Prompt(points=[(3, 4)], labels=[0]), Prompt(box=[1, 2, 9, 8])),
        model_digest="f" * 64,
        annotator="Ann",
        seconds_spent=12.5,
        review_state="accepted",
        created_at=datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC),
        extra=MappingProxyType({"attributes": {"occluded": True}, "label": "x", "points": [1]}),
    )
    ring = np.array([[20.25, 3.5], [28.75, 3.5], [24.1, 11.3]])
    crowd = Annotation(2, rectangle(0, 15, 9, 20), iscrowd=True, source="manual", parent_id="m1")
    outlined = Annotation(3, RLE.from_coco(_filled(ring)), outline=(ring,), source="automatic", extra={"area": 33.5})
    return Record(info, (first, crowd, outlined), rectangle(25, 20, 32, 24), MappingProxyType({"weather": "rain"}))


def _filled(ring: NDArray[np.float64]) -> Any:
    return coco_mask.merge(coco_mask.frPyObjects([ring.ravel().tolist()], *SIZE))


def same(left: Record, right: Record, *, but: Sequence[str] = ()) -> None:
    """Every field of two records is the same."""
    for name in ImageInfo.__dataclass_fields__:
        if f"image.{name}" not in but:
            assert getattr(left.image, name) == getattr(right.image, name), name
    assert left.ignore == right.ignore
    assert dict(left.extra) == dict(right.extra)
    assert [each.id for each in left.annotations] == [each.id for each in right.annotations]
    for one, other in zip(left.annotations, right.annotations, strict=True):
        for name in Annotation.__dataclass_fields__:
            mine, theirs = getattr(one, name), getattr(other, name)
            if name == "outline":
                continue
            if name == "prompts":
                mine, theirs = [each.to_dict() for each in mine], [each.to_dict() for each in theirs]
            if name in ("box", "area", *but):
                continue
            assert mine == theirs, f"{one.id}: {name}"


@pytest.mark.parametrize("to", WHOLE)
def test_nothing_of_a_record_is_lost(to: Target, tmp_path: Path) -> None:
    record = full_record()
    source = Given([record])
    plan = plan_conversion(source, Options(to))
    assert plan.losses == ()
    (back,) = written([record], tmp_path / "out", to)
    same(record, back)
    outline = back.annotations[2].outline
    assert outline is not None
    assert np.abs(outline[0] - record.annotations[2].outline[0]).max() < 1e-6  # type: ignore[index]


def test_nothing_of_a_record_is_lost_in_tar_files(tmp_path: Path) -> None:
    records = [full_record(f"{k}/a.png", k) for k in range(5)]
    back = written(records, tmp_path / "out", "sa1b", shard_images=2)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.tar")) == [f"sa_{k:06d}.tar" for k in range(3)]
    for one, other in zip(records, back, strict=True):
        same(one, other, but=["image.file_name"])


def test_tar_files_are_read_by_the_published_tools(tmp_path: Path) -> None:
    record = full_record()
    written([record], tmp_path / "out", "sa1b", shard_images=10)
    with tarfile.open(tmp_path / "out" / "sa_000000.tar") as archive:
        assert sorted(archive.getnames()) == ["a.json", "a.png"]
        assert archive.getmember("a.png").mtime == 0
        document = json.load(archive.extractfile("a.json"))  # type: ignore[arg-type]
        assert PillowImage.open(archive.extractfile("a.png")).size == (SIZE.width, SIZE.height)  # type: ignore[arg-type]
    for entry, annotation in zip(document["annotations"], record.annotations, strict=True):
        decoded = coco_mask.decode(entry["segmentation"])
        assert (decoded.astype(bool) == annotation.segmentation.to_mask()).all()
        assert entry["area"] == int(decoded.sum())
        assert entry["bbox"] == coco_mask.toBbox(entry["segmentation"]).tolist()


def test_instances_are_read_by_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    categories = (Category(7, "leaf", "plant", "f"), Category(9, "root", "plant"))
    written([full_record()], tmp_path / "out", "coco", categories)
    theirs = COCO(str(tmp_path / "out" / "instances.json"))
    capsys.readouterr()
    assert [theirs.cats[number]["supercategory"] for number in (7, 9)] == ["plant", "plant"]
    masks = [theirs.annToMask(each).astype(bool) for each in theirs.loadAnns(theirs.getAnnIds())]
    for mask, annotation in zip(masks, full_record().annotations, strict=True):
        assert (mask == annotation.segmentation.to_mask()).all()
    assert open_dataset(tmp_path / "out").categories[:2] == categories


EXPECTED_LOSSES = {
    "yolo": {"iscrowd": 1, "ignore": 1, "no category": 2, "id": 2, "prompts": 1, "source": 2, "image.crs": 1},
    "voc": {"outline": 1, "iscrowd": 1, "no category": 2, "id": 2, "annotator": 1, "extra": 2, "image.parent": 1},
    "labels": {"outline": 1, "iscrowd": 1, "ignore": 1, "category": 1, "id": 2, "seconds_spent": 1},
    "sav": {"iscrowd": 1, "ignore": 1, "category": 1, "predicted_iou": 1, "images of no video": 1},
}


@pytest.mark.parametrize("to", EXPECTED_LOSSES)
def test_what_is_lost_is_counted_by_field(to: Target, tmp_path: Path) -> None:
    source = Given([full_record()], [Category(1, "leaf"), Category(2, "root")])
    plan = plan_conversion(source, Options(to))
    counted = {loss.field: loss.count for loss in plan.losses}
    assert counted | EXPECTED_LOSSES[to] == counted
    assert ("unused classes" in counted) == (to not in ("yolo", "voc"))
    with pytest.raises(RecordError, match=rf"^{to} cannot hold all of given, and --strict was given: "):
        convert(source, tmp_path / "out", plan, strict=True)
    assert list(tmp_path.iterdir()) == []


def test_a_class_that_no_mask_has_is_kept_or_counted(tmp_path: Path) -> None:
    categories = [Category(1, "leaf"), Category(2, "root")]
    for to in ("coco", "parquet", "yolo", "voc"):
        written([full_record()], tmp_path / to, to, categories)
        names = [each.name for each in open_dataset(tmp_path / to).categories]
        assert names[:2] == ["leaf", "root"]
    (loss,) = plan_conversion(Given([full_record()], categories), Options("sa1b")).losses
    assert str(loss) == "unused classes: 1 class"


def visible(record: Record) -> list[NDArray[np.bool_]]:
    return [each.segmentation.to_mask() for each in record.annotations]


masks = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 11)), elements=st.booleans())


@pytest.mark.parametrize("to", [target for target in TARGETS if target != "sav"])
@given(pixels=masks)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_mask_comes_back(to: Target, pixels: NDArray[np.bool_], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Holes, islands, single pixels, masks that touch the border, and those that touch each other."""
    size = Size(*pixels.shape)
    rest = ~pixels
    found = [Annotation(k, RLE.from_mask(each)) for k, each in ((1, pixels), (2, rest)) if each.any()]
    record = Record(ImageInfo("a", "a.png", size), tuple(found))
    (back,) = written([record], tmp_path_factory.mktemp("out") / "x", to)
    assert [each.segmentation for each in back.annotations] == [each.segmentation for each in found]


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 3)),
    st.integers(1, 4),
)
@settings(max_examples=20)
def test_every_masklet_comes_back(frames: NDArray[np.uint8], step: int) -> None:
    import tempfile

    records = []
    for place, labels in enumerate(frames):
        found = [Annotation(f"manual:{n}", RLE.from_mask(labels == n)) for n in (1, 2, 3) if (labels == n).any()]
        info = ImageInfo(place, f"v/{place}.png", Size(*labels.shape), parent=Parent("video", "v", place * step))
        records.append(Record(info, tuple(Annotation(e.id, e.segmentation, source="manual") for e in found)))
    with tempfile.TemporaryDirectory() as folder:
        back = written(records, Path(folder) / "out", "sav")
    by_frame = {each.image.parent.index: each for each in back if each.image.parent is not None}
    for record in records:
        assert record.image.parent is not None
        there = {each.id: each.segmentation for each in by_frame[record.image.parent.index].annotations}
        assert there == {each.id: each.segmentation for each in record.annotations}


def test_an_empty_mask_is_kept_or_counted(tmp_path: Path) -> None:
    empty = Annotation(1, RLE.from_counts(SIZE, [SIZE.area]))
    record = Record(ImageInfo("a", "a.png", SIZE), (empty, Annotation(2, ring_mask())))
    for to in TARGETS:
        losses = {loss.field for loss in plan_conversion(Given([record]), Options(to)).losses}
        assert ("empty masks" in losses) == (to in ("yolo", "voc", "labels", "labelme", "sav")), to
        if to != "sav":
            source = Given([record])
            convert(source, tmp_path / to, plan_conversion(source, Options(to)))
            kinds = {problem.kind for problem in read(tmp_path / to).problems}
            assert kinds == (set() if "empty masks" in losses else {"empty_mask"}), to


def read(folder: Path) -> Any:
    dataset = open_dataset(folder)
    list(dataset.records())
    return dataset


def test_overlap_is_counted_in_pixels_and_masks(tmp_path: Path) -> None:
    large, small, covered = rectangle(0, 0, 10, 10), rectangle(5, 5, 15, 10), rectangle(20, 0, 22, 2)
    over = rectangle(20, 0, 22, 2)
    found = (large, small, covered, over)
    record = Record(ImageInfo("a", "a.png", SIZE), tuple(Annotation(k, m) for k, m in enumerate(found, start=1)))
    plan = plan_conversion(Given([record]), Options("labels"))
    words = "overlap: 2 masks (lose 29 pixels to smaller masks, 1 of them wholly)"
    assert words in [str(loss) for loss in plan.losses]
    (back,) = written([record], tmp_path / "out", "labels")
    lost = sum(each.area for each in found) - sum(each.segmentation.area for each in back.annotations)
    assert (lost, len(back.annotations)) == (29, 3)


def test_more_objects_than_voc_has_numbers(tmp_path: Path) -> None:
    size = Size(20, 30)
    made = [RLE.from_counts(size, [k, 1 + (k == 9), size.area - k - 1 - (k == 9)]) for k in range(0, 2 * 300, 2)]
    record = Record(ImageInfo("a", "a.png", size), tuple(Annotation(k, m) for k, m in enumerate(made, start=1)))
    plan = plan_conversion(Given([record]), Options("voc"))
    assert "objects beyond 254: 46 masks (the smallest of an image with more are left out)" in map(str, plan.losses)
    (back,) = written([record], tmp_path / "voc", "voc")
    assert len(back.annotations) == 254
    (back,) = written([record], tmp_path / "labels", "labels")
    assert [(each.id, each.segmentation) for each in back.annotations] == list(enumerate(made, start=1))


def test_voc_says_what_is_undecided_and_which_class(tmp_path: Path) -> None:
    first = Annotation(5, rectangle(2, 2, 8, 8), category="hot: dog", source="manual")
    crowd = Annotation(6, rectangle(20, 2, 30, 8), category="person", iscrowd=True)
    record = Record(ImageInfo("a", "x/a.png", SIZE), (first, crowd), rectangle(0, 20, 32, 24))
    (back,) = written([record], tmp_path / "out", "voc", [Category(40, "person"), Category(50, "hot: dog")])
    (object_,) = back.annotations
    assert (object_.id, object_.category, object_.segmentation) == (5, "hot: dog", first.segmentation)
    assert back.ignore == record.undecided
    lines = (tmp_path / "out" / "labelmap.txt").read_text(encoding="utf-8").splitlines()
    assert lines[1:] == ["background:0,0,0::", "person:128,0,0::", "hot: dog:0,128,0::"]
    with PillowImage.open(tmp_path / "out" / "SegmentationClass" / "x" / "a.png") as picture:
        assert (picture.mode, sorted(np.unique(np.asarray(picture)).tolist())) == ("P", [0, 2, 255])
    assert (tmp_path / "out" / "ImageSets" / "Segmentation" / "all.txt").read_text(encoding="utf-8") == "x/a\n"


def test_imported_polygons_come_back_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    rings = [np.round(rng.uniform(0, 24, (9, 2)), 2) for _ in range(40)]
    found = [Annotation(k, RLE.from_coco(_filled(ring)), outline=(ring,)) for k, ring in enumerate(rings, start=1)]
    record = Record(ImageInfo("a", "a.png", SIZE), tuple(each for each in found if each.segmentation.area))
    for to in ("coco", "sa1b", "labelme", "geojson", "parquet", "yolo"):
        (back,) = written([record], tmp_path / to, to)
        for one, other in zip(record.annotations, back.annotations, strict=True):
            assert one.segmentation == other.segmentation
            assert np.array_equal(one.outline[0], other.outline[0])  # type: ignore[index]


def test_rings_that_overlap_are_not_joined_to_a_hole(tmp_path: Path) -> None:
    rings = tuple(np.array([[x, 2.0], [x + 10, 2.0], [x + 10, 12.0], [x, 12.0]]) for x in (2.0, 7.0))
    both = RLE.merge([RLE.from_coco(_filled(ring)) for ring in rings])
    record = Record(ImageInfo("a", "a.png", SIZE), (Annotation(1, both, outline=rings),))
    (back,) = written([record], tmp_path / "out", "yolo")
    assert back.annotations[0].segmentation == both


# Names, images, and what stands beside the data

HOSTILE = [
    "../../outside.png",
    "/etc/passwd",
    "C:\\windows\\evil.png",
    "..\\..\\up.png",
    "a/../../b.png",
    ".hidden/.dot.png",
    "CON.png",
    "x\0y.png",
    "line\nbreak.png",
    "\ud800.png",
    "tail. /a .png",
    "a" * 300 + ".png",
    "no suffix",
    "labels.json",
    "",
    "...",
    "name.PNG",
    "NAME.jpg",
    "'; DROP TABLE taken; --.png",
]


@pytest.mark.parametrize("to", [target for target in TARGETS if target != "sav"])
def test_no_name_leaves_the_folder_or_clashes(to: Target, tmp_path: Path) -> None:
    records = [
        Record(ImageInfo(k, name, SIZE, licence="CC0-1.0"), (Annotation(1, ring_mask()),))
        for k, name in enumerate(HOSTILE)
    ]
    source = Given(records)
    done = convert(source, tmp_path / "inner" / "out", plan_conversion(source, Options(to)))
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]
    assert [path.name for path in (tmp_path / "inner").iterdir()] == ["out"]
    assert done.renamed >= 10
    back = open_dataset(tmp_path / "inner" / "out", strict=True)
    found = list(back.records())
    assert len(found) == len(HOSTILE)
    assert {each.annotations[0].segmentation for each in found} == {ring_mask()}
    assert {each.image.licence for each in found} == {"CC0-1.0"}
    with (tmp_path / "inner" / "out" / "metadata.csv").open(encoding="utf-8", newline="") as file:
        names = [row["image"] for row in csv.DictReader(file)]
    assert len({name.casefold() for name in names}) == len(HOSTILE)


def test_a_video_of_a_hostile_name_stays_inside(tmp_path: Path) -> None:
    parents = [Parent("video", "../../v", 0), Parent("video", "../../v", 4), Parent("video", "..\\v", 0)]
    records = [
        Record(ImageInfo(k, "x.png", SIZE, parent=parent), (Annotation(1, ring_mask()),))
        for k, parent in enumerate(parents)
    ]
    back = written(records, tmp_path / "inner" / "out", "sav")
    assert sorted(path.name for path in (tmp_path / "inner" / "out").glob("*.json")) == ["v-2_auto.json", "v_auto.json"]
    assert [each.image.file_name for each in back] == ["v-2/00000.jpg", "v/00000.jpg", "v/00004.jpg"]
    again = [records[0], records[2], records[1]]
    with pytest.raises(RecordError, match="come again after those of another; order the records by video"):
        written(again, tmp_path / "again", "sav")


def test_masklets_are_of_people_or_of_a_model() -> None:
    record = Record(
        ImageInfo(1, "v/0.png", SIZE, parent=Parent("video", "v", 0)),
        (Annotation("auto:1", ring_mask()), Annotation("manual:1", ring_mask(), source="semi_automatic")),
    )
    plan = plan_conversion(Given([record]), Options("sav"))
    assert "source: 1 mask (semi-automatic becomes manual)" in map(str, plan.losses)


@pytest.mark.parametrize("index", [-1, 10**12])
def test_a_frame_number_without_bound_is_refused(index: int, tmp_path: Path) -> None:
    info = ImageInfo(1, "x.png", SIZE, parent=Parent("video", "v", index))
    with pytest.raises(RecordError, match="or can have none of that number"):
        written([Record(info, (Annotation(1, ring_mask()),))], tmp_path / "out", "sav")


def a_set(folder: Path) -> Path:
    """A COCO set of two images."""
    source = Given([full_record("a.png"), full_record("sub/b.png", 5)])
    convert(source, folder, plan_conversion(source, Options("coco")))
    return folder


def test_images_are_copied_linked_or_referenced(tmp_path: Path) -> None:
    source = open_dataset(a_set(tmp_path / "in"))
    original = tmp_path / "in" / "images" / "sub" / "b.png"
    for mode in ("copy", "link", "reference", "none"):
        done = convert(source, tmp_path / mode, plan_conversion(source, Options("yolo", mode)))
        image = tmp_path / mode / "images" / "sub" / "b.png"
        assert done.images == (0 if mode == "none" else 2)
        assert image.is_file() == (mode != "none")
        assert image.is_symlink() == (mode == "reference")
        assert mode == "none" or image.samefile(original) == (mode in ("link", "reference"))
    original.write_bytes(b"")
    assert (tmp_path / "copy" / "images" / "sub" / "b.png").read_bytes() == png()


def test_images_that_are_not_there_are_counted(tmp_path: Path) -> None:
    (a_set(tmp_path / "in") / "images" / "a.png").unlink()
    source = open_dataset(tmp_path / "in", require_images=False)
    done = convert(source, tmp_path / "out", plan_conversion(source, Options("sa1b")))
    assert (done.records, done.images, done.images_missing) == (2, 1, 1)


def test_columns_of_the_source_come_along(tmp_path: Path) -> None:
    folder = a_set(tmp_path / "in")
    (folder / "metadata.csv").write_text("image,country\na.png,Ghana\nb,Peru\n", encoding="utf-8")
    source = open_dataset(folder)
    for to in TARGETS:
        if to != "sav":
            convert(source, tmp_path / to, plan_conversion(source, Options(to)))
            back = open_dataset(tmp_path / to, strict=True)
            records = list(back.records())
            assert [back.metadata(each)["country"] for each in records] == ["Ghana", "Peru"]
            assert {(each.image.licence, each.image.group) for each in records} == {("CC-BY-4.0", "patient 1")}


def test_the_datasheet_counts_and_cannot_be_written_to_from_a_name(tmp_path: Path) -> None:
    bad = Annotation(1, ring_mask(), category="<script>|[x](y)\n# heading")
    source = Given([full_record(), Record(ImageInfo(2, "b.png", SIZE, licence="CC0|`x`"), (bad,))])
    convert(source, tmp_path / "out", plan_conversion(source, Options("labels")))
    page = (tmp_path / "out" / "datasheet.md").read_text(encoding="utf-8")
    assert "- 2 images, 0 of them without masks" in page
    assert "- 4 masks, 1 of them of crowds" in page
    assert "| CC-BY-4.0 | 1 |" in page
    assert "| CC0\\|\\`x\\` | 1 |" in page
    assert "\\<script\\>\\|\\[x\\](y) \\# heading | 1 |" in page
    assert "- iscrowd: 1 mask (left out)" in page
    assert "`metadata.csv` has the licence of each image." in page


# What must not happen to a folder


def test_a_folder_that_holds_something_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is there already and not empty; give a new folder"):
        written([full_record()], tmp_path / "out", "coco")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (tmp_path / "out" / "mine.txt").unlink()
    assert len(written([full_record()], tmp_path / "out", "coco")) == 1


def test_a_source_without_records_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(
        RecordError, match=r"^there is nothing to write as coco: given holds no record that can be read"
    ):
        written([], tmp_path / "out", "coco")
    with pytest.raises(RecordError, match=r"as sav: images of no video: 1 image \(left out\)\.$"):
        written([full_record()], tmp_path / "out", "sav")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", TARGETS)
def test_a_full_disk_leaves_nothing(to: Target, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of a process are of POSIX")
    signal = __import__("signal")
    record = full_record()
    video = Record(
        ImageInfo(1, "v/1.png", SIZE, parent=Parent("video", "v", 4)), tuple(record.annotations), record.ignore
    )
    source = Given([video] * (300 if to in ("coco", "parquet") else 1))
    plan = plan_conversion(source, Options(to, "none" if to in ("coco", "parquet") else "copy"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, before[1]))
        with pytest.raises(OutputError, match="Nothing was left half-written; free some space"):
            convert(source, tmp_path / "out", plan)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="shards are for sa1b"):
        plan_conversion(Given([]), Options("coco", shard_images=5))
    with pytest.raises(ConfigError, match="a tar file holds copies of images, or none"):
        plan_conversion(Given([]), Options("sa1b", "link", shard_images=5))
    with pytest.raises(ConfigError, match="the format must be one of coco, sa1b"):
        plan_conversion(Given([]), Options("pdf"))  # type: ignore[arg-type]


def test_a_value_that_is_no_json_is_told_by_its_image(tmp_path: Path) -> None:
    bad = Annotation(1, ring_mask(), extra={"when": float("nan")})
    for to in WHOLE:
        with pytest.raises(RecordError, match=r"the record of a\.png cannot be written"):
            written([Record(ImageInfo("a", "a.png", SIZE), (bad,))], tmp_path / to, to)
    assert list(tmp_path.iterdir()) == []
