"""StoreRecords: a store, or a version of it, as a data set that can be converted."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from segany.formats import Category
from segany.schema import Record
from segany.store.store import Store

__all__ = ["StoreRecords"]


class StoreRecords:
    """The records of a store; a source of `segany.formats.convert`.

    Attributes:
        name: What people call it.
        categories: The store's classes.
        metadata_columns: "split", and "altered" where an ingest step changed an image.
    """

    metadata_columns: tuple[str, ...] = ("split", "altered")

    def __init__(self, store: Store, version: str = "live", *, split: str | None = None) -> None:
        """Choose.

        Args:
            store: An open store.
            version: Name of a frozen version; "live": the present content, each record as it is when its turn comes.
            split: Only the records of this split.

        Raises:
            NotInStoreError: There is no such version.
        """
        self._store = store
        self._revision = store.versions.revision(version)
        self._ids = store.records.ids(revision=self._revision, split=split)
        self.name = f"{Path(str(store.location)).name} {version}"
        self.categories: tuple[Category, ...] = tuple(
            Category(number, each.name, each.supercategory)
            for number, each in enumerate(store.collection.categories(), start=1)
        )
        self._now: tuple[Record, int, Mapping[str, str]] | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def records(self) -> Iterator[Record]:
        """The records, in the order in which they came into the store."""
        for stored in self._store.records.iterate(self._ids, revision=self._revision):
            said = {"split": stored.split or "", "altered": "1" if stored.altered else "0"}
            self._now = (stored.record, stored.id if stored.has_pixels else 0, said)
            yield stored.record

    def image_file(self, record: Record) -> IO[bytes] | None:
        """The stored file of the image of the record that was given last; None where there is none."""
        if self._now is None or self._now[0] is not record or not self._now[1]:
            return None
        return io.BytesIO(self._store.image_file(self._now[1])[1])

    def metadata(self, record: Record) -> Mapping[str, str]:
        """Split, and whether the image was altered, of the record that was given last."""
        return self._now[2] if self._now is not None and self._now[0] is record else {}
