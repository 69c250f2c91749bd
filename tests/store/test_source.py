"""A store, and a version of it, converted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segany.errors import NotInStoreError
from segany.formats import Options, convert, open_dataset, plan_conversion
from segany.geometry import Size
from segany.schema import ImageInfo, Record
from segany.store import CategoryInfo, Store
from segany.store.source import StoreRecords


def test_a_store_is_converted_with_its_images_and_splits(embedded: Store, samples: Any, tmp_path: Path) -> None:
    samples.photo(tmp_path / "in" / "a.png", 1)
    embedded.add(tmp_path / "in", actor="test")
    embedded.add_records(samples.incoming(3), actor="test")
    embedded.collection.put_category(CategoryInfo("cup", "thing"), actor="test")
    embedded.splits.assign({"train": 1.0}, actor="test")
    source = StoreRecords(embedded)
    assert len(source) == 4
    plan = plan_conversion(source, Options("coco", categories=source.categories))
    assert plan.losses == ()
    done = convert(source, tmp_path / "out", plan)
    assert (done.records, done.images, done.images_missing) == (4, 1, 3)
    back = open_dataset(tmp_path / "out", require_images=False)
    records = list(back.records())
    stored = [each.record for each in embedded.records.iterate()]
    for one, other in zip(stored, records, strict=True):
        assert [each.segmentation for each in one.annotations] == [each.segmentation for each in other.annotations]
    assert {back.metadata(each)["split"] for each in records} == {"train"}
    assert {back.metadata(each)["altered"] for each in records} == {"0"}
    assert [(each.name, each.supercategory) for each in back.categories] == [("cup", "thing")]
    assert back.image_path(records[0]) is not None


def test_the_card_says_how_many_images_were_altered(tmp_path: Path) -> None:
    class Altered:
        name, categories, metadata_columns = "scans", (), ("altered",)

        def records(self) -> Iterator[Record]:
            return (Record(ImageInfo(k, f"{k}.png", Size(4, 4))) for k in range(3))

        def image_file(self, record: Record) -> None:
            return None

        def metadata(self, record: Record) -> dict[str, str]:
            return {"altered": "1" if record.image.image_id else "0"}

    source = Altered()
    convert(source, tmp_path / "out", plan_conversion(source, Options("coco")))
    page = (tmp_path / "out" / "datasheet.md").read_text(encoding="utf-8")
    assert "- 2 images were altered at their import; the column `altered` says which" in page


def test_a_version_is_what_it_was(embedded: Store, samples: Any, tmp_path: Path) -> None:
    embedded.add_records(samples.incoming(2), actor="test")
    embedded.versions.freeze("v1", actor="test")
    embedded.records.remove(1, expected=embedded.records.get(1).revision, actor="test")
    assert [len(StoreRecords(embedded, version)) for version in ("v1", "live")] == [2, 1]
    assert len(list(StoreRecords(embedded, "v1").records())) == 2
    assert len(StoreRecords(embedded, split="train")) == 0
    with pytest.raises(NotInStoreError, match="no version 'v2'"):
        StoreRecords(embedded, "v2")
