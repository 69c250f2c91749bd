"""The numbers are those of the masks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segany.geometry import Size
from segany.masks import RLE, concavity
from segany.schema import Annotation, ImageInfo, Record
from segany.store import Incoming, Policy, Store, create_store, plot_stats
from segany.store.ingest import Decision
from segany.store.stats import SIZE_EDGES, rle_concavity


@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_concavity_from_runs_agrees_with_the_mask(mask: Any) -> None:
    assert rle_concavity(RLE.from_mask(mask)) == pytest.approx(concavity(mask), abs=1e-12)


def test_an_empty_store(store: Store, tmp_path: Path) -> None:
    stats = store.stats()
    assert (stats.records, stats.masks, stats.masks_per_image, stats.sources) == (0, 0, {}, {})
    plot_stats(stats, tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 1000


def test_an_annotator_called_like_a_source_is_drawn_beside_it(
    embedded: Store, samples: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr("segany.store.stats._bars", lambda panel, title, numbers: drawn.update({title: numbers}))
    annotations = (samples.annotation(1, source="manual"), samples.annotation(2, source="manual", annotator="manual"))
    embedded.add_records([Incoming(Record(samples.record(1).image, annotations))], actor="ann")
    plot_stats(embedded.stats(), tmp_path / "stats.png")
    assert drawn["sources and annotators"] == {"manual": 2, "by nobody named": 1, "by manual": 1}


def test_counts(store: Store, samples: Any) -> None:
    half = np.zeros((10, 10), dtype=np.bool_)
    half[:5] = True
    info = ImageInfo(1, "a", Size(10, 10))
    annotations = (
        Annotation(1, RLE.from_mask(half), source="manual", annotator="bob", category="leaf"),
        Annotation(2, RLE.from_mask(half[::-1].copy()), category="leaf", review_state="accepted"),
        Annotation(3, RLE.from_mask(np.eye(10, dtype=np.bool_))),
    )
    records = [Record(info, annotations), Record(replace(info, image_id=2, file_name="b"), ())]
    ids = store.add_records([Incoming(record) for record in records], actor="ann").record_ids
    store.splits.set({ids[0]: "test"}, actor="ann")
    stats = store.stats()
    assert (stats.records, stats.with_pixels, stats.masks) == (2, 0, 3)
    assert stats.masks_per_image == {0: 1, 3: 1}
    assert stats.sources == {"automatic": 2, "manual": 1}
    assert stats.annotators == {None: 2, "bob": 1}
    assert stats.categories == {"leaf": 2, None: 1}
    assert stats.review_states == {"unreviewed": 2, "accepted": 1}
    assert stats.splits == {"test": 1, None: 1}
    # Areas 50, 50 and 10 of 100: roots .71, .71, .32.
    assert dict(zip(SIZE_EDGES, stats.relative_sizes.tolist(), strict=False)) == {
        **dict.fromkeys(SIZE_EDGES[:-1], 0),
        0.5: 2,
        0.3: 1,
    }
    assert stats.concavities.sum() == 3
    assert stats.concavities[0] == 2
    assert stats.centers.sum() == 3
    assert (stats.centers[8, 16], stats.centers[24, 16], stats.centers[16, 16]) == (1, 1, 1)
    assert stats.to_dict()["categories"] == {"leaf": 2, "(none)": 1}


class Blacken:
    name = "blacken"

    def apply(self, image: Any) -> Decision:
        if image.pixels[0, 0, 0] % 2:
            return Decision("kept", details={"verdict": "altered"})
        return Decision("altered", replace(image, pixels=np.zeros_like(image.pixels)), {"boxes": 1})


def test_altered_images_are_told(tmp_path: Path, samples: Any, open_at: Any) -> None:
    create_store(tmp_path / "store")
    store = open_at(tmp_path / "store", {"blacken": Blacken()})
    store.collection.set_policy(Policy(("blacken",)), actor="ann")
    for seed in range(6):
        samples.photo(tmp_path / "in" / f"{seed}.png", seed)
    report = store.add(tmp_path / "in", actor="ann")
    stats = store.stats()
    assert 0 < report.altered < 6
    assert stats.alterations["blacken"] >= 1
    assert stats.altered <= stats.alterations["blacken"]
