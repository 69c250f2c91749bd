"""From a model's name to its checkpoint file."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segany import weights
from segany.errors import ConfigError, WeightsNotFoundError

if TYPE_CHECKING:
    from segany.model.sam import Sam

__all__ = ["Checkpoint", "locate"]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file; its config's name and its digest when the registry knows them."""

    path: Path
    config_name: str | None
    sha256: str | None

    def load(self) -> "Sam":
        """Read the model into float32 on the CPU."""
        from segany.model.checkpoint import load_sam
        from segany.model.config import CONFIGS

        return load_sam(self.path, None if self.config_name is None else CONFIGS[self.config_name])

    @property
    def identity(self) -> str:
        """What the model that it gives depends on."""
        return f"{self.sha256 or _sha256(self.path)} {self.config_name or 'as the file says'}"


def locate(model: str | os.PathLike[str], progress: weights.Progress | None = None) -> Checkpoint:
    """Find a checkpoint, fetching it if it is one of the registry's and not here yet.

    Args:
        model: A name of the weights registry, or a checkpoint file (it has a suffix or a folder in it).
        progress: Called with a name, the bytes done and the bytes in all while weights are fetched.

    Raises:
        UnknownWeightsError: No model of that name.
        WeightsError: The weights cannot be had or are not what they should be.
        ConfigError: The entry of that name is no model.
    """
    given = Path(model)
    if given.suffix in (".pt", ".pth", ".safetensors") or len(given.parts) > 1:
        if not given.is_file():
            raise WeightsNotFoundError(f"no checkpoint at {given}; give a file, or a name of `segany weights list`.")
        return Checkpoint(given, None, None)
    entry = weights.get(str(model))
    if entry.architecture is None:
        raise ConfigError(f"{entry.name} is a {entry.kind}, not a model that takes prompts; see `segany weights list`.")
    return Checkpoint(weights.path(entry.name, progress=progress), entry.architecture, entry.sha256)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
