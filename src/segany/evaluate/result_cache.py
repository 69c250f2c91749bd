"""ResultCache: rows on disk, one file for each image, so that an interrupted run goes on where it stopped."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from segany import files
from segany.evaluate.metrics import Row
from segany.settings import Settings

__all__ = ["Measured", "ResultCache", "result_key"]

_FORMAT = 1


@dataclass(frozen=True)
class Measured:
    """What came of one image.

    Attributes:
        rows: Its rows.
        seconds: Stage -> seconds, when it was measured.
    """

    rows: Sequence[Row]
    seconds: Mapping[str, float]


def result_key(protocol: str, subjects: Sequence[str], item: str, chosen: frozenset[int | str] | None) -> str:
    """Digest of everything that rows follow from, the version of segany included.

    Args:
        protocol: The protocol's digest.
        subjects: Digests of what is measured.
        item: The item's digest.
        chosen: The objects chosen of it.
    """
    ids = None if chosen is None else sorted(map(str, chosen))
    made_by = [_FORMAT, metadata.version("segany")]
    return hashlib.sha256(json.dumps([made_by, protocol, list(subjects), item, ids]).encode()).hexdigest()


class ResultCache:
    """Files in a folder, each named for a digest of what its rows follow from; each appears whole or not at all."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which need not exist yet."""
        self._folder = folder

    @classmethod
    def default(cls) -> "ResultCache":
        """The cache in SEGANY_HOME."""
        return cls(Settings.from_environment().home / "evaluations")

    def load(self, key: str) -> Measured | None:
        """Find what was measured; None where it was not, or its file is damaged."""
        try:
            document = json.loads(self._path(key).read_text(encoding="utf-8"))
            return Measured(document["rows"], document["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def store(self, key: str, measured: Measured) -> None:
        """Keep what was measured.

        Raises:
            OutputError: The file cannot be written.
        """
        text = json.dumps({"rows": [dict(row) for row in measured.rows], "seconds": dict(measured.seconds)})
        files.write_text(self._path(key), text)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"
