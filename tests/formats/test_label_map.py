from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import MaskError, OutputError, RecordError
from segany.formats import label_map
from segany.geometry import Size
from segany.masks.rle import RLE
from segany.schema import Annotation, ImageInfo, Record
from segany.settings import Settings

INFO = ImageInfo("a", "a.png", Size(6, 8))


def boxed(*box: int, size: Size = INFO.size) -> RLE:
    mask = np.zeros(size, dtype=bool)
    x0, y0, x1, y1 = box
    mask[y0:y1, x0:x1] = True
    return RLE.from_mask(mask)


def record_of(*rles: RLE, info: ImageInfo = INFO) -> Record:
    return Record(info, tuple(Annotation(f"m{k}", rle) for k, rle in enumerate(rles)))


def test_the_smaller_mask_is_seen_and_of_equal_ones_the_earlier() -> None:
    small, large, twin, other = boxed(2, 2, 4, 4), boxed(0, 0, 8, 6), boxed(4, 0, 6, 2), boxed(5, 0, 7, 2)
    expected = np.full((6, 8), 2)
    expected[0:2, 5:7] = 4
    expected[0:2, 4:6] = 3
    expected[2:4, 2:4] = 1
    assert label_map.label_map(record_of(small, large, twin, other)).tolist() == expected.tolist()


def test_a_record_without_masks_and_empty_masks_are_background() -> None:
    assert not label_map.label_map(record_of()).any()
    assert not label_map.label_map(record_of(boxed(0, 0, 0, 0))).any()


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 4)))
def test_every_map_comes_back(labels: NDArray[np.uint8]) -> None:
    info = ImageInfo("a", "a.png", Size(*labels.shape))
    record = label_map.record_from_label_map(labels, info)
    assert [annotation.id for annotation in record.annotations] == [n for n in np.unique(labels).tolist() if n]
    for annotation in record.annotations:
        assert (annotation.segmentation.to_mask() == (labels == annotation.id)).all()
    ids = np.array([0, *(annotation.id for annotation in record.annotations)])
    assert (ids[label_map.label_map(record)] == labels).all()


def test_values_to_ignore_are_no_objects() -> None:
    labels = np.array([[0, 1, 255], [7, 7, 255]], dtype=np.uint8)
    record = label_map.record_from_label_map(labels, ImageInfo("a", "a.png", Size(2, 3)), ignore={255})
    assert [annotation.id for annotation in record.annotations] == [1, 7]
    assert {annotation.source for annotation in record.annotations} == {"manual"}


@pytest.mark.parametrize(
    ("count", "name", "mode"),
    [(3, "a.png", "L"), (255, "a.png", "L"), (256, "a.png", "I;16"), (256, "a.tif", "I;16")],
)
def test_files_have_as_many_bits_as_they_need(count: int, name: str, mode: str, tmp_path: Path) -> None:
    info = ImageInfo("a", "a.jpg", Size(280, 260))
    rles = [RLE.from_counts(info.size, [k, 1, info.size.area - k - 1]) for k in range(count)]
    record = record_of(*rles, info=info)
    label_map.write_record(record, tmp_path / name)
    with PillowImage.open(tmp_path / name) as picture:
        assert picture.mode == mode
    back = label_map.read_record(tmp_path / name, info)
    assert [annotation.id for annotation in back.annotations] == list(range(1, count + 1))
    assert [annotation.segmentation for annotation in back.annotations] == rles
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_more_than_16_bits_go_into_a_tiff_file(tmp_path: Path) -> None:
    covered, seen = boxed(0, 0, 1, 1), boxed(3, 3, 5, 5)
    label_map.write_record(record_of(*[covered] * 65_535, seen), tmp_path / "a.tif")
    with PillowImage.open(tmp_path / "a.tif") as picture:
        assert picture.mode == "I"
    back = label_map.read_record(tmp_path / "a.tif", INFO)
    assert [(annotation.id, annotation.segmentation) for annotation in back.annotations] == [
        (1, covered),
        (65_536, seen),
    ]


def test_too_many_for_png_says_what_to_name(tmp_path: Path) -> None:
    one = boxed(0, 0, 1, 1)
    with pytest.raises(RecordError) as caught:
        label_map.write_record(record_of(*[one] * 65_536), tmp_path / "a.png")
    assert str(caught.value) == "a.png has 65,536 masks, and PNG holds numbers up to 65,535; name a .tif file."
    with pytest.raises(RecordError, match=r"^a label map must be a \.png, \.tif or \.tiff file, got 'a\.jpg'\.$"):
        label_map.write_record(record_of(one), tmp_path / "a.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        label_map.write_record(record_of(one), tmp_path / "file" / "a.png")


def test_of_a_palette_the_indexes_are_read(tmp_path: Path) -> None:
    labels = np.array([[0, 1, 2], [2, 2, 0]], dtype=np.uint8)
    picture = PillowImage.fromarray(labels, "P")
    picture.putpalette([200, 0, 0, 0, 200, 0, 200, 0, 0])
    picture.save(tmp_path / "p.png")
    record = label_map.read_record(tmp_path / "p.png")
    assert record.image == ImageInfo("p", "p.png", Size(2, 3))
    assert [annotation.area for annotation in record.annotations] == [1, 3]


def test_what_is_no_label_map_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.png"

    def message(image: ImageInfo | None = None) -> str:
        with pytest.raises(RecordError) as caught:
            label_map.read_record(path, image)
        return str(caught.value)

    assert message() == f"cannot read {path}: No such file or directory."
    path.write_text("text")
    assert message() == f"{path} is no PNG or TIFF file, so it is no label map."
    PillowImage.new("RGB", (3, 2), (1, 2, 3)).save(path)
    assert message() == f"{path} has the mode RGB; a label map has one number for each pixel."
    PillowImage.new("L", (300, 200)).save(path)
    assert message(INFO) == f"{path}: the label map of a.png is [200, 300], but the image 6x8 (height x width)."
    path.write_bytes(path.read_bytes()[:60])
    assert message().startswith(f"cannot read {path}: ")
    with pytest.raises(
        MaskError, match=r"^a label map must be \[H, W\] of whole numbers from 0 up, got float64 \[6, 8"
    ):
        label_map.record_from_label_map(np.zeros((6, 8)), INFO)
    with pytest.raises(MaskError, match=r"from 0 up, got int64 \[6, 8\]"):
        label_map.record_from_label_map(np.full((6, 8), -1), INFO)


def test_real_label_maps_come_back() -> None:
    data = Settings.from_environment().data
    if data is None:
        pytest.skip("SEGANY_DATA, the folder of annotated data, is not set")
    paths = (
        sorted((data / "cvppp_a1").rglob("*label*.png"))[:3] or sorted((data / "bbbc038" / "labels").glob("*.png"))[:3]
    )
    assert paths
    for path in paths:
        record = label_map.read_record(path)
        with PillowImage.open(path) as picture:
            labels = np.asarray(picture)
        assert [annotation.id for annotation in record.annotations] == [n for n in np.unique(labels).tolist() if n]
        ids = np.array([0, *(annotation.id for annotation in record.annotations)])
        assert (ids[label_map.label_map(record)] == labels).all()
