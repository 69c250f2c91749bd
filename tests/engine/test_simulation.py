"""The simulated annotator, and rounds with it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from segany.engine.annotator import Annotator, Costs
from segany.engine.models import mask_chooser
from segany.engine.reviews import learn_confidence
from segany.engine.simulation import simulate_round
from segany.engine.stages import StageSettings
from segany.masks import RLE
from segany.schema import Annotation

Made = Callable[[int], Any]


def test_costs_are_the_published_ones() -> None:
    assert Costs() == Costs(click=2.4, inspect=1.6, box=7.0, polygon=79.2)
    assert Costs().scaled(0.5).polygon == 39.6
    assert Costs().seconds({"click": 2, "inspect": 3, "polygon": 1}) == pytest.approx(2 * 2.4 + 3 * 1.6 + 79.2)


def annotate(made: Any, shown: list[Annotation], kept: list[RLE], **how: Any) -> Any:
    number = next(iter(made.truths))
    embedding = made.predictor.embed(made.store.image(number))
    annotator = Annotator(**how)
    return annotator.annotate(made.predictor, embedding, made.truths[number], shown, kept, None, "new")


def test_it_looks_at_every_proposal_and_draws_what_is_missing(painted: Made) -> None:
    made = painted(1)
    truths = next(iter(made.truths.values()))
    wrong = RLE.from_mask(np.ones(truths[0].size, dtype=np.bool_))
    shown = [Annotation("good", truths[0]), Annotation("twice", truths[0]), Annotation("wrong", wrong)]
    answer, work, _ = annotate(made, shown, [truths[1]])
    assert (list(answer.accepted), list(answer.rejected)) == (["good"], ["twice", "wrong"])
    assert [one.id for one in answer.drawn] == ["new-2", "new-3"]
    assert work.steps == {"inspect": 3 + 2, "click": 2}
    assert answer.seconds == pytest.approx(5 * 1.6 + 2 * 2.4)
    assert min(work.ious) > 0.85


def test_it_corrects_a_proposal_that_is_nearly_right(painted: Made) -> None:
    made = painted(1)
    truths = next(iter(made.truths.values()))
    disc = truths[0].to_mask()
    rows = np.flatnonzero(disc.any(axis=1))
    half = disc.copy()
    half[rows[0] : rows[0] + len(rows) // 3] = False
    answer, work, _ = annotate(made, [Annotation("near", RLE.from_mask(half))], truths[1:])
    assert (list(answer.accepted), list(answer.rejected)) == ([], ["near"])
    (drawn,) = answer.drawn
    assert (drawn.id, drawn.source) == ("new-0", "semi_automatic")
    # One look at the proposal, one click where it lacks something, one look: no first click and no choice among three.
    assert work.steps == {"inspect": 2, "click": 1}
    (x, y), *_ = drawn.prompts[0].points
    assert disc[int(y), int(x)]
    assert not half[int(y), int(x)]
    assert work.ious[0] > 0.85


def test_what_clicks_cannot_reach_is_drawn_by_hand(painted: Made) -> None:
    made = painted(1)
    made.predictor.backend.damage = 10
    answer, work, _ = annotate(made, [], [], most_clicks=2)
    assert work.steps["polygon"] == 4
    assert {one.source for one in answer.drawn} == {"manual"}
    assert work.ious == [1.0] * 4


def test_rounds_get_cheaper_as_masks_are_kept(painted: Made) -> None:
    made = painted(12)
    numbers = sorted(made.truths)
    figures = []
    for place, part in enumerate((numbers[:2], numbers[2:10], numbers[10:])):
        learn_confidence(made.store, made.predictor, actor="test", precision=0.8, points_per_side=8)
        name = "assisted-manual" if place == 0 else "semi-automatic"
        settings = StageSettings(name, points_per_side=8, records=tuple(part))  # type: ignore[arg-type]
        annotator = Annotator("simulated")
        figures.append(simulate_round(made.store, made.truths, settings, made.predictor, annotator))
    assert [one.share_automatic for one in figures[:2]] == [0, 0]
    assert figures[2].share_automatic > 0.5
    assert figures[2].seconds_per_mask() < 0.7 * figures[0].seconds_per_mask()
    assert all(one.found == 1.0 and one.iou > 0.9 for one in figures)
    assert figures[1].proposed > 0
    assert len(mask_chooser(made.store).surprises) >= 8
    assert figures[0].to_dict()["masks_per_image"] == 4
