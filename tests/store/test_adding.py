"""What is new is added, what is known is recognised, whatever order things come in."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.errors import ImageError
from segany.formats import sa1b
from segany.geometry import Size
from segany.schema import Annotation, Parent, Prompt, Record
from segany.settings import Settings
from segany.store import Incoming, Store


def test_a_photo_is_stored_as_it_came(store: Store, samples: Any, tmp_path: Path) -> None:
    photo = samples.photo(tmp_path / "in" / "a.png", 1)
    report = store.add(photo, actor="ann")
    assert (report.records, report.masks, report.problems) == (1, 0, [])
    (record_id,) = report.record_ids
    stored = store.records.get(record_id)
    assert (stored.has_pixels, stored.altered, stored.split) == (True, False, None)
    assert stored.record.image.file_name == "a.png"
    name, content = store.image_file(record_id)
    assert content == photo.read_bytes()
    assert name == f"{stored.record.image.source_digest}.png"
    assert np.array_equal(store.image(record_id).pixels, samples.pixels(1))
    assert store.image(record_id).info.digest == stored.record.image.digest


def test_adding_again_changes_nothing(store: Store, samples: Any, tmp_path: Path) -> None:
    for seed in range(5):
        samples.photo(tmp_path / "in" / f"{seed}.png", seed)
    first = store.add(tmp_path / "in", actor="ann")
    before = store.versions.freeze("before", actor="ann")
    again = store.add(tmp_path / "in", actor="ann")
    assert (again.records, again.known, again.record_ids) == (0, 5, first.record_ids)
    assert store.versions.freeze("after", actor="ann").digest == before.digest


def test_the_same_pixels_in_another_file_are_one_record(store: Store, samples: Any, tmp_path: Path) -> None:
    samples.photo(tmp_path / "a.png", 1)
    samples.photo(tmp_path / "b.bmp", 1)
    first = store.add(tmp_path / "a.png", actor="ann")
    second = store.add(tmp_path / "b.bmp", actor="ann")
    assert second.record_ids == first.record_ids
    assert (second.records, second.known) == (0, 1)
    # And from now on the second file is known without being decoded.
    assert store.add(tmp_path / "b.bmp", actor="ann").known == 1


def test_the_same_in_one_call(store: Store, samples: Any, tmp_path: Path) -> None:
    samples.photo(tmp_path / "in" / "a.png", 1)
    samples.photo(tmp_path / "in" / "b.bmp", 1)
    report = store.add(tmp_path / "in", actor="ann")
    assert (report.records, report.known) == (1, 1)
    twice = [Incoming(samples.record(7), origin="x"), Incoming(samples.record(7), origin="x")]
    report = store.add_records(twice, actor="ann")
    assert (report.records, report.known, report.masks, report.known_masks) == (1, 1, 2, 2)
    assert not store.check().findings


def test_everything_known_of_an_annotation_survives(store: Store, samples: Any) -> None:
    full = Annotation(
        "seven",
        samples.mask(3),
        box=(1.5, 2.0, 3.25, 4.0),
        predicted_iou=0.1 + 0.2,
        stability_score=1 / 3,
        point_coords=((1.5, 2.5),),
        crop_box=(0.0, 0.0, 32.0, 24.0),
        source="semi_automatic",
        category="tree 🌳\t\\N\n'; DROP TABLE images; --",
        iscrowd=True,
        prompts=(Prompt(points=[[1, 2], [3, 4]], labels=[1, 0]), Prompt(box=[0, 0, 5, 5])),
        model_digest="ab" * 32,
        annotator='Robert"); DELETE FROM annotations; --',
        seconds_spent=12.5,
        parent_id=7,
        review_state="flagged",
        created_at=samples.annotation(1).created_at,
        outline=(np.array([[0.5, 0.25], [4.0, 1.0], [3.0, 7.0]]), np.array([[9.0, 9], [10, 9], [9, 10]])),
        extra={"foreign": {"list": [1, 2.5, None, "ü"]}},
    )
    info = samples.record(1).image
    info = replace(
        info,
        parent=Parent("video", "clip", 4),
        spacing=(0.5, 0.5),
        affine=(1.0, 0.0),
        crs="EPSG:32616",
        licence="CC0-1.0",
    )
    record = Record(info, (full, samples.annotation(7)), ignore=samples.mask(9), extra={"date": "2026"})
    (record_id,) = store.add_records([Incoming(record, origin="x")], actor="ann").record_ids
    stored = store.records.get(record_id).record
    assert sa1b.record_to_json(stored) == sa1b.record_to_json(record)
    assert stored.image == info
    assert stored.ignore == record.ignore
    assert stored.extra == record.extra
    back = stored.annotations[0]
    assert (back.box, back.predicted_iou, back.created_at, back.category) == (
        full.box,
        full.predicted_iou,
        full.created_at,
        full.category,
    )
    assert back.outline is not None
    assert [ring.tolist() for ring in back.outline] == [ring.tolist() for ring in full.outline or ()]
    assert not store.check().findings


def test_ids_keep_their_type(store: Store, samples: Any) -> None:
    record = Record(samples.record(1).image, (samples.annotation(5), samples.annotation("5", 1)))
    (record_id,) = store.add_records([Incoming(record)], actor="ann").record_ids
    assert [each.id for each in store.records.get(record_id).record.annotations] == [5, "5"]


def test_edited_and_removed_masks_stay_so_when_their_file_is_added_again(store: Store, samples: Any) -> None:
    incoming = samples.incoming(1, masks=3)
    (record_id,) = store.add_records(incoming, actor="ann").record_ids
    stored = store.records.get(record_id)
    edited = replace(stored.record.annotations[0], segmentation=samples.mask(77), category="edited")
    store.records.save(record_id, put=[edited], remove=[2], expected=stored.revision, actor="bob")
    again = store.add_records(incoming, actor="ann")
    assert (again.masks, again.known_masks, again.differing_masks) == (0, 3, 0)
    now = store.records.get(record_id).record.annotations
    assert [(each.id, each.category) for each in now] == [(3, None), (1, "edited")]


def test_a_changed_file_does_not_overwrite(store: Store, samples: Any) -> None:
    record = samples.record(1, masks=1)
    store.add_records([Incoming(record, origin="a.json")], actor="ann")
    changed = replace(record, annotations=(samples.annotation(1, 55), samples.annotation(2, 56)))
    report = store.add_records([Incoming(changed, origin="a.json")], actor="ann")
    assert (report.known, report.masks, report.differing_masks) == (1, 1, 1)


def test_another_data_sets_masks_of_the_same_ids_are_added_under_other_ids(store: Store, samples: Any) -> None:
    record = samples.record(1, masks=1)
    store.add_records([Incoming(record, origin="a.json")], actor="ann")
    child = samples.annotation(2, 57, parent_id=1)
    other = replace(record, annotations=(samples.annotation(1, 55), child))
    for known in (0, 2):
        report = store.add_records([Incoming(other, origin="b.json")], actor="ann")
        assert (report.masks, report.known_masks, report.differing_masks) == (2 - known, known, 0)
    annotations = store.records.get(report.record_ids[0]).record.annotations
    assert [(each.id, each.parent_id) for each in annotations] == [(1, None), ("b.json:1", None), (2, "b.json:1")]
    assert not store.check().findings


def test_masks_first_and_the_photo_later(store: Store, samples: Any, tmp_path: Path) -> None:
    photo = samples.photo(tmp_path / "photo-1.png", 1)
    bare = samples.record(1)
    first = store.add_records([Incoming(bare, origin="a.json")], actor="ann")
    assert first.without_pixels == 1
    frozen = store.versions.freeze("bare", actor="ann")
    later = store.add_records([Incoming(bare, photo, origin="a.json")], actor="ann")
    assert (later.records, later.known, later.pixels, later.known_masks) == (0, 1, 1, 2)
    stored = store.records.get(first.record_ids[0])
    assert stored.has_pixels
    assert stored.record.image.digest is not None
    # The frozen version still says that it had no pixels.
    store.versions.verify(frozen.name)
    assert store.versions.diff("bare").changes[0].got_image
    # And the same again without the photo beside it.
    assert store.add_records([Incoming(bare, origin="a.json")], actor="ann").known == 1


def test_a_stated_digest_finds_the_photo(store: Store, samples: Any, tmp_path: Path) -> None:
    photo = samples.photo(tmp_path / "other-name.png", 1)
    with_digest = samples.record(1)
    first = store.add(photo, actor="ann")
    digest = store.records.get(first.record_ids[0]).record.image.digest
    stated = replace(with_digest, image=replace(with_digest.image, digest=digest))
    report = store.add_records([Incoming(stated, origin="a.json")], actor="ann")
    assert (report.record_ids, report.masks) == (first.record_ids, 2)


def test_two_photos_of_one_name_are_two_records(store: Store, samples: Any, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        samples.photo(tmp_path / "in" / folder / "photo.png", len(folder) + ord(folder))
    report = store.add(tmp_path / "in", actor="ann")
    assert report.records == 2


def test_problems_do_not_stop_the_rest(store: Store, samples: Any, tmp_path: Path) -> None:
    samples.photo(tmp_path / "in" / "a.png", 1)
    (tmp_path / "in" / "b.png").write_bytes(b"not an image")
    samples.photo(tmp_path / "in" / "c.png", 3)
    report = store.add(tmp_path / "in", actor="ann")
    assert report.records == 2
    ((name, problem),) = report.problems
    assert name.endswith("b.png")
    assert "not an image that segany reads" in problem


def test_masks_of_another_size_are_refused(store: Store, samples: Any, tmp_path: Path) -> None:
    photo = samples.photo(tmp_path / "photo-1.png", 1, Size(10, 10))
    report = store.add_records([Incoming(samples.record(1), photo)], actor="ann")
    assert report.records == 0
    assert "the image is 10x10 (height x width) but its masks are for 24x32" in report.problems[0][1]


def test_nothing_there_is_an_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        store.add(tmp_path / "nowhere.png", actor="ann")


def test_a_folder_of_records_without_images(store: Store, samples: Any, tmp_path: Path) -> None:
    for number in range(3):
        sa1b.write_record(samples.record(number), tmp_path / "in" / f"photo-{number}.json")
    report = store.add(tmp_path / "in", actor="ann")
    assert (report.records, report.masks, report.without_pixels, report.problems) == (3, 6, 3, [])
    assert store.add(tmp_path / "in", actor="ann").known == 3


def test_small_batches_are_the_same(store: Store, samples: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segany.store.adding._BATCH_RECORDS", 2)
    calls: list[int] = []
    report = store.add_records(samples.incoming(5), actor="ann", progress=lambda so_far: calls.append(so_far.records))
    assert (report.records, calls) == (5, [2, 4, 5])


def test_the_audit_log_names_every_record(store: Store, samples: Any) -> None:
    report = store.add_records(samples.incoming(3), actor="ann")
    events = list(store.events.list(kind="record.added"))
    assert [event.record_id for event in events] == report.record_ids
    assert {event.actor for event in events} == {"ann"}


def test_a_real_data_set_keeps_its_masks(store: Store) -> None:
    data = Settings.from_environment().data
    if data is None:
        pytest.skip("SEGANY_DATA, the folder of annotated data, is not set")
    from segany.formats import open_dataset

    report = store.add(data / "coco_val80", actor="ann")
    assert (report.records, report.masks, report.problems) == (80, 815, [])
    wanted = {record.image.file_name: record for record in open_dataset(data / "coco_val80").records()}
    for stored in store.records.iterate():
        record = wanted.pop(stored.record.image.file_name)
        assert sa1b.record_to_json(stored.record)["annotations"] == sa1b.record_to_json(record)["annotations"]
        PillowImage.open(data / "coco_val80" / "images" / record.image.file_name).close()
    assert not wanted


def test_an_upload_is_called_what_its_sender_calls_it(store: Store, samples: Any, tmp_path: Path) -> None:
    upload = samples.photo(tmp_path / "tmp123.png", 1)
    (record_id,) = store.add_records([Incoming(image=upload, file_name="my cat.png")], actor="ann").record_ids
    assert store.records.get(record_id).record.image.file_name == "my cat.png"


def test_one_stated_digest_for_two_sizes(store: Store, samples: Any) -> None:
    one, two = samples.record(1, digest="ab"), samples.record(2, digest="ab", masks=0)
    two = replace(two, image=replace(two.image, size=Size(9, 9)))
    report = store.add_records([Incoming(one), Incoming(two)], actor="ann")
    assert report.records == 1
    assert "would be record 1, but it is 9x9" in report.problems[0][1]
    assert not store.check().findings


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(store: Store, samples: Any) -> None:
    store.add_records(samples.incoming(1), actor="ann")
    child = os.fork()
    if child == 0:
        store.add_records(samples.incoming(2), actor="child")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    store.add_records(samples.incoming(3), actor="ann")
    assert len(store.records.ids()) == 3
    assert not store.check().findings
