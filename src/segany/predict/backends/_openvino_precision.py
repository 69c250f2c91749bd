"""Parts of a graph that stay in float32 while the rest computes in bfloat16."""

import re
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from segany.predict.backends._openvino_runtime import core, import_openvino

__all__ = ["carries_on", "keep_carried", "write_carried"]

_IN_BLOCKS = re.compile(r"\.(attn|mlp)[./]")
_NO_WORK = ("Const", "Parameter", "Result")


def carries_on(name: str) -> bool:
    """Whether an operation of an image encoder lies outside attention and MLP blocks.

    What such an operation rounds is carried on through all later layers: the sums round the blocks, convolutions in
    the stem and between blocks, the neck. What a block rounds is a small part of the sum that it is added to.

    Args:
        name: Its name, made of the torch modules that it was traced from.
    """
    return _IN_BLOCKS.search(name) is None


def keep_carried(graph: Any) -> Any:
    """Mark what carries on: it is not rounded when the graph is compiled for bfloat16.

    Products of matrices are computed in bfloat16 all the same.

    Args:
        graph: An image encoder as `openvino.Model`.

    Returns:
        Another `openvino.Model`.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file, weights = Path(folder, "graph.xml"), Path(folder, "graph.bin")
        import_openvino().serialize(graph, file, weights)
        write_carried(file, file)
        # Read, not mapped: the file is about to go.
        return core().read_model(file, weights, {"ENABLE_MMAP": False})


def write_carried(source: Path, target: Path) -> None:
    """Do the same to a graph's file; its weights stay as they are. The mark can be read, but not set from Python.

    Args:
        source: An image encoder's .xml file.
        target: The file to write.
    """
    tree = ElementTree.parse(source)
    for layer in tree.iterfind("layers/layer"):
        if layer.get("type") not in _NO_WORK and carries_on(layer.get("name", "")):
            _mark(layer)
    tree.write(target)


def _mark(layer: ElementTree.Element) -> None:
    info = layer.find("rt_info")
    if info is None:
        info = ElementTree.Element("rt_info")
        layer.insert(1 if layer.find("data") is not None else 0, info)
    ElementTree.SubElement(info, "attribute", {"name": "precise", "version": "0"})
