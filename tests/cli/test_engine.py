"""`segany engine`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segany.cli.main import main
from segany.engine import open_store
from segany.engine.models import CHOOSER, CLASSES, class_names, keep
from segany.engine.rounds import ROUND
from segany.engine.tasks import TaskAnswer, answer_task, next_task
from segany.masks import RLE, rle_iou_matrix
from segany.predict.choose import Candidates, MaskChooser
from segany.schema import Annotation
from segany.store import create_store


@pytest.fixture
def where(tmp_path: Path) -> str:
    """A store of one photo: two discs."""
    pixels = np.full((120, 160, 3), 90, dtype=np.uint8)
    rows, columns = np.mgrid[:120, :160]
    for x, y, colour in ((50, 60, (220, 40, 40)), (115, 60, (40, 40, 220))):
        pixels[(columns - x) ** 2 + (rows - y) ** 2 <= 25**2] = colour
    Image.fromarray(pixels).save(tmp_path / "discs.png")
    create_store(tmp_path / "store")
    with open_store(tmp_path / "store") as store:
        store.add(tmp_path / "discs.png", actor="test")
    return str(tmp_path / "store")


def test_jobs_are_listed_and_cancelled(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "jobs", where]) == 0
    assert capsys.readouterr().out == "there are none\n"
    assert main(["engine", "run", where, "--stage", "assisted-manual"]) == 0
    with open_store(where) as store:
        stopped = store.jobs.submit(ROUND, {"version": "monday"}, resource="engine")
        other = store.jobs.submit("export", {})
    capsys.readouterr()
    assert main(["engine", "jobs", where]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{stopped.id}  engine.round monday  waits"
    assert second.endswith("engine.stage assisted-manual  done")
    assert main(["engine", "jobs", where, "--cancel", str(stopped.id), "--limit", "1"]) == 0
    assert capsys.readouterr().out == f"{stopped.id}  engine.round monday  cancelled\n"
    assert main(["engine", "jobs", where, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in rows] == ["cancelled", "done"]
    for number, said in ((other.id, f"job {other.id} is none of the engine's"), (99, "the store has no job 99")):
        assert main(["engine", "jobs", where, "--cancel", str(number)]) != 0
        assert said in capsys.readouterr().err
    with open_store(where) as store:
        assert store.jobs.get(other.id).state == "queued"


def test_a_stage_its_queue_and_what_is_learned(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "run", where, "--stage", "semi-automatic", "--points-per-side", "4", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["images"], result["kept"], result["queued"]) == (1, 0, 1)
    assert result["flagged"] >= 2
    assert main(["engine", "queue", where, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["file_name"], row["stage"], row["state"]) == ("discs.png", "semi-automatic", "queued")
    with open_store(where) as store:
        task = next_task(store, "anna")
        assert task is not None
        assert main(["engine", "queue", where]) == 0
        assert capsys.readouterr().out.rstrip().endswith("anna has it")
        ids = [one.id for one in task.inspect]
        answer_task(store, task, TaskAnswer(ids[:2], ids[2:], seconds=5.0), annotator="anna")
        stored = store.records.get(1)
        named = [one for one in stored.record.objects if one.review_state == "accepted"]
        put = [
            Annotation(one.id, one.segmentation, category=name, review_state="accepted")
            for one, name in zip(named, ("cup", "plate"), strict=True)
        ]
        store.records.save(1, expected=stored.revision, actor="anna", put=put)
    assert main(["engine", "queue", where]) == 0
    assert "nothing is queued" in capsys.readouterr().out
    assert main(["engine", "learn", where]) == 0
    said = capsys.readouterr().out
    assert "too little was reviewed or finished" in said
    assert "names: cup, plate" in said
    assert main(["engine", "names", where, "1", "--json"]) == 0
    suggested = json.loads(capsys.readouterr().out)
    assert [suggested[str(one.id)][0][0] for one in put] == ["cup", "plate"]
    with open_store(where) as store:
        learned = class_names(store)
        assert learned is not None
        keep(store, replace(learned, encoder_digest="0" * 64), CLASSES, actor="anna")
    assert main(["engine", "names", where, "1"]) == 1
    assert "the names were learned with another encoder; learn again: segany engine learn" in capsys.readouterr().err


def test_more_of_the_same(where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.open(tmp_path / "discs.png").transpose(Image.Transpose.ROTATE_180).save(tmp_path / "turned.png")
    disc = np.hypot(np.arange(160) - 50, np.arange(120)[:, None] - 60) <= 25
    with open_store(where) as store:
        store.add(tmp_path / "turned.png", actor="test")
        red = Annotation("red", RLE.from_mask(disc), category="cup", source="manual", review_state="accepted")
        store.records.save(1, expected=store.records.get(1).revision, actor="anna", put=[red])
    assert main(["engine", "like", where, "1", "--points-per-side", "4", "--limit", "5"]) == 0
    said = capsys.readouterr().out
    with open_store(where) as store:
        found = store.records.get(2).record.objects
    assert said.splitlines() == [
        f"1 images, 1 exemplars of cup: {len(found)} proposals",
        f"they are flagged; decide on them on the page: segany serve --store {where}",
    ]
    assert {(one.category, one.review_state, one.source) for one in found} == {("cup", "flagged", "automatic")}
    assert min(one.extra["likeness"] for one in found) >= 0.65
    turned = RLE.from_mask(disc[::-1, ::-1])
    assert rle_iou_matrix([one.segmentation for one in found], [turned]).max() > 0.8
    # The same objects are proposed once.
    again = ["engine", "like", where, "1", "--mask", "red", "--on", "2", "--points-per-side", "4", "--limit", "5"]
    assert main([*again, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result == {"images": 1, "exemplars": 1, "category": "cup", "found": 0}
    assert main(["engine", "like", where, "2", "--on", "1", "--least", "1", "--points-per-side", "4"]) == 0
    assert capsys.readouterr().out.endswith(": 0 proposals\n")


def test_checks_of_people(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "check", where, "--second-looks", "1"]) == 0
    assert "0 images are to be looked at a second time" in capsys.readouterr().out
    assert main(["engine", "check", where, "--gold", "1"]) == 1
    assert "gold questions need both --gold RECORD and --annotator NAME" in capsys.readouterr().err
    assert main(["engine", "check", where, "--gold", "1", "--annotator", "anna"]) == 0
    with open_store(where) as store:
        mask = RLE.from_mask(np.ones((120, 160), dtype=np.bool_))
        task = next_task(store, "anna")
        assert task is not None
        answer_task(store, task, TaskAnswer(drawn=[Annotation(1, mask)], seconds=3.0), annotator="anna")
    capsys.readouterr()
    assert main(["engine", "check", where]) == 0
    assert (
        capsys.readouterr().out
        == "anna, gold questions: 1 images, 1 masks, 0% by both, IoU of these 0.000, 3 s an image\n"
    )


def test_the_chooser_is_shown_written_and_forgotten(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = Candidates(np.array([0.9, 0.8, 0.7]), np.zeros(3), np.full(3, 0.1))
    taught = MaskChooser().remembered(flat, np.array([0.1, 0.2, 0.9]), 0.1)
    with open_store(where) as store:
        keep(store, taught, CHOOSER, actor="anna")
    assert main(["engine", "chooser", where, "--out", str(tmp_path / "chooser.json")]) == 0
    assert "learned from 1 masks; weights: depth " in capsys.readouterr().out
    assert MaskChooser.from_dict(json.loads((tmp_path / "chooser.json").read_text(encoding="utf-8"))) == taught
    assert main(["engine", "chooser", where, "--reset"]) == 0
    assert "learned from 0 masks; weights: depth 0.3, bias 1, size 0" in capsys.readouterr().out


def test_models(where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "models", where]) == 0
    assert capsys.readouterr().out == "none but the default, mobile_sam\n"
    assert main(["engine", "rollback", where]) == 1
    assert "no model was in use before mobile_sam; there is nothing to go back to" in capsys.readouterr().err
    assert main(["engine", "watch", where, "--out", str(tmp_path), "--once"]) == 0
    assert "0 masks are accepted; a round is due 200 after the last one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--stage", "all"], "stage must be one of assisted-manual, semi-automatic, automatic, got 'all'."),
        (["names", "1"], "no names were learned; name some masks, then: segany engine learn"),
        (["like", "1"], "record 1 must have masks that nobody rejected; draw one, or name another record."),
        (["like", "1", "--mask", "7", "--category", "cup"], "record 1 must have the mask 7 of the class 'cup' that"),
        (["promote", "--version", "v", "--out", "o", "--guard", "x"], "--guard must be NAME=VALUE, got 'x'."),
        (["promote", "--version", "v", "--out", "o", "--set", "speed=1"], "unknown training setting 'speed'."),
    ],
)
def test_mistakes(where: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", words[0], where, *words[1:]]) == 1
    assert message in capsys.readouterr().err
