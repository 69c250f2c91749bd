"""Ingest steps: what every image passes through before the store keeps its pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

from segany.errors import ConfigError, PolicyError
from segany.schema import Image

__all__ = ["Decision", "IngestStep", "Outcome", "Policy", "apply_steps", "supplied_steps"]

Verdict = Literal["kept", "altered", "refused"]


@dataclass(frozen=True, eq=False)
class Decision:
    """What a step did with an image.

    Attributes:
        verdict: "kept" as it was, "altered", or "refused": the image must not enter the store.
        image: The altered image; None unless altered.
        details: What was found and done, as JSON values; goes into the audit log.
    """

    verdict: Verdict
    image: Image | None = None
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Check that an altered image, and no other, comes with its pixels."""
        if self.verdict not in ("kept", "altered", "refused"):
            raise ConfigError(f"a step's verdict must be kept, altered or refused, got {self.verdict!r}.")
        if (self.verdict == "altered") != (self.image is not None):
            raise ConfigError(f"a step gives an image exactly when it altered it; its verdict is {self.verdict!r}.")


class IngestStep(Protocol):
    """One step; must be safe to call from several threads."""

    @property
    def name(self) -> str:
        """As policies name it: "privacy"."""
        ...

    def apply(self, image: Image) -> Decision:
        """Look at an image and decide.

        Args:
            image: As the step before left it. An altered image must keep its size.
        """
        ...


@dataclass(frozen=True)
class Policy:
    """What the collection asks of every image; kept in its database.

    Attributes:
        steps: Names of ingest steps, in order.
    """

    steps: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of an image.

    Attributes:
        image: To be stored, or None when refused.
        altered: Whether a step changed its pixels.
        decisions: Step and what it decided, in order; ends with the one that refused.
    """

    image: Image | None
    altered: bool
    decisions: tuple[tuple[str, Decision], ...]


def supplied_steps(policy: Policy, supplied: Mapping[str, IngestStep]) -> Sequence[IngestStep]:
    """The steps of a policy, in order.

    Raises:
        PolicyError: One of them is not supplied.
    """
    if missing := [name for name in policy.steps if name not in supplied]:
        here = ", ".join(sorted(supplied)) or "none"
        raise PolicyError(
            f"the collection's policy asks for the ingest step {missing[0]!r}, and nothing here supplies it "
            f"(supplied: {here}); install what brings it, or change the policy. No image was added."
        )
    return [supplied[name] for name in policy.steps]


def apply_steps(image: Image, steps: Sequence[IngestStep]) -> Outcome:
    """Pass an image through steps, in order, until one refuses.

    Raises:
        PolicyError: A step changed the image's size.
    """
    decisions: list[tuple[str, Decision]] = []
    size, altered = image.size, False
    for step in steps:
        decision = step.apply(image)
        decisions.append((step.name, decision))
        if decision.verdict == "refused":
            return Outcome(None, altered, tuple(decisions))
        if decision.image is not None:
            if decision.image.size != size:
                raise PolicyError(
                    f"the ingest step {step.name!r} made {decision.image.size} of {size}; masks would no longer fit."
                )
            image, altered = decision.image, True
    return Outcome(image, altered, tuple(decisions))
