"""Export: the model as ONNX graphs with a card that says how far they agree with it, and a runner without torch.

Nothing here imports torch before something is exported.
"""

from segany.deploy.card import ExportCard, GraphFile, read_card
from segany.deploy.export import DECODER, ENCODER, PRECISIONS, Exported, export_decoder, export_encoder
from segany.deploy.runner import ONNXBackend, open_exported

__all__ = [
    "DECODER",
    "ENCODER",
    "PRECISIONS",
    "ExportCard",
    "Exported",
    "GraphFile",
    "ONNXBackend",
    "export_decoder",
    "export_encoder",
    "open_exported",
    "read_card",
]
