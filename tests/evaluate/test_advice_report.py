"""Advice in words."""

from segany.evaluate.advice_report import advice_document, advice_sentences
from segany.evaluate.advise import Advice, Contender, Failure, TaskAdvice
from segany.evaluate.intervals import Interval


def task(lead: Interval | None, winner: str | None, *figures: tuple[str, float, float]) -> TaskAdvice:
    contenders = [Contender(name, Interval(mean, mean - 0.1, mean + 0.1, 40), s) for name, mean, s in figures]
    return TaskAdvice("one click", "mIoU@1", contenders, lead, winner, 9, 40)


def said(*tasks: TaskAdvice) -> list[str]:
    return advice_sentences(Advice(tasks, [], 0, []))


def test_a_winner_a_tie_and_a_field_of_one() -> None:
    winner = task(Interval(0.2, 0.1, 0.3, 40), "sam", ("sam", 0.7, 0.31), ("otsu", 0.5, 0.02))
    tie = task(Interval(0.02, -0.1, 0.14, 40), None, ("sam", 0.7, 0.31), ("otsu", 0.68, 0.02))
    alone = task(None, "sam", ("sam", 0.7, 0.31))
    nobody = task(None, None)
    assert said(winner, tie, alone, nobody) == [
        "For one click take sam: mIoU@1 70.0 (60.0 to 80.0), 0.31 s an image, on 40 objects of 9 images; it leads otsu "
        "by 20.0 points (10.0 to 30.0).",
        "For one click, sam and otsu cannot be told apart on 40 objects of 9 images: they differ by 2.0 points (-10.0 "
        "to 14.0). otsu is the faster one: 0.02 s an image.",
        "For one click there is only sam: mIoU@1 70.0 (60.0 to 80.0), 0.31 s an image, on 40 objects of 9 images.",
        "For one click nothing could be measured.",
    ]


def test_failures_are_counted_by_size() -> None:
    failures = [Failure("a.png", str(k), 0.1, size, None) for k, size in enumerate(("small", "large", "small"))]
    advice = Advice([], failures, 12, [])
    assert advice_sentences(advice) == ["No method finds 3 of 12 objects (25%) with one click: 2 small, 1 large."]
    document = advice_document(advice)
    assert document["failures"][0] == {
        "image": "a.png",
        "object": "0",
        "best_iou": 0.1,
        "size": "small",
        "category": None,
    }
