"""The table of review states, whole."""

import itertools

import pytest

from segany.errors import ReviewError
from segany.store import REVIEW_ACTIONS, REVIEW_TABLE
from segany.store.review import check_change, next_state

STATES = ("unreviewed", "accepted", "rejected", "flagged")
WANTED = {
    ("unreviewed", "accept"): "accepted",
    ("unreviewed", "reject"): "rejected",
    ("unreviewed", "flag"): "flagged",
    ("accepted", "reject"): "rejected",
    ("accepted", "flag"): "flagged",
    ("accepted", "reopen"): "unreviewed",
    ("rejected", "reopen"): "unreviewed",
    ("flagged", "accept"): "accepted",
    ("flagged", "reject"): "rejected",
    ("flagged", "reopen"): "unreviewed",
}


@pytest.mark.parametrize(("state", "action"), [*itertools.product(STATES, REVIEW_ACTIONS)])
def test_every_step_from_every_state(state: str, action: str) -> None:
    wanted = WANTED.get((state, action))
    if wanted is None:
        with pytest.raises(ReviewError, match=f"a mask that is {state} cannot be given the step {action}; possible: "):
            next_state(state, action)  # type: ignore[arg-type]  # parametrized
    else:
        assert next_state(state, action) == wanted  # type: ignore[arg-type]  # parametrized


@pytest.mark.parametrize(("before", "after"), [*itertools.product(STATES, STATES)])
def test_an_edit_may_do_what_a_step_may(before: str, after: str) -> None:
    allowed = before == after or any(before == state and after == to for (state, _), to in WANTED.items())
    if allowed:
        check_change(before, after)  # type: ignore[arg-type]  # parametrized
    else:
        with pytest.raises(ReviewError, match=f"no step of a review leads from {before} to {after}"):
            check_change(before, after)  # type: ignore[arg-type]  # parametrized


def test_every_state_can_be_left() -> None:
    assert all(any(state in step.before for step in REVIEW_TABLE.values()) for state in STATES)


def test_an_unknown_step() -> None:
    with pytest.raises(ReviewError, match="must be one of accept, reject, flag, reopen, got 'approve'"):
        next_state("unreviewed", "approve")  # type: ignore[arg-type]  # on purpose
