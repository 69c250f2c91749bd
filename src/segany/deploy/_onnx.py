"""From a graph in torch to ONNX files of a precision."""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segany.deploy.card import GraphFile, sha256_of
from segany.errors import MissingExtraError

if TYPE_CHECKING:
    from segany.model.graphs import Graph

__all__ = ["check_libraries", "describe", "halve", "quantize", "write_graph"]

_OPSET = 18
# A file of protocol buffers ends at 2 GiB: weights beyond that lie beside it.
_LARGEST_FILE = 1_800_000_000


def check_libraries() -> None:
    """Look for what writes graphs, before a minute is spent on the rest.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Export to ONNX", "export") from error


def write_graph(graph: "Graph", path: Path) -> None:
    """Write a graph in the precision that it is in.

    Args:
        graph: On the CPU, without gradients.
        path: Where to.
    """
    import torch

    size = torch.export.Dim("tokens", min=2, max=4096)
    shapes = tuple(dict.fromkeys(graph.free[name], size) if name in graph.free else None for name in graph.inputs)
    weights = sum(value.nbytes for value in (*graph.module.parameters(), *graph.module.buffers()))
    with _quiet():
        torch.onnx.export(
            graph.module,
            tuple(value.clone() for value in graph.inputs.values()),
            path,
            dynamo=True,
            verbose=False,
            opset_version=_OPSET,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=shapes,
            external_data=weights > _LARGEST_FILE,
        )


def halve(path: Path) -> None:
    """Have a graph compute in float16, with inputs and outputs as they are.

    Args:
        path: Of a graph in float32, replaced.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load(path)
    # What is left over of a float32 weight too small for float16 is nothing that a mask shows.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        halved = convert_float_to_float16(model, keep_io_types=True)
    _save(halved, path)


def quantize(path: Path) -> None:
    """Have a graph's products with weights computed in int8: weights by channel, activations by what comes.

    Convolutions stay float32: with ranges fixed beforehand, TinyViT's embedding is lost.

    Args:
        path: Of a graph in float32, replaced.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(path, load_external_data=False)
    # By channel only matrices can be; what stands on the left of a product, or has more axes, stays float32.
    matrices = {one.name for one in model.graph.initializer if len(one.dims) == 2}
    chosen = [node.name for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in matrices]
    # Not into the same file: weights that lie beside it would be written behind the old ones.
    with tempfile.TemporaryDirectory(prefix="segany-int8-", dir=path.parent) as folder, _quiet():
        quantised = Path(folder) / path.name
        quantize_dynamic(
            path,
            quantised,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=chosen,
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=path.with_name(f"{path.name}.data").is_file(),
        )
        _save(onnx.load(quantised), path)


def describe(path: Path) -> GraphFile:
    """What a card says of a graph that was written.

    Args:
        path: The graph.
    """
    import onnx

    model = onnx.load(path, load_external_data=False)
    data = path.with_name(f"{path.name}.data")
    beside = (data.name, sha256_of(data)) if data.is_file() else None
    return GraphFile(
        file=path.name,
        bytes=path.stat().st_size + (data.stat().st_size if beside else 0),
        sha256=sha256_of(path),
        inputs=dict(map(_port, model.graph.input)),
        outputs=dict(map(_port, model.graph.output)),
        data=beside,
    )


def _port(port: Any) -> tuple[str, tuple[str, tuple[int | str, ...]]]:
    import onnx

    kind = port.type.tensor_type
    shape = tuple(one.dim_value if one.HasField("dim_value") else one.dim_param for one in kind.shape.dim)
    return port.name, (onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name, shape)


def _save(model: Any, path: Path) -> None:
    import onnx

    large = model.ByteSize() > _LARGEST_FILE
    data = path.with_name(f"{path.name}.data")
    data.unlink(missing_ok=True)
    onnx.save_model(model, path, save_as_external_data=large, location=data.name if large else None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter prints of its steps, and warns of its own parts."""
    logger = logging.getLogger()
    before = logger.level
    chatty = logging.getLogger("torch.onnx")
    chatty_before = chatty.level
    logger.setLevel(logging.ERROR)
    chatty.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
        chatty.setLevel(chatty_before)
