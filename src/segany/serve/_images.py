"""Images: what a prompt needs to know of a record, remembered, so that a click does not ask the database."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from segany.errors import NotInStoreError
from segany.geometry import Size
from segany.serve._pools import WorkPool
from segany.store import Store

__all__ = ["Images", "Recent", "StoredImage"]

_K = TypeVar("_K")
_V = TypeVar("_V")
_KNOWN = 5000


@dataclass(frozen=True)
class StoredImage:
    """What a prompt needs to know of a record.

    Attributes:
        record_id: Its number.
        digest: sha256 of the stored pixels.
        size: Of the image.
    """

    record_id: int
    digest: str
    size: Size


class Recent(Generic[_K, _V]):
    """A number of values, the longest unused forgotten first. For one event loop."""

    def __init__(self, most: int) -> None:
        """Remember none yet.

        Args:
            most: How many.
        """
        self._most = most
        self._values: OrderedDict[_K, _V] = OrderedDict()

    def get(self, key: _K) -> _V | None:
        """The value, or None."""
        found = self._values.get(key)
        if found is not None:
            self._values.move_to_end(key)
        return found

    def put(self, key: _K, value: _V) -> None:
        """Remember a value."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)

    def forget(self, key: _K) -> None:
        """Forget a value, if it is there."""
        self._values.pop(key, None)


class Images:
    """The images of a store. Used from one event loop."""

    def __init__(self, store: Store, reading: WorkPool) -> None:
        """Know none yet.

        Args:
            store: Whose images.
            reading: Threads that read the store.
        """
        self._store, self._reading = store, reading
        self._known: Recent[int, StoredImage] = Recent(_KNOWN)

    async def get(self, record_id: int) -> StoredImage:
        """A record's image.

        Raises:
            NotInStoreError: No such record, or no stored image of it.
        """
        known = self._known.get(record_id)
        if known is not None:
            return known
        stored = await self._reading.run(self._store.records.get, record_id)
        info = stored.record.image
        if not stored.has_pixels or info.digest is None:
            raise NotInStoreError(f"record {record_id} ({info.file_name}) has no stored image; upload the photo.")
        # The pixels of a record never change once they are stored.
        found = StoredImage(record_id, info.digest, info.size)
        self._known.put(record_id, found)
        return found

    def forget(self, record_id: int) -> None:
        """The record was removed."""
        self._known.forget(record_id)
