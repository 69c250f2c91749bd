"""Finding image files in folders and by patterns."""

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from segany.errors import ImageError

__all__ = ["IMAGE_SUFFIXES", "iter_image_paths"]

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".gif"}
    | {".bmp", ".avif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm"}
)


def iter_image_paths(paths: Iterable[str | os.PathLike[str]], *, recursive: bool = False) -> list[Path]:
    """List the images that files, folders and patterns name.

    A file is taken whatever its suffix. Of a folder and of what a pattern matches, files with an image suffix are
    taken, sorted by name; hidden files are not. A pattern may hold `*`, `?`, `[...]` and `**`; a file whose name
    holds such characters is taken as that file.

    Args:
        paths: Files, folders and patterns.
        recursive: Look into the folders' folders too.

    Returns:
        In the order given, each file once.

    Raises:
        ImageError: Nothing was given, or one of them is not there, or holds or matches no image.
    """
    found: dict[Path, Path] = {}
    count = 0
    for given in paths:
        count += 1
        for path in _expand(Path(given), recursive):
            found.setdefault(path.resolve(), path)
    if count == 0:
        raise ImageError("no image was given; give files, folders or patterns such as 'photos/*.jpg'.")
    return list(found.values())


def _expand(path: Path, recursive: bool) -> list[Path]:
    if path.is_dir():
        inside = path.rglob("*") if recursive else path.iterdir()
        if images := sorted(p for p in inside if _is_image(p, path)):
            return images
        deeper = "" if recursive else f" Its subfolders were not searched; the pattern {path / '**' / '*'} does that."
        raise ImageError(f"the folder {path} holds no image.{deeper}")
    if path.exists():
        return [path]
    if not glob.has_magic(str(path)):
        raise ImageError(f"no such file: {path}; check its name and the folder it is in.")
    matches = (Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207  # takes absolute patterns
    if images := sorted(p for p in matches if _is_image(p, Path())):
        return images
    raise ImageError(f"the pattern {path} matches no image; check it, and quote it if your shell expands patterns.")


def _is_image(path: Path, folder: Path) -> bool:
    inner = path.relative_to(folder).parts if path.is_relative_to(folder) else (path.name,)
    hidden = any(part.startswith(".") and part not in (".", "..") for part in inner)
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden and path.is_file()
