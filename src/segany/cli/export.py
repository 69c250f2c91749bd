"""`segany export`: the decoder or the encoder as ONNX graphs, with a card that says how far they agree."""

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from segany.cli._options import ModelOption

__all__ = ["command"]


def command(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="decoder: from prompts to masks; encoder: from images to embeddings.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the graphs; MODEL-KIND-PRECISION if none.")
    ] = None,
    model: ModelOption = "mobile_sam",
    precision: Annotated[str, typer.Option(help="float32, float16 or int8: the smaller, the less exact.")] = "float32",
    data: Annotated[
        Path | None, typer.Option(help="Annotated images to measure the agreement on; the sample photos if none.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many objects of --data.")] = 200,
    for_page: Annotated[
        bool, typer.Option("--for-page", help="Of the decoder only what the annotation page runs; not measured.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card and nothing else.")] = False,
) -> int:
    """Export a model to ONNX graphs, for ONNX Runtime here, on a phone or in a browser.

    It takes a minute or two, and says how far the masks of the graphs agree with those of the model.
    """
    from segany.cli._progress import download_bar
    from segany.deploy import export_graphs

    with download_bar(quiet=as_json) as progress:
        made = export_graphs(
            *(cast(Any, kind), model, out),
            precision=cast(Any, precision),
            data=data,
            limit=limit,
            for_page=for_page,
            progress=progress,
        )
    if as_json:
        print(made.card.to_json(), end="")
        return 0
    for graph in made.card.graphs.values():
        print(f"{made.folder / graph.file}: {graph.bytes / 1e6:.1f} MB")
    print(made.card.agreement_line)
    return 0
