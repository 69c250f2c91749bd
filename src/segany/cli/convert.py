"""`segany data convert`: a data set in another format, with what is lost told first."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segany.cli._options import JsonOption
from segany.errors import ConfigError

if TYPE_CHECKING:
    from segany.formats import Conversion, Plan, Problem, RecordSource

__all__ = ["command"]

_SHOWN_PROBLEMS = 20
# What these leave out, the plan or the report says already; a polygon that reaches out is only cut off.
_HARMLESS = ("missing_image", "outside_image")


def command(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A folder or file of annotated images of any format; or a store.")
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="The new folder; must not be there, or be empty.")],
    to: Annotated[
        str, typer.Option(help="coco, sa1b, yolo, voc, labelme, labels (label maps), sav, geojson or parquet.")
    ],
    images: Annotated[
        str, typer.Option(help="copy, link (hard links), reference (symbolic links to the originals) or none.")
    ] = "copy",
    shard_images: Annotated[
        int | None, typer.Option(min=1, help="SA-1B: tar files of this many images each, instead of single files.")
    ] = None,
    version: Annotated[str, typer.Option(help="Of a store: a frozen version; live is what it holds now.")] = "live",
    split: Annotated[str | None, typer.Option(help="Of a store: only the records of this split.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse when anything would be lost, or is wrong with the source.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be lost, and write nothing.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Write annotated data in another format. What it cannot hold is counted and printed before anything is written."""
    from segany.files import check_folder
    from segany.formats import IMAGE_MODES, TARGETS, Options, convert, plan_conversion

    if to not in TARGETS:
        raise ConfigError(f"--to must be one of {', '.join(TARGETS)}, got {to!r}.")
    if images not in IMAGE_MODES:
        raise ConfigError(f"--images must be one of {', '.join(IMAGE_MODES)}, got {images!r}.")
    with _opened(source, version, split, strict) as records, _progress(quiet=as_json) as step:
        # Not after an hour of reading.
        check_folder(target)
        options = Options(to, images, shard_images, records.categories)
        plan = plan_conversion(records, options, step("reading"))
        if not as_json:
            _print_plan(source, plan)
            # Told before it is lost, in a pipe or a file too.
            sys.stdout.flush()
        done = None if dry_run else convert(records, target, plan, strict=strict, on_record=step("writing"))
        problems = _problems(records)
    if as_json:
        print(json.dumps(_to_json(source, plan, done, problems)))
    else:
        _print_done(done, problems)
    return 1 if any(problem.kind not in _HARMLESS for problem in problems) else 0


@contextmanager
def _opened(source: str, version: str, split: str | None, strict: bool) -> "Iterator[RecordSource]":
    """A store where there is one, or else a data set."""
    from segany.formats import open_dataset

    if "://" in source or (Path(source) / "store.sqlite").is_file():
        from segany.engine import open_store
        from segany.store.source import StoreRecords

        with open_store(source) as store:
            yield StoreRecords(store, version, split=split)
        return
    if version != "live" or split is not None:
        raise ConfigError(f"--version and --split are for a store, and {source} is none.")
    yield open_dataset(source, strict=strict, require_images=False)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str], Callable[[int], None]]]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:

        def step(what: str) -> Callable[[int], None]:
            task = bar.add_task(what, total=None)
            return lambda count: bar.update(task, description=f"{what}: {count:,} records")

        yield step


def _problems(records: "RecordSource") -> "tuple[Problem, ...]":
    problems: tuple[Problem, ...] = getattr(records, "problems", ())
    return problems


def _print_plan(source: str, plan: "Plan") -> None:
    print(f"{source}: {plan.records:,} images, {plan.masks:,} masks")
    if not plan.losses:
        print(f"{plan.options.target} holds all of it")
        return
    print(f"{plan.options.target} cannot hold, so this is lost:")
    for loss in plan.losses:
        print(f"  {loss}")


def _print_done(done: "Conversion | None", problems: "tuple[Problem, ...]") -> None:
    if problems:
        print(f"wrong with the source: {len(problems):,}")
        for problem in problems[:_SHOWN_PROBLEMS]:
            print(f"  {problem}")
        if len(problems) > _SHOWN_PROBLEMS:
            print(f"  and {len(problems) - _SHOWN_PROBLEMS:,} more; --json has them all")
    if done is None:
        print("nothing was written")
        return
    print(f"wrote {done.records:,} records, {done.images:,} images", end="")
    print(f"; {done.images_missing:,} images were not there" if done.images_missing else "")
    if done.renamed:
        print(f"{done.renamed:,} images got another name: theirs was not safe for a file, or there already")
    print(done.folder)


def _to_json(source: str, plan: "Plan", done: "Conversion | None", problems: "tuple[Problem, ...]") -> dict[str, Any]:
    written = None
    if done is not None:
        names = ("records", "images", "images_missing", "renamed")
        written = {"folder": str(done.folder), **{name: getattr(done, name) for name in names}}
    return {
        "source": source,
        "to": plan.options.target,
        "records": plan.records,
        "masks": plan.masks,
        "losses": [asdict(loss) for loss in plan.losses],
        "problems": [asdict(problem) for problem in problems],
        "written": written,
    }
