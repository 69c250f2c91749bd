"""`segany everything`: photos in, every mask out."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from segany.cli._options import DeviceOption, JsonOption, MaxPixelsOption, ModelOption, PrecisionOption, RuntimeOption
from segany.cli._output import output_names

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from segany.predict.automatic import Item, Outcome, ResultFolder

__all__ = ["command"]


def command(
    images: Annotated[list[str], typer.Argument(help="Photos, folders or patterns such as 'photos/*.jpg'.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out"),
    mode: Annotated[
        str,
        typer.Option(
            help="full: all masks; adaptive: nearly all, by fewer clicks; hierarchy: and which is a part of which; "
            "cover: no overlaps, every pixel in one."
        ),
    ] = "full",
    file_format: Annotated[
        str,
        typer.Option("--format", help="sa1b: records; coco: and one instances.json; png: and a label map each."),
    ] = "sa1b",
    points_per_side: Annotated[int, typer.Option(help="Clicks along each side of the photo.")] = 32,
    pred_iou_thresh: Annotated[float, typer.Option(help="Keep masks of a predicted IoU above this, 0 to 1.")] = 0.88,
    stability_score_thresh: Annotated[float, typer.Option(help="Keep masks at least this stable, 0 to 1.")] = 0.95,
    box_nms_thresh: Annotated[
        float, typer.Option(help="Of two masks whose boxes overlap by more than this IoU, keep the better, 0 to 1.")
    ] = 0.7,
    crop_n_layers: Annotated[int, typer.Option(help="Layers of zoomed-in crops: small things, more time.")] = 0,
    min_mask_region_area: Annotated[
        int, typer.Option(help="Fill holes and remove islands of fewer pixels than this.")
    ] = 0,
    max_seconds: Annotated[
        float | None, typer.Option(help="Stop clicking in a photo after this time; what was found is kept.")
    ] = None,
    model: ModelOption = "mobile_sam",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    runtime: RuntimeOption = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes; each loads the model and takes its memory.")] = 1,
    max_pixels: MaxPixelsOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results of other settings or photos.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Find every mask in a photo, or in many.

    Each photo gets NAME.json, a record as in SA-1B, and NAME.overlay.png to look at. Photos that are done are skipped,
    so the same command goes on after an interruption.
    """
    from segany.cli._progress import download_bar
    from segany.predict.automatic import EverythingSpec, GridSettings, Item, ResultFolder, Thresholds, run
    from segany.sources import iter_image_paths

    started = time.perf_counter()
    spec = EverythingSpec(
        model=model,
        device=device,
        precision=precision,
        runtime=runtime,
        mode=mode,
        grid=GridSettings(points_per_side=points_per_side, crop_n_layers=crop_n_layers),
        thresholds=Thresholds(
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            box_nms_thresh=box_nms_thresh,
            min_mask_region_area=min_mask_region_area,
        ),
        max_seconds=max_seconds,
        max_pixels=max_pixels,
    )
    # Before the model is loaded, so that a wrong word costs no time.
    ResultFolder(out, {}, cast(Any, file_format))
    paths = iter_image_paths(images)
    items = [Item(name, path) for name, path in zip(output_names(paths), paths, strict=True)]
    with download_bar(quiet=as_json) as downloading:
        spec = spec.resolved(downloading)
    sink = ResultFolder(out, spec.settings(), cast(Any, file_format), overwrite)
    sink.check(items)
    load_seconds = time.perf_counter() - started
    with _bar(quiet=as_json) as bar:
        reporter = _Reporter(bar, len(items), quiet=as_json)
        summary = run(items, spec, sink, workers=workers, progress=reporter)
    instances = sink.write_instances(items) if file_format == "coco" else None
    if as_json:
        print(json.dumps(_document(sink, reporter.outcomes, instances, load_seconds, summary.seconds)))
    else:
        _print_end(sink, reporter.outcomes, instances, load_seconds, summary.seconds)
    for item, message in summary.errors.items():
        print(f"error: {item.path}: {message}" if len(items) > 1 else f"error: {message}", file=sys.stderr)
    return 1 if summary.errors else 0


class _Reporter:
    """Moves the bar, and prints a line for each photo that is done."""

    def __init__(self, bar: "Progress", total: int, *, quiet: bool) -> None:
        self.outcomes: list[Outcome] = []
        self._bar, self._quiet = bar, quiet
        self._task: TaskID = bar.add_task("everything", total=total)
        self._shares: dict[Item, float] = {}

    def __call__(self, item: "Item", share: float, outcome: "Outcome | None") -> None:
        if outcome is None:
            self._shares[item] = share
        else:
            self._shares.pop(item, None)
            self.outcomes.append(outcome)
            if not self._quiet and outcome.masks is not None:
                print(_line(outcome))
        self._bar.update(self._task, completed=len(self.outcomes) + sum(self._shares.values()))


def _bar(*, quiet: bool) -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn(), Left())
    # Lines go to standard output even when that is a file; only on a screen do they have to make room for the bar.
    return Progress(
        *columns, console=Console(stderr=True), transient=True, disable=quiet, redirect_stdout=sys.stdout.isatty()
    )


def _line(outcome: "Outcome") -> str:
    stages = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in outcome.seconds.items())
    over = "" if outcome.complete else " when time was up"
    return f"{outcome.item.path.name}: {outcome.masks} masks by {outcome.clicks} clicks{over}; {stages}"


def _print_end(
    sink: "ResultFolder", outcomes: Sequence["Outcome"], instances: Path | None, load_seconds: float, seconds: float
) -> None:
    done = [outcome for outcome in outcomes if outcome.masks is not None]
    skipped = [outcome for outcome in outcomes if outcome.skipped]
    masks = sum(outcome.masks or 0 for outcome in done)
    before = f"; {len(skipped)} done before" if skipped else ""
    photos = f"{len(done)} photo{'s' * (len(done) != 1)}"
    print(f"{photos}, {masks} masks in {seconds:.1f} s, load model {load_seconds:.1f} s{before}")
    if instances is not None:
        print(f"wrote {instances}")
    if done or skipped:
        print(f"look at {sink.overlay_path((done or skipped)[-1].item)}")


def _document(
    sink: "ResultFolder", outcomes: Sequence["Outcome"], instances: Path | None, load_seconds: float, seconds: float
) -> dict[str, Any]:
    return {
        "settings": dict(sink.settings),
        "load_seconds": load_seconds,
        "seconds": seconds,
        "instances": None if instances is None else str(instances),
        "images": [
            {
                "file": str(outcome.item.path),
                "record": str(sink.record_path(outcome.item)),
                "overlay": str(sink.overlay_path(outcome.item)),
                "skipped": outcome.skipped,
                "masks": outcome.masks,
                "clicks": outcome.clicks,
                "complete": outcome.complete,
                "seconds": dict(outcome.seconds),
            }
            for outcome in outcomes
            if outcome.error is None
        ],
        "errors": {str(outcome.item.path): outcome.error for outcome in outcomes if outcome.error is not None},
    }
