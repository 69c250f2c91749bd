"""`segany advise`: which method for these data?"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from segany.cli._options import DeviceOption, JsonOption, PrecisionOption, RuntimeOption

__all__ = ["command"]

_RITM = "ritm_hrnet18"


def command(
    data: Annotated[Path, typer.Argument(help="Annotated images of any format.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model or checkpoint file to measure beside the default model and the baselines; repeat it."
        ),
    ] = None,
    only: Annotated[bool, typer.Option("--only", help="Measure the named models alone.")] = False,
    task: Annotated[
        list[str] | None, typer.Option(help="click, clicks, box or everything; repeat it. All when left out.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Objects to measure on; a tenth as many images for everything.")
    ] = 60,
    seed: Annotated[int, typer.Option(help="Which ones.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the advice and pictures of what all methods miss.")
    ] = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    runtime: RuntimeOption = "auto",
    as_json: JsonOption = False,
) -> int:
    """Say which method is best on a sample of your data by more than chance, how fast it is, and where all fail.

    GrabCut, Otsu's threshold with watershed, RITM and the default model are measured, and any model that is named.
    """
    from segany.cli._progress import download_bar
    from segany.cli.evaluate import MeasuringBar, count_problems, print_table
    from segany.errors import ConfigError, WeightsError
    from segany.evaluate.advice_report import advice_document, advice_sentences, write_advice
    from segany.evaluate.advise import TASKS, advise
    from segany.evaluate.result_cache import ResultCache
    from segany.evaluate.subjects import SubjectSpec
    from segany.weights import DEFAULT_MODEL, path

    names = list(dict.fromkeys([*([] if only else ["otsu", "grabcut", "ritm", DEFAULT_MODEL]), *(model or ())]))
    if not names:
        raise ConfigError("--only needs models to measure; name them by --model.")
    specs = [SubjectSpec.parse(name, runtime=runtime, precision=precision, device=device) for name in names]
    with download_bar(quiet=as_json) as downloading, MeasuringBar(quiet=as_json) as bar:
        if "ritm" in names and "ritm" not in (model or ()):
            try:
                path(_RITM, progress=downloading)
            except WeightsError as error:
                print(f"without ritm: {error}", file=sys.stderr)
                specs = [spec for spec in specs if spec.model != "ritm"]
        advice = advise(
            data,
            specs,
            tasks=task or list(TASKS),
            limit=limit,
            seed=seed,
            cache=ResultCache.default(),
            progress=bar,
            downloading=downloading,
        )
    if out is not None:
        write_advice(advice, data, out)
    if as_json:
        print(json.dumps(advice_document(advice)))
        return 0
    for one in advice.tasks:
        rows = [[c.name, c.figure.points(), f"{c.seconds:.2g}"] for c in one.contenders]
        print_table(one.task, ["", one.metric, "seconds an image"], rows)
    for sentence in advice_sentences(advice):
        print(sentence)
    if advice.problems:
        print(count_problems(advice.problems), file=sys.stderr)
    if out is not None:
        print(f"look at {out / 'advice.md'}")
    return 0
