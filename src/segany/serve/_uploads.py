"""Uploads: from files as they come to records, by the one way in that the store has."""

import re
import shutil
import tempfile
from pathlib import Path
from typing import IO

from segany.errors import ImageError, SeganyError
from segany.sources import IMAGE_SUFFIXES, open_source
from segany.store import Incoming, Store
from segany.wire import UploadedRecord, UploadProblem

__all__ = ["clean_name", "take_upload"]

_LONGEST_NAME = 200


def clean_name(given: str | None) -> str:
    """A file's name without folders, of whichever system, and without what is not printed."""
    name = re.split(r"[/\\]", given or "")[-1]
    name = "".join(letter for letter in name if letter.isprintable()).strip(". ")
    name = name.encode("utf-8", "ignore").decode("utf-8")
    return name[-_LONGEST_NAME:] or "upload"


def take_upload(
    store: Store, file: IO[bytes], given_name: str | None, *, actor: str, max_pixels: int | None
) -> UploadedRecord | UploadProblem:
    """Add one image to a store; blocks.

    Args:
        store: Where to.
        file: Its content.
        given_name: As the browser calls it.
        actor: Who adds it.
        max_pixels: Largest image.

    Raises:
        OutputError: The store cannot be written.
    """
    name = clean_name(given_name)
    suffix = Path(name).suffix.lower()
    with tempfile.TemporaryDirectory(prefix="segany-upload-") as folder:
        path = Path(folder) / f"upload{suffix if suffix in IMAGE_SUFFIXES else ''}"
        with path.open("wb") as target:
            shutil.copyfileobj(file, target)
        try:
            # Nothing but an image comes in by here, however it is called; annotated data has commands of its own.
            open_source(path, max_pixels=max_pixels)
            report = store.add_records(
                [Incoming(image=path, origin="upload", file_name=name)], actor=actor, max_pixels=max_pixels
            )
        except ImageError as error:
            return UploadProblem(file_name=name, message=_without_path(error, path, name))
    if report.problems:
        return UploadProblem(file_name=name, message=_without_path(report.problems[0][1], path, name))
    if report.refused or not report.record_ids:
        return UploadProblem(file_name=name, message="the store's policy does not let this image in.")
    return UploadedRecord(id=report.record_ids[0], file_name=name, known=bool(report.known))


def _without_path(error: SeganyError | str, path: Path, name: str) -> str:
    return str(error).replace(str(path), name)
