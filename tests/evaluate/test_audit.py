"""Audits: what is drawn, and what corrections are worth."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.errors import ConfigError, RecordError
from segany.evaluate.audit import draw_audit, score_audit
from segany.formats import coco, open_dataset
from segany.masks import RLE
from segany.schema import Annotation, Record


@pytest.fixture
def drawn(made: Path, tmp_path: Path) -> Path:
    out = tmp_path / "audit"
    assert draw_audit(made, out) == 12
    return out


def rewrite(folder: Path, change: dict[int, RLE | None], extra: RLE | None = None) -> None:
    """Save the masks to be corrected with some of them changed or (None) removed, and one added."""
    records = []
    for number, record in enumerate(list(coco.read_records(folder / "instances.json"))):
        kept = [
            Annotation(one.id, mask)
            for one in record.annotations
            if (mask := change.get(int(one.id), one.segmentation)) is not None
        ]
        if extra is not None and number == 0:
            kept.append(Annotation(99, extra))
        records.append(Record(record.image, tuple(kept)))
    coco.write_records(records, folder / "instances.json")


def test_the_folder_is_all_that_an_annotator_needs(drawn: Path) -> None:
    assert sorted(path.name for path in drawn.iterdir()) == [
        *("images", "instances.json", "masks.csv", "original.json", "sheet-001.png")
    ]
    with (drawn / "masks.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["mask"] for row in rows] == [str(number) for number in range(1, 13)]
    assert {row["from_image"] for row in rows} == {f"{number}.png" for number in range(4)}
    # The crowd of each image is no mask to judge.
    assert {row["from_mask"] for row in rows} == {str(10 * image + k) for image in range(4) for k in range(3)}
    records = list(coco.read_records(drawn / "instances.json"))
    assert (drawn / "instances.json").read_bytes() == (drawn / "original.json").read_bytes()
    assert [record.image.file_name for record in records] == sorted(p.name for p in (drawn / "images").iterdir())
    with PillowImage.open(drawn / "sheet-001.png") as sheet:
        assert sheet.width > 400


def test_a_sample_is_the_same_for_the_same_seed(made: Path, tmp_path: Path) -> None:
    names = []
    for number, seed in enumerate((0, 0, 1)):
        out = tmp_path / str(number)
        assert draw_audit(made, out, masks=5, seed=seed) == 5
        names.append((out / "masks.csv").read_text(encoding="utf-8"))
    assert names[0] == names[1] != names[2]


def test_masks_that_nobody_touched_are_right_but_not_for_certain(drawn: Path) -> None:
    scores = score_audit(drawn)
    assert (scores.unchanged, scores.removed, scores.skipped, scores.added, scores.images) == (12, 0, 0, 0, 4)
    assert scores.over_90.mean == scores.over_75.mean == scores.mean.mean == 1
    assert scores.silent == 12
    # Wilson's interval of 12 of 12.
    assert scores.over_90.low == pytest.approx(0.757, abs=1e-3)
    assert scores.over_90.high == 1


def test_corrections_by_hand(drawn: Path) -> None:
    masks = {
        int(one.id): one.segmentation
        for record in coco.read_records(drawn / "instances.json")
        for one in record.objects
    }
    larger, smaller = masks[1].to_mask(), masks[4].to_mask()
    rows = np.flatnonzero(larger.any(axis=1))
    larger[rows, int(larger.any(axis=0).argmax()) :] = True
    smaller[:, : smaller.shape[1] // 4] = False
    changed = {1: RLE.from_mask(larger), 4: RLE.from_mask(smaller), 2: None}
    rewrite(drawn, changed, extra=RLE.from_mask(larger))
    scores = score_audit(drawn)
    expected = [masks[1].iou(RLE.from_mask(larger)), 0, 1, masks[4].iou(RLE.from_mask(smaller)), *[1] * 8]
    assert scores.ious.tolist() == expected
    assert (scores.unchanged, scores.removed, scores.added, scores.silent) == (9, 1, 1, 9)
    assert scores.over_90.mean == np.mean(np.array(expected) > 0.9)
    assert scores.over_75.mean == np.mean(np.array(expected) > 0.75)
    assert scores.over_90.low < scores.over_90.mean < scores.over_90.high
    assert scores.mean.mean == pytest.approx(np.mean(expected))


def test_verdicts_speak_for_masks(drawn: Path) -> None:
    lines = (drawn / "masks.csv").read_text(encoding="utf-8").splitlines()
    for line, verdict in ((1, "wrong"), (2, "Skip"), (3, "ok")):
        lines[line] += verdict
    (drawn / "masks.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    scores = score_audit(drawn)
    assert (len(scores.ious), scores.removed, scores.skipped, scores.unchanged) == (11, 1, 1, 10)
    assert scores.silent == 9
    lines[4] += "maybe"
    (drawn / "masks.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(RecordError) as caught:
        score_audit(drawn)
    assert str(caught.value) == (
        f"{drawn / 'masks.csv'}, line 5: a verdict is ok, wrong, skip or nothing, got 'maybe'."
    )


def test_corrections_may_be_elsewhere(drawn: Path, tmp_path: Path) -> None:
    rewrite(drawn, {3: None})
    elsewhere = (drawn / "instances.json").rename(tmp_path / "corrected.json")
    assert score_audit(drawn, elsewhere).removed == 1
    with pytest.raises(RecordError):
        score_audit(drawn)


def test_nothing_is_overwritten_and_nothing_is_not_audited(drawn: Path, made: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        draw_audit(made, drawn)
    assert str(caught.value) == f"{drawn} is not empty; an audit needs a folder of its own."
    document = json.loads((made / "instances.json").read_text(encoding="utf-8"))
    (made / "instances.json").write_text(json.dumps(document | {"annotations": []}), encoding="utf-8")
    with pytest.raises(ConfigError) as nothing:
        draw_audit(made, tmp_path / "other")
    assert str(nothing.value) == f"{made} has no masks to audit."
    assert len(list(open_dataset(made).records())) == 4
