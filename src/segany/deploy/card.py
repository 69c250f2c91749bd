"""ExportCard: what an export is, what it was made from, and how far it agrees with that; JSON beside the graphs."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segany.errors import CheckpointError, ConfigError, DigestError
from segany.model.config import ModelConfig

__all__ = ["CARD", "ExportCard", "GraphFile", "read_card", "sha256_of"]

CARD = "card.json"
_FORMAT = "segany-export-1"


@dataclass(frozen=True)
class GraphFile:
    """One graph.

    Attributes:
        file: Its name within the folder.
        bytes: Its length, with its weights where they lie beside it.
        sha256: Of the file, hexadecimal.
        inputs: Name -> dtype and shape; a word for a size that may vary.
        outputs: The same.
        data: File of the weights and its sha256, where they lie beside the graph.
    """

    file: str
    bytes: int
    sha256: str
    inputs: Mapping[str, tuple[str, tuple[int | str, ...]]]
    outputs: Mapping[str, tuple[str, tuple[int | str, ...]]]
    data: tuple[str, str] | None = None

    @property
    def files(self) -> Mapping[str, str]:
        """Name -> sha256 of what lies in the folder."""
        return {self.file: self.sha256, **dict([self.data] if self.data else [])}


@dataclass(frozen=True)
class ExportCard:
    """What a folder of graphs is.

    Attributes:
        kind: "decoder" or "encoder".
        model: Name of the model.
        precision: "float32", "float16" or "int8".
        model_digest: Digest of the model's parameters.
        encoder_digest: Digest of what embeddings depend on: the encoder with its config and preprocessing.
        config: The model's config, preprocessing included.
        graphs: Name -> graph.
        agreement: How far its masks are from those of float32: figures and what they are of; empty when not measured.
        made_with: Package -> version.
    """

    kind: str
    model: str
    precision: str
    model_digest: str
    encoder_digest: str
    config: ModelConfig
    graphs: Mapping[str, GraphFile]
    agreement: Mapping[str, Any]
    made_with: Mapping[str, str]

    @property
    def digest(self) -> str:
        """sha256 over the graphs, hexadecimal: what answers depend on."""
        parts = [[name, one.sha256, one.data] for name, one in sorted(self.graphs.items())]
        return hashlib.sha256(json.dumps([self.precision, parts]).encode()).hexdigest()

    @property
    def agreement_line(self) -> str:
        """The agreement for people."""
        found = self.agreement
        if not found:
            return "agreement: not measured"
        return (
            f"agreement: mean mask IoU with float32 {found['mask_iou_click']:.4f} over {found['objects']} clicks in "
            f"{found['images']} images ({found['mask_iou_candidates']:.4f} of all three candidates, "
            f"{found['mask_iou_box']:.4f} for boxes)"
        )

    def to_json(self) -> str:
        """As it stands in its file."""
        values = {**asdict(self), "config": self.config.to_dict(), "format": _FORMAT}
        return json.dumps(values, indent=1) + "\n"


def read_card(folder: str | os.PathLike[str], *, check: bool = True) -> ExportCard:
    """Read the card of an export.

    Args:
        folder: Where the graphs are.
        check: Compare the files' digests, too.

    Raises:
        CheckpointError: There is no export.
        DigestError: A file is missing or is not the one that was written.
    """
    root = Path(folder)
    try:
        values = json.loads((root / CARD).read_text(encoding="utf-8"))
        if values.pop("format") != _FORMAT:
            raise ValueError("another format")
        graphs = {name: _graph(one) for name, one in values.pop("graphs").items()}
        card = ExportCard(**{**values, "graphs": graphs, "config": ModelConfig.from_dict(values["config"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise CheckpointError(f"{root} holds no export of this version of segany; make one: segany export.") from error
    if check:
        for one in card.graphs.values():
            for name, digest in one.files.items():
                # A card may come from elsewhere: it names files beside it and no others.
                if name != Path(name).name or not (root / name).is_file() or sha256_of(root / name) != digest:
                    raise DigestError(f"{name} in {root} is not the file that its card names; export again.")
    return card


def sha256_of(path: Path) -> str:
    """Digest of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _graph(values: Mapping[str, Any]) -> GraphFile:
    ports = {
        side: {name: (str(kind), tuple(shape)) for name, (kind, shape) in values[side].items()}
        for side in ("inputs", "outputs")
    }
    name, digest = values["data"] or (None, None)
    data = None if name is None else (str(name), str(digest))
    return GraphFile(str(values["file"]), int(values["bytes"]), str(values["sha256"]), **ports, data=data)
