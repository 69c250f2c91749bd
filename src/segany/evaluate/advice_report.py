"""Advice in words, as JSON, and as a folder to look at."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany import files
from segany.evaluate.advise import Advice, Failure, TaskAdvice
from segany.evaluate.intervals import Interval
from segany.evaluate.items import EvaluationSet
from segany.render import contact_sheet, overlay

__all__ = ["advice_document", "advice_sentences", "write_advice"]

_SHOWN = 12
_SIDE = 480


def advice_sentences(advice: Advice) -> list[str]:
    """What the figures say, a sentence for each task and one on failures."""
    sentences = [_sentence(task) for task in advice.tasks]
    if advice.clicked:
        share = len(advice.failures) / advice.clicked
        by_size = Counter(failure.size for failure in advice.failures)
        sizes = ", ".join(f"{by_size[size]} {size}" for size in ("small", "medium", "large") if by_size[size])
        sentences.append(
            f"No method finds {len(advice.failures)} of {advice.clicked} objects ({share:.0%}) with one click"
            + (f": {sizes}." if sizes else ".")
        )
    return sentences


def advice_document(advice: Advice) -> dict[str, Any]:
    """Advice as JSON values."""
    return {
        "tasks": [
            {
                "task": task.task,
                "metric": task.metric,
                "images": task.images,
                "objects": task.objects,
                "winner": task.winner,
                "lead": None if task.lead is None else _interval(task.lead),
                "contenders": [
                    {"name": one.name, "seconds_an_image": one.seconds, **_interval(one.figure)}
                    for one in task.contenders
                ],
                "advice": _sentence(task),
            }
            for task in advice.tasks
        ],
        "clicked": advice.clicked,
        "failures": [failure._asdict() for failure in advice.failures],
        "problems": list(advice.problems),
    }


def write_advice(advice: Advice, data: Path, out: Path) -> None:
    """Write `advice.json`, `advice.md`, and `failures.png` where there are failures.

    Args:
        advice: On that data.
        data: Where the images are.
        out: The folder.

    Raises:
        OutputError: It cannot be written.
    """
    files.write_text(out / "advice.json", json.dumps(advice_document(advice), indent=1) + "\n")
    files.write_text(out / "advice.md", _markdown(advice))
    worst = advice.failures[:_SHOWN]
    if worst:
        pictures, captions = _pictures(worst, data)
        with files.atomic_path(out / "failures.png") as temporary:
            contact_sheet(pictures, captions, columns=4, side=_SIDE).save(temporary)


def _sentence(task: TaskAdvice) -> str:
    if not task.contenders:
        return f"For {task.task} nothing could be measured."
    best = task.contenders[0]
    figure = f"{task.metric} {best.figure.points()}, {best.seconds:.2g} s an image"
    on = f"on {task.objects} objects of {task.images} images"
    if task.lead is None:
        return f"For {task.task} there is only {best.name}: {figure}, {on}."
    second = task.contenders[1]
    lead = f"{task.lead.mean * 100:.1f} points ({task.lead.low * 100:.1f} to {task.lead.high * 100:.1f})"
    if task.winner is not None:
        return f"For {task.task} take {best.name}: {figure}, {on}; it leads {second.name} by {lead}."
    tied = f"{best.name} and {second.name} cannot be told apart {on}: they differ by {lead}"
    faster = min((best, second), key=lambda one: one.seconds)
    return f"For {task.task}, {tied}. {faster.name} is the faster one: {faster.seconds:.2g} s an image."


def _markdown(advice: Advice) -> str:
    parts = ["# Advice", *advice_sentences(advice)]
    for task in advice.tasks:
        rows = [f"| {one.name} | {one.figure.points()} | {one.seconds:.2g} |" for one in task.contenders]
        head = [f"| {task.task} | {task.metric} | seconds an image |", "|---|---|---|"]
        parts.append("\n".join([*head, *rows]))
    if advice.failures:
        parts.append("Objects that no method finds with one click, the worst first:")
        rows = [
            f"| {one.image} | {one.object} | {one.category or ''} | {one.size} | {one.best_iou:.2f} |"
            for one in advice.failures
        ]
        parts.append("\n".join(["| image | object | category | size | best IoU |", "|---|---|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _interval(interval: Interval) -> dict[str, Any]:
    numbers = {"value": interval.mean, "low": interval.low, "high": interval.high}
    return {name: value if np.isfinite(value) else None for name, value in numbers.items()} | {"n": interval.n}


def _pictures(failures: Sequence[Failure], data: Path) -> tuple[list[NDArray[np.uint8]], list[str]]:
    """The true masks of objects, in the order of the failures."""
    wanted = {(failure.image, failure.object): place for place, failure in enumerate(failures)}
    images = {failure.image for failure in failures}
    found: dict[int, NDArray[np.uint8]] = {}
    for item in EvaluationSet(data.name, data, unit="image").items():
        if item.key not in images:
            continue
        image = item.open()
        for annotation in item.objects:
            place = wanted.get((item.key, str(annotation.id)))
            if place is not None:
                picture = overlay(image, [annotation.segmentation], dim=0.4, max_side=_SIDE)
                found[place] = np.asarray(picture.convert("RGB"))
    places = sorted(found)
    return [found[place] for place in places], [
        f"{Path(failures[place].image).name}: {failures[place].best_iou:.2f}" for place in places
    ]
