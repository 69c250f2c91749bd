"""Networks that are not ours, run as they are."""

from pathlib import Path

import numpy as np
import pytest

from segany.errors import CheckpointError
from segany.predict.backends._openvino_runtime import import_openvino
from segany.predict.backends.openvino_graph import NamedGraph


def test_inputs_go_by_name(tmp_path: Path) -> None:
    openvino = import_openvino()
    ops = openvino.opset13
    a, b = (ops.parameter([-1, 2], openvino.Type.f32, name=name) for name in ("a", "b"))
    for each, name in ((a, "a"), (b, "b")):
        each.output(0).set_names({name})
    path = tmp_path / "minus.xml"
    openvino.save_model(openvino.Model([ops.subtract(a, b), ops.add(a, b)], [a, b]), path, compress_to_fp16=False)
    graph = NamedGraph(path)
    one, two = np.array([[5, 7], [1, 2]], dtype=np.float32), np.array([[2, 3], [0, 9]], dtype=np.float32)
    difference, total = graph.run({"b": two, "a": one})
    np.testing.assert_array_equal(difference, one - two)
    np.testing.assert_array_equal(total, one + two)
    assert graph.version.count(".") == 2


def test_a_file_that_is_no_network(tmp_path: Path) -> None:
    path = tmp_path / "no.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(CheckpointError, match="is no network that OpenVINO can read"):
        NamedGraph(path)
