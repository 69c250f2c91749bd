"""A version stays what it was when it was frozen, and says how it differs from others."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segany.errors import ConfigError, NotInStoreError, StoreError
from segany.store import RecordChange, Store, create_store


def test_freeze_and_read_again(store: Store, samples: Any) -> None:
    ids = store.add_records(samples.incoming(3), actor="ann").record_ids
    store.splits.set({ids[0]: "train"}, actor="ann")
    frozen = store.versions.freeze("v1", actor="ann", message="first")
    assert (frozen.records, frozen.masks, frozen.message, frozen.actor) == (3, 6, "first", "ann")
    first = store.records.get(ids[0])
    store.records.save(ids[0], put=[samples.annotation(1, 99)], remove=[2], expected=first.revision, actor="bob")
    store.splits.set({ids[0]: "test"}, actor="ann")
    version = store.versions.checkout("v1")
    assert (version.name, version.digest, version.record_ids) == ("v1", frozen.digest, tuple(ids))
    assert version.split == {ids[0]: "train"}
    then = store.records.get(ids[0], revision=frozen.revision)
    assert (len(then.record.annotations), then.split) == (2, "train")
    store.versions.verify("v1")
    assert not store.check().findings


def test_freezing_again_is_fine_while_nothing_changed(store: Store, samples: Any) -> None:
    store.add_records(samples.incoming(2), actor="ann")
    first = store.versions.freeze("v1", actor="ann")
    assert store.versions.freeze("v1", actor="bob") == first
    store.add_records(samples.incoming(3), actor="ann")
    with pytest.raises(ConfigError, match=r"the version v1 was frozen on .* with other content and stays as it is"):
        store.versions.freeze("v1", actor="ann")
    assert [version.name for version in store.versions.log()] == ["v1"]


@pytest.mark.parametrize("name", ["", " ", "live"])
def test_names_that_are_none(embedded: Store, name: str) -> None:
    with pytest.raises(ConfigError, match="a version's name must be a word other than 'live'"):
        embedded.versions.freeze(name, actor="ann")


def test_an_unknown_version_names_the_known(store: Store) -> None:
    store.versions.freeze("v1", actor="ann")
    with pytest.raises(NotInStoreError, match=r"no version 'v2' \(the last ones: v1\)"):
        store.versions.get("v2")


def test_diff(store: Store, samples: Any) -> None:
    one, two, three = store.add_records(samples.incoming(3), actor="ann").record_ids
    store.versions.freeze("v1", actor="ann")
    record = store.records.get(one)
    changed = replace(record.record.annotations[0], category="leaf")
    store.records.save(one, put=[changed, samples.annotation("n", 9)], remove=[2], expected=record.revision, actor="b")
    store.records.remove(two, expected=store.records.get(two).revision, actor="b")
    (four,) = store.add_records([samples.incoming(4)[3]], actor="ann").record_ids
    store.splits.set({three: "val"}, actor="ann")
    found = store.versions.diff("v1")
    assert found.changes == (
        RecordChange(one, "changed", added=("n",), removed=(2,), changed=(1,)),
        RecordChange(two, "removed", removed=(1, 2)),
        RecordChange(three, "changed", moved=True),
        RecordChange(four, "added", added=(1, 2)),
    )
    store.versions.freeze("v2", actor="ann")
    assert store.versions.diff("v1", "v2").changes == found.changes
    back = {change.record_id: change for change in store.versions.diff("v2", "v1").changes}
    assert back[one] == RecordChange(one, "changed", added=(2,), removed=("n",), changed=(1,))
    assert (back[two].kind, back[four].kind) == ("added", "removed")
    assert store.versions.diff("v2").changes == ()


def test_what_came_and_went_in_between_is_no_difference(store: Store, samples: Any) -> None:
    (one,) = store.add_records(samples.incoming(1), actor="ann").record_ids
    store.versions.freeze("v1", actor="ann")
    added = store.records.save(
        one, put=[samples.annotation(9, 9)], expected=store.records.get(one).revision, actor="bob"
    )
    store.records.save(one, remove=[9], expected=added.revision, actor="bob")
    assert store.versions.diff("v1").changes == ()
    assert store.versions.freeze("v2", actor="ann").digest == store.versions.get("v1").digest


def test_the_digest_is_of_the_content_only(location: str, open_at: Any, samples: Any, tmp_path: Any) -> None:
    """Another order, another database, edits that were taken back: the same digest."""
    store = open_at(location)
    store.add_records(samples.incoming(4), actor="ann")
    create_store(tmp_path / "other")
    other = open_at(tmp_path / "other")
    other.add_records(samples.incoming(9)[8:], actor="x")
    other.records.remove(1, expected=other.records.get(1).revision, actor="x")
    for incoming in reversed(samples.incoming(4)):
        other.add_records([incoming], actor="somebody")
    assert store.versions.freeze("a", actor="ann").digest == other.versions.freeze("b", actor="bob").digest


def test_a_change_behind_its_back_is_found(embedded: Store, samples: Any) -> None:
    embedded.add_records(samples.incoming(2), actor="ann")
    embedded.versions.freeze("v1", actor="ann")
    with embedded._database.begin() as connection:
        connection.exec_driver_sql("UPDATE annotations SET digest = x'00' WHERE id = 1")
    with pytest.raises(StoreError, match="the version v1 no longer has the digest that it was frozen with"):
        embedded.versions.verify("v1")
    assert {finding.kind for finding in embedded.check().findings} == {"mask", "version"}


Steps = st.lists(
    st.tuples(st.sampled_from(["put", "remove", "freeze"]), st.integers(1, 3), st.integers(1, 4)), max_size=14
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=Steps)
def test_versions_agree_with_a_plain_model(tmp_path_factory: pytest.TempPathFactory, samples: Any, steps: Any) -> None:
    """Whatever is edited and frozen in whatever order, every version reads as the dictionaries did at its time."""
    folder = tmp_path_factory.mktemp("model")
    create_store(folder)
    with Store(folder, steps={}) as store:
        store.add_records(samples.incoming(3, masks=1), actor="ann")
        model = {each: {1: samples.mask(100 * each + 1)} for each in (1, 2, 3)}
        frozen: dict[str, Any] = {}
        for number, (what, record, identity) in enumerate(steps):
            revision = store.records.get(record).revision
            if what == "put":
                put = samples.annotation(identity, 7 * number)
                store.records.save(record, put=[put], expected=revision, actor="bob")
                model[record][identity] = put.segmentation
            elif what == "remove" and identity in model[record]:
                store.records.save(record, remove=[identity], expected=revision, actor="bob")
                del model[record][identity]
            elif what == "freeze":
                store.versions.freeze(f"v{number}", actor="ann")
                frozen[f"v{number}"] = {each: dict(masks) for each, masks in model.items()}
        for name, wanted in frozen.items():
            revision = store.versions.get(name).revision
            found = {
                stored.id: {each.id: each.segmentation for each in stored.record.annotations}
                for stored in store.records.iterate(revision=revision)
            }
            assert found == wanted
        assert not store.check().findings
