import pytest

from segany.errors import MaskError, RecordError
from segany.formats.problems import PROBLEM_KINDS, FlawError, Problem, ProblemLog


def test_a_problem_in_words() -> None:
    assert str(Problem("invalid", "a.json", "annotation 3", "it is odd.")) == "a.json: annotation 3: it is odd."
    assert str(Problem("invalid", "a.json", "", "it is odd.")) == "a.json: it is odd."


def test_each_problem_is_kept_once_and_counted_by_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    log = ProblemLog()
    first, second = Problem("invalid", "a", "1", "x"), Problem("empty_mask", "a", "2", "x")
    for problem in (first, second, first):
        log.add(problem)
    assert log.kept == (first, second)
    assert dict(log.counts) == {"invalid": 1, "empty_mask": 1}
    monkeypatch.setattr("segany.formats.problems._MAX_KEPT", 2)
    log.add(Problem("invalid", "a", "3", "x"))
    assert log.kept == (first, second)
    assert log.counts["invalid"] == 2


def test_a_watched_block_ends_and_its_error_is_kept_without_saying_the_place_twice() -> None:
    log = ProblemLog()
    with log.watch("a.json", "line 2"):
        raise FlawError("not_a_number", "a.json: line 2: wanted a number.")
    with log.watch("a.json", kind="unreadable"):
        raise MaskError("it is no mask.")
    with log.watch("a.json", "line 3"):
        raise RecordError("a.json: line 3 (id 7): it is odd: x.")
    with log.watch("a.json", "line 3"):
        raise RecordError("a.json: line 30 (id 7): it is odd.")
    assert log.kept == (
        Problem("not_a_number", "a.json", "line 2", "wanted a number."),
        Problem("unreadable", "a.json", "", "it is no mask."),
        Problem("invalid", "a.json", "line 3 (id 7)", "it is odd: x."),
        Problem("invalid", "a.json", "line 3", "line 30 (id 7): it is odd."),
    )
    with pytest.raises(ZeroDivisionError), log.watch("a.json"):
        raise ZeroDivisionError


def test_a_strict_log_raises() -> None:
    log = ProblemLog(strict=True)
    with pytest.raises(FlawError, match=r"^a: b: c\.$") as caught:
        log.add(Problem("refused", "a", "b", "c."))
    assert caught.value.kind == "refused"
    assert isinstance(caught.value, RecordError)
    with pytest.raises(RecordError, match=r"^as it was$"), log.watch("a"):
        raise RecordError("as it was")
    with pytest.raises(FlawError, match=r"^a: b: of a mask$"), log.watch("a", "b"):
        raise MaskError("of a mask")


def test_kinds_are_words() -> None:
    assert len(set(PROBLEM_KINDS)) == len(PROBLEM_KINDS)
    assert {"truncated", "wrong_size", "duplicate_id"} <= set(PROBLEM_KINDS)
