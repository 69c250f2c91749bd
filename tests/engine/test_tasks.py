"""What people are asked, what they answer, and how far they agree."""

from collections.abc import Callable
from typing import Any

import pytest

from segany import Prompt
from segany.engine.models import mask_chooser
from segany.engine.quality import agreement, ask_gold, ask_second_looks, compare_masks
from segany.engine.tasks import TaskAnswer, answer_task, ask, learn_choice, next_task, skip_task
from segany.errors import ConfigError
from segany.masks import RLE
from segany.schema import Annotation

Made = Callable[[int], Any]


def drawn(masks: list[RLE], name: str = "new") -> list[Annotation]:
    return [Annotation(f"{name}-{k}", mask, source="manual") for k, mask in enumerate(masks)]


def test_the_most_urgent_first_and_what_is_accepted_is_kept(painted: Made) -> None:
    made = painted(2)
    low, high = made.truths
    ask(made.store, low, priority=0.1, key="a")
    ask(made.store, high, priority=0.9, why="because", key="b")
    ask(made.store, high, priority=0.9, why="because", key="b")
    revision = made.store.records.get(high).revision
    flagged = Annotation("auto", made.truths[high][0], review_state="flagged")
    made.store.records.save(high, expected=revision, actor="engine", put=[flagged])
    task = next_task(made.store, "anna")
    assert task is not None
    assert (task.record.id, task.why, [one.id for one in task.inspect]) == (high, "because", ["auto"])
    answer = TaskAnswer(["auto"], [], drawn(made.truths[high][1:]), 12.0)
    answer_task(made.store, task, answer, annotator="anna")
    masks = made.store.records.get(high).record.annotations
    assert [one.review_state for one in masks] == ["accepted"] * 4
    assert masks[1].annotator == "anna"
    assert made.store.jobs.get(task.job.id).result == {
        "seconds": 12.0,
        "annotator": "anna",
        "accepted": 1,
        "rejected": 0,
        "drawn": 3,
    }


def test_a_skipped_task_waits_for_others(painted: Made) -> None:
    made = painted(1)
    ask(made.store, next(iter(made.truths)))
    task = next_task(made.store, "anna")
    assert task is not None
    assert next_task(made.store, "ben") is None
    skip_task(made.store, task)
    assert next_task(made.store, "ben") is not None


def test_a_second_look_is_blind_and_someone_elses(painted: Made) -> None:
    made = painted(2)
    for number in made.truths:
        ask(made.store, number)
    while (task := next_task(made.store, "anna")) is not None:
        done = TaskAnswer(drawn=drawn(made.truths[task.record.id]), seconds=10.0)
        answer_task(made.store, task, done, annotator="anna")
    assert ask_second_looks(made.store, share=1.0) == sorted(made.truths)
    assert ask_second_looks(made.store, share=1.0) == sorted(made.truths)
    assert next_task(made.store, "anna") is None
    task = next_task(made.store, "ben")
    assert task is not None
    assert (task.is_blind, task.inspect, task.record.record.annotations, task.why) == (True, (), (), "")
    before = made.store.records.get(task.record.id).revision
    answer = TaskAnswer(drawn=drawn(made.truths[task.record.id][:3]), seconds=20.0)
    answer_task(made.store, task, answer, annotator="ben")
    assert made.store.records.get(task.record.id).revision == before
    (found,) = agreement(made.store)
    assert (found.annotator, found.purpose, found.images, found.masks) == ("ben", "second_look", 1, 4)
    assert (found.found, found.iou, found.seconds) == (0.75, 1.0, 20.0)


def test_gold_questions_are_for_one_person_each(painted: Made) -> None:
    made = painted(1)
    (number,) = made.truths
    known = [Annotation(k, mask, review_state="accepted") for k, mask in enumerate(made.truths[number])]
    made.store.records.save(number, expected=made.store.records.get(number).revision, actor="boss", put=known)
    ask_gold(made.store, [number], ["anna", "ben"])
    for name, masks in (("anna", made.truths[number]), ("ben", [])):
        task = next_task(made.store, name)
        assert task is not None
        answer_task(made.store, task, TaskAnswer(drawn=drawn(masks), seconds=1.0), annotator=name)
        assert next_task(made.store, name) is None
    anna, ben = agreement(made.store)
    assert (anna.found, anna.iou) == (1.0, 1.0)
    assert (ben.found, ben.iou, ben.purpose) == (0.0, 0.0, "gold")


def test_masks_are_compared_one_to_one(painted: Made) -> None:
    (masks,) = painted(1).truths.values()
    assert compare_masks([masks[0], masks[0]], masks) == [1.0]
    assert compare_masks(masks, []) == []


def test_a_share_is_a_share(painted: Made) -> None:
    with pytest.raises(ConfigError, match="share must lie between 0 and 1, got 2"):
        ask_second_looks(painted(1).store, share=2)


def test_the_chooser_is_taught_in_the_store(painted: Made) -> None:
    made = painted(1)
    (number,) = made.truths
    embedding = made.predictor.embed(made.store.image(number))
    click = Prompt(points=[(24, 24)])
    first = made.predictor.predict(embedding, click)
    for _ in range(3):
        learn_choice(made.store, first, click, first.rle(2), actor="anna")
    assert len(mask_chooser(made.store).surprises) == 3
    box = Prompt(box=(1, 1, 30, 30))
    learn_choice(made.store, made.predictor.predict(embedding, box), box, first.rle(2), actor="anna")
    assert len(mask_chooser(made.store).surprises) == 3
