"""Reading pickled checkpoints as data, and naming what a refused one would have run."""

import pickle
import pickletools
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from segany.errors import CheckpointError

__all__ = ["read_pickle", "unreadable"]

# What a state dict is made of; any other name in a pickle is code to be run.
_DATA_MODULES = ("torch", "torch._utils", "torch.storage", "torch.serialization", "collections")
# The header's pickles are small; a file that is not a pickle is not read to its end.
_MAX_PICKLE = 1 << 26


def read_pickle(file: Path) -> Any:
    """Unpickle tensors and plain containers, without running anything.

    Raises:
        CheckpointError: It holds more than data, or is no whole pickle.
    """
    try:
        with warnings.catch_warnings():
            # torch remarks on old formats that are then read, or refused, below.
            warnings.simplefilter("ignore")
            try:
                return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:
                # Files from before the zip format cannot be mapped.
                return torch.load(file, map_location="cpu", weights_only=True)
    except (
        AttributeError,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        code = _foreign_names(file)
        if not code:
            raise unreadable(file, error) from error
        raise CheckpointError(
            f"{file}: refused, because it holds more than data: loading it would run {', '.join(code[:3])}. "
            "Nothing was run. Get the weights from their publisher, or as safetensors."
        ) from error


def unreadable(file: Path, error: Exception) -> CheckpointError:
    """The error for a file that is truncated or of another kind."""
    # Messages of the pickle machine speak of op codes; those of the other readers help.
    speaks = isinstance(error, (OSError, RuntimeError, SafetensorError))
    reason = str(error).strip().splitlines()[0].split(". ")[0] if speaks and str(error).strip() else "no tensors in it"
    return CheckpointError(
        f"{file}: not a whole checkpoint file ({reason[:120]}). Wanted a .pt, .pth or .safetensors file; "
        "if it is one, it is truncated: fetch it again."
    )


def _foreign_names(file: Path) -> list[str]:
    """The names that a pickle asks for beyond those of a state dict; read op by op, without running it."""
    names: list[str] = []
    texts: list[str] = []
    try:
        for op, argument, _ in pickletools.genops(_pickle_bytes(file)):
            if op.name == "GLOBAL":
                names.append(str(argument).replace(" ", "."))
            elif op.name == "STACK_GLOBAL":
                names.append(".".join(texts[-2:]))
            elif isinstance(argument, str):
                texts.append(argument)
    except (ValueError, OSError, zipfile.BadZipFile, IndexError):
        pass  # What was found up to there still counts.
    return [name for name in dict.fromkeys(names) if name.rpartition(".")[0] not in _DATA_MODULES]


def _pickle_bytes(file: Path) -> bytes:
    if not zipfile.is_zipfile(file):
        with file.open("rb") as stream:
            return _after_header(stream.read(_MAX_PICKLE))
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if not names:
            return b""
        with archive.open(names[0]) as member:
            return member.read(_MAX_PICKLE)


def _after_header(data: bytes) -> bytes:
    """The pickle that names things; the format from before the zip one has three others in front."""
    start = 0
    for _ in range(3):
        end = next((place for op, _, place in pickletools.genops(data[start:]) if op.name == "STOP"), None)
        if end is None or start + end + 1 >= len(data):
            return data
        start += end + 1
    return data[start:]
