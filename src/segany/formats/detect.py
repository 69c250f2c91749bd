"""Which format a folder or a file has, and its reader."""

import os
import re
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from segany.errors import RecordError
from segany.formats._folders import MASK_SUFFIXES, Layout, child_folder, files_below, find_layouts
from segany.formats._json import read_json
from segany.formats.bsds import MAT, BsdsFolder
from segany.formats.category import FormatName
from segany.formats.coco_folder import CocoFolder
from segany.formats.dataset import Dataset, Reader
from segany.formats.geojson import GEOJSON, GeojsonFolder
from segany.formats.labelme import LabelmeFolder
from segany.formats.masks_in_folders import MaskFolders
from segany.formats.problems import ProblemLog
from segany.formats.sa1b_folder import Sa1bFolder
from segany.formats.sa1b_shards import Sa1bShards, is_shard
from segany.formats.sav import SavFolder
from segany.formats.tables import ANNOTATIONS, IMAGES, ParquetFolder
from segany.formats.yolo import TXT, YoloFolder

__all__ = ["detect", "open_dataset"]

_HEAD_BYTES = 2**16
_SMALL_BYTES = 2**26
_SAMPLED = 8
_PACKED = (".zip", ".7z", ".rar")
_YAML = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
# Names that tools give to a set's one instances file.
_INSTANCES = ("instances.json", "_annotations.coco.json", "annotations.json", "coco.json", "annotations/instances.json")
_WANTED = (
    "images/ beside labels/ or masks/, an instances file of COCO or LVIS, records or tar files of SA-1B, JPEGImages/ "
    "of VOC or DAVIS, labels of YOLO, files of LabelMe, GeoJSON in labels/, groundTruth/ of BSDS, masklets of SA-V, or "
    "tables of Parquet"
)

JsonKind = Literal["coco", "labelme", "sa1b", "sav"]
# The names that LabelMe's files can begin with.
_OF_LABELME = ("version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth", "lineColor")


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
        path: A folder; or an instances file, a record, an archive or a data.yaml.
        strict: Raise at the first problem instead of collecting problems.
        ignore: Mask pictures: numbers of pixels that nobody decided on; found out when left out.
        require_images: Leave out records whose image is not there; they are reported either way.

    Raises:
        RecordError: It is not there, or no format that segany reads; or `strict`, and there is a problem.
    """
    log = ProblemLog(strict=strict)
    given = Path(path)
    if not given.exists():
        raise RecordError(f"no such file or folder: {given}; check its name.")
    try:
        reader = _of_folder(given, log, ignore) if given.is_dir() else _of_file(given, log)
    except OSError as error:
        raise RecordError(f"cannot read {given}: {error.strerror or error}.") from error
    return Dataset(given, reader, log, require_images=require_images)


def _of_folder(path: Path, log: ProblemLog, ignore: Collection[int] | None) -> Reader:
    for name in _YAML:
        if (path / name).is_file():
            return _of_yaml(path / name, log)
    for name in _INSTANCES:
        if (path / name).is_file() and json_kind(path / name) == "coco":
            return CocoFolder(path / name, log)
    if (path / ANNOTATIONS).is_file() and (path / IMAGES).is_file():
        return ParquetFolder(path, log)
    if (bsds := _bsds_layout(path)) is not None:
        return BsdsFolder(bsds, log)
    if layouts := find_layouts(path, MASK_SUFFIXES):
        return MaskFolders(layouts, log, ignore)
    if layouts := find_layouts(path, TXT):
        return YoloFolder(layouts, None, log)
    if layouts := find_layouts(path, GEOJSON):
        return GeojsonFolder(layouts, log)
    if shards := [file for file in sorted(path.iterdir()) if is_shard(file) and file.is_file()]:
        return Sa1bShards(shards, log)
    if (reader := _of_json(path, log)) is not None:
        return reader
    raise RecordError(f"{path} holds no annotated images that segany reads; wanted {_WANTED}.")


def _of_file(path: Path, log: ProblemLog) -> Reader:
    if is_shard(path):
        return Sa1bShards([path], log)
    if path.suffix.lower() in (".yaml", ".yml"):
        return _of_yaml(path, log)
    if path.suffix.lower() in _PACKED:
        raise RecordError(
            f"{path} is packed; of archives, only tar files of SA-1B are read: unpack it, name its folder."
        )
    if path.suffix.lower() != ".json":
        raise RecordError(
            f"{path} is no file of annotations that segany reads; name its folder, which holds {_WANTED}."
        )
    kind = json_kind(path)
    if kind == "sa1b":
        return Sa1bFolder(path, log)
    if kind == "labelme":
        return LabelmeFolder(path, log)
    return SavFolder([path], log) if kind == "sav" else CocoFolder(path, log)


def _of_yaml(path: Path, log: ProblemLog) -> Reader:
    layouts = find_layouts(path.parent, TXT)
    if not layouts:
        raise RecordError(f"{path}: there is no images/ beside a labels/ with text files in {path.parent}.")
    return YoloFolder(layouts, path, log)


def _of_json(path: Path, log: ProblemLog) -> Reader | None:
    """By the JSON files in the folder, or else in the folders in it; COCO only where there is one such file."""
    inner = [child for child in sorted(path.iterdir()) if child.is_dir() and not child.name.startswith(".")]
    beside = [file for folder in inner for file in _json_files(folder)]
    # Deeper down, a few are enough to tell.
    below = [] if beside else list(islice(files_below(path, frozenset({".json"})), _SAMPLED))
    for files in (_json_files(path), beside, below):
        kinds = {file: json_kind(file) for file in _sample(files)}
        if "sa1b" in kinds.values():
            return Sa1bFolder(path, log)
        if "labelme" in kinds.values():
            return LabelmeFolder(path, log)
        if "sav" in kinds.values():
            return SavFolder([file for file in files if json_kind(file) == "sav"], log)
        instances = [file for file in files if json_kind(file) == "coco"] if "coco" in kinds.values() else []
        if len(instances) > 1:
            names = ", ".join(str(file.relative_to(path)) for file in instances[:5])
            raise RecordError(f"{path} holds {len(instances)} instances files; name one of them: {names}.")
        if instances:
            return CocoFolder(instances[0], log)
    return None


def _json_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() == ".json" and file.is_file())


def _sample(files: list[Path]) -> Iterator[Path]:
    """A few of many files: all of a set have one format."""
    yield from files[:: max(1, len(files) // _SAMPLED)]


def json_kind(path: Path) -> JsonKind | None:
    """Whose JSON file it is, by the first names in it; None when nobody's."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace").lstrip()
    first = re.match(r'\{\s*"([^"]*)"', head)
    if first is None:
        return None
    if first[1] == "image":
        return "sa1b"
    if first[1].startswith(("video_", "masklet")):
        return "sav"
    if first[1] in _OF_LABELME:
        return "labelme" if re.search(r'"(shapes|imagePath)"\s*:', head) or first[1] == "imageData" else None
    if first[1] == "annotations":
        # The two formats have it both.
        return "sa1b" if path.stat().st_size <= _SMALL_BYTES and _has_one_image(path) else "coco"
    return "coco" if first[1] in ("images", "categories", "licenses", "info", "type") else None


def _has_one_image(path: Path) -> bool:
    try:
        document = read_json(path)
    except RecordError:
        # Told of by the reader.
        return False
    return isinstance(document, dict) and "image" in document and "images" not in document


def _bsds_layout(path: Path) -> Layout | None:
    for folder in (path, path / "data", path / "BSDS500" / "data"):
        if not folder.is_dir():
            continue
        images, truth = child_folder(folder, ("images",)), child_folder(folder, ("groundtruth",))
        if images is not None and truth is not None and any(True for _ in files_below(truth, MAT)):
            return Layout("", images, truth, MAT)
    return None
