"""checkout: a version as a folder of images and SA-1B records, with a manifest."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from segany.errors import ConfigError
from segany.files import write_bytes, write_text
from segany.formats import sa1b
from segany.store._reading import StoredRecord
from segany.store.store import Store

__all__ = ["MANIFEST", "write_checkout"]

MANIFEST = "manifest.json"


def write_checkout(
    store: Store, version: str, folder: str | os.PathLike[str], *, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Write a version's images and records; the manifest comes last, so that a folder that has one is whole.

    Args:
        store: Of the version.
        version: Its name.
        folder: Where; must be empty, or hold the same version, whole or not.
        progress: Called with the number of records written and of all.

    Returns:
        The manifest's path. It holds the version's name and digest, and of each record its number, split, files and
        the sha256 of these.

    Raises:
        NotInStoreError: There is no such version.
        ConfigError: The folder holds something else.
        OutputError: A file cannot be written.
    """
    frozen = store.versions.get(version)
    target = Path(folder)
    _check_target(target, frozen.digest)
    marker = target / ".checkout"
    write_text(marker, frozen.digest)
    entries = []
    for name, stored in _named(store, frozen.revision):
        entry: dict[str, object] = {"record": stored.id, "split": stored.split}
        file_name = stored.record.image.file_name
        if stored.has_pixels:
            blob, content = store.image_file(stored.id)
            file_name = f"{name}{PurePosixPath(blob).suffix}"
            write_bytes(target / file_name, content)
            entry |= {"image": file_name, "image_sha256": hashlib.sha256(content).hexdigest()}
        record = replace(stored.record, image=replace(stored.record.image, file_name=file_name))
        sa1b.write_record(record, target / f"{name}.json")
        digest = hashlib.sha256((target / f"{name}.json").read_bytes()).hexdigest()
        entries.append({**entry, "annotations": f"{name}.json", "annotations_sha256": digest})
        if progress is not None:
            progress(len(entries), frozen.records)
    manifest = {"version": frozen.name, "digest": frozen.digest, "frozen_at": frozen.at.isoformat(), "records": entries}
    write_text(target / MANIFEST, f"{json.dumps(manifest, indent=1)}\n")
    marker.unlink()
    return target / MANIFEST


def _check_target(target: Path, digest: str) -> None:
    if not target.exists() or not any(target.iterdir()):
        return
    marker, manifest = target / ".checkout", target / MANIFEST
    if marker.is_file() and marker.read_text(encoding="utf-8") == digest:
        return
    if not marker.exists() and manifest.is_file() and f'"digest": "{digest}"' in manifest.read_text(encoding="utf-8"):
        return
    raise ConfigError(f"the folder {target} holds something else; give an empty or a new one.")


def _named(store: Store, revision: int) -> Iterator[tuple[str, StoredRecord]]:
    """Records with file names that are safe on every system and never clash."""
    taken: set[str] = set()
    for stored in store.records.iterate(revision=revision):
        plain = PurePosixPath(stored.record.image.file_name.replace("\\", "/")).stem
        name = re.sub(r"[^\w.\- ]", "_", plain).strip(". ")[:100] or "record"
        if name.lower() in taken or name.lower() == PurePosixPath(MANIFEST).stem:
            name = f"{name}-{stored.id}"
        taken.add(name.lower())
        yield name, stored
