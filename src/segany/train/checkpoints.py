"""Checkpoints of a run: written atomically, verified when read, the one before kept until the next is whole."""

import hashlib
import io
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from segany.errors import CheckpointError, ConfigError
from segany.files import write_bytes, write_text

__all__ = ["Checkpoints"]

_INDEX = "checkpoints.json"
_KEPT = 2


class Checkpoints:
    """The checkpoints of one run's folder."""

    def __init__(self, folder: Path, run: str) -> None:
        """Of a folder.

        Args:
            folder: Need not exist yet.
            run: What the run is: digests of config and data; only checkpoints of the same are read.
        """
        self._folder, self._run = folder, run

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Write the state after a step.

        Args:
            step: How many updates were made.
            state: Tensors and plain values.

        Raises:
            OutputError: It cannot be written; earlier checkpoints stay.
        """
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        data = buffer.getvalue()
        name = f"checkpoint-{step:07d}.pt"
        write_bytes(self._folder / name, data)
        known = [one for one in self._index() if one["file"] != name]
        listed = [{"file": name, "step": step, "sha256": hashlib.sha256(data).hexdigest()}, *known]
        write_text(
            self._folder / _INDEX, json.dumps({"run": self._run, "checkpoints": listed[:_KEPT]}, indent=1) + "\n"
        )
        for one in listed[_KEPT:]:
            (self._folder / one["file"]).unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The newest state; None where there is none yet. A newest file that was deleted is passed over.

        Raises:
            CheckpointError: The newest file is damaged.
            ConfigError: The folder holds another run.
        """
        listed = [one for one in self._index() if (self._folder / one["file"]).is_file()]
        if not listed:
            return None
        newest, older = listed[0], listed[1:]
        path = self._folder / newest["file"]
        data = path.read_bytes()
        advice = f"the run goes on from step {older[0]['step']}" if older else "the run begins anew"
        if hashlib.sha256(data).hexdigest() != newest["sha256"]:
            raise CheckpointError(f"{path} is damaged: it is not what was written. Delete it, and {advice}.")
        try:
            state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}. Delete it, and {advice}.") from error
        return dict(state)

    def clear(self) -> None:
        """Remove all checkpoints: the run has ended, and its result is written."""
        for one in self._index():
            (self._folder / one["file"]).unlink(missing_ok=True)
        (self._folder / _INDEX).unlink(missing_ok=True)

    def _index(self) -> list[dict[str, Any]]:
        path = self._folder / _INDEX
        if not path.is_file():
            return []
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            run, listed = found["run"], list(found["checkpoints"])
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} is damaged ({error}); delete it, and the run begins anew.") from error
        if run != self._run:
            raise ConfigError(
                f"{self._folder} holds a run with other settings or other data, which cannot go on as this one. "
                "Choose another --out, or delete the folder."
            )
        return listed
