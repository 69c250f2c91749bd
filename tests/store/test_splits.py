"""Images that belong together never straddle a split."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from segany.errors import ConfigError
from segany.geometry import Size
from segany.store import Incoming, Store, create_store


def in_groups(samples: Any, groups: list[str | None]) -> list[Incoming]:
    records = [samples.record(number, masks=0) for number in range(len(groups))]
    return [
        Incoming(replace(record, image=replace(record.image, group=group)))
        for record, group in zip(records, groups, strict=True)
    ]


def test_shares_are_met(store: Store, samples: Any) -> None:
    store.add_records(in_groups(samples, [None] * 40), actor="ann")
    report = store.splits.assign({"train": 0.5, "val": 0.25, "test": 0.25}, actor="ann")
    assert report.total == {"train": 20, "val": 10, "test": 10} == report.assigned
    assert (report.groups, report.moved) == (40, 0)
    again = store.splits.assign({"train": 0.5, "val": 0.25, "test": 0.25}, actor="ann")
    assert (again.assigned, again.total) == ({}, report.total)


def test_the_seed_draws(store: Store, samples: Any, tmp_path: Path, open_at: Any) -> None:
    drawn: list[list[int]] = []
    for seed in (0, 0, 1):
        create_store(tmp_path / f"s{len(drawn)}")
        other = open_at(tmp_path / f"s{len(drawn)}")
        other.add_records(in_groups(samples, [None] * 20), actor="ann")
        other.splits.assign(actor="ann", seed=seed)
        drawn.append(other.records.ids(split="test"))
    assert drawn[0] == drawn[1] != drawn[2]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups=st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=25), later=st.integers(0, 25))
def test_groups_stay_together(
    tmp_path_factory: pytest.TempPathFactory, samples: Any, groups: list[str | None], later: int
) -> None:
    folder = tmp_path_factory.mktemp("splits")
    create_store(folder)
    incoming = in_groups(samples, groups)
    with Store(folder, steps={}) as store:
        for part in (incoming[:later], incoming[later:]):
            store.add_records(part, actor="ann")
            store.splits.assign({"train": 0.6, "test": 0.4}, actor="ann")
            assert store.splits.straddling() == []
        found: dict[str, set[str | None]] = {}
        for stored in store.records.iterate():
            assert stored.split is not None
            if stored.record.image.group is not None:
                found.setdefault(stored.record.image.group, set()).add(stored.split)
        assert all(len(splits) == 1 for splits in found.values())


def test_near_duplicates_stay_together(store: Store, samples: Any, tmp_path: Path) -> None:
    for seed in range(12):
        photo = samples.photo(tmp_path / "in" / f"{seed}.png", seed, Size(120, 160))
        with PillowImage.open(photo) as image:
            image.resize((320, 240)).save(tmp_path / "in" / f"{seed}-large.jpg", quality=80)
    report = store.add(tmp_path / "in", actor="ann")
    assert len(report.near_duplicates) == 12
    store.splits.assign({"train": 0.5, "test": 0.5}, actor="ann")
    by_group: dict[int, set[str | None]] = {}
    for stored in store.records.iterate():
        by_group.setdefault(stored.near_group, set()).add(stored.split)
    assert [len(splits) for splits in by_group.values()] == [1] * 12
    assert store.stats().near_duplicates == 24


def test_an_image_that_joins_two_splits_mends_them(store: Store, samples: Any) -> None:
    ids = store.add_records(in_groups(samples, ["a", "b"]), actor="ann").record_ids
    store.splits.set({ids[0]: "train", ids[1]: "test"}, actor="ann")
    with store._database.begin() as connection:
        connection.exec_driver_sql(f"UPDATE images SET near_group = {ids[0]} WHERE id = {ids[1]}")
    assert store.splits.straddling() == [tuple(ids)]
    report = store.splits.assign({"train": 0.5, "test": 0.5}, actor="ann")
    assert (report.moved, report.total) == (1, {"train": 2})


def test_splits_by_hand_are_kept(store: Store, samples: Any) -> None:
    ids = store.add_records(in_groups(samples, [None] * 10), actor="ann").record_ids
    store.splits.set({ids[0]: "gold"}, actor="ann")
    report = store.splits.assign({"train": 0.5, "test": 0.5}, actor="ann")
    assert report.total["gold"] == 1
    assert report.total["train"] + report.total["test"] == 9


@pytest.mark.parametrize("shares", [{}, {"train": 0.5}, {"train": 1.5, "test": -0.5}])
def test_shares_that_are_none(embedded: Store, shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be above 0 and sum to 1"):
        embedded.splits.assign(shares, actor="ann")
