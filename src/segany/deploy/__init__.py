"""Export: the model as ONNX graphs with a card that says how far they agree with it, and a runner without torch.

Nothing here imports torch before something is exported.
"""

from segany.deploy.card import ExportCard, GraphFile, read_card
from segany.deploy.export import KINDS, PAGE_GRAPHS, PRECISIONS, Exported, Kind, Precision, export_graphs
from segany.deploy.runner import ONNXBackend, open_exported

__all__ = [
    "KINDS",
    "PAGE_GRAPHS",
    "PRECISIONS",
    "ExportCard",
    "Exported",
    "GraphFile",
    "Kind",
    "ONNXBackend",
    "Precision",
    "export_graphs",
    "open_exported",
    "read_card",
]
