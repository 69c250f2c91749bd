"""Review: the states of an annotation, and which step leads from where to where."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from segany.errors import ReviewError
from segany.schema import ReviewState

__all__ = ["REVIEW_ACTIONS", "REVIEW_TABLE", "ReviewAction", "Transition", "check_change", "next_state"]

ReviewAction = Literal["accept", "reject", "flag", "reopen"]
REVIEW_ACTIONS: tuple[ReviewAction, ...] = get_args(ReviewAction)


@dataclass(frozen=True)
class Transition:
    """One step of a review.

    Attributes:
        before: The states that it may be taken from.
        after: The state that it leads to.
    """

    before: frozenset[ReviewState]
    after: ReviewState


# A rejected mask goes through "reopen" before it is accepted, so that nobody accepts it without meaning to overrule.
REVIEW_TABLE: Mapping[ReviewAction, Transition] = MappingProxyType(
    {
        "accept": Transition(frozenset({"unreviewed", "flagged"}), "accepted"),
        "reject": Transition(frozenset({"unreviewed", "flagged", "accepted"}), "rejected"),
        "flag": Transition(frozenset({"unreviewed", "accepted"}), "flagged"),
        "reopen": Transition(frozenset({"accepted", "rejected", "flagged"}), "unreviewed"),
    }
)


def next_state(state: ReviewState, action: ReviewAction) -> ReviewState:
    """Where an action leads.

    Raises:
        ReviewError: There is no such action, or it may not be taken from that state.
    """
    transition = REVIEW_TABLE.get(action)
    if transition is None:
        raise ReviewError(f"a review's step must be one of {', '.join(REVIEW_ACTIONS)}, got {action!r}.")
    if state not in transition.before:
        possible = [name for name, each in REVIEW_TABLE.items() if state in each.before]
        raise ReviewError(f"a mask that is {state} cannot be given the step {action}; possible: {', '.join(possible)}.")
    return transition.after


def check_change(before: ReviewState, after: ReviewState) -> None:
    """Refuse an edit that changes the state in a way that no action does.

    Raises:
        ReviewError: There is no action from the one to the other.
    """
    if before == after:
        return
    if not any(before in each.before and after == each.after for each in REVIEW_TABLE.values()):
        raise ReviewError(f"no step of a review leads from {before} to {after}; reopen the mask first.")
