"""File names for a new folder: safe on every system, inside the folder, and never two alike."""

import re
import sqlite3
import unicodedata
from pathlib import PurePosixPath

from segany.sources import IMAGE_SUFFIXES

__all__ = ["SafeNames"]

_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\x7f]')
# Devices of Windows, whatever the suffix.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)
# File systems hold 255 bytes in a name and some thousands in a path; the rest is for suffixes, and for numbers that
# tell equal names apart.
_MAX_PART_BYTES = 150
_MAX_PARTS = 8


class SafeNames:
    """Gives each file of a set its name; names that differ only by suffix or by case count as one.

    What was given out is kept in a temporary database, which goes to the disk when it grows: there may be millions.
    """

    def __init__(self) -> None:
        """Nothing is taken yet."""
        self._taken = sqlite3.connect("")
        self._taken.execute("CREATE TABLE taken (stem TEXT PRIMARY KEY) WITHOUT ROWID")

    def take(self, wanted: str, *, suffix: str = "", flat: bool = False) -> str:
        r"""A name like the wanted one that was not given out before.

        Args:
            wanted: A path with / or \ between folders, from anyone.
            suffix: Of the file; where left out that of an image stays, and every other is taken for a part of the name.
            flat: Without folders.

        Returns:
            A relative path with / between folders; none of its parts leads out or is hidden.
        """
        parts = _safe_parts(wanted)
        if flat:
            parts = ["__".join(parts)]
        name = PurePosixPath(*parts)
        own = name.suffix if name.suffix.lower() in IMAGE_SUFFIXES else ""
        stem = str(name.with_name(name.name.removesuffix(own)))
        stem = str(PurePosixPath(*(_shortened(part) for part in PurePosixPath(stem).parts)))
        given, number = stem, 1
        while not self._put(given):
            number += 1
            given = f"{stem}-{number}"
        return f"{given}{suffix or own}"

    def _put(self, stem: str) -> bool:
        key = unicodedata.normalize("NFC", stem).casefold()
        return self._taken.execute("INSERT OR IGNORE INTO taken VALUES (?)", (key,)).rowcount == 1


def _safe_parts(wanted: str) -> list[str]:
    text = wanted.encode("utf-8", "replace").decode("utf-8").replace("\\", "/")
    parts = []
    for part in text.split("/"):
        safe = _FORBIDDEN.sub("_", part).strip(". ")
        if safe and part not in (".", ".."):
            # A dot in front would hide the file from those who list the folder.
            hidden = "_" if part.lstrip().startswith(".") else ""
            parts.append(f"{'_' if _RESERVED.match(safe) else hidden}{safe}")
    return parts[-_MAX_PARTS:] or ["image"]


def _shortened(part: str) -> str:
    return part.encode("utf-8")[:_MAX_PART_BYTES].decode("utf-8", "ignore").rstrip(". ") or "_"
