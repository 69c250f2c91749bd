"""The three stages, as jobs over a store."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from segany import Predictor
from segany.engine.annotator import Annotator
from segany.engine.confidence import LEAST_REVIEWS
from segany.engine.models import CONFIDENCE, confidence, keep
from segany.engine.proposals import Finished, finished_images, would_be_accepted
from segany.engine.quality import compare_masks
from segany.engine.reviews import learn_confidence
from segany.engine.running import run_to_end
from segany.engine.simulation import simulate_round
from segany.engine.stages import STAGE, StageSettings, stage_handler
from segany.engine.tasks import OPEN
from segany.errors import ConfigError, JobCancelledError, StoreError
from segany.schema import Annotation
from segany.store import JobContext, Store

Made = Callable[[int], Any]


def stage(store: Store, predictor: Predictor, name: str, **settings: object) -> dict[str, int]:
    wanted = StageSettings(name, points_per_side=8, **settings)  # type: ignore[arg-type]
    handler = stage_handler(store, lambda _: predictor)
    found: dict[str, int] = run_to_end(store, STAGE, wanted.to_dict(), {STAGE: handler})
    return found


def test_automatic_keeps_masks_and_asks_nobody(painted: Made) -> None:
    made = painted(2)
    result = stage(made.store, made.predictor, "automatic")
    assert result["images"] == 2
    assert result["flagged"] == result["queued"] == 0
    for number, truths in made.truths.items():
        masks = made.store.records.get(number).record.annotations
        assert {(one.source, one.review_state, one.annotator) for one in masks} == {("automatic", "unreviewed", None)}
        assert masks[0].model_digest == made.predictor.backend.model_digest
        assert len(compare_masks([one.segmentation for one in masks], truths)) == 4


def test_semi_automatic_flags_what_it_is_not_sure_of_and_queues_it_with_reasons(painted: Made) -> None:
    made = painted(3)
    result = stage(made.store, made.predictor, "semi-automatic")
    assert (result["kept"], result["queued"]) == (0, 3)
    assert result["flagged"] >= 12
    jobs = made.store.jobs.list(kinds=[OPEN])
    assert [job.priority for job in jobs] == sorted((job.priority for job in jobs), reverse=True)
    assert set(jobs[0].payload["reasons"]) == {"uncertain", "disagrees", "unlike"}
    assert "unlike what was seen before (1.00)" in jobs[0].payload["why"]
    assert stage(made.store, made.predictor, "semi-automatic", limit=5)["queued"] == 0


def test_manual_queues_images_without_masks(painted: Made) -> None:
    made = painted(3)
    assert stage(made.store, made.predictor, "assisted-manual", limit=2) == {
        "images": 3,
        "kept": 0,
        "flagged": 0,
        "queued": 2,
    }


def review_by_colour(made: Any) -> None:
    """Accept what is a disc, reject the ground and everything else."""
    for number, truths in made.truths.items():
        stored = made.store.records.get(number)
        steps = {
            one.id: "accept" if compare_masks([one.segmentation], truths) else "reject"
            for one in stored.record.annotations
        }
        made.store.records.review(number, steps, expected=stored.revision, actor="anna")


def test_what_people_accept_is_kept_next_time_and_what_they_decided_stays(painted: Made) -> None:
    made = painted(12)
    first, rest = tuple(sorted(made.truths))[:10], tuple(sorted(made.truths))[10:]
    stage(made.store, made.predictor, "semi-automatic", records=first)
    review_by_colour(made)
    learned = learn_confidence(made.store, made.predictor, actor="test", precision=0.8, points_per_side=8)
    assert learned is not None
    assert learned.keep_from <= 1
    result = stage(made.store, made.predictor, "semi-automatic", records=rest)
    assert result["kept"] >= 7
    for number in rest:
        kept = [
            one.segmentation
            for one in made.store.records.get(number).record.objects
            if one.review_state == "unreviewed"
        ]
        assert len(compare_masks(kept, made.truths[number])) == len(kept) >= 3
    decided = {one.id: one.review_state for one in made.store.records.get(first[0]).record.annotations}
    stage(made.store, made.predictor, "semi-automatic", records=first[:1])
    after = {one.id: one.review_state for one in made.store.records.get(first[0]).record.annotations}
    assert decided.items() <= after.items()


def test_images_that_were_drawn_by_hand_teach_what_people_accept(painted: Made) -> None:
    made = painted(14)
    numbers = sorted(made.truths)
    manual = StageSettings("assisted-manual", records=tuple(numbers[:12]))
    simulate_round(made.store, made.truths, manual, made.predictor, Annotator("anna"))
    seen: list[int] = []
    learned = learn_confidence(
        made.store, made.predictor, actor="test", precision=0.8, points_per_side=8, progress=seen.append
    )
    assert learned is not None
    assert learned.replayed == learned.reviews >= LEAST_REVIEWS
    assert seen == list(range(1, 13))
    assert confidence(made.store).to_dict() == learned.to_dict()  # type: ignore[union-attr]
    # None passes the thresholds that hold before anything was learned.
    shy = {"ask_iou_thresh": 0.99, "ask_stability_thresh": 0.99}
    result = stage(made.store, made.predictor, "semi-automatic", records=tuple(numbers[12:]), **shy)
    assert result["kept"] + result["flagged"] >= 8
    for number in numbers[12:]:
        masks = [one.segmentation for one in made.store.records.get(number).record.objects]
        found = compare_masks(masks, made.truths[number])
        assert len(found) == 4
        assert len(masks) <= 6


def test_masks_that_nobody_looked_at_do_not_confirm_themselves(painted: Made) -> None:
    made = painted(1)
    (number,) = made.truths
    discs = [Annotation(k, mask, source="automatic") for k, mask in enumerate(made.truths[number])]
    image = Finished(number, [discs[0].segmentation], [discs[1].segmentation])
    assert would_be_accepted(discs, image) == [True, None, False, False]
    # The same object as a mask in doubt, and the outline of an accepted one.
    assert would_be_accepted(discs[:1], Finished(number, [discs[0].segmentation], [discs[0].segmentation])) == [True]
    assert would_be_accepted([], image) == []


def test_finished_images_say_what_is_decided(painted: Made) -> None:
    made = painted(2)
    numbers = sorted(made.truths)
    stage(made.store, made.predictor, "automatic", records=(numbers[1],))
    kept = made.store.records.get(numbers[1]).record.objects
    manual = StageSettings("assisted-manual", records=tuple(numbers))
    simulate_round(made.store, made.truths, manual, made.predictor, Annotator("anna"))
    (last, first) = finished_images(made.store)
    assert (last.record, first.record) == (numbers[1], numbers[0])
    assert (len(first.accepted), len(first.undecided)) == (4, 0)
    assert last.undecided == [one.segmentation for one in kept]
    assert len(last.accepted) == 0


def test_a_confidence_of_another_model_keeps_nothing(painted: Made) -> None:
    made = painted(8)
    stage(made.store, made.predictor, "semi-automatic")
    review_by_colour(made)
    learned = learn_confidence(made.store, made.predictor, actor="test", precision=0.5, points_per_side=8)
    assert learned is not None
    keep(made.store, replace(learned, model_digest="other"), CONFIDENCE, actor="test")
    assert stage(made.store, made.predictor, "semi-automatic", overlap_thresh=1.0)["kept"] == 0


def test_objects_that_are_done_are_not_proposed_again(painted: Made) -> None:
    made = painted(1)
    (number,) = made.truths
    done = [
        Annotation(k, mask, source="manual", review_state="accepted", annotator="anna")
        for k, mask in enumerate(made.truths[number])
    ]
    revision = made.store.records.get(number).revision
    made.store.records.save(number, expected=revision, actor="anna", put=done)
    stage(made.store, made.predictor, "automatic")
    more = [one.segmentation for one in made.store.records.get(number).record.objects if one.source == "automatic"]
    assert compare_masks(more, made.truths[number]) == []


def test_after_a_crash_it_goes_on_where_it_was(painted: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made = painted(3)
    handler = stage_handler(made.store, lambda _: made.predictor)
    checkpoint, seen = JobContext.checkpoint, []

    def dying(self: JobContext, value: object, **more: float) -> None:
        checkpoint(self, value, **more)
        seen.append(value)
        if len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(JobContext, "checkpoint", dying)
    wanted = StageSettings("automatic", points_per_side=8).to_dict()
    with pytest.raises(KeyboardInterrupt):
        run_to_end(made.store, STAGE, wanted, {STAGE: handler})
    revisions = {number: made.store.records.get(number).revision for number in made.truths}
    result = run_to_end(made.store, STAGE, wanted, {STAGE: handler})
    assert len(made.store.jobs.list(kinds=[STAGE])) == 1
    assert [number for number in made.truths if made.store.records.get(number).revision == revisions[number]] == [1, 2]
    assert result["kept"] == sum(len(made.store.records.get(number).record.annotations) for number in made.truths)


def test_a_job_can_be_cancelled(painted: Made) -> None:
    made = painted(2)
    handler = stage_handler(made.store, lambda _: made.predictor)

    def cancelling(context: JobContext) -> object:
        made.store.jobs.cancel(context.job.id)
        return handler(context)

    wanted = StageSettings("automatic", points_per_side=8).to_dict()
    with pytest.raises(JobCancelledError):
        run_to_end(made.store, STAGE, wanted, {STAGE: cancelling})


def test_a_job_that_fails_says_why(painted: Made) -> None:
    made = painted(1)

    def failing(context: JobContext) -> object:
        raise ConfigError("no such thing")

    with pytest.raises(StoreError, match=r"job \d+ \(engine.stage\) failed: ConfigError: no such thing"):
        run_to_end(made.store, STAGE, {}, {STAGE: failing})


def test_what_is_no_stage_is_refused() -> None:
    with pytest.raises(ConfigError, match="stage must be one of assisted-manual, semi-automatic, automatic, got 'all'"):
        StageSettings("all")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="pred_iou_thresh must be from 0 to 1, got 2"):
        StageSettings("automatic", pred_iou_thresh=2.0)
    assert np.isfinite(StageSettings("automatic").thresholds().pred_iou_thresh)
