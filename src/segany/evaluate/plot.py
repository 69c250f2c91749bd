"""Plot: what a protocol wants drawn in its report, without a word on how."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Line", "Plot"]


@dataclass(frozen=True)
class Line:
    """One series of a plot.

    Attributes:
        name: In the legend; empty for none.
        x: Places: numbers, or words for bars.
        y: Values.
        low: Lower ends of intervals, or None.
        high: Upper ends, or None.
        style: How it is drawn.
    """

    name: str
    x: Sequence[float | str]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    style: Literal["line", "bars", "dots"] = "line"


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes:
        title: Above it.
        x_label: What x is.
        y_label: What y is.
        lines: The series.
        diagonal: Whether to draw where y equals x, from 0 to 1.
        y_range: Ends of the y axis; None for whatever fits.
    """

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    diagonal: bool = False
    y_range: tuple[float, float] | None = None
