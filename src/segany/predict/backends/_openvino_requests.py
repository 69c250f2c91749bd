"""Compiled graphs and their requests: run many inputs at once, from any thread."""

from collections import deque
from collections.abc import Iterable, Sequence
from queue import Empty, LifoQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.predict.backends._openvino_runtime import core, import_openvino

__all__ = ["CompiledGraph", "to_array"]


class CompiledGraph:
    """A graph on the CPU with a few requests, each of which runs one input at a time.

    Threads may share it: whoever needs a request waits for one. Tensors that come out are copies.
    """

    def __init__(self, graph: Any, *, precision: str, threads: int, streams: int, half: Sequence[str] = ()) -> None:
        """Compile.

        Args:
            graph: An `openvino.Model`; it is changed.
            precision: "f32" or "bf16": what the CPU computes in.
            threads: For all streams together.
            streams: How many inputs are run at once.
            half: Names of the inputs and outputs that are handed over in bfloat16; the others are float32.
        """
        openvino = import_openvino()
        edges = openvino.preprocess.PrePostProcessor(graph)
        for ports, edge in ((graph.inputs, edges.input), (graph.outputs, edges.output)):
            for number, port in enumerate(ports):
                if port.get_any_name() in half:
                    edge(number).tensor().set_element_type(openvino.Type.bf16)
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            # Pinned threads of two processes would share one core and leave the others idle.
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled = core().compile_model(edges.build(), "CPU", settings)
        self._free: LifoQueue[Any] = LifoQueue()
        for _ in range(streams):
            self._free.put(self._compiled.create_infer_request())

    def run(self, *inputs: Any) -> list[Any]:
        """Run one input: its tensors or arrays in, the output tensors out."""
        return self.run_many([inputs])[0]

    def run_many(self, batch: Iterable[Sequence[Any]]) -> list[list[Any]]:
        """Run many inputs, as many at once as there are streams; outputs come in the order of the inputs."""
        pending: deque[tuple[Any, Sequence[Any]]] = deque()
        done: list[list[Any]] = []
        try:
            for inputs in batch:
                while (request := self._acquire(wait=not pending)) is None:
                    done.append(self._finish(*pending.popleft()))
                # The inputs are kept until the request is done: OpenVINO borrows an array's memory and nothing more.
                pending.append((request, inputs))
                for number, one in enumerate(inputs):
                    request.set_input_tensor(number, _tensor(one))
                request.start_async()
            while pending:
                done.append(self._finish(*pending.popleft()))
        finally:
            # After an error: leave every request idle.
            for request, _ in pending:
                request.wait()
                self._free.put(request)
        return done

    def _acquire(self, wait: bool) -> Any | None:
        # Whoever holds a request finishes it before waiting for another: no circle of waiting threads.
        try:
            return self._free.get(block=wait)
        except Empty:
            return None

    def _finish(self, request: Any, inputs: Sequence[Any]) -> list[Any]:
        """Wait; `inputs` is what the request reads until then."""
        try:
            request.wait()
            return [_copy(request.get_output_tensor(number)) for number in range(len(self._compiled.outputs))]
        finally:
            self._free.put(request)


def _tensor(given: Any) -> Any:
    tensor_type = import_openvino().Tensor
    return given if isinstance(given, tensor_type) else tensor_type(given, shared_memory=True)


def to_array(tensor: Any) -> NDArray[np.float32]:
    """A copy of a float32 tensor's numbers."""
    return np.array(tensor.data)


def _copy(tensor: Any) -> Any:
    own = import_openvino().Tensor(tensor.element_type, tensor.shape)
    tensor.copy_to(own)
    return own
