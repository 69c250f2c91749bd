"""`segany store`: a collection of images and masks, its versions, and whether it is sound."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segany.cli._options import JsonOption, MaxPixelsOption
from segany.cli._stores import ActorOption, StoreArgument, actor_of, opened_store
from segany.errors import ConfigError

if TYPE_CHECKING:
    from segany.store import AddReport

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Keep images and masks: add, look, freeze, compare, check.")

_SHOWN_PROBLEMS = 20


@app.command()
def init(
    store: StoreArgument,
    images: Annotated[
        str | None, typer.Option(help="Where images go: a folder, or a URL such as s3://bucket/images.")
    ] = None,
) -> int:
    """Make an empty store; one that is there already is left as it is."""
    from segany.store import create_store

    create_store(store, images=images)
    with opened_store(store) as opened:
        print(f"store {opened.id} at {opened.location}")
    return 0


@app.command()
def add(
    store: StoreArgument,
    paths: Annotated[list[Path], typer.Argument(help="Photos, folders, patterns; annotated data of any known format.")],
    max_pixels: MaxPixelsOption = None,
    by: ActorOption = None,
    as_json: JsonOption = False,
) -> int:
    """Add photos and annotated data; what is there already is recognised, so the same command goes on after a stop."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        opened_store(store) as opened,
        Progress(*columns, console=Console(stderr=True), transient=True, disable=as_json) as bar,
    ):
        task = bar.add_task("adding", total=None)

        def show(report: "AddReport") -> None:
            done = report.records + report.known
            bar.update(task, description=f"{done:,} records, {report.masks + report.known_masks:,} masks")

        report = opened.add(paths, actor=actor_of(by), max_pixels=max_pixels, keep_ids=False, progress=show)
    if as_json:
        print(json.dumps({name: value for name, value in asdict(report).items() if name != "record_ids"}))
    else:
        _print_added(report)
    return 1 if report.problems else 0


@app.command()
def ls(
    store: StoreArgument,
    after: Annotated[int, typer.Option(help="Begin after this record.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="Most records to list.")] = 50,
    split: Annotated[str | None, typer.Option(help="Only records of this split.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Only records with a mask that is unreviewed, accepted, rejected or flagged.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """List records, a page at a time."""
    with opened_store(store) as opened:
        page = opened.records.page(after=after, limit=limit, split=split, with_state=_state(state))
    if as_json:
        print(json.dumps([asdict(row) for row in page]))
        return 0
    for row in page:
        masks = ", ".join(f"{number} {name}" for name, number in sorted(row.masks.items())) or "no masks"
        marks = "" if row.has_pixels else "; no image"
        marks += "; altered" if row.altered else ""
        print(f"{row.id}  {row.file_name}  {row.size}  {row.split or '-'}  {masks}{marks}")
    if len(page) == limit:
        print(f"more: segany store ls {store} --after {page[-1].id}")
    return 0


@app.command()
def show(
    store: StoreArgument,
    record: Annotated[int, typer.Argument(help="A record's number, from `ls`.")],
    as_json: JsonOption = False,
) -> int:
    """Show a record: its image, its masks, what happened to it."""
    from segany.formats import sa1b

    with opened_store(store) as opened:
        stored = opened.records.get(record)
        events = list(opened.events.list(record_id=record))
    if as_json:
        said = {"id": stored.id, "revision": stored.revision, "split": stored.split, "altered": stored.altered}
        print(json.dumps({**said, "has_pixels": stored.has_pixels, **sa1b.record_to_json(stored.record)}))
        return 0
    info = stored.record.image
    print(f"record {stored.id}: {info.file_name}, {info.size}, revision {stored.revision}, split {stored.split or '-'}")
    print(
        f"image: {'altered by an ingest step' if stored.altered else 'as it came' if stored.has_pixels else 'not here'}"
    )
    for each in stored.record.annotations:
        scores = "" if each.predicted_iou is None else f", predicted IoU {each.predicted_iou:.2f}"
        name = each.category or "no class"
        print(f"  {each.id}: {name}, {each.area} pixels, {each.source}{scores}, {each.review_state}")
    for event in events[-10:]:
        print(f"{event.at:%Y-%m-%d %H:%M:%S}  {event.actor}  {event.kind}")
    return 0


@app.command()
def split(
    store: StoreArgument,
    train: Annotated[float, typer.Option(help="Share for training.")] = 0.8,
    val: Annotated[float, typer.Option(help="Share for validation; 0 for none.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share for testing; 0 for none.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Another number draws other records.")] = 0,
    by: ActorOption = None,
    as_json: JsonOption = False,
) -> int:
    """Give records without a split one; groups and near-duplicates stay together."""
    shares = {name: share for name, share in (("train", train), ("val", val), ("test", test)) if share > 0}
    with opened_store(store) as opened:
        report = opened.splits.assign(shares, actor=actor_of(by), seed=seed)
    if as_json:
        print(json.dumps(asdict(report)))
    else:
        total = ", ".join(f"{number} {name}" for name, number in sorted(report.total.items()))
        print(f"{total} in {report.groups} groups; {sum(report.assigned.values())} new, {report.moved} moved")
    return 0


@app.command()
def freeze(
    store: StoreArgument,
    name: Annotated[str, typer.Argument(help="A new name.")],
    message: Annotated[str, typer.Option("--message", "-m", help="What it is for.")] = "",
    by: ActorOption = None,
    as_json: JsonOption = False,
) -> int:
    """Give the present content a name under which it stays as it is."""
    with opened_store(store) as opened:
        version = opened.versions.freeze(name, actor=actor_of(by), message=message)
    if as_json:
        print(json.dumps(asdict(version), default=str))
    else:
        print(f"{version.name}: {version.records} records, {version.masks} masks, digest {version.digest}")
    return 0


@app.command()
def log(store: StoreArgument, as_json: JsonOption = False) -> int:
    """List the frozen versions, the newest first."""
    with opened_store(store) as opened:
        versions = opened.versions.log()
    if as_json:
        print(json.dumps([asdict(version) for version in versions], default=str))
        return 0
    for version in versions:
        print(f"{version.name}  {version.at:%Y-%m-%d %H:%M:%S}  {version.actor}  {version.message}")
        print(f"    {version.records} records, {version.masks} masks, digest {version.digest}")
    return 0


@app.command()
def diff(
    store: StoreArgument,
    before: Annotated[str, typer.Argument(help="Name of a version.")],
    after: Annotated[str, typer.Argument(help="Name of a version, or live for the present content.")] = "live",
    limit: Annotated[int, typer.Option(min=0, help="Most records to list.")] = 20,
    as_json: JsonOption = False,
) -> int:
    """Say what was added, removed and changed from one version to another."""
    with opened_store(store) as opened:
        found = opened.versions.diff(before, after)
    if as_json:
        print(json.dumps(asdict(found)))
        return 0
    kinds = ", ".join(f"{found.count(kind)} {kind}" for kind in ("added", "removed", "changed"))
    print(f"{before} -> {after}: records {kinds}")
    for change in found.changes[:limit]:
        masks = f"masks +{len(change.added)} -{len(change.removed)} ~{len(change.changed)}"
        also = f"{', another split' if change.moved else ''}{', image added' if change.got_image else ''}"
        print(f"  {change.kind} record {change.record_id}: {masks}{also}")
    if len(found.changes) > limit:
        print(f"  and {len(found.changes) - limit} more; --limit shows them")
    return 0


@app.command()
def checkout(
    store: StoreArgument,
    name: Annotated[str, typer.Argument(help="Name of a version.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; empty or new.")],
    as_json: JsonOption = False,
) -> int:
    """Write a version as a folder of images and records, with a manifest."""
    from segany.store.checkout import write_checkout

    with opened_store(store) as opened:
        manifest = write_checkout(opened, name, out)
        version = opened.versions.get(name)
    if as_json:
        print(json.dumps({"manifest": str(manifest), "digest": version.digest, "records": version.records}))
    else:
        print(f"{version.records} records of {name}, digest {version.digest}")
        print(manifest)
    return 0


@app.command()
def check(store: StoreArgument, as_json: JsonOption = False) -> int:
    """Verify every file, every mask and every version; the exit code is 1 when something is wrong."""
    with opened_store(store) as opened:
        report = opened.check()
    if as_json:
        print(json.dumps(asdict(report)))
        return 1 if report.findings else 0
    for finding in report.findings:
        print(f"{finding.kind}: {finding.place}: {finding.what}")
    print(f"{report.files} files, {report.masks} masks, {report.versions} versions: {len(report.findings)} wrong")
    if report.unused_files:
        print(f"{report.unused_files} files are not used by any record; `segany store gc` removes them")
    return 1 if report.findings else 0


@app.command()
def gc(
    store: StoreArgument,
    keep_days: Annotated[
        float, typer.Option(min=0.0, help="Keep past states of masks for this many days, for undo.")
    ] = 30.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    by: ActorOption = None,
    as_json: JsonOption = False,
) -> int:
    """Delete past states that are in no version, and files that no record uses."""
    with opened_store(store) as opened:
        report = opened.gc(actor=actor_of(by), keep_days=keep_days, dry_run=dry_run)
    if as_json:
        print(json.dumps(asdict(report)))
    else:
        verb = "would delete" if dry_run else "deleted"
        print(
            f"{verb} {report.states} past states, {report.masks} masks, {report.records} removed records, "
            f"{report.files} files of {report.file_bytes / 1e6:.1f} MB"
        )
    return 0


@app.command()
def stats(
    store: StoreArgument,
    plot: Annotated[Path | None, typer.Option(help="Draw them into this file: PNG, PDF or SVG.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Count images, masks, classes, people, sizes, places; and which images were altered."""
    from segany.store import plot_stats

    with opened_store(store) as opened:
        found = opened.stats()
    if plot is not None:
        plot_stats(found, plot)
    if as_json:
        print(json.dumps(found.to_dict()))
        return 0
    per_image = found.masks / found.records if found.records else 0.0
    print(f"records  {found.records:,}, {found.with_pixels:,} with their image ({found.image_bytes / 1e6:,.1f} MB)")
    altered = "".join(f"; {step}: {number}" for step, number in found.alterations.items())
    print(f"altered  {found.altered:,} images{altered}")
    print(f"similar  {found.near_duplicates:,} images are near-duplicates of others")
    print(f"masks  {found.masks:,}, {per_image:.1f} per image")
    for name in ("sources", "review_states", "annotators", "categories", "splits"):
        numbers: dict[Any, int] = getattr(found, name)
        shown = ", ".join(f"{key or '(none)'} {number:,}" for key, number in list(numbers.items())[:12])
        print(f"{name.replace('_', ' ')}  {shown or '-'}")
    if plot is not None:
        print(plot)
    return 0


def _state(given: str | None) -> Any:
    states = ("unreviewed", "accepted", "rejected", "flagged")
    if given is not None and given not in states:
        raise ConfigError(f"--state must be one of {', '.join(states)}, got {given!r}.")
    return given


def _print_added(report: "AddReport") -> None:
    print(f"{report.records} new records, {report.known} known; {report.masks} new masks, {report.known_masks} known")
    for number, what in (
        (report.pixels, "known records got their image"),
        (report.without_pixels, "records are without their image"),
        (report.altered, "images were altered by an ingest step"),
        (report.refused, "images were refused by an ingest step"),
        (report.differing_masks, "masks differ from what was imported before under the same id; the store's were kept"),
        (len(report.near_duplicates), "images are near-duplicates of others; they will share a split"),
    ):
        if number:
            print(f"{number} {what}")
    for name, problem in report.problems[:_SHOWN_PROBLEMS]:
        print(f"not added: {problem if name in problem else f'{name}: {problem}'}")
    if len(report.problems) > _SHOWN_PROBLEMS:
        print(f"and {len(report.problems) - _SHOWN_PROBLEMS} more that were not added; --json lists them all")
