"""Adding records: what is new becomes rows, what is known is recognised, in short transactions."""

from collections.abc import Callable, Iterable, Sequence

from segany.errors import InputError
from segany.store._batch import AddReport, Batch
from segany.store._hashes import StoredHashes
from segany.store._incoming import Incoming, Prepared, Preparer
from segany.store.blobs import Blobs
from segany.store.database import Database

__all__ = ["AddReport", "Adder"]

# A transaction ends with whichever comes first; others write in between.
_BATCH_RECORDS = 256
_BATCH_MASKS = 4000
# From so many new rows on, the database's own idea of its tables is out of date.
_MANY = 5000


class Adder:
    """Adds records one batch after another; made for one call of `Store.add`."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        preparer: Preparer,
        hashes: StoredHashes,
        *,
        actor: str,
        keep_ids: bool = True,
        progress: Callable[[AddReport], None] | None = None,
    ) -> None:
        """Set up.

        Args:
            database: Of the store.
            blobs: Of the store.
            preparer: Makes rows of what comes.
            hashes: Perceptual hashes of what is stored.
            actor: Who adds.
            keep_ids: Collect `record_ids`; without, memory does not grow with the number of records.
            progress: Called after each batch.
        """
        self._database, self._blobs, self._preparer, self._hashes = database, blobs, preparer, hashes
        self._actor, self._keep_ids, self._progress = actor, keep_ids, progress
        self.report = AddReport()

    def add(self, items: Iterable[Incoming]) -> AddReport:
        """Add all; what cannot be added is reported and left out.

        Raises:
            OutputError: Files or database cannot be written; what was committed before stays.
            StoreError: The database cannot be used.
        """
        batch: list[Prepared] = []
        masks = 0
        for item in items:
            try:
                prepared = self._preparer.prepare(item)
            except InputError as error:
                self.report.problems.append((item.name, str(error)))
                continue
            batch.append(prepared)
            masks += len(prepared.annotations)
            if len(batch) >= _BATCH_RECORDS or masks >= _BATCH_MASKS:
                self._commit(batch)
                batch, masks = [], 0
        if batch:
            self._commit(batch)
        if self.report.records + self.report.masks > _MANY:
            self._database.gather_statistics()
        return self.report

    def _commit(self, prepared: Sequence[Prepared]) -> None:
        with self._hashes.locked() as hashes, self._database.write() as writing:
            batch = Batch(writing, self._blobs, hashes, prepared, actor=self._actor)
            batch.run()
        if not self._keep_ids:
            batch.done.record_ids.clear()
        for name, value in vars(batch.done).items():
            setattr(self.report, name, getattr(self.report, name) + value)
        if self._progress is not None:
            self._progress(self.report)
