"""`segany segment`: photos and prompts in, masks out."""

import json
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from segany.cli import _prompts
from segany.cli._options import DeviceOption, JsonOption, MaxPixelsOption, ModelOption, PrecisionOption, RuntimeOption
from segany.cli._output import Outcome, output_names, write_outcome
from segany.errors import SeganyError

__all__ = ["command"]


@dataclass(frozen=True)
class _Options:
    model: str
    device: str
    precision: str
    runtime: str
    multimask: bool
    refine: int
    cutout: bool
    max_pixels: int | None
    out: Path


def command(
    images: Annotated[list[str], typer.Argument(help="Photos, folders or patterns such as 'photos/*.jpg'.")],
    point: Annotated[
        list[str] | None,
        typer.Option(help="x,y on the object, or x,y,- off it; pixels. Repeat it: all points are one prompt."),
    ] = None,
    box: Annotated[
        list[str] | None, typer.Option(help="x0,y0,x1,y1 in pixels. Repeat it: each box is a prompt of its own.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="A picture of a rough mask, white on black.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="A JSON file: prompts for all images, or by file name.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out"),
    model: ModelOption = "mobile_sam",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    runtime: RuntimeOption = "auto",
    multimask: Annotated[
        bool, typer.Option("--multimask", help="Keep all three masks of each prompt: whole, part and subpart.")
    ] = False,
    refine: Annotated[int, typer.Option(min=0, help="Feed the best mask back this many times.")] = 0,
    cutout: Annotated[
        bool, typer.Option("--cutout", help="Write the object on transparent ground instead of the mask.")
    ] = False,
    max_pixels: MaxPixelsOption = None,
    as_json: JsonOption = False,
) -> int:
    """Segment what you point at, in one photo or many.

    Each photo gets NAME.overlay.png to look at, NAME.mask-0.png (or NAME.cutout-0.png) and so on for its masks, and
    NAME.json, a record as in SA-1B.
    """
    from rich.console import Console
    from rich.progress import Progress

    from segany.sources import iter_image_paths

    options = _Options(model, device, precision, runtime, multimask, refine, cutout, max_pixels, out)
    plan = _prompts.from_options(point or [], box or [], mask, prompts)
    paths = list(iter_image_paths(images))
    started = time.perf_counter()
    predictor = _load(options, quiet=as_json)
    load_seconds = time.perf_counter() - started
    outcomes: list[Outcome] = []
    errors: dict[str, str] = {}
    console = Console(stderr=True)
    with Progress(console=console, disable=as_json or len(paths) < 2, transient=True) as progress:
        task = progress.add_task("segmenting", total=len(paths))
        for path, name in zip(paths, output_names(paths), strict=True):
            try:
                outcomes.append(_segment(path, name, plan, predictor, options))
            except SeganyError as error:
                errors[str(path)] = str(error)
            progress.advance(task)
    if as_json:
        print(json.dumps(_document(options, load_seconds, outcomes, errors)))
    elif outcomes:
        _print_table(outcomes, load_seconds)
    for file, message in errors.items():
        print(f"error: {file}: {message}" if len(paths) > 1 else f"error: {message}", file=sys.stderr)
    return 1 if errors else 0


def _load(options: _Options, quiet: bool) -> Any:
    from segany.cli._progress import download_bar
    from segany.predict import EmbeddingCache, Predictor

    with download_bar(quiet=quiet) as progress:
        return Predictor(
            options.model,
            device=options.device,
            precision=options.precision,
            runtime=options.runtime,
            cache=EmbeddingCache.default(),
            progress=progress,
        )


def _segment(path: Path, name: str, plan: _prompts.PromptPlan, predictor: Any, options: _Options) -> Outcome:
    from segany.sources import open_image

    times = [time.perf_counter()]
    wanted = plan.of(path)
    image = open_image(path, max_pixels=options.max_pixels)
    times.append(time.perf_counter())
    embedding = predictor.embed(image)
    times.append(time.perf_counter())
    multimask = True if options.multimask else None
    predictions = predictor.predict_many(embedding, wanted, multimask=multimask, refine=options.refine)
    times.append(time.perf_counter())
    outcome = Outcome.of(path, image, wanted, predictions, embedding.model_digest, every=options.multimask)
    outcome = write_outcome(outcome, options.out, name, cutout=options.cutout)
    times.append(time.perf_counter())
    stages = ("read", "embed", "predict", "write")
    return outcome.timed({stage: b - a for stage, (a, b) in zip(stages, pairwise(times), strict=True)})


def _document(options: _Options, load: float, outcomes: list[Outcome], errors: dict[str, str]) -> dict[str, Any]:
    return {
        "model": options.model,
        "load_seconds": load,
        "images": [outcome.to_dict() for outcome in outcomes],
        "errors": errors,
    }


def _print_table(outcomes: list[Outcome], load_seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in ("photo", "prompt", "predicted IoU", "stability", "area", "box", "file"):
        table.add_column(column, justify="left" if column in ("photo", "prompt", "file") else "right")
    for outcome in outcomes:
        for mask in outcome.masks:
            share = mask.annotation.area / outcome.image.size.area
            table.add_row(
                outcome.path.name,
                mask.prompt_text,
                f"{mask.annotation.predicted_iou:.3f}",
                f"{mask.annotation.stability_score:.3f}",
                f"{mask.annotation.area:,} px ({share:.1%})",
                ", ".join(f"{value:g}" for value in mask.annotation.box),
                str(mask.file),
            )
    # A file or a pipe has no width of its own; a screen's 80 columns would cut the paths there.
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    totals = {stage: sum(outcome.seconds[stage] for outcome in outcomes) for stage in outcomes[0].seconds}
    stages = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in {"load model": load_seconds, **totals}.items())
    console.print(f"[dim]{stages}; {len(outcomes)} photo{'s' * (len(outcomes) != 1)}[/dim]", soft_wrap=True)
    console.print(f"look at {outcomes[-1].overlay}", soft_wrap=True, highlight=False)
