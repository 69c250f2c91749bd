"""Export of the mask decoder and of the image encoder: graphs, their agreement with float32, and a card."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from segany import weights
from segany.deploy._onnx import check_libraries, describe, halve, quantize, write_graph
from segany.deploy.card import CARD, ExportCard, read_card
from segany.errors import CheckpointError, ConfigError
from segany.files import check_folder, new_folder, write_text
from segany.predict import Predictor
from segany.predict._checkpoints import locate
from segany.settings import Settings

if TYPE_CHECKING:
    from segany.model.graphs import Graph
    from segany.model.sam import Sam

__all__ = ["KINDS", "PAGE_GRAPHS", "PRECISIONS", "Exported", "Kind", "Precision", "export_graphs"]

Kind = Literal["decoder", "encoder"]
Precision = Literal["float32", "float16", "int8"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
PAGE_GRAPHS = ("prepare", "decode")
"""Of the decoder, what the annotation page runs."""

_PACKAGES = ("segany", "torch", "onnx", "onnxscript", "onnxruntime")
# Another process may be writing the same export, which takes it a minute or two.
_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Exported:
    """An export that was made.

    Attributes:
        folder: Where it is.
        card: What it is.
    """

    folder: Path
    card: ExportCard


def export_graphs(
    kind: Kind,
    model: str | os.PathLike[str] = weights.DEFAULT_MODEL,
    folder: str | os.PathLike[str] | None = None,
    *,
    precision: Precision = "float32",
    data: str | os.PathLike[str] | None = None,
    limit: int = 200,
    for_page: bool = False,
    progress: weights.Progress | None = None,
) -> Exported:
    """Export a part of a model as ONNX graphs, and measure how far its masks agree with those of float32.

    The folder appears whole, or not at all; an export that is there is replaced.

    Args:
        kind: "decoder": prompt encoder and mask decoder as `prepare`, `decode` and `refine`; "encoder": the image
            encoder as `encoder`.
        model: A name of `segany weights list`, or a checkpoint file.
        folder: Where to; MODEL-KIND-PRECISION when left out.
        precision: "float32". "float16": of the decoder the work on the image's cells and what `prepare` gives, of the
            encoder everything but its input and its output. "int8": the products with weights.
        data: A data set to measure the agreement on; the sample photos when left out.
        limit: At most so many objects of `data`.
        for_page: Of the decoder only `prepare` and `decode`, which the annotation page runs; the agreement is not
            measured. It takes a third of the time.
        progress: Called while weights and sample photos are fetched.

    Raises:
        ConfigError: Unknown kind or precision; an encoder for the page, which runs none; the folder holds something
            else; the model's decoder is of another kind; there is no object in `data`.
        MissingExtraError: What writes graphs is not installed.
        OutputError: The folder cannot be written.
        RecordError: There is no data set at `data`.
        WeightsError, CheckpointError: As `Predictor`.
    """
    _require("kind", kind, KINDS)
    _require("precision", precision, PRECISIONS)
    if for_page and kind != "decoder":
        raise ConfigError(f"the annotation page runs the decoder only, and kind is {kind!r}; export that for it.")
    check_libraries()
    target = Path(f"{Path(model).stem}-{kind}-{precision}" if folder is None else folder)
    check_folder(target, _is_export)
    import torch

    from segany.deploy._agreement import check_subjects
    from segany.model.checkpoint import encoder_digest, model_digest

    asked = None if data is None else Path(data)
    if not for_page:
        check_subjects(asked, progress)
    sam = locate(model, progress).load().eval().requires_grad_(False).float()
    about: dict[str, Any] = {
        "kind": kind,
        "model": sam.config.name,
        "precision": precision,
        "model_digest": model_digest(sam),
        "encoder_digest": encoder_digest(sam),
        "config": sam.config,
        "made_with": {name: metadata.version(name) for name in _PACKAGES},
    }
    with new_folder(target, replaces=_is_export, patience_seconds=_PATIENCE_SECONDS) as made:
        with torch.no_grad():
            about["graphs"] = _write(kind, sam, made, precision, for_page)
        # Written before the agreement is known, for the runner reads what it runs.
        card = ExportCard(**about, agreement={})
        write_text(made / CARD, card.to_json())
        if not for_page:
            card = ExportCard(**about, agreement=_measured(kind, sam, made, asked, limit))
            write_text(made / CARD, card.to_json())
    return Exported(target, card)


def _write(kind: Kind, sam: "Sam", folder: Path, precision: Precision, for_page: bool) -> Mapping[str, Any]:
    import torch

    from segany.deploy._graphs import decoder_graphs, encoder_graph

    halved = precision == "float16"
    graphs = [encoder_graph(sam.fuse())] if kind == "encoder" else None
    written = {}
    for graph in graphs or decoder_graphs(sam, torch.float16 if halved else torch.float32):
        if for_page and graph.name not in PAGE_GRAPHS:
            continue
        path = folder / f"{graph.name}.onnx"
        write_graph(graph, path)
        if precision == "int8":
            quantize(path)
        elif halved and _computes_in_float32(graph):
            halve(path)
        written[graph.name] = describe(path)
    return written


def _computes_in_float32(graph: "Graph") -> bool:
    """Whether nothing in it was made in float16 already: the structured decoder itself says what may be."""
    return graph.name in ("encoder", "refine")


def _measured(kind: Kind, sam: "Sam", folder: Path, data: Path | None, limit: int) -> Mapping[str, Any]:
    from segany.deploy._agreement import measure
    from segany.deploy.runner import ONNXBackend
    from segany.predict.backends.torch import TorchBackend

    exact = Predictor(
        backend=TorchBackend(sam, device="cpu", precision="float32", threads=Settings.from_environment().threads)
    )
    if kind == "decoder":
        return measure(exact, encoding=exact, decoding=Predictor(backend=ONNXBackend(folder)), data=data, limit=limit)
    own = Predictor(backend=ONNXBackend(encoder=folder))
    return measure(exact, encoding=own, decoding=exact, data=data, limit=limit)


def _require(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} must be one of {', '.join(known)}, got {value!r}.")


def _is_export(folder: Path) -> bool:
    """Whether it holds an export and nothing else: only that is ever replaced."""
    try:
        card = read_card(folder, check=False)
    except CheckpointError:
        return False
    own = {name for graph in card.graphs.values() for name in graph.files}
    return {path.name for path in folder.iterdir()} <= {CARD, *own}
