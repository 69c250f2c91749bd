"""`segany quantize`: a model in int8, calibrated on your photos."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from segany.cli._options import JsonOption, ModelOption

__all__ = ["command"]


def command(
    images: Annotated[
        list[str] | None, typer.Argument(help="Photos, folders or patterns like those to come; the samples if none.")
    ] = None,
    model: ModelOption = "mobile_sam",
    as_json: JsonOption = False,
) -> int:
    """Quantise a model for `--precision int8`, and say what that costs.

    Without this command the first use of int8 does it on the sample photos.
    """
    from segany.cli._progress import download_bar
    from segany.predict.quantize import MOST_IMAGES, quantize
    from segany.sources import iter_image_paths

    chosen = None if not images else list(iter_image_paths(images))
    with download_bar(quiet=as_json) as progress:
        report = quantize(model, chosen, progress=progress)
    if as_json:
        print(json.dumps(asdict(report)))
    elif chosen is not None and len(chosen) > MOST_IMAGES:
        print(f"{report.images} of {len(chosen)} images were taken, spread evenly")
    return 0
