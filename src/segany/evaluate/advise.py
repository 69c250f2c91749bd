"""Advice: which method is better on someone's own data by more than chance, how fast is it, and where do all fail?

Each task is one protocol, measured on a sample; a method that cannot do it takes no part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segany import weights
from segany.errors import ConfigError
from segany.evaluate.intervals import Interval, percentile_interval
from segany.evaluate.items import EvaluationSet
from segany.evaluate.metrics import Metric
from segany.evaluate.protocol import EvaluationProtocol
from segany.evaluate.protocols import Boxes, Clicks, Everything
from segany.evaluate.result_cache import ResultCache
from segany.evaluate.results import Gathered
from segany.evaluate.run import Evaluation, Progress, evaluate
from segany.evaluate.subjects import SubjectSpec

__all__ = ["TASKS", "Advice", "Contender", "Failure", "Task", "TaskAdvice", "advise"]

_FAILED_BELOW = 0.5
# Everything in an image takes as long as hundreds of prompts.
_OBJECTS_AN_IMAGE = 10


class Task(NamedTuple):
    """What people want of a method.

    Attributes:
        title: In words.
        protocol: What is measured.
        metric: Its figure.
        unable: Baselines that cannot do it.
    """

    title: str
    protocol: EvaluationProtocol
    metric: str
    unable: frozenset[str] = frozenset()


TASKS: Mapping[str, Task] = {
    "click": Task("one click", Clicks(counts=(1, 3)), "mIoU@1"),
    "clicks": Task("three clicks", Clicks(counts=(1, 3)), "mIoU@3"),
    "box": Task("a box", Boxes(), "mIoU, true boxes", frozenset({"ritm"})),
    "everything": Task("everything by itself", Everything(), "AR@100", frozenset({"grabcut", "ritm"})),
}


class Contender(NamedTuple):
    """One method at one task.

    Attributes:
        name: Of the method.
        figure: Its score.
        seconds: For each image of the sample: embedding it and answering all its prompts.
    """

    name: str
    figure: Interval
    seconds: float


class TaskAdvice(NamedTuple):
    """What to take for a task.

    Attributes:
        task: In words.
        metric: What the figures are.
        contenders: The best first.
        lead: The best one's figure less the second's, paired; None where there is no second.
        winner: The best one if it leads every other by more than the lead's interval; None where it cannot be told.
        images: How many images.
        objects: How many objects.
    """

    task: str
    metric: str
    contenders: Sequence[Contender]
    lead: Interval | None
    winner: str | None
    images: int
    objects: int


class Failure(NamedTuple):
    """An object that every method missed with one click.

    Attributes:
        image: The image's name.
        object: The annotation's id.
        best_iou: Of the best answer.
        size: COCO's word.
        category: Of the object, or None.
    """

    image: str
    object: str
    best_iou: float
    size: str
    category: str | None


@dataclass(frozen=True)
class Advice:
    """Advice on one data set.

    Attributes:
        tasks: For each task.
        failures: Objects that no method finds with one click, the worst first.
        clicked: How many objects were clicked.
        problems: What could not be read or measured.
    """

    tasks: Sequence[TaskAdvice]
    failures: Sequence[Failure]
    clicked: int
    problems: Sequence[str]


def advise(
    data: Path,
    models: Sequence[SubjectSpec],
    *,
    tasks: Sequence[str] = tuple(TASKS),
    limit: int = 60,
    seed: int = 0,
    cache: ResultCache | None = None,
    progress: Progress | None = None,
    downloading: weights.Progress | None = None,
) -> Advice:
    """Measure methods on a sample.

    Args:
        data: Annotated images, whatever `segany.formats.open_dataset` reads.
        models: Whom: models and baselines.
        tasks: Of `TASKS`.
        limit: At most so many objects; a tenth as many images for "everything", at least four.
        seed: Which ones.
        cache: Where rows are looked for and kept.
        progress: As `evaluate` has it.
        downloading: Called while weights are fetched.

    Raises:
        ConfigError: No such task, or no model.
        RecordError: There is no data set.
    """
    if unknown := [name for name in tasks if name not in TASKS]:
        raise ConfigError(f"no task is named {unknown[0]!r}; there are {', '.join(TASKS)}.")
    if not models:
        raise ConfigError("advice needs at least one model or baseline, got none.")
    runs: dict[str, Evaluation] = {}
    advice: list[TaskAdvice] = []
    for name in tasks:
        task = TASKS[name]
        able = [spec for spec in models if spec.model not in task.unable]
        if not able:
            continue
        if task.protocol.digest not in runs:
            amount = limit if task.protocol.unit == "object" else max(4, limit // _OBJECTS_AN_IMAGE)
            sample = EvaluationSet(data.name, data, limit=amount, seed=seed, unit=task.protocol.unit)
            runs[task.protocol.digest] = evaluate(
                task.protocol, [sample], able, cache=cache, progress=progress, downloading=downloading, seed=seed
            )
        advice.append(_task_advice(task, runs[task.protocol.digest]))
    problems = dict.fromkeys(problem for run in runs.values() for one in run.sets for problem in one.problems)
    clicks = runs.get(TASKS["click"].protocol.digest)
    rows = [] if clicks is None else _best_of_all(clicks)
    failures = sorted((row for row in rows if row.best_iou < _FAILED_BELOW), key=lambda row: (row.best_iou, row.image))
    return Advice(advice, failures, len(rows), list(problems))


def _task_advice(task: Task, run: Evaluation) -> TaskAdvice:
    figures = [(gathered, gathered.metrics()[task.metric]) for gathered in run.results]
    images = max(gathered.scores().images for gathered in run.results)
    # A method that refused some of the images cannot be compared by what it did not refuse.
    whole = [(gathered, metric) for gathered, metric in figures if gathered.scores().images == images]
    whole.sort(key=lambda pair: -pair[1].value() if np.isfinite(pair[1].value()) else np.inf)
    contenders = [
        Contender(gathered.model, metric.compute(), _seconds(run, gathered, images)) for gathered, metric in whole
    ]
    leads = [_lead(whole[0][1], metric) for _, metric in whole[1:]]
    winner = contenders[0].name if contenders and all(lead.low > 0 for lead in leads) else None
    first = leads[0] if leads else None
    return TaskAdvice(task.title, task.metric, contenders, first, winner, images, run.sets[0].objects)


def _lead(best: Metric, other: Metric) -> Interval:
    # The same seed draws the same images for both.
    return percentile_interval(best.value() - other.value(), best.draws(0) - other.draws(0), best.n)


def _seconds(run: Evaluation, gathered: Gathered, images: int) -> float:
    stages = run.seconds[gathered.model]
    return sum(stages.get(stage, 0.0) for stage in ("embed", "predict")) / max(images, 1)


def _best_of_all(run: Evaluation) -> list[Failure]:
    """Each object with the best answer that any method gave to the first click."""
    columns = run.table.columns()
    best: dict[tuple[str, str], Failure] = {}
    categories = columns.get("category", [None] * len(columns["image"]))
    rows = zip(columns["image"], columns["object"], columns["iou_1"], columns["size"], categories, strict=True)
    for image, number, iou, size, category in rows:
        known = best.get((image, number))
        if known is None or iou > known.best_iou:
            best[image, number] = Failure(image, number, iou, size, category)
    return list(best.values())
