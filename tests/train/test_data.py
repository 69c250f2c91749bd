"""What is learnt from: splits, classes, stores."""

import collections
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from segany.engine import open_store
from segany.errors import ConfigError, NotInStoreError
from segany.schema import Record
from segany.store import create_store
from segany.train import FolderData, StoreData
from segany.train.data import Drawer, load_samples, usable


def grouped(discs: Path, images: int = 4) -> Path:
    lines = ["image,group", *(f"{number}.png,g{number // 2}" for number in range(images))]
    (discs / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return discs


@pytest.mark.parametrize("seed", range(4))
def test_images_of_a_group_are_on_one_side(discs: Path, seed: int) -> None:
    samples = load_samples([FolderData("discs", grouped(discs))], val_share=0.5, seed=seed)
    sides = [{sample.entry.group for sample in side} for side in (samples.train, samples.val)]
    assert sides[0] & sides[1] == set()
    assert len(samples.train) == len(samples.val) == 2
    again = load_samples([FolderData("discs", discs)], val_share=0.5, seed=seed)
    assert [one.name for one in again.val] == [one.name for one in samples.val]
    assert again.digest == samples.digest


def test_seeds_split_otherwise(discs: Path) -> None:
    data = [FolderData("discs", discs)]
    assert len({load_samples(data, val_share=0.25, seed=seed).val[0].name for seed in range(9)}) > 1


def test_the_digest_is_that_of_the_masks(discs: Path) -> None:
    before = load_samples([FolderData("discs", discs)], val_share=0.25, seed=0).digest
    document = json.loads((discs / "instances.json").read_text(encoding="utf-8"))
    document["annotations"].pop()
    (discs / "instances.json").write_text(json.dumps(document), encoding="utf-8")
    assert load_samples([FolderData("discs", discs)], val_share=0.25, seed=0).digest != before


def test_sets_are_drawn_in_turn_and_images_evenly(discs: Path) -> None:
    first = load_samples([FolderData("a", discs)], val_share=0.0, seed=0).train
    second = load_samples([FolderData("b", discs)], val_share=0.0, seed=0).train[:1]
    drawer = Drawer((*first, *second), seed=0)
    names = [(*first, *second)[drawer.sample(number)].set_name for number in range(8)]
    assert names == ["a", "b"] * 4
    drawn = collections.Counter(drawer.sample(number) for number in range(0, 200, 2))
    assert set(drawn) == {0, 1, 2, 3}
    assert all(23 <= count <= 27 for count in drawn.values())


def test_images_with_many_masks_are_drawn_more_often(discs: Path) -> None:
    samples = load_samples([FolderData("a", discs)], val_share=0.0, seed=0).train
    few = [dataclasses.replace(one, annotations=one.annotations[:1]) for one in samples[:2]]
    for power, share in ((0.0, 0.5), (1.0, 0.75)):
        drawer = Drawer((*few, *samples[2:]), 0, power)
        assert sum(drawer.sample(number) > 1 for number in range(100)) == pytest.approx(100 * share, abs=2)


def test_rare_classes_are_drawn_as_often_as_others(discs: Path) -> None:
    sample = load_samples([FolderData("discs", discs)], val_share=0.0, seed=0).train[0]
    drawer = Drawer([sample], seed=0)
    drawn = [drawer.objects(sample, 1, np.random.default_rng(seed))[0].category for seed in range(300)]
    assert 120 < collections.Counter(drawn)["dog"] < 180


def test_what_is_not_learnt(discs: Path) -> None:
    record = next(FolderData("discs", discs).entries()).record
    first, second, third = record.annotations
    assert usable(record, 0.9) == (first, second, third)
    crowd = Record(record.image, (dataclasses.replace(first, iscrowd=True), second, third))
    assert usable(crowd, 0.9) == (second, third)
    rejected = dataclasses.replace(first, review_state="rejected")
    assert usable(Record(record.image, (rejected, second, third)), 0.9) == (second, third)
    accepted = dataclasses.replace(second, review_state="accepted")
    assert usable(Record(record.image, (first, accepted, third)), 0.9) == (accepted,)
    assert usable(record, second.area / 64 / 48 - 0.001) == (first, third)


def test_data_sets_have_names_that_differ(discs: Path) -> None:
    with pytest.raises(ConfigError, match="names that differ, got a, a"):
        load_samples([FolderData("a", discs), FolderData("a", discs)], val_share=0.0, seed=0)
    with pytest.raises(ConfigError, match="got none"):
        load_samples([], val_share=0.0, seed=0)


def test_a_version_of_a_store_keeps_its_splits(discs: Path, tmp_path: Path) -> None:
    create_store(tmp_path / "store")
    with open_store(tmp_path / "store") as store:
        store.add(discs, actor="me")
        ids = store.records.ids()
        store.splits.set({ids[0]: "train", ids[1]: "val", ids[2]: "test"}, actor="me")
        store.versions.freeze("v1", actor="me")
        samples = load_samples([StoreData("s", store, "v1")], val_share=0.0, seed=0)
        assert [one.entry.split for one in samples.train] == ["train", None]
        assert [one.entry.split for one in samples.val] == ["val"]
        assert samples.train[0].entry.open().size == (48, 64)
        with pytest.raises(NotInStoreError, match="no version 'v2'"):
            StoreData("s", store, "v2")
