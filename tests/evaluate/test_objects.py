import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segany.errors import ConfigError, MissingExtraError, RecordError
from segany.evaluate import TrueObject, coco_objects, mask_folder_objects, stratified, volume_objects
from segany.masks import RLE


def write_coco(folder: Path, **changes: Any) -> None:
    square = [2, 2, 6, 2, 6, 6, 2, 6]
    annotations = [
        {"id": 7, "image_id": 1, "category_id": 3, "iscrowd": 0, "segmentation": [square]},
        {"id": 8, "image_id": 1, "category_id": 3, "iscrowd": 1, "segmentation": {"size": [10, 12], "counts": [120]}},
    ]
    images = [{"id": 1, "height": 10, "width": 12, "file_name": "a.jpg"}]
    categories = [{"id": 3, "name": "square"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(document | changes), encoding="utf-8")


def test_coco_objects(tmp_path: Path) -> None:
    write_coco(tmp_path)
    (only,) = coco_objects(tmp_path)
    assert (only.id, only.group, only.image) == ("7", "a.jpg", tmp_path / "images" / "a.jpg")
    assert only.mask.box == (2, 2, 6, 6)
    assert only.mask.size == (10, 12)


def test_coco_with_an_annotation_of_no_image(tmp_path: Path) -> None:
    write_coco(tmp_path, images=[])
    message = r"instances\.json: annotation 0 \(id 7\): there is no image with its image_id 1\.$"
    with pytest.raises(RecordError, match=message):
        coco_objects(tmp_path)


def test_a_folder_of_masks(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    Image.new("L", (5, 4)).save(tmp_path / "images" / "b.png")
    with pytest.raises(RecordError, match=r"^b\.png has no mask .*b\.png; add it or remove the image\.$"):
        mask_folder_objects(tmp_path)
    mask = np.zeros((4, 5), dtype=np.uint8)
    mask[1:3, 2:5] = 255
    Image.fromarray(mask).save(tmp_path / "masks" / "b.png")
    (only,) = mask_folder_objects(tmp_path)
    assert only.mask.box == (2, 1, 5, 3)


def test_slices_of_volumes(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    labels = np.zeros((20, 30, 9), dtype=np.uint8)
    labels[4:12, 10:20, 2:8] = 2
    labels[4, 10, 8] = 1
    volume = np.linspace(0, 1000, labels.size).reshape(labels.shape).astype(np.float32)
    for name, array in (("images", volume), ("labels", labels)):
        nibabel.nifti1.save(nibabel.nifti1.Nifti1Image(array, np.eye(4)), tmp_path / name / "one.nii.gz")
    objects = volume_objects(tmp_path, per_volume=3, min_area=64)
    assert [o.id for o in objects] == ["one:3", "one:5", "one:7"]
    assert {o.group for o in objects} == {"one"}
    assert all(o.mask.box == (4, 10, 12, 20) and o.mask.size == (30, 20) for o in objects)
    pixels = objects[0].image
    assert isinstance(pixels, np.ndarray)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (30, 20)
    assert pixels.min() < 3
    assert pixels.max() > 252
    assert len(volume_objects(tmp_path, per_volume=20, min_area=64)) == 6


def test_volumes_need_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.nii.gz").touch()
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingExtraError, match=r"^Reading NIfTI volumes needs an optional part\."):
        volume_objects(tmp_path, per_volume=3, min_area=64)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"^no images in "):
        mask_folder_objects(tmp_path)
    with pytest.raises(RecordError, match=r"^no labelled slices in "):
        volume_objects(tmp_path, 3, 64)


class TestStratified:
    @pytest.fixture
    def objects(self) -> list[TrueObject]:
        masks = [np.arange(100).reshape(10, 10) < area for area in (50, 3, 99, 7, 20, 10)]
        return [TrueObject(str(k), "g", Path("x.png"), RLE.from_mask(mask)) for k, mask in enumerate(masks)]

    def test_spread_over_the_sizes(self, objects: list[TrueObject]) -> None:
        assert [o.mask.area for o in stratified(objects, 3)] == [7, 20, 99]
        assert [o.mask.area for o in stratified(objects, 6)] == [3, 7, 10, 20, 50, 99]
        assert [o.mask.area for o in stratified(objects, 2, min_area=20)] == [20, 99]

    def test_too_many(self, objects: list[TrueObject]) -> None:
        with pytest.raises(ConfigError, match=r"^a sample must have 1 to 6 objects, got 7\.$"):
            stratified(objects, 7)
