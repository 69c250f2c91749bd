"""Everything in many images: in this process or in several, one atomic result for each, to be resumed at any time."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from segany.errors import ConfigError, SeganyError
from segany.predict.automatic._stages import StageClock
from segany.predict.automatic.spec import EverythingSpec
from segany.schema import Image, Record
from segany.sources import open_image

__all__ = ["FolderProgress", "Item", "Outcome", "Sink", "Summary", "do_item", "run"]


@dataclass(frozen=True)
class Item:
    """One image to be done.

    Attributes:
        name: Under which name its result is kept; no two items have one name.
        path: Its file.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class Outcome:
    """What became of an item.

    Attributes:
        item: The item.
        masks: How many masks were found; None when it was done before or failed.
        seconds: Stage -> seconds: read, embed, click, select, write.
        clicks: How many clicks were made.
        complete: False when time ran out before all clicks were made.
        error: Why it failed, or None.
    """

    item: Item
    masks: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    clicks: int = 0
    complete: bool = True
    error: str | None = None

    @property
    def skipped(self) -> bool:
        """Whether its result was there already."""
        return self.masks is None and self.error is None


@dataclass(frozen=True)
class Summary:
    """What became of all items.

    Attributes:
        done: Items done now.
        skipped: Items whose result was there already.
        masks: Masks found now.
        errors: Item -> why it failed.
        seconds: Wall-clock time of all.
    """

    done: int
    skipped: int
    masks: int
    errors: Mapping[Item, str]
    seconds: float


class Sink(Protocol):
    """Where results go. It can be pickled; workers write through copies of it."""

    def resume(self, item: Item) -> bool:
        """Whether an item's result is there, made with the same settings from the same file."""
        ...

    def write(self, item: Item, image: Image, record: Record) -> None:
        """Keep a result: atomically, and so that writing it twice is the same as once."""
        ...


# Called with an item and the share of its clicks made so far, and again with its outcome when it is finished.
FolderProgress = Callable[[Item, float, Outcome | None], None]


def run(
    items: Iterable[Item],
    spec: EverythingSpec,
    sink: Sink,
    *,
    workers: int = 1,
    progress: FolderProgress | None = None,
) -> Summary:
    """Find everything in many images.

    An item that fails, even by ending its worker process, is recorded and the rest goes on. Ctrl-C, and every other
    exception of the caller's, ends at the next group of clicks; no result is half-written, and the same call goes on
    from there.

    Args:
        items: Images, taken one by one.
        spec: How to find; `spec.resolved()` for workers to check the model's digest.
        sink: Where results go, and which are there already.
        workers: Processes. 1 works in this one; more load a model each and share the machine's threads.
        progress: Told after each group of clicks and after each item.

    Raises:
        ConfigError: `workers` is below 1, or two items have one name.
        WeightsError: The model cannot be loaded, or is another one than the spec's.
    """
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}.")
    started = time.perf_counter()
    report = progress or _silent
    done = skipped = masks = 0
    errors: dict[Item, str] = {}
    # Closed at once when the caller's report raises: its workers end then, not when the traceback is forgotten.
    with closing(_outcomes(_distinct(items), spec, sink, workers, report)) as outcomes:
        for outcome in outcomes:
            report(outcome.item, 1.0, outcome)
            if outcome.error is not None:
                errors[outcome.item] = outcome.error
            elif outcome.skipped:
                skipped += 1
            else:
                done, masks = done + 1, masks + (outcome.masks or 0)
    return Summary(done, skipped, masks, errors, time.perf_counter() - started)


def do_item(item: Item, spec: EverythingSpec, sink: Sink, report: Callable[[float], None]) -> Outcome:
    """Do one item; what goes wrong with it is in the outcome.

    Args:
        item: The item.
        spec: How to find.
        sink: Where the result goes.
        report: Told the share of clicks made.

    Raises:
        WeightsError: The model cannot be loaded, or is another one than the spec's.
    """
    clock = StageClock()
    try:
        if sink.resume(item):
            return Outcome(item)
    except SeganyError as error:
        return Outcome(item, error=str(error))
    spec.backend()
    try:
        with clock.stage("read"):
            image = open_image(item.path, max_pixels=spec.max_pixels)
        found = spec.find(image, clock, lambda made, total, _: report(made / total))
        with clock.stage("write"):
            sink.write(item, image, found.record)
    except SeganyError as error:
        return Outcome(item, error=str(error))
    except Exception as error:  # One image's trouble, out of memory or a fault of ours, must not lose the others.
        return Outcome(item, error=f"{type(error).__name__}: {error}")
    return Outcome(item, len(found.record.annotations), dict(clock.seconds), found.clicks, found.complete)


def _outcomes(
    items: Iterator[Item], spec: EverythingSpec, sink: Sink, workers: int, report: FolderProgress
) -> Generator[Outcome, None, None]:
    if workers == 1:
        for item in items:
            yield do_item(item, spec, sink, partial(_report_share, report, item))
        return
    from segany.predict.automatic._workers import work

    yield from work(items, spec, sink, workers, report)


def _distinct(items: Iterable[Item]) -> Iterator[Item]:
    seen: dict[str, Path] = {}
    for item in items:
        if item.name in seen:
            raise ConfigError(
                f"{seen[item.name]} and {item.path} have one name for their results, {item.name!r}; give each its own."
            )
        seen[item.name] = item.path
        yield item


def _report_share(report: FolderProgress, item: Item, share: float) -> None:
    report(item, share, None)


def _silent(item: Item, share: float, outcome: Outcome | None) -> None:
    pass
