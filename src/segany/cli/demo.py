"""`segany demo`: the whole way from nothing to a cut-out, on a real photo."""

import time
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from segany.cli._options import DeviceOption, ModelOption

__all__ = ["command"]

_PHOTO = "astronaut"
# One click on the face alone would be ambiguous; the second one says that the suit is meant too.
_POINTS = [(220.0, 120.0), (150.0, 300.0)]


def command(
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("out"),
    model: ModelOption = "mobile_sam",
    device: DeviceOption = "auto",
) -> int:
    """Fetch the default weights and a sample photo, segment it with two clicks, and show where the pictures are."""
    from segany import render, weights
    from segany.cli._progress import download_bar
    from segany.files import atomic_path
    from segany.predict import Predictor
    from segany.predict.segment import Segmentation
    from segany.schema import Prompt
    from segany.sources import open_image

    times = [time.perf_counter()]
    with download_bar() as progress:
        photo = weights.sample(_PHOTO, progress=progress)
        predictor = Predictor(model, device=device, progress=progress)
    times.append(time.perf_counter())
    image = open_image(photo)
    embedding = predictor.embed(image)
    times.append(time.perf_counter())
    prompt = Prompt(points=_POINTS)
    result = Segmentation(image, prompt, predictor.predict(embedding, prompt))
    best = result.best()
    times.append(time.perf_counter())
    result.best().save(out / "segany-demo-cutout.png")
    target = out / "segany-demo.png"
    sheet = render.contact_sheet([image, result.overlay(), best.cutout(crop=False)], columns=3)
    with atomic_path(target) as temporary:
        sheet.save(temporary)
    fetch, embed, predict = (b - a for a, b in pairwise(times))
    typer.echo(f"fetch and load {fetch:.1f} s, embed {embed:.2f} s, two clicks {predict * 1000:.0f} ms")
    typer.echo(f"predicted IoU {best.predicted_iou:.3f}, {best.rle.area:,} pixels")
    typer.echo(str(target.resolve()))
    return 0
