"""The prompts that are put to the reference and to segany alike."""

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Case", "cases_for"]

# Where the first click goes; in the middle of other pictures.
FIRST_CLICK = {"truck.jpg": (500.0, 375.0)}


@dataclass(frozen=True)
class Case:
    """One prompt.

    Attributes:
        name: What it is, in words.
        kind: "click", "clicks", "box", "box and clicks" or "logits": the groups of the tables.
        multimask: Three masks instead of one.
        points: (x, y), original pixels.
        labels: 1 or 0 for each point.
        box: XYXY, original pixels.
        feed: Name of the earlier case whose best low-resolution logits are fed back.
    """

    name: str
    kind: str
    multimask: bool
    points: tuple[tuple[float, float], ...] | None = None
    labels: tuple[int, ...] | None = None
    box: tuple[float, float, float, float] | None = None
    feed: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def cases_for(photo: str, height: int, width: int) -> list[Case]:
    """The prompts for one photo; a case that feeds back comes after the one it needs.

    Args:
        photo: Its file name.
        height: Of the photo, pixels.
        width: Of the photo, pixels.
    """
    first = FIRST_CLICK.get(photo, (width // 2, height // 2))
    beside = (width * 5 // 8, height * 9 // 16)
    outside = (width // 16, height // 12)
    box = (width * 0.2, height * 0.15, width * 0.85, height * 0.9)
    small = (width * 0.4, height * 0.4, width * 0.55, height * 0.6)
    clicks, labels = (first, beside, outside), (1, 1, 0)
    return [
        Case("click", "click", True, (first,), (1,)),
        Case("click, one mask", "click", False, (first,), (1,)),
        Case("click between pixels", "click", True, ((width * 0.31, height * 0.371),), (1,)),
        Case("click in the last corner", "click", True, ((width - 1, height - 1),), (1,)),
        Case("clicks with a negative", "clicks", False, clicks, labels),
        Case("clicks with a negative, three masks", "clicks", True, clicks, labels),
        Case("box", "box", False, box=box),
        Case("small box, three masks", "box", True, box=small),
        Case("whole picture as a box", "box", False, box=(0, 0, width, height)),
        Case("box and clicks", "box and clicks", False, (first, outside), (1, 0), box),
        Case("small box and a click, three masks", "box and clicks", True, (first,), (1,), small),
        Case("logits and the same click", "logits", False, (first,), (1,), feed="click"),
        Case("logits and more clicks, three masks", "logits", True, clicks, labels, feed="click"),
        Case("logits and the same box", "logits", False, box=box, feed="box"),
        Case("logits alone", "logits", False, feed="clicks with a negative"),
    ]
