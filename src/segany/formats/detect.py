"""Which format a folder or a file has."""

import os
from collections.abc import Collection
from pathlib import Path

from segany.errors import RecordError
from segany.formats._folders import find_layouts
from segany.formats.category import FormatName
from segany.formats.coco_folder import CocoFolder
from segany.formats.dataset import Dataset, Reader
from segany.formats.masks_in_folders import MaskFolders
from segany.formats.problems import ProblemLog

__all__ = ["detect", "open_dataset"]

_HEAD_BYTES = 4096


def detect(path: str | os.PathLike[str]) -> FormatName:
    """The format of a folder or a file.

    Raises:
        RecordError: It is not there, or no format that segany reads.
    """
    return open_dataset(path).format


def open_dataset(
    path: str | os.PathLike[str],
    *,
    strict: bool = False,
    ignore: Collection[int] | None = None,
    require_images: bool = True,
) -> Dataset:
    """Open annotated images of any format that segany reads.

    Args:
        path: A folder, or its instances file, its archive or its data.yaml.
        strict: Raise at the first problem instead of collecting problems.
        ignore: Mask pictures: numbers of pixels that nobody decided on; found out when left out.
        require_images: Leave out records whose image is not there; they are reported either way.

    Raises:
        RecordError: It is not there, or no format that segany reads; or `strict`, and there is a problem.
    """
    log = ProblemLog(strict=strict)
    given = Path(path)
    reader = _reader(given, log, ignore)
    return Dataset(given, reader, log, require_images=require_images)


def _reader(path: Path, log: ProblemLog, ignore: Collection[int] | None) -> Reader:
    if not path.exists():
        raise RecordError(f"no such file or folder: {path}; check its name.")
    if path.is_file():
        return CocoFolder(path, log)
    instances = path / "instances.json"
    if instances.is_file():
        return CocoFolder(instances, log)
    if layouts := find_layouts(path):
        return MaskFolders(layouts, log, ignore)
    raise RecordError(
        f"{path} holds no annotated images that segany reads; wanted images/ beside labels/ or masks/, an instances "
        "file of COCO, records of SA-1B, data.yaml of YOLO, or groundTruth/ of BSDS."
    )
