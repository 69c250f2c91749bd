"""The gate: who takes over, who does not, and the way back."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segany import Predictor, weights
from segany.engine import promotion
from segany.engine.confidence import Confidence
from segany.engine.linear import LinearHead
from segany.engine.models import CHOOSER, CONFIDENCE, keep, mask_chooser, model_in_use
from segany.engine.promotion import Decision, compare_models, decisions, promote, rollback, write_target
from segany.engine.rounds import ROUND, LearningRound, due, round_handler
from segany.engine.running import run_to_end
from segany.errors import ConfigError
from segany.evaluate.intervals import percentile_interval
from segany.evaluate.items import EvaluationSet
from segany.evaluate.segmenter import PredictorSegmenter
from segany.predict.choose import Candidates, MaskChooser
from segany.schema import Annotation
from segany.store import JobContext, Store

Made = Callable[[int], Any]


@pytest.fixture
def judged(painted: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Eight photos whose discs were accepted, as a target; "good.pt" sees them better than "poor.pt"."""
    made = painted(8)
    backend = type(made.predictor.backend)
    damages = {"good.pt": 0, "poor.pt": 3, "poorer.pt": 6, "mobile_sam": 2}

    def opened(spec: Any, progress: Any) -> PredictorSegmenter:
        damage = damages[Path(spec.model).name]
        return PredictorSegmenter(spec.text, Predictor(backend=backend(damage)))

    monkeypatch.setattr("segany.evaluate.protocol.open_segmenter", opened)
    monkeypatch.setattr("segany.engine.rounds.ResultCache.default", lambda: None)
    for name in damages:
        (tmp_path / name).write_bytes(b"")
    for number, masks in made.truths.items():
        accepted = [Annotation(k, mask, review_state="accepted") for k, mask in enumerate(masks)]
        flagged = Annotation("no", masks[0], review_state="flagged")
        revision = made.store.records.get(number).revision
        made.store.records.save(number, expected=revision, actor="anna", put=[*accepted, flagged])
    made.store.splits.assign({"train": 0.25, "test": 0.75}, actor="test")
    made.target = tmp_path / "target"
    made.count = write_target(made.store, made.target, version="live", split="test")
    return made


def compared(judged: Any, candidate: str, incumbent: str, guards: tuple[str, ...] = ()) -> Decision:
    sets = [EvaluationSet(name, judged.target) for name in guards]
    return compare_models(candidate, incumbent, EvaluationSet("target", judged.target), sets)


def test_the_target_is_what_people_accepted(judged: Any) -> None:
    items = list(EvaluationSet("target", judged.target).items())
    assert judged.count == len(items) == len(judged.store.records.ids(split="test")) > 0
    assert all(len(item.objects) == 4 for item in items)
    with pytest.raises(ConfigError, match=r"no image of the split 'val' of live has an accepted mask"):
        write_target(judged.store, judged.target, version="live", split="val")


def test_better_is_promoted_and_worse_is_refused(judged: Any, tmp_path: Path) -> None:
    better = compared(judged, "good.pt", "mobile_sam", ("guard",))
    assert better.promoted
    assert better.says()[0] == "promoted: better on the target, and no guard is worse than the margin"
    assert "target (target), mIoU@1: " in better.says()[1]
    assert better.says()[1].endswith("better by more than chance")
    assert "target (target), mIoU@5: " in better.says()[2]
    assert better.says()[2].endswith("not worse than the margin of 1")
    card = promote(judged.store, str(tmp_path / "good.pt"), better, actor="anna")
    assert card.status == "promoted"
    assert model_in_use(judged.store) == str(tmp_path / "good.pt")
    worse = compared(judged, "poor.pt", "good.pt")
    assert not worse.promoted
    card = promote(judged.store, str(tmp_path / "poor.pt"), worse, actor="anna")
    assert card.status == "candidate"
    assert card.config["decision"]["says"][0].startswith("refused: mIoU@1 of target")
    assert model_in_use(judged.store) == str(tmp_path / "good.pt")
    assert [one["promoted"] for one in decisions(judged.store)] == [False, True]
    assert decisions(judged.store)[0]["verdicts"][0]["difference"]["high"] < 0


def test_a_guard_that_gets_worse_refuses(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same photos are target and guard; what counts as better on the one is judged as a loss on the other."""
    figures = percentile_interval
    calls: list[float] = []

    def turned(value: float, draws: Any, n: int) -> Any:
        calls.append(value)
        sign = 1 if len(calls) <= 2 else -1
        return figures(sign * value, sign * draws, n)

    monkeypatch.setattr(promotion, "percentile_interval", turned)
    decision = compared(judged, "good.pt", "mobile_sam", ("guard",))
    assert [one.passed for one in decision.verdicts] == [True, True, False, False]
    assert not decision.promoted
    assert "maybe worse than the margin of 1" in decision.says()[3]


def test_the_same_model_is_nothing_to_decide(judged: Any) -> None:
    with pytest.raises(ConfigError, match="there is nothing to decide"):
        compared(judged, "good.pt", "./good.pt")
    with pytest.raises(ConfigError, match="margin must be 0 or more, got -1"):
        compare_models("good.pt", "poor.pt", EvaluationSet("target", judged.target), margin=-1)


def test_a_new_model_is_named_after_its_run_and_its_choices_are_learned_anew(judged: Any, tmp_path: Path) -> None:
    flat = Candidates(np.array([0.9, 0.8, 0.7]), np.zeros(3), np.full(3, 0.1))
    keep(judged.store, MaskChooser().remembered(flat, np.array([0.1, 0.2, 0.9]), 0.1), CHOOSER, actor="anna")
    decision = compared(judged, "good.pt", "mobile_sam")
    refused = replace(decision, promoted=False)
    promote(judged.store, str(tmp_path / "good.pt"), refused, actor="anna")
    assert mask_chooser(judged.store).bias.any()
    (tmp_path / "monday").mkdir()
    (tmp_path / "good.pt").rename(tmp_path / "monday" / "model.safetensors")
    card = promote(judged.store, str(tmp_path / "monday" / "model.safetensors"), decision, actor="anna")
    assert (card.name, card.status) == ("monday", "promoted")
    assert not mask_chooser(judged.store).bias.any()
    assert len(mask_chooser(judged.store).sizes) == 1


def test_the_way_back(judged: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no model was in use before mobile_sam"):
        rollback(judged.store, actor="anna")
    for name, incumbent in (("poor.pt", "poorer.pt"), ("good.pt", "poor.pt")):
        decision = compared(judged, name, incumbent)
        promote(judged.store, str(tmp_path / name), decision, actor="anna")
    assert rollback(judged.store, actor="anna", why="nights are dark").config["model"].endswith("poor.pt")
    assert model_in_use(judged.store).endswith("poor.pt")
    event = next(judged.store.events.list(kind="model.promoted", newest_first=True))
    assert event.details["why"] == {"says": ["rolled back nights are dark"]}


def test_a_checkpoint_that_is_gone_is_named(judged: Any, tmp_path: Path) -> None:
    promote(judged.store, str(tmp_path / "good.pt"), compared(judged, "good.pt", "mobile_sam"), actor="anna")
    (tmp_path / "good.pt").unlink()
    with pytest.raises(ConfigError, match=r"the checkpoint .*good.pt of good is gone; put it back"):
        model_in_use(judged.store)


def learning_round(judged: Any, tmp_path: Path, made: str, **more: Any) -> Any:
    def train(store: Store, wanted: LearningRound, model: str, out: Path, context: JobContext) -> Path:
        assert store.versions.get(wanted.version).records == 8
        return tmp_path / made

    wanted = LearningRound("v1", str(tmp_path), **more)
    handler = round_handler(judged.store, actor="anna", train=train)
    return run_to_end(judged.store, ROUND, asdict(wanted), {ROUND: handler})


def test_a_round_freezes_trains_compares_and_decides(judged: Any, tmp_path: Path) -> None:
    assert due(judged.store, 32)
    result = learning_round(judged, tmp_path, "good.pt", guards={"guard": str(judged.target)})
    assert result["promoted"]
    assert result["trained_on"] == judged.store.versions.get("v1").digest
    assert model_in_use(judged.store).endswith("good.pt")
    assert not due(judged.store, 1)


@pytest.mark.parametrize("died", ["before it was noted", "while learning"])
def test_after_a_promotion_what_people_accept_is_learned_anew(
    judged: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, died: str
) -> None:
    """Also where the process dies after the candidate has taken over: it is not compared with itself then."""
    head = LinearHead(np.zeros(1), np.ones(1), np.zeros((1, 2)), np.zeros(2))
    keep(judged.store, Confidence(head, 0.9, 0.8, 30, "of mobile_sam"), CONFIDENCE, actor="anna")
    learned: list[tuple[str, float]] = []
    deaths: list[str] = []
    noted = JobContext.checkpoint

    def die(when: str) -> None:
        if when == died and not deaths:
            deaths.append(when)
            raise KeyboardInterrupt

    def checkpoint(self: JobContext, value: Any, **more: float) -> None:
        if "decided" in value:
            die("before it was noted")
        noted(self, value, **more)

    def learn(store: Store, predictor: Any, *, precision: float, **_: Any) -> None:
        die("while learning")
        learned.append((Path(predictor).name, precision))

    monkeypatch.setattr(JobContext, "checkpoint", checkpoint)
    monkeypatch.setattr("segany.engine.rounds.Predictor", lambda model, **_: model)
    monkeypatch.setattr("segany.engine.rounds.learn_confidence", learn)
    with pytest.raises(KeyboardInterrupt):
        learning_round(judged, tmp_path, "good.pt")
    assert model_in_use(judged.store).endswith("good.pt")
    result = learning_round(judged, tmp_path, "good.pt")
    assert result["promoted"]
    assert learned == [("good.pt", 0.8)]
    assert len(judged.store.jobs.list(kinds=[ROUND])) == 1
    assert [card.status for card in judged.store.models.list() if card.name == "good"] == ["promoted"]
    learning_round(judged, tmp_path, "poor.pt", margin=0.02)
    assert len(learned) == 1


def test_a_harmful_round_is_refused(judged: Any, tmp_path: Path) -> None:
    result = learning_round(judged, tmp_path, "poorer.pt")
    assert not result["promoted"]
    assert result["says"][0].startswith("refused")
    assert model_in_use(judged.store) == "mobile_sam"


@pytest.mark.soak
def test_a_model_taught_shuffled_masks_is_refused(painted: Made, tmp_path: Path) -> None:
    """The real model, really trained, on masks of other objects; the gate sees that it got worse."""
    pytest.importorskip("lightning_fabric", reason="the extra train is not installed")
    weights.path("mobile_sam")
    made = painted(4)
    for number, masks in made.truths.items():
        others = made.truths[number % 4 + 1]
        split = "train" if number <= 2 else "test"
        known = others if split == "train" else masks
        put = [Annotation(k, mask, review_state="accepted") for k, mask in enumerate(known)]
        made.store.records.save(number, expected=made.store.records.get(number).revision, actor="anna", put=put)
        made.store.splits.set({number: split}, actor="anna")
    train = {"steps": 4, "clicks": 1, "repeats": 0, "views": 1, "learning_rate": 2e-3, "warmup_steps": 0}
    wanted = LearningRound("shuffled", str(tmp_path / "runs"), limit=8, train=train, runtime="torch")
    handler = round_handler(made.store, actor="anna")
    result = run_to_end(made.store, ROUND, asdict(wanted), {ROUND: handler})
    assert not result["promoted"]
    assert model_in_use(made.store) == "mobile_sam"
    assert made.store.models.get(result["candidate"]).status == "candidate"
