"""Export of the mask decoder and of the image encoder: graphs, their agreement with float32, and a card."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segany import weights
from segany.deploy._onnx import check_libraries, describe, halve, quantize, write_graph
from segany.deploy.card import CARD, ExportCard, read_card
from segany.errors import CheckpointError, ConfigError, OutputError
from segany.predict import Predictor
from segany.predict._checkpoints import locate
from segany.settings import Settings

if TYPE_CHECKING:
    from segany.model.graphs import Graph
    from segany.model.sam import Sam

__all__ = ["DECODER", "ENCODER", "PRECISIONS", "Exported", "export_decoder", "export_encoder"]

PRECISIONS = ("float32", "float16", "int8")
DECODER, ENCODER = "decoder", "encoder"
_PACKAGES = ("segany", "torch", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Exported:
    """An export that was made.

    Attributes:
        folder: Where it is.
        card: What it is.
    """

    folder: Path
    card: ExportCard


def export_decoder(
    model: str | os.PathLike[str] = weights.DEFAULT_MODEL,
    folder: str | os.PathLike[str] = "decoder",
    *,
    precision: str = "float32",
    data: str | os.PathLike[str] | None = None,
    limit: int = 200,
    progress: weights.Progress | None = None,
) -> Exported:
    """Export prompt encoder and mask decoder as `prepare`, `decode` and `refine`.

    The folder appears whole, or not at all; an export that is there is replaced.

    Args:
        model: A name of `segany weights list`, or a checkpoint file.
        folder: Where to.
        precision: "float32"; "float16": the work on the image's cells, and what `prepare` gives; "int8": the products
            with weights.
        data: A data set to measure the agreement on; the sample photos when left out.
        limit: At most so many objects of `data`.
        progress: Called while weights are fetched.

    Raises:
        ConfigError: Unknown precision, or the model's decoder is of another kind.
        MissingExtraError: What writes graphs is not installed.
        OutputError: The folder cannot be written, or holds something else.
        WeightsError: As `Predictor`.
    """
    return _export(DECODER, model, Path(folder), precision, data, limit, progress)


def export_encoder(
    model: str | os.PathLike[str] = weights.DEFAULT_MODEL,
    folder: str | os.PathLike[str] = "encoder",
    *,
    precision: str = "float32",
    data: str | os.PathLike[str] | None = None,
    limit: int = 200,
    progress: weights.Progress | None = None,
) -> Exported:
    """Export the image encoder as `encoder`. Arguments and errors as `export_decoder`.

    "float16" is all of the encoder, with float32 pixels and embedding; "int8" the products of attention and MLPs.
    """
    return _export(ENCODER, model, Path(folder), precision, data, limit, progress)


def _export(
    kind: str,
    model: str | os.PathLike[str],
    target: Path,
    precision: str,
    data: str | os.PathLike[str] | None,
    limit: int,
    progress: weights.Progress | None,
) -> Exported:
    if precision not in PRECISIONS:
        raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
    check_libraries()
    _check_target(target)
    checkpoint = locate(model, progress)
    import torch

    from segany.model.checkpoint import encoder_digest, model_digest

    sam = checkpoint.load().eval().requires_grad_(False).float()
    digests = {"model_digest": model_digest(sam), "encoder_digest": encoder_digest(sam)}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror}; choose another folder.") from error
    try:
        with torch.no_grad():
            graphs = _write(kind, sam, made, precision)
        about: dict[str, Any] = {"kind": kind, "model": sam.config.name, "precision": precision, **digests}
        about |= {"config": sam.config, "graphs": graphs, "made_with": _versions()}
        # Written before it is known, for the runner reads what it runs.
        _write_card(made, ExportCard(**about, agreement={}))
        card = ExportCard(**about, agreement=_measured(kind, sam, made, None if data is None else Path(data), limit))
        _write_card(made, card)
        _put(made, target)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}; choose another folder.") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return Exported(target, card)


def _write(kind: str, sam: "Sam", folder: Path, precision: str) -> Mapping[str, Any]:
    import torch

    from segany.deploy._graphs import decoder_graphs, encoder_graph

    halved = precision == "float16"
    graphs = [encoder_graph(sam.fuse())] if kind == ENCODER else None
    written = {}
    for graph in graphs or decoder_graphs(sam, torch.float16 if halved else torch.float32):
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


def _measured(kind: str, sam: "Sam", folder: Path, data: Path | None, limit: int) -> Mapping[str, Any]:
    from segany.deploy._agreement import measure
    from segany.deploy.runner import ONNXBackend
    from segany.predict.backends.torch import TorchBackend

    exact = Predictor(
        backend=TorchBackend(sam, device="cpu", precision="float32", threads=Settings.from_environment().threads)
    )
    if kind == DECODER:
        return measure(exact, encoding=exact, decoding=Predictor(backend=ONNXBackend(folder)), data=data, limit=limit)
    own = Predictor(backend=ONNXBackend(encoder=folder))
    return measure(exact, encoding=own, decoding=exact, data=data, limit=limit)


def _versions() -> Mapping[str, str]:
    return {name: metadata.version(name) for name in _PACKAGES}


def _write_card(folder: Path, card: ExportCard) -> None:
    (folder / CARD).write_text(card.to_json(), encoding="utf-8")


def _check_target(target: Path) -> None:
    """Only what is an export is ever replaced."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        read_card(target, check=False)
    except CheckpointError as error:
        raise OutputError(f"{target} is there and is no export; choose another folder.") from error


def _put(made: Path, target: Path) -> None:
    """Rename into place; what was there goes when the new one stands."""
    made.chmod(0o755)
    if not target.exists():
        made.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent)) / target.name
    target.rename(old)
    try:
        made.rename(target)
    except OSError:
        old.rename(target)
        raise
    finally:
        shutil.rmtree(old.parent, ignore_errors=True)
