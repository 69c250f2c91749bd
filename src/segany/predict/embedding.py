"""ImageEmbedding: an image as the model sees it, and the only state there is."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segany.errors import EmbeddingError
from segany.files import write_bytes
from segany.geometry import Frame, Size
from segany.predict.backends.base import Backend, Features

__all__ = ["ImageEmbedding", "load_embedding"]

_FORMAT = "segany-embedding-2"


@dataclass(frozen=True, eq=False)
class ImageEmbedding:
    """Features of one image with everything they were made from.

    Attributes:
        features: The encoder's output, on the backend's device; opaque.
        frame: How the image lies in the model's input.
        image_digest: sha256 of the image's pixels.
        model_name: Name of the model.
        model_digest: Digest of the model's parameters: in memory, features belong to the decoder that reads them.
        encoder_digest: Digest of the encoder with its config and preprocessing: a file serves all models that have it.
        preprocess_version: Version of the preprocessing code.
        backend_key: Runtime, version, device type and precision.
    """

    features: Features
    frame: Frame
    image_digest: str
    model_name: str
    model_digest: str
    encoder_digest: str
    preprocess_version: int
    backend_key: str

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file, atomically.

        Raises:
            OutputError: The file cannot be written.
        """
        from safetensors.numpy import save

        metadata = {"format": _FORMAT, "made_from": json.dumps(self._made_from())}
        # safetensors writes an array's memory as it lies, without a look at its strides.
        arrays = {name: np.ascontiguousarray(array) for name, array in self.features.to_numpy().items()}
        # Through bytes, so that a full disk is an OSError and not the library's own.
        write_bytes(path, save(arrays, metadata=metadata))

    def _made_from(self) -> dict[str, Any]:
        return {
            "image_digest": self.image_digest,
            "encoder_digest": self.encoder_digest,
            "preprocess_version": self.preprocess_version,
            "backend_key": self.backend_key,
            "frame": {
                "original": list(self.frame.original),
                "model": list(self.frame.model),
                "padded": list(self.frame.padded),
                "offset": list(self.frame.offset),
            },
        }


def load_embedding(path: str | os.PathLike[str], backend: Backend, preprocess_version: int) -> ImageEmbedding:
    """Read an embedding that this backend can use.

    Args:
        path: File written by `ImageEmbedding.save`.
        backend: Who will read it.
        preprocess_version: Version of the preprocessing that the caller runs.

    Raises:
        EmbeddingError: No such file, not an embedding, or made with another encoder, backend, precision or version.
    """
    from safetensors import SafetensorError, safe_open

    name = Path(path).name
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            names = list(file.keys())
            arrays = {key: file.get_tensor(key) for key in names}
    except (OSError, SafetensorError) as error:
        raise EmbeddingError(f"cannot read the embedding {name}: {error}; embed the image again.") from error
    if metadata.get("format") != _FORMAT:
        raise EmbeddingError(f"{name} is not an embedding of this version of segany; embed the image again.")
    made_from = json.loads(metadata["made_from"])
    wanted = {
        "encoder_digest": backend.encoder_digest,
        "preprocess_version": preprocess_version,
        "backend_key": backend.key,
    }
    for key, value in wanted.items():
        if made_from[key] != value:
            raise EmbeddingError(
                f"{name} was made with {key.replace('_', ' ')} {made_from[key]}, but this predictor has {value}; "
                "embed the image again or use the predictor it was made with."
            )
    frame = made_from["frame"]
    return ImageEmbedding(
        features=backend.features_from_numpy(arrays),
        frame=Frame(Size(*frame["original"]), Size(*frame["model"]), Size(*frame["padded"]), tuple(frame["offset"])),
        image_digest=made_from["image_digest"],
        model_name=backend.config.name,
        model_digest=backend.model_digest,
        encoder_digest=backend.encoder_digest,
        preprocess_version=made_from["preprocess_version"],
        backend_key=made_from["backend_key"],
    )
