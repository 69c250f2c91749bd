"""NamedGraph: a network that is not one of ours, run by OpenVINO as it is: ONNX, Paddle or TensorFlow files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.errors import CheckpointError
from segany.predict.backends._openvino_requests import CompiledGraph, to_array
from segany.predict.backends._openvino_runtime import available_threads, core, version
from segany.settings import Settings

__all__ = ["NamedGraph"]


class NamedGraph:
    """A network on the CPU in float32 whose inputs go by name. Threads may share it.

    Attributes:
        version: Of OpenVINO.
    """

    def __init__(self, path: Path) -> None:
        """Read and compile.

        Args:
            path: The file; parameters that belong to it lie beside it.

        Raises:
            CheckpointError: OpenVINO cannot read it.
            DeviceError: OpenVINO does not run on this machine.
        """
        self.version = version()
        runtime = core()
        try:
            graph = runtime.read_model(str(path))
        except RuntimeError as error:
            raise CheckpointError(f"{path} is no network that OpenVINO can read: {error}") from error
        self._inputs = [port.get_any_name() for port in graph.inputs]
        threads = Settings.from_environment().threads or available_threads()
        self._graph = CompiledGraph(graph, precision="f32", threads=threads, streams=1)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Run once.

        Args:
            inputs: Name -> array, as the network has them.

        Returns:
            Its outputs, in its order.
        """
        outputs = self._graph.run(*(np.ascontiguousarray(inputs[name]) for name in self._inputs))
        return [np.asarray(to_array(output), dtype=np.float32) for output in outputs]
