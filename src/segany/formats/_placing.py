"""Images on their way into a folder that is being written."""

import shutil
from pathlib import Path
from typing import IO, Literal, get_args

__all__ = ["IMAGE_MODES", "ImageFile", "ImageMode", "place_image"]

ImageFile = Path | IO[bytes] | None
ImageMode = Literal["copy", "link", "reference", "none"]
IMAGE_MODES: tuple[ImageMode, ...] = get_args(ImageMode)


def place_image(image: ImageFile, path: Path, mode: ImageMode) -> bool:
    """Bring an image to where it belongs in the new folder.

    Args:
        image: The file, or its bytes; None for one that is not there.
        path: Where to; its folder is made.
        mode: "copy"; "link": a hard link, or a copy where the disks differ; "reference": a symbolic link to the
            original, or a copy of bytes that are no file; "none": nothing.

    Returns:
        Whether there is an image now.
    """
    if image is None or mode == "none":
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(image, Path):
        with path.open("xb") as file:
            shutil.copyfileobj(image, file)
    elif mode == "reference":
        path.symlink_to(image.resolve())
    elif mode == "copy" or not _linked(image, path):
        shutil.copyfile(image, path)
    return True


def _linked(image: Path, path: Path) -> bool:
    try:
        path.hardlink_to(image.resolve())
    except OSError:
        # Another disk, or one that knows no links.
        return False
    return True
