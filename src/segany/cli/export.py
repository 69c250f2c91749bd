"""`segany export`: the decoder or the encoder as ONNX graphs, with a card that says how far they agree."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from segany.deploy import Exported

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Export a model to ONNX graphs, for ONNX Runtime here or in a browser.")

_Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the graphs; MODEL-KIND-PRECISION if none.")]
_Model = Annotated[str, typer.Option(help="A name of `segany weights list`, or a checkpoint file.")]
_Precision = Annotated[str, typer.Option(help="float32, float16 or int8.")]
_Data = Annotated[
    Path | None, typer.Option(help="Annotated images to measure the agreement on; the sample photos if none.")
]
_Limit = Annotated[int, typer.Option(min=1, help="At most so many objects of --data.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the card and nothing else.")]


@app.command("decoder")
def decoder(
    out: _Out = None,
    model: _Model = "mobile_sam",
    precision: _Precision = "float32",
    data: _Data = None,
    limit: _Limit = 200,
    as_json: _Json = False,
) -> int:
    """Prompts to masks: `prepare` once for an image, `decode` for each prompt, `refine` with earlier logits."""
    from segany.deploy import export_decoder

    return _export("decoder", export_decoder, out, model, precision, data, limit, as_json)


@app.command("encoder")
def encoder(
    out: _Out = None,
    model: _Model = "mobile_sam",
    precision: _Precision = "float32",
    data: _Data = None,
    limit: _Limit = 200,
    as_json: _Json = False,
) -> int:
    """Images to embeddings."""
    from segany.deploy import export_encoder

    return _export("encoder", export_encoder, out, model, precision, data, limit, as_json)


def _export(
    kind: str,
    export: "Callable[..., Exported]",
    out: Path | None,
    model: str,
    precision: str,
    data: Path | None,
    limit: int,
    as_json: bool,
) -> int:
    from segany.cli._progress import download_bar
    from segany.deploy._agreement import agreement_line

    folder = Path(f"{Path(model).stem}-{kind}-{precision}") if out is None else out
    with download_bar(quiet=as_json) as progress:
        made = export(model, folder, precision=precision, data=data, limit=limit, progress=progress)
    if as_json:
        print(made.card.to_json(), end="")
        return 0
    for graph in made.card.graphs.values():
        print(f"{made.folder / graph.file}: {graph.bytes / 1e6:.1f} MB")
    print(agreement_line(made.card.agreement))
    return 0
