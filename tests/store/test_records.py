"""Records are edited one at a time, and nobody's edit is lost."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segany.errors import ConfigError, ConflictError, NotInStoreError, RecordError, ReviewError
from segany.geometry import Size
from segany.store import Store, StoredRecord


@pytest.fixture
def stored(store: Store, samples: Any) -> StoredRecord:
    """A record with the annotations 1 and 2."""
    (record_id,) = store.add_records(samples.incoming(1), actor="ann").record_ids
    return store.records.get(record_id)


def test_put_changes_adds_and_removes_at_once(store: Store, stored: StoredRecord, samples: Any) -> None:
    changed = replace(stored.record.annotations[0], category="leaf")
    after = store.records.save(
        stored.id, put=[changed, samples.annotation("new", 9)], remove=[2], expected=stored.revision, actor="bob"
    )
    assert [(each.id, each.category) for each in after.record.annotations] == [(1, "leaf"), ("new", None)]
    assert after.revision > stored.revision
    (event,) = store.events.list(kind="record.edited")
    assert (event.actor, event.record_id, event.revision) == ("bob", stored.id, after.revision)
    assert event.details == {"added": ["new"], "changed": [1], "removed": [2]}
    assert not store.check().findings


def test_the_second_of_two_gets_a_clear_conflict(store: Store, stored: StoredRecord, samples: Any) -> None:
    first = store.records.save(stored.id, put=[samples.annotation(3)], expected=stored.revision, actor="bob")
    with pytest.raises(
        ConflictError, match=rf"record {stored.id} was changed by bob at .* UTC: it is at revision"
    ) as error:
        store.records.save(stored.id, put=[samples.annotation(4)], expected=stored.revision, actor="eve")
    assert error.value.current == first.revision
    # Nothing of the second is there; made again on what is there now, both are.
    assert [each.id for each in store.records.get(stored.id).record.annotations] == [1, 2, 3]
    both = store.records.save(stored.id, put=[samples.annotation(4)], expected=error.value.current, actor="eve")
    assert [each.id for each in both.record.annotations] == [1, 2, 3, 4]


def test_an_edit_sent_again_is_made_once(store: Store, stored: StoredRecord, samples: Any) -> None:
    first, second = (
        store.records.save(stored.id, put=[samples.annotation(3)], expected=stored.revision, actor="bob", key="edit-1")
        for _ in range(2)
    )
    assert first.revision == second.revision
    assert len(list(store.events.list(kind="record.edited"))) == 1


def test_a_key_belongs_to_one_record(store: Store, samples: Any) -> None:
    one, two = (store.records.get(each) for each in store.add_records(samples.incoming(2), actor="ann").record_ids)
    store.records.save(one.id, remove=[1], expected=one.revision, actor="bob", key="k")
    with pytest.raises(ConfigError, match=f"the key 'k' was used for an edit of record {one.id}"):
        store.records.save(two.id, remove=[1], expected=two.revision, actor="bob", key="k")


def test_the_same_again_is_no_change(store: Store, stored: StoredRecord) -> None:
    after = store.records.save(stored.id, put=stored.record.annotations, expected=stored.revision, actor="bob")
    assert after.revision == stored.revision
    assert not list(store.events.list(kind="record.edited"))


def test_an_imported_outline_goes_when_the_mask_is_edited(store: Store, stored: StoredRecord, samples: Any) -> None:
    outline = stored.record.annotations[0].segmentation.to_mask()
    drawn = samples.annotation(5, 1, outline=(np.argwhere(outline)[:3].astype(np.float64),))
    one = store.records.save(stored.id, put=[drawn], expected=stored.revision, actor="bob")
    (kept,) = (each for each in one.record.annotations if each.id == 5)
    assert kept.outline is not None
    named = store.records.save(stored.id, put=[replace(kept, category="x")], expected=one.revision, actor="bob")
    (kept,) = (each for each in named.record.annotations if each.id == 5)
    assert kept.outline is not None
    edited = replace(kept, segmentation=samples.mask(99))
    after = store.records.save(stored.id, put=[edited], expected=named.revision, actor="bob")
    assert next(each for each in after.record.annotations if each.id == 5).outline is None


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        ({"remove": [9]}, NotInStoreError, "has no annotation 9"),
        ({"remove": ["1"]}, NotInStoreError, "has no annotation '1'"),
        ({"put": "wrong size"}, RecordError, "is 9x9 .* but the image is 24x32"),
        ({"put": "twice"}, RecordError, "names an annotation twice"),
        ({"put": "nan"}, RecordError, "predicted_iou must be a finite number"),
        ({"put": "nul"}, RecordError, "category must not hold the character NUL"),
        ({"put": "surrogate"}, RecordError, "annotator is no valid text"),
        ({"put": "no json"}, RecordError, "cannot be kept as JSON"),
        ({"put": "skip"}, ReviewError, "no step of a review leads from rejected to accepted"),
    ],
)
def test_what_cannot_be_saved_changes_nothing(
    store: Store, stored: StoredRecord, samples: Any, edit: dict[str, Any], error: type[Exception], message: str
) -> None:
    rejected = store.records.review(stored.id, {2: "reject"}, expected=stored.revision, actor="bob")
    wrong = {
        "wrong size": [replace(samples.annotation(1), segmentation=samples.mask(1, Size(9, 9)))],
        "twice": [samples.annotation(1), samples.annotation(1)],
        "nan": [samples.annotation(1, predicted_iou=float("nan"))],
        "nul": [samples.annotation(1, category="a\0b")],
        "surrogate": [samples.annotation(1, annotator="\ud800")],
        "no json": [samples.annotation(1, extra={"x": object()})],
        "skip": [replace(samples.annotation(2), review_state="accepted")],
    }
    # A good change beside it is not made either.
    put = [*wrong.get(edit.get("put", ""), []), samples.annotation("good", 4)]
    with pytest.raises(error, match=message):
        store.records.save(stored.id, put=put, remove=edit.get("remove", ()), expected=rejected.revision, actor="bob")
    assert store.records.get(stored.id).revision == rejected.revision
    assert len(store.records.get(stored.id).record.annotations) == 2


def test_who_must_be_named(store: Store, stored: StoredRecord) -> None:
    with pytest.raises(ConfigError, match="needs an actor"):
        store.records.save(stored.id, remove=[1], expected=stored.revision, actor="")


def test_review_steps(store: Store, stored: StoredRecord) -> None:
    after = store.records.review(
        stored.id, {1: "accept", 2: "flag"}, expected=stored.revision, actor="rev", note="edge"
    )
    assert [each.review_state for each in after.record.annotations] == ["accepted", "flagged"]
    with pytest.raises(ReviewError, match="a mask that is accepted cannot be given the step accept"):
        store.records.review(stored.id, {1: "accept"}, expected=after.revision, actor="rev")
    with pytest.raises(ConflictError):
        store.records.review(stored.id, {1: "reject"}, expected=stored.revision, actor="rev")
    (event,) = store.events.list(kind="record.reviewed")
    assert event.details == {"changed": [1, 2], "note": "edge"}
    assert not store.check().findings


def test_history_undo_and_redo(store: Store, stored: StoredRecord, samples: Any) -> None:
    revisions = [stored.revision]
    for number in (1, 2, 3):
        changed = samples.annotation(1, 50 + number)
        after = store.records.save(stored.id, put=[changed], expected=revisions[-1], actor="bob")
        revisions.append(after.revision)
    past = store.records.history(stored.id, 1)
    assert [(each.since, each.until) for each in past] == [*zip(revisions, [*revisions[1:], None], strict=True)]
    undone = store.records.restore(stored.id, revisions[1], expected=revisions[-1], actor="bob")
    assert {each.id: each.segmentation for each in undone.record.annotations}[1] == samples.annotation(
        1, 51
    ).segmentation
    redone = store.records.restore(stored.id, revisions[3], expected=undone.revision, actor="bob")
    assert {each.id: each.segmentation for each in redone.record.annotations}[1] == samples.annotation(
        1, 53
    ).segmentation
    begun = store.records.restore(stored.id, revisions[0], expected=redone.revision, actor="bob")
    assert {each.id: each.segmentation for each in begun.record.annotations} == {
        each.id: each.segmentation for each in stored.record.annotations
    }
    assert not store.check().findings
    with pytest.raises(NotInStoreError, match="was not there at revision 0"):
        store.records.restore(stored.id, 0, expected=begun.revision, actor="bob")


def test_as_it_was(store: Store, stored: StoredRecord) -> None:
    store.records.save(stored.id, remove=[1], expected=stored.revision, actor="bob")
    assert len(store.records.get(stored.id, revision=stored.revision).record.annotations) == 2
    assert len(store.records.get(stored.id).record.annotations) == 1


def test_remove_a_record(store: Store, samples: Any) -> None:
    one, two = store.add_records(samples.incoming(2), actor="ann").record_ids
    store.versions.freeze("v1", actor="ann")
    store.records.remove(one, expected=store.records.get(one).revision, actor="bob", note="consent withdrawn")
    assert store.records.ids() == [two]
    with pytest.raises(NotInStoreError, match=f"no record {one}"):
        store.records.get(one)
    store.versions.verify("v1")
    report = store.add_records(samples.incoming(1), actor="ann")
    assert "was removed from the store and is not added again" in report.problems[0][1]
    assert not store.check().findings


def test_lists(store: Store, samples: Any) -> None:
    ids = store.add_records(samples.incoming(7, masks=2), actor="ann").record_ids
    third = store.records.get(ids[2])
    store.records.review(third.id, {1: "accept"}, expected=third.revision, actor="rev")
    store.splits.set({ids[4]: "test"}, actor="ann")
    assert [row.id for row in store.records.page(limit=3)] == ids[:3]
    assert [row.id for row in store.records.page(after=ids[2], limit=3)] == ids[3:6]
    assert dict(store.records.page(limit=3)[2].masks) == {"accepted": 1, "unreviewed": 1}
    assert (
        [row.id for row in store.records.page(with_state="accepted")]
        == [third.id]
        == store.records.ids(with_state="accepted")
    )
    assert [row.id for row in store.records.page(split="test")] == [ids[4]] == store.records.ids(split="test")
    assert store.records.ids(has_pixels=True) == []
    assert store.records.ids(has_masks=True, has_pixels=False) == ids
    assert [each.id for each in store.records.iterate(ids[:2])] == ids[:2]
    assert [each.id for each in store.records.iterate()] == ids


def test_one_annotation(store: Store, stored: StoredRecord, samples: Any) -> None:
    for each in stored.record.annotations:
        found = store.records.annotation(stored.id, each.id)
        assert (found.id, found.segmentation, found.box) == (each.id, each.segmentation, each.box)
    gone = stored.record.annotations[0].id
    store.records.save(stored.id, expected=stored.revision, actor="ann", put=[], remove=[gone])
    for record, name in ((stored.id, gone), (stored.id, str(gone)), (99, gone)):
        with pytest.raises(NotInStoreError, match=f"record {record} has no annotation {name!r}"):
            store.records.annotation(record, name)


def test_records_with_names_the_last_changed_first(store: Store, samples: Any, tmp_path: Path) -> None:
    for seed in range(4):
        samples.photo(tmp_path / "in" / f"{seed}.png", seed)
    store.add(tmp_path / "in", actor="ann")
    without = store.add_records(samples.incoming(1), actor="ann").record_ids
    one, two, three, _ = [number for number in store.records.ids() if number not in without]

    def put(number: int, *categories: str | None) -> tuple[int, int]:
        put = [replace(samples.annotation(place), category=name) for place, name in enumerate(categories)]
        saved = store.records.save(number, expected=store.records.get(number).revision, actor="ann", put=put)
        return number, saved.revision

    put(one, None)
    put(without[0], "cup")
    later, first = put(three, "cup", None), put(two, "plate")
    assert store.records.named(limit=9) == [first, later]
    later = put(three, "mug")
    assert store.records.named(limit=9) == [later, first]
    assert store.records.named(limit=1) == [later]
    put(three, None)
    assert store.records.named(limit=9) == [first]


def test_sql_is_only_text(store: Store, stored: StoredRecord, samples: Any) -> None:
    nasty = "x'); DROP TABLE annotations; --"
    put = samples.annotation(nasty, 3, category=nasty, annotator=nasty)
    after = store.records.save(stored.id, put=[put], expected=stored.revision, actor=nasty, key=nasty, note=nasty)
    assert after.record.annotations[-1].id == nasty
    store.splits.set({stored.id: nasty}, actor=nasty)
    assert store.records.ids(split=nasty) == [stored.id]
    assert store.versions.freeze(nasty, actor=nasty, message=nasty).name == nasty
    assert store.records.history(stored.id, nasty)[0].annotation.category == nasty
    assert not list(store.events.list(kind=nasty))
    assert not store.check().findings
