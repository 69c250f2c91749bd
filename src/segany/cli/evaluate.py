"""`segany evaluate` and `segany compare`: how good are masks, and which are better?"""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segany.cli._options import DeviceOption, JsonOption, PrecisionOption, RuntimeOption, ThreadsOption
from segany.cli._pairs import pair

if TYPE_CHECKING:
    from segany.evaluate.compare import Comparison
    from segany.evaluate.run import Evaluation, Progress

__all__ = ["MeasuringBar", "compare", "count_problems", "evaluate", "print_table"]

_FILE_WIDTH = 1000


def evaluate(
    protocol: Annotated[
        str,
        typer.Argument(
            help="clicks: masks after so many clicks; noc: clicks until a mask is good; boxes: masks of boxes; "
            "agreement: of two models; calibration: is the predicted IoU right; everything: all masks of an image; "
            "hierarchy: parts and wholes; edges; video."
        ),
    ],
    data: Annotated[
        list[str], typer.Option(help="NAME=PATH of annotated images of any format; repeat it for several sets.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the report.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="A model, a checkpoint file or a baseline; MODEL@RUNTIME,PRECISION for one of its kinds."),
    ] = None,
    by: Annotated[list[str] | None, typer.Option(help="Also slice by this column of rows or metadata.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE: a setting of the protocol; repeat it.")
    ] = None,
    chooser: Annotated[
        str | None,
        typer.Option(
            help="Of `clicks`: also measure a mask chooser: learning, untaught, or a file of segany engine chooser."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="At most so many objects of each set (images, for protocols of whole images).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which ones: the same seed, the same sample.")] = 0,
    threads: ThreadsOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    runtime: RuntimeOption = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first problem in the data.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what was measured before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON and nothing else.")] = False,
) -> int:
    """Measure models on annotated images, with 95 % intervals, and write a report.

    What was measured before with the same data, model and protocol is not measured again, so the same command goes on
    after an interruption.
    """
    from segany.settings import limit_threads

    if threads is not None:
        # Before anything that computes is imported.
        limit_threads(threads)
    from segany.cli._progress import download_bar
    from segany.evaluate.items import EvaluationSet
    from segany.evaluate.protocols import find_protocol
    from segany.evaluate.report import prepare_folder, write_report
    from segany.evaluate.report.pictures import check_plotting
    from segany.evaluate.result_cache import ResultCache
    from segany.evaluate.run import evaluate as run
    from segany.evaluate.subjects import SubjectSpec

    check_plotting()
    words = dict(pair(word, "--set") for word in settings or ())
    if chooser is not None:
        words["chooser"] = chooser
    chosen = find_protocol(protocol).with_settings(words)
    specs = [
        SubjectSpec.parse(word, runtime=runtime, precision=precision, device=device) for word in model or ["mobile_sam"]
    ]
    sets = [
        EvaluationSet(name, Path(path), limit=limit, seed=seed, unit=chosen.unit, strict=strict)
        for name, path in (pair(word, "--data") for word in data)
    ]
    prepare_folder(out)
    with download_bar(quiet=as_json) as downloading, MeasuringBar(quiet=as_json) as bar:
        evaluation = run(
            chosen,
            sets,
            specs,
            by=by or (),
            cache=None if fresh else ResultCache.default(),
            strict=strict,
            threads=threads,
            seed=seed,
            limit=limit,
            progress=bar,
            downloading=downloading,
        )
    given: dict[str, Any] = {
        "--data": data,
        "--model": model,
        "--set": settings,
        "--chooser": chooser,
        "--by": by,
        "--limit": limit,
        "--seed": seed or None,
        "--threads": threads,
        "--device": device,
        "--precision": precision,
        "--runtime": runtime,
    }
    document = write_report(evaluation, out, _command(protocol, given, out))
    if as_json:
        print(json.dumps(document))
    else:
        _print_figures(document)
        _print_problems(evaluation)
        print(f"look at {out / 'report.html'}")
    return 0


def compare(
    first: Annotated[Path, typer.Argument(help="Folder of a report of segany evaluate.")],
    second: Annotated[Path, typer.Argument(help="Another one of the same protocol.")],
    first_model: Annotated[str | None, typer.Option(help="Which model of the first report, if it has several.")] = None,
    second_model: Annotated[str | None, typer.Option(help="Which model of the second report.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Say what the second report has better than the first by more than chance: a paired bootstrap over images."""
    from segany.evaluate.compare import compare_reports

    comparison = compare_reports(first, second, first_model=first_model, second_model=second_model)
    if as_json:
        print(json.dumps(_comparison_document(comparison)))
    else:
        _print_comparison(comparison)
    return 0


class MeasuringBar:
    """A progress bar with the time left, one task for each set and model."""

    def __init__(self, *, quiet: bool) -> None:
        """Draw nothing where it should be quiet."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Progress":
        return self._report

    def __exit__(self, *_: object) -> None:
        if self._tasks:
            self._bar.stop()

    def _report(self, what: str, done: int, total: int) -> None:
        # Started here: the bar of downloads is gone by now.
        if not self._tasks:
            self._bar.start()
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total)
        self._bar.update(self._tasks[what], completed=done, total=total)


def _command(protocol: str, given: Mapping[str, Any], out: Path) -> str:
    """The command that measures the same, without what is left at its default."""
    words = ["segany", "evaluate", protocol]
    for option, value in given.items():
        for word in value if isinstance(value, list) else [value]:
            words += [] if word in (None, "auto") else [option, str(word)]
    return shlex.join([*words, "--out", str(out)])


def _print_figures(document: dict[str, Any]) -> None:
    from segany.evaluate.report.tables import report_tables

    models = len({result["model"] for result in document["results"]})
    print(document["protocol"]["summary"])
    for table in report_tables(document)[:models]:
        print_table(table.title, table.head, table.rows)
    print("in percent but for counts and seconds, with 95 % intervals over images")


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; no line is cut where the output is a file."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in head:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    # In a file no line is too long.
    Console(width=None if sys.stdout.isatty() else _FILE_WIDTH).print(table)


def _print_problems(evaluation: "Evaluation") -> None:
    for one in evaluation.sets:
        if one.problems:
            print(f"{one.name}: {count_problems(one.problems)}", file=sys.stderr)


def count_problems(problems: Sequence[str]) -> str:
    """How many problems data have, and the first of them."""
    if len(problems) == 1:
        return f"1 problem in the data: {problems[0]}"
    return f"{len(problems)} problems in the data, the first: {problems[0]}"


def _comparison_document(comparison: "Comparison") -> dict[str, Any]:
    return {
        "protocol": comparison.protocol,
        "first": comparison.first,
        "second": comparison.second,
        "rows_only_in_first": comparison.only_first,
        "rows_only_in_second": comparison.only_second,
        "differences": [
            {
                "set": one.set_name,
                "metric": one.metric,
                "first": one.first,
                "second": one.second,
                "difference": one.difference.mean,
                "low": one.difference.low,
                "high": one.difference.high,
                "n": one.difference.n,
                "verdict": one.verdict,
            }
            for one in comparison.differences
        ],
    }


def _print_comparison(comparison: "Comparison") -> None:
    from segany.evaluate.report.tables import cell

    rows = []
    for one in comparison.differences:
        figures = [
            cell({"value": value, "low": low, "high": high}, one.unit)
            for value, low, high in (
                (one.first, None, None),
                (one.second, None, None),
                (one.difference.mean, one.difference.low, one.difference.high),
            )
        ]
        rows.append([one.set_name, one.metric, *figures, one.verdict])
    print_table(
        f"{comparison.protocol}: {comparison.second} against {comparison.first}",
        ["set", "metric", "first", "second", "difference", "the second is"],
        rows,
    )
    decided = [one for one in comparison.differences if one.verdict != "undecided"]
    print(f"{len(decided)} of {len(rows)} differences are larger than chance (95 %, paired over images)")
    if comparison.only_first or comparison.only_second:
        print(f"left out: {comparison.only_first} rows only in the first, {comparison.only_second} only in the second")
