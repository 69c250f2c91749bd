"""Run a protocol: items through subjects to rows, rows to figures; what was measured before is not measured again."""

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from segany import weights
from segany.errors import ConfigError, InputError, OutputError
from segany.evaluate.item_table import ItemTable
from segany.evaluate.items import EvaluationSet, Item
from segany.evaluate.machine import describe_machine, peak_memory_bytes
from segany.evaluate.metrics import Row
from segany.evaluate.protocol import EvaluationProtocol, Stages
from segany.evaluate.result_cache import Measured, ResultCache, result_key
from segany.evaluate.results import Gathered
from segany.evaluate.subjects import SubjectSpec
from segany.formats.dataset import METADATA
from segany.memory import give_back

__all__ = ["Evaluation", "ModelInfo", "Progress", "SetInfo", "evaluate"]

Progress = Callable[[str, int, int], None]
# Images in work at once: while one is scored in Python, the runtime computes for the others. More only take memory.
_AT_ONCE = 3
# After so many images that gave rows, all columns are known: a word that names none is refused before hours of work.
_TELLING = 5


@dataclass
class SetInfo:
    """What was measured on.

    Attributes:
        name: In reports.
        format: What was found.
        image_ids: Names of the images that were measured, in order.
        objects: How many objects were measured; for protocols of whole images, how many there are.
        digest: Over the images, what people drew in them, and which objects were chosen.
        problems: What could not be read or measured.
    """

    name: str
    format: str
    image_ids: list[str] = field(default_factory=list)
    objects: int = 0
    digest: str = ""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ModelInfo:
    """What was measured.

    Attributes:
        name: In reports.
        digest: What its answers depend on.
        about: In words.
    """

    name: str
    digest: str
    about: Mapping[str, str]


@dataclass(frozen=True)
class Evaluation:
    """The outcome of a run.

    Attributes:
        protocol: With its settings.
        sets: What was measured on.
        models: What was measured.
        results: Figures for each set and model, models outermost.
        table: All rows.
        seconds: Model -> stage -> seconds, of when each image was measured.
        wall_seconds: Of this run; `from_cache` says how much of it was there before.
        from_cache: How many images were not measured again.
        machine: See `describe_machine`.
        peak_memory_bytes: Most memory held at once, or None.
        seed: Of the sample.
        limit: Of the sample.
    """

    protocol: EvaluationProtocol
    sets: Sequence[SetInfo]
    models: Sequence[ModelInfo]
    results: Sequence[Gathered]
    table: ItemTable
    seconds: Mapping[str, Mapping[str, float]]
    wall_seconds: float
    from_cache: int
    machine: Mapping[str, Any]
    peak_memory_bytes: int | None
    seed: int
    limit: int | None


def evaluate(
    protocol: EvaluationProtocol,
    sets: Sequence[EvaluationSet],
    specs: Sequence[SubjectSpec],
    *,
    by: Sequence[str] = (),
    cache: ResultCache | None = None,
    strict: bool = False,
    threads: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    progress: Progress | None = None,
    downloading: weights.Progress | None = None,
) -> Evaluation:
    """Run a protocol for every model on every set.

    Args:
        protocol: What to measure.
        sets: On what; names differ.
        specs: Whom. A protocol that compares takes the first one with each other one.
        by: Columns to slice by beside the protocol's own: those of the rows, and of the sets' metadata.
        cache: Where rows are looked for and kept; None to measure everything anew.
        strict: Raise the first problem of an image instead of counting it.
        threads: For the report.
        seed: For the report.
        limit: For the report.
        progress: Called with what is being done, how many images are done and how many there are.
        downloading: Called while weights are fetched.

    Raises:
        ConfigError: Too few models, or two sets of one name, or a column that no row has.
        SeganyError: A model cannot be loaded; or `strict`, and there is a problem.
    """
    started = time.perf_counter()
    if len({one.name for one in sets}) != len(sets) or not sets:
        raise ConfigError(f"sets need names that differ, at least one, got {[one.name for one in sets]}.")
    if len(specs) < protocol.subjects or len({spec.text for spec in specs}) != len(specs):
        raise ConfigError(
            f"{protocol.name} needs at least {protocol.subjects} model(s), each once, got {[s.text for s in specs]}."
        )
    subjects = [protocol.open_subject(spec, downloading) for spec in specs]
    teams = [[one] for one in subjects] if protocol.subjects == 1 else [[subjects[0], other] for other in subjects[1:]]
    slices = list(dict.fromkeys([*protocol.sliced_by, *by]))
    infos = [SetInfo(one.name, one.dataset.format) for one in sets]
    table = ItemTable()
    results: list[Gathered] = []
    seconds: dict[str, dict[str, float]] = {}
    from_cache = seen = 0
    for number, team in enumerate(teams):
        name = " / ".join(one.name for one in team)
        total = seconds.setdefault(name, {})
        for one, info in zip(sets, infos, strict=True):
            run = _SetRun(protocol, one, info, team, cache, strict, first=number == 0)
            gathered = Gathered(protocol, one.name, name, slices, protocol.case_column)
            for item, measured in run.measured(progress):
                rows = _whole_rows(measured.rows, item, one.name, name)
                gathered.update(item, rows)
                table.add(rows)
                seen += bool(rows)
                if seen == _TELLING:
                    _check_columns(by, [*results, gathered], sets)
                for stage, spent in measured.seconds.items():
                    total[stage] = total.get(stage, 0.0) + spent
            from_cache += run.from_cache
            results.append(gathered)
    _check_columns(by, results, sets)
    return Evaluation(
        protocol,
        infos,
        [ModelInfo(one.name, one.digest, dict(one.about)) for one in subjects],
        results,
        table,
        seconds,
        time.perf_counter() - started,
        from_cache,
        describe_machine(threads),
        peak_memory_bytes(),
        seed,
        limit,
    )


class _SetRun:
    """One team on one set."""

    def __init__(
        self,
        protocol: EvaluationProtocol,
        data: EvaluationSet,
        info: SetInfo,
        team: Sequence[Any],
        cache: ResultCache | None,
        strict: bool,
        *,
        first: bool,
    ) -> None:
        self._protocol, self._data, self._info, self._team = protocol, data, info, team
        self._cache, self._strict, self._first = cache, strict, first
        self._digests = [one.digest for one in team]
        self._name = " / ".join(one.name for one in team)
        self.from_cache = 0

    def measured(self, progress: Progress | None) -> Iterator[tuple[Item, Measured]]:
        """Items with what came of them, in the set's order."""
        digest = hashlib.sha256()
        total = self._data.count()
        if progress is not None:
            progress(f"{self._data.name}: {self._name}", 0, total)
        for number, (item, outcome) in enumerate(_in_order(self._measure, self._data.items()), 1):
            if isinstance(outcome, Exception):
                self._refuse(item, outcome)
            else:
                measured, cached = outcome
                self.from_cache += cached
                if self._first:
                    self._info.image_ids.append(item.key)
                    self._info.objects += len(item.objects)
                    chosen = None if item.chosen is None else sorted(map(str, item.chosen))
                    digest.update(json.dumps([item.digest, chosen]).encode())
                yield item, measured
            if progress is not None:
                progress(f"{self._data.name}: {self._name}", number, total)
        if progress is not None:
            progress(f"{self._data.name}: {self._name}", total, total)
        if self._first:
            self._info.digest = digest.hexdigest()
            self._info.problems += [problem for problem in self._data.problems() if problem not in self._info.problems]

    def _measure(self, item: Item) -> tuple[Measured, bool] | Exception:
        try:
            key = result_key(self._protocol.digest, self._digests, item.digest, item.chosen)
            found = None if self._cache is None else self._cache.load(key)
            if found is not None:
                return found, True
            stages = Stages()
            rows = self._protocol.rows(item, self._team, stages)
        except OutputError:
            raise
        except (InputError, OSError) as error:
            return error
        give_back()
        measured = Measured(rows, stages.seconds)
        if self._cache is not None:
            self._cache.store(key, measured)
        return measured, False

    def _refuse(self, item: Item, error: Exception) -> None:
        if self._strict:
            raise error
        problem = f"{item.set_name}: {item.key}: {error}"
        if problem not in self._info.problems:
            self._info.problems.append(problem)


def _in_order(
    measure: Callable[[Item], tuple[Measured, bool] | Exception], items: Iterable[Item]
) -> Iterator[tuple[Item, tuple[Measured, bool] | Exception]]:
    """Measure a few items at once; they come out in the order in which they went in."""
    waiting: deque[tuple[Item, Future[tuple[Measured, bool] | Exception]]] = deque()
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="evaluate") as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(measure, item)))
                if len(waiting) > _AT_ONCE:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _whole_rows(rows: Sequence[Row], item: Item, set_name: str, model: str) -> list[Row]:
    """Rows with where they are from; what was measured goes before metadata of the same name."""
    origin = {"set": set_name, "model": model, "image": item.key}
    return [{**origin, **{k: v for k, v in item.metadata.items() if k not in row}, **row} for row in rows]


def _check_columns(by: Sequence[str], results: Sequence[Gathered], sets: Sequence[EvaluationSet]) -> None:
    measured = {name for one in results for name in one.columns if not name.startswith("_")}
    known = measured | {name for one in sets for name in one.dataset.metadata_columns}
    for column in by:
        if column not in known:
            unread = [problem for one in sets for problem in one.problems() if METADATA in problem]
            raise ConfigError(
                f"no row has a column {column!r} to slice by; there are {', '.join(sorted(known))}."
                + "".join(f"\n{problem}" for problem in unread[:1])
            )
