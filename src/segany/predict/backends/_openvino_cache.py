"""Graphs on disk: made once for a checkpoint, this code and this OpenVINO, and found again without torch."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock, Timeout

from segany import model
from segany.errors import ConfigError, OutputError
from segany.files import write_text
from segany.model.config import ModelConfig
from segany.predict.backends import _openvino_convert, _openvino_precision
from segany.predict.backends._openvino_precision import keep_carried, write_carried
from segany.predict.backends._openvino_runtime import core, import_openvino

if TYPE_CHECKING:
    from segany.model.sam import Sam

__all__ = ["Graphs", "Made", "find", "find_or_convert", "keep", "key_of"]

_ENCODER = "encoder"
_LOCK_SECONDS = 600.0
_UNUSED_SECONDS = 30 * 24 * 3600.0


@dataclass(frozen=True, eq=False)
class Graphs:
    """A model as graphs, on disk or in memory.

    Attributes:
        config: The model's config.
        model_digest: Digest of its parameters.
        encoder_digest: Digest of what embeddings depend on.
        source: By name, the file to read or the `openvino.Model` itself.
        notes: What else is to be known about them, as JSON values.
    """

    config: ModelConfig
    model_digest: str
    encoder_digest: str
    source: Mapping[str, Any]
    notes: Mapping[str, Any] = field(default_factory=dict)

    def read(self, name: str) -> Any:
        """One graph as an `openvino.Model`, for the caller to change."""
        source = self.source[name]
        return core().read_model(source) if isinstance(source, Path) else source.clone()

    def read_carried(self, name: str) -> Any:
        """The image encoder, with what it carries on kept in float32; see `keep_carried`."""
        source = self.source[name]
        if isinstance(source, Path):
            return core().read_model(_carried(source), source.with_suffix(".bin"))
        return keep_carried(source)


class Made(NamedTuple):
    """Graphs that are being made.

    Attributes:
        config: The model's config.
        model_digest: Digest of its parameters.
        encoder_digest: Digest of what embeddings depend on.
        graphs: Names and `openvino.Model`s; each may be forgotten before the next one is made.
        notes: As in `Graphs`.
    """

    config: ModelConfig
    model_digest: str
    encoder_digest: str
    graphs: Iterable[tuple[str, Any]]
    notes: Mapping[str, Any]


def find_or_convert(folder: Path, source: str, load: Callable[[], "Sam"]) -> Graphs:
    """Find a model's graphs, or convert them and keep them.

    Whatever is not what was written (another version's, cut short, altered) is converted again. A folder that cannot be
    written costs time at every start, never an answer: it says so and goes on in memory.

    Args:
        folder: Where graphs are kept.
        source: What tells the model from all others: its checkpoint's digest, or that of its parameters.
        load: Reads the model; called only if there is something to convert.

    Raises:
        ConfigError: The model cannot be converted.
    """
    key = key_of(source, _openvino_convert.__file__, _openvino_precision.__file__)
    if (found := find(folder, key)) is not None:
        return found
    return keep(folder, key, lambda: _converted(load()), again=False)


def key_of(source: str, *code: str) -> str:
    """Under what graphs are kept: a digest of all that they depend on.

    Args:
        source: As in `find_or_convert`.
        code: Files of code that they depend on, beside that of the model.
    """
    files = [*sorted(Path(model.__file__).parent.glob("*.py")), *(Path(one) for one in code)]
    digest = hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()
    return hashlib.sha256(json.dumps([source, digest, import_openvino().get_version()]).encode()).hexdigest()[:32]


def find(folder: Path, key: str) -> Graphs | None:
    """The graphs that are kept under a key, or None unless every file is the one that was written."""
    return _read(folder / f"{key}.json")


def keep(folder: Path, key: str, make: Callable[[], Made], *, again: bool) -> Graphs:
    """Make graphs and keep them.

    Args:
        folder: Where; a folder that cannot be written costs a warning.
        key: From `key_of`.
        make: Makes them; called by one process at a time, and once more where they cannot be kept.
        again: Make them even if another process did so meanwhile.
    """
    record = folder / f"{key}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(record.with_suffix(".lock"), timeout=_LOCK_SECONDS):
            if not again and (found := _read(record)) is not None:
                return found
            _write(record, make())
            _sweep(folder)
            if (found := _read(record)) is not None:
                return found
            raise OutputError(f"{folder} does not keep what is written to it")
    except (OSError, Timeout) as error:
        message = f"converted graphs are not kept, so that each start converts them again: {error}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    made = make()
    return Graphs(made.config, made.model_digest, made.encoder_digest, dict(made.graphs), made.notes)


def _read(record: Path) -> Graphs | None:
    """The graphs of a record, or None unless every file is the one that was written."""
    try:
        folder = _folder_of(record)
        values = json.loads(record.read_text(encoding="utf-8"))
        if folder is None or not all(_is_unchanged(folder / name, *stamp) for name, stamp in values["files"].items()):
            return None
        graphs = Graphs(
            config=ModelConfig.from_dict(values["config"]),
            model_digest=values["model_digest"],
            encoder_digest=values["encoder_digest"],
            source={name: folder / f"{name}.xml" for name in values["graphs"]},
            notes=values["notes"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError):
        return None
    with contextlib.suppress(OSError):
        os.utime(record)
    return graphs


def _write(record: Path, made: Made) -> None:
    """Write into a folder of its own; the record that names it comes last, so that a half-written one is not seen."""
    old = _folder_of(record)
    folder = Path(tempfile.mkdtemp(prefix=f"{record.stem}-", dir=record.parent))
    try:
        names = []
        for name, graph in made.graphs:
            try:
                import_openvino().save_model(graph, folder / f"{name}.xml", compress_to_fp16=False)
            except RuntimeError as error:
                raise OutputError(f"cannot write {folder / name}: {error}") from error
            names.append(name)
            if name == _ENCODER:
                # Made here because it takes a while to write, and no time to read.
                write_carried(folder / f"{name}.xml", _carried(folder / f"{name}.xml"))
        values = {
            "folder": folder.name,
            "model_digest": made.model_digest,
            "encoder_digest": made.encoder_digest,
            "config": made.config.to_dict(),
            "notes": dict(made.notes),
            "graphs": names,
            "files": {file.name: _stamp(file) for file in sorted(folder.iterdir())},
        }
        write_text(record, json.dumps(values, indent=1))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _carried(file: Path) -> Path:
    return file.with_name(f"{file.stem}_carried.xml")


def _converted(sam: "Sam") -> Made:
    from segany.model.checkpoint import encoder_digest, model_digest

    # Before the conversion, which takes the model apart.
    config, digest, of_encoder = sam.config, model_digest(sam), encoder_digest(sam)
    return Made(config, digest, of_encoder, _openvino_convert.convert(sam), {})


def _folder_of(record: Path) -> Path | None:
    """The folder that a record names, if it is one that `_write` made for it."""
    try:
        name = json.loads(record.read_text(encoding="utf-8"))["folder"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # It will be removed with all that is in it: whatever else the record says is not heeded.
    ours = isinstance(name, str) and name == Path(name).name and name.startswith(f"{record.stem}-")
    return record.parent / name if ours else None


def _sweep(folder: Path) -> None:
    """Remove graphs that nobody read for a month: those of other versions, mostly."""
    for record in folder.glob("*.json"):
        with contextlib.suppress(OSError):
            if time.time() - record.stat().st_mtime > _UNUSED_SECONDS:
                if (own := _folder_of(record)) is not None:
                    shutil.rmtree(own, ignore_errors=True)
                record.unlink()


def _stamp(file: Path) -> list[Any]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns, _sha256(file)]


def _is_unchanged(file: Path, size: int, time_ns: int, sha256: str) -> bool:
    """By length and time, which is quick; by content if the time is another, as after copying the folder."""
    status = file.stat()
    return status.st_size == size and (status.st_mtime_ns == time_ns or _sha256(file) == sha256)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
