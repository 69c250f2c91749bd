"""From a torch model to OpenVINO graphs. Imports torch when called: a start with cached graphs does without it."""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from segany.predict.backends._openvino_runtime import import_openvino

if TYPE_CHECKING:
    from segany.model.graphs import Graph
    from segany.model.sam import Sam

__all__ = ["convert"]


def convert(model: "Sam") -> Iterator[tuple[str, Any]]:
    """Convert a model graph by graph.

    Args:
        model: On the CPU; it belongs to the conversion from now on.

    Yields:
        Each graph's name and its `openvino.Model` in float32.

    Raises:
        ConfigError: The model has no such graphs.
    """
    import torch

    from segany.model.graphs import cut

    model = model.eval().requires_grad_(False).float().fuse()
    # Not in inference mode: its tensors cannot be traced.
    with torch.no_grad():
        for graph in cut(model):
            yield graph.name, _convert(graph)


def _convert(graph: "Graph") -> Any:
    import torch

    openvino = import_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    examples = tuple(tensor.clone() for tensor in graph.inputs.values())
    with warnings.catch_warnings():
        # Of sizes that Python reads (none of them varies), and that torch would rather see its compiler used, which
        # takes several times as long.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(graph.module, examples, check_trace=False, strict=False)  # type: ignore[no-untyped-call]
        # By the front end itself: openvino.convert_model reports every conversion to its makers.
        front_end = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced)
        converted = front_end.convert(front_end.load(decoder))
    for port, (name, tensor) in zip(converted.inputs, graph.inputs.items(), strict=True):
        free = graph.free.get(name, ())
        shape = [-1 if axis in free else size for axis, size in enumerate(tensor.shape)]
        kind = openvino.Type.i32 if tensor.dtype == torch.int32 else openvino.Type.f32
        port.get_node().set_element_type(kind)
        port.get_node().set_partial_shape(openvino.PartialShape(shape))
        port.get_tensor().set_names({name})
    for port, name in zip(converted.outputs, graph.outputs, strict=True):
        port.get_tensor().set_names({name})
    converted.validate_nodes_and_infer_types()
    return converted
