"""The perceptual hashes of what is stored, in memory; other processes' additions are read before each use."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, select

from segany.store.models import PixelsRow
from segany.store.near_duplicates import HashIndex

__all__ = ["StoredHashes"]


class StoredHashes:
    """An index of all stored hashes, one for each open store."""

    def __init__(self) -> None:
        """Begin empty; the first refresh reads them all."""
        self._lock = threading.Lock()
        self._index = HashIndex()
        self._seen = 0
        # Added here, and met again at the next refresh.
        self._own: set[int] = set()

    @contextmanager
    def locked(self) -> Iterator["StoredHashes"]:
        """Keep the index for one writing transaction; what it adds is forgotten if the transaction fails."""
        with self._lock:
            try:
                yield self
            except BaseException:
                self._forget()
                raise

    def refresh(self, connection: Connection) -> None:
        """Read what was added since the last time, by whomever."""
        asked = select(PixelsRow.image_id, PixelsRow.perceptual, PixelsRow.since).where(PixelsRow.since > self._seen)
        rows = [row for row in connection.execute(asked) if row.image_id not in self._own]
        self._index.add([row.image_id for row in rows], [row.perceptual for row in rows])
        self._seen = max([self._seen, *(row.since for row in rows)])

    def near(self, wanted: bytes) -> list[int]:
        """Records of near-duplicates, the closest first."""
        return self._index.near(wanted)

    def add(self, image_id: int, perceptual: bytes) -> None:
        """Take in one that this transaction adds."""
        self._own.add(image_id)
        self._index.add([image_id], [perceptual])

    def _forget(self) -> None:
        self._index, self._seen = HashIndex(), 0
        self._own.clear()
