"""More of the same on other images, as a job."""

from collections.abc import Callable
from typing import Any

import pytest

from segany.engine.alike import LIKE, LikeSettings, like_handler
from segany.engine.quality import compare_masks
from segany.engine.running import run_to_end
from segany.errors import ConfigError
from segany.schema import Annotation
from segany.store import JobContext

Made = Callable[[int], Any]


def with_red_disc(made: Any) -> int:
    """Accept one red disc of the first photo; gives its record."""
    number = min(made.truths)
    place = made.names[number].index("red")
    mask = Annotation("red", made.truths[number][place], category="cherry", review_state="accepted")
    made.store.records.save(number, expected=made.store.records.get(number).revision, actor="anna", put=[mask])
    return int(number)


def look(made: Any, record: int, **more: Any) -> Any:
    wanted = LikeSettings(record, points_per_side=8, limit=4, **more).to_dict()
    return run_to_end(made.store, LIKE, wanted, {LIKE: like_handler(made.store, lambda _: made.predictor)})


def test_what_is_alike_is_flagged_with_its_class(painted: Made) -> None:
    made = painted(3)
    result = look(made, with_red_disc(made))
    assert (result["images"], result["exemplars"], result["category"]) == (2, 1, "cherry")
    for number in sorted(made.truths)[1:]:
        found = made.store.records.get(number).record.annotations
        assert {(one.category, one.review_state, one.source) for one in found} == {("cherry", "flagged", "automatic")}
        red = [m for m, name in zip(made.truths[number], made.names[number], strict=True) if name == "red"]
        assert len(compare_masks([one.segmentation for one in found], red)) == len(red)
    again = look(made, with_red_disc(made), on=(max(made.truths),))
    assert again["found"] == 0


def test_a_process_that_dies_after_saving_an_image_counts_it_still(
    painted: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = painted(4)
    record = with_red_disc(made)
    noted = JobContext.checkpoint
    seen: list[Any] = []

    def dying(self: JobContext, value: Any, **more: float) -> None:
        seen.append(value)
        if len(seen) == 2:
            raise KeyboardInterrupt
        noted(self, value, **more)

    monkeypatch.setattr(JobContext, "checkpoint", dying)
    with pytest.raises(KeyboardInterrupt):
        look(made, record)
    revisions = {number: made.store.records.get(number).revision for number in made.truths}
    result = look(made, record)
    masks = {
        number: [one for one in made.store.records.get(number).record.annotations if str(one.id).startswith("like-")]
        for number in made.truths
    }
    assert result["found"] == sum(len(found) for found in masks.values()) > 0
    changed = [number for number in made.truths if made.store.records.get(number).revision != revisions[number]]
    assert changed == [max(made.truths)]
    assert len(made.store.jobs.list(kinds=[LIKE])) == 1


def test_another_search_leaves_one_that_was_stopped_alone(painted: Made) -> None:
    made = painted(2)
    record = with_red_disc(made)
    stopped = made.store.jobs.submit(LIKE, LikeSettings(record, limit=1).to_dict(), resource="engine")
    assert look(made, record)["images"] == 1
    assert made.store.jobs.get(stopped.id).state == "queued"


def test_a_search_without_an_exemplar_is_refused(painted: Made) -> None:
    with pytest.raises(ConfigError, match="limit must be at least 1, got 0"):
        LikeSettings(1, limit=0)
