"""A chooser's figures beside the paper's."""

import json
from pathlib import Path

import numpy as np
import pytest

from segany.errors import ConfigError
from segany.evaluate.choosing import GapClosed, MeanChosen, candidate_columns, read_chooser
from segany.evaluate.click_loop import Candidate
from segany.evaluate.items import EvaluationSet
from segany.evaluate.protocols import Clicks
from segany.evaluate.run import evaluate
from segany.evaluate.segmenter import PredictorSegmenter
from segany.evaluate.subjects import SubjectSpec
from segany.evaluate.truth import Truth
from segany.masks import RLE
from segany.predict.choose import MaskChooser

TRUTH = Truth(RLE.from_mask(np.eye(8, dtype=np.bool_)))
ROW = candidate_columns(
    [Candidate(0.8, 0.1, 0.2, 0.2), Candidate(0.7, 0.1, 0.2, 0.9), Candidate(0.1, 0, 0.1, 0.3)], TRUTH
)


def test_columns_hold_what_there_was_to_choose_from() -> None:
    assert ROW["score_1_1"] == 0.7
    assert ROW["depth_1_1"] == 0.1
    assert ROW["iou_1_1"] == 0.9
    assert ROW["share"] == 1 / 8
    assert candidate_columns([Candidate(0.8, 0.1, 0.2, 0.2)], TRUTH) == {}


def test_it_learns_from_row_to_row_and_begins_anew() -> None:
    metric = GapClosed("learning")
    metric.update([ROW])
    assert metric.value() == 0
    metric.update([ROW] * 9)
    assert metric.value() > 0.8
    metric.reset()
    metric.update([ROW])
    assert metric.value() == 0
    untaught = MeanChosen("untaught")
    untaught.update([ROW] * 10)
    assert untaught.value() == pytest.approx(0.2)


def test_rows_without_a_choice_count_for_nothing() -> None:
    metric = MeanChosen("learning", difference=True)
    metric.update([{"iou_1": 0.5}, ROW])
    assert metric.n == 1


def test_a_file_of_a_project(tmp_path: Path) -> None:
    chooser = MaskChooser()
    path = tmp_path / "chooser.json"
    path.write_text(json.dumps(chooser.to_dict()), encoding="utf-8")
    assert read_chooser(str(path)) == chooser
    with pytest.raises(ConfigError, match=r"a chooser is learning, untaught or a file of `segany engine chooser`, got"):
        Clicks(chooser="nothing")
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigError, match="is no chooser"):
        read_chooser(str(path))


def test_a_chooser_needs_a_choice() -> None:
    with pytest.raises(ConfigError, match="leave multimask=never out"):
        Clicks(chooser="learning", multimask="never")


def test_settings_that_change_nothing_do_not_change_the_digest() -> None:
    assert "chooser" not in Clicks().settings()
    assert Clicks().digest != Clicks(chooser="learning").digest
    given = Clicks(chooser="untaught", first="random")
    assert Clicks.restored(given.settings()) == given


def test_an_evaluation_with_a_chooser(made: Path, fake: PredictorSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper's figures stay what they are; the fake's middle disc fits best, and is learned."""
    monkeypatch.setattr("segany.evaluate.protocol.open_segmenter", lambda spec, progress: fake)
    figures = {}
    for word in ("", "learning"):
        protocol = Clicks(counts=(1, 2), chooser=word)
        done = evaluate(protocol, [EvaluationSet("made", made)], [SubjectSpec.parse("fake")])
        figures[word] = {name: one.mean for name, one in done.results[0].scores().metrics.items()}
    assert figures["learning"]["mIoU@1"] == figures[""]["mIoU@1"]
    assert figures["learning"]["mIoU@2"] == figures[""]["mIoU@2"]
    more = figures["learning"]["chosen@1"] - figures["learning"]["mIoU@1"]
    assert more == pytest.approx(figures["learning"]["chosen - mIoU@1"])
    assert more > 0


def test_off_centre_clicks_are_other_clicks(
    made: Path, fake: PredictorSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segany.evaluate.protocol.open_segmenter", lambda spec, progress: fake)
    values = []
    for first in ("centre", "random", "random"):
        protocol = Clicks.with_settings({"counts": "1", "first": first})
        done = evaluate(protocol, [EvaluationSet("made", made)], [SubjectSpec.parse("fake")])
        values.append(done.results[0].scores().metrics["mIoU@1"].mean)
    assert values[0] != values[1] == values[2]
    with pytest.raises(ConfigError, match="first must be one of centre, random, got 'edge'"):
        Clicks(first="edge")  # type: ignore[arg-type]  # what a command line may bring
