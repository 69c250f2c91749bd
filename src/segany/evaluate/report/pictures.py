"""Plots and cases as pictures for the HTML page."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany import render
from segany.errors import ImageError, MissingExtraError
from segany.evaluate.plot import Line, Plot
from segany.evaluate.results import CaseRow
from segany.evaluate.rows import read_case
from segany.masks import RLE
from segany.schema import Prompt

__all__ = ["case_picture", "check_plotting", "draw_plot", "inline", "standard_plots"]

_GREEN, _ORANGE = (0, 200, 80), (255, 120, 0)
_CASE_SIDE = 320
_SMALLEST_SIDE = 200


def check_plotting() -> None:
    """Refuse early.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    _matplotlib()


def standard_plots(document: Mapping[str, Any], axis: str, curve: Mapping[float, str]) -> list[Plot]:
    """The protocol's curve, and its main metric by size.

    Args:
        document: Of `to_document`.
        axis: What the curve's axis is.
        curve: Place -> metric.
    """
    plots = []
    results = document["results"]
    if curve:
        lines = [
            _line(f"{r['model']}, {r['set']}", list(curve), [r["metrics"][name] for name in curve.values()])
            for r in results
        ]
        label = next(iter(curve.values())).partition("@")[0]
        plots.append(Plot(f"{label} against {axis}", axis, label, lines, y_range=(0, 1)))
    main = document["protocol"]["main"]
    sized = [result for result in results if len(result["slices"].get("size", {})) > 1]
    if sized:
        lines = []
        for r in sized:
            slices = r["slices"]["size"]
            lines.append(
                _line(
                    f"{r['model']}, {r['set']}", list(slices), [one["metrics"][main] for one in slices.values()], "bars"
                )
            )
        plots.append(Plot(f"{main} by object size", "size", main, lines))
    return plots


def draw_plot(plot: Plot) -> bytes:
    """Draw it as PNG."""
    matplotlib = _matplotlib()
    with matplotlib.rc_context({"font.size": 9}):
        figure = matplotlib.figure.Figure(figsize=(5.2, 3.6), layout="constrained")
        axes = figure.subplots()
        for number, line in enumerate(plot.lines):
            _draw_line(axes, line, number, len(plot.lines))
        if plot.diagonal:
            axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
        axes.set(title=plot.title, xlabel=plot.x_label, ylabel=plot.y_label)
        if plot.y_range is not None:
            axes.set_ylim(*plot.y_range)
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        if 1 < sum(bool(line.name) for line in plot.lines) <= 12:
            axes.legend(fontsize=7)
        buffer = io.BytesIO()
        # Without the date, so that the same figures give the same file.
        figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


def case_picture(case: CaseRow) -> PillowImage.Image | None:
    """What was meant (green) and what came (orange), cut out of the photo; None for rows without masks."""
    shown = read_case(case.row, case.item.record.image.size)
    if shown is None:
        return None
    try:
        pixels = case.item.open().pixels
    except ImageError:
        return None
    window = _window([shown.truth, shown.answer], pixels.shape[:2])
    x0, y0, x1, y1 = window
    zoom = max(1, -(-_SMALLEST_SIDE // max(x1 - x0, y1 - y0)))
    part = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    picture = PillowImage.fromarray(part).resize(
        (part.shape[1] * zoom, part.shape[0] * zoom), PillowImage.Resampling.BICUBIC
    )
    masks = [_zoomed(one, window, zoom) for one in (shown.truth, shown.answer)]
    prompts = [] if shown.prompt is None else [_moved(shown.prompt, (x0, y0), zoom)]
    return render.overlay(
        np.asarray(picture), masks, prompts=prompts, colors=[_GREEN, _ORANGE], fill=0.3, max_side=_CASE_SIDE
    )


def inline(picture: PillowImage.Image | bytes) -> str:
    """A data URI: PNG bytes as they are, pictures as JPEG."""
    if isinstance(picture, bytes):
        return f"data:image/png;base64,{base64.b64encode(picture).decode('ascii')}"
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _matplotlib() -> Any:
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError as error:
        raise MissingExtraError("Evaluation", "evaluate") from error
    return matplotlib


def _line(name: str, x: Sequence[float | str], figures: Sequence[Mapping[str, Any]], style: Any = "line") -> Line:
    value, low, high = (
        [float("nan") if one[key] is None else one[key] for one in figures] for key in ("value", "low", "high")
    )
    return Line(name, x, value, low, high, style)


def _draw_line(axes: Any, line: Line, number: int, count: int) -> None:
    color = f"C{number % 10}"
    if line.style == "bars":
        width = 0.8 / count
        places = np.arange(len(line.x)) + (number - (count - 1) / 2) * width
        errors = None
        if line.low is not None and line.high is not None:
            errors = np.abs([np.subtract(line.y, line.low), np.subtract(line.high, line.y)])
        axes.bar(places, line.y, width, yerr=errors, color=color, label=line.name or None, capsize=2)
        axes.set_xticks(np.arange(len(line.x)), [str(word) for word in line.x])
        return
    axes.plot(line.x, line.y, "o" if line.style == "dots" else "o-", markersize=3, color=color, label=line.name or None)
    if line.low is not None and line.high is not None:
        axes.fill_between(line.x, line.low, line.high, color=color, alpha=0.15, linewidth=0)


def _window(masks: Sequence[RLE], size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Round both masks, with a margin of a quarter."""
    boxes = np.array([mask.box for mask in masks if mask.area] or [(0, 0, size[1], size[0])])
    (x0, y0), (x1, y1) = boxes[:, :2].min(axis=0).tolist(), boxes[:, 2:].max(axis=0).tolist()
    margin = max(8, max(x1 - x0, y1 - y0) // 4)
    return max(0, x0 - margin), max(0, y0 - margin), min(size[1], x1 + margin), min(size[0], y1 + margin)


def _zoomed(mask: RLE, window: tuple[int, int, int, int], zoom: int) -> RLE:
    x0, y0, x1, y1 = window
    part: NDArray[np.bool_] = mask.to_mask()[y0:y1, x0:x1]
    return RLE.from_mask(part.repeat(zoom, axis=0).repeat(zoom, axis=1))


def _moved(prompt: Prompt, corner: tuple[int, int], zoom: int) -> Prompt:
    points = None if prompt.points is None else (prompt.points - corner + 0.5) * zoom - 0.5
    box = None if prompt.box is None else (prompt.box - [*corner, *corner]) * zoom
    return Prompt(points=points, labels=prompt.labels, box=box)
