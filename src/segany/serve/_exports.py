"""Exports: a store's content in another format, written by a job, kept as a zip file until it is cleared."""

import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from segany.errors import GoneError
from segany.files import atomic_path
from segany.formats import Options, Plan, convert, plan_conversion
from segany.schema import Record
from segany.store import Job, JobContext, Store
from segany.store.source import StoreRecords
from segany.wire import ExportRequest

__all__ = ["EXPORT", "Exports", "ServerStopsError"]

EXPORT = "export"
_KEPT = 20
_STORED = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".jp2", ".avif", ".zip", ".parquet"}
_EVERY = 50
_PLAN_SECONDS = 5.0


class ServerStopsError(BaseException):
    """The server stops; not an Exception, so that the job waits for another one instead of failing."""


class _Hurried(StoreRecords):
    """The records that there is time for, from its making on."""

    def __init__(self, store: Store, version: str, *, split: str | None, seconds: float) -> None:
        super().__init__(store, version, split=split)
        self._until = time.monotonic() + seconds
        self.complete = True

    def records(self) -> Iterator[Record]:
        for record in super().records():
            if time.monotonic() > self._until:
                self.complete = False
                return
            yield record


class Exports:
    """The exports of one server."""

    def __init__(self, store: Store, folder: Path, stopping: threading.Event) -> None:
        """Use a folder.

        Args:
            store: What is exported.
            folder: Where the files go; need not exist yet.
            stopping: Set when the server stops.
        """
        self._store, self._folder, self._stopping = store, folder, stopping

    def plan(self, asked: ExportRequest, seconds: float = _PLAN_SECONDS) -> tuple[Plan, bool]:
        """What it would hold and lose, and whether all records were looked at.

        Args:
            asked: What would be exported.
            seconds: Look at no further record after so long: somebody waits for the answer.

        Raises:
            NotInStoreError: There is no such version.
        """
        source = _Hurried(self._store, asked.version, split=asked.split, seconds=seconds)
        return plan_conversion(source, self._options(source, asked)), source.complete

    def submit(self, asked: ExportRequest, actor: str) -> Job:
        """Queue an export. Raises NotInStoreError when there is no such version."""
        self._store.versions.revision(asked.version)
        return self._store.jobs.submit(EXPORT, {**asked.model_dump(), "by": actor}, resource="export")

    def run(self, context: JobContext) -> dict[str, object]:
        """Do it: the handler of the job."""
        payload = dict(context.job.payload)
        by = payload.pop("by", "unknown")
        asked = ExportRequest.model_validate(payload)
        source = StoreRecords(self._store, asked.version, split=asked.split)
        plan = plan_conversion(source, self._options(source, asked), self._step(context, "reading"))
        with tempfile.TemporaryDirectory(prefix="segany-export-") as temporary:
            done = convert(
                source, Path(temporary) / "data", plan, on_record=self._step(context, "writing", plan.records)
            )
            with atomic_path(self.path(context.job.id)) as target:
                _zip(done.folder, target, self._step(context, "packing"))
        self._clear()
        self._store.events.add("collection.exported", actor=by, details=asked.model_dump())
        losses = [str(loss) for loss in plan.losses]
        return {"records": done.records, "masks": done.masks, "images": done.images, "losses": losses}

    def path(self, job_id: int) -> Path:
        """Where the file of a job is, or will be."""
        return self._folder / f"export-{job_id}.zip"

    def file(self, job_id: int) -> Path:
        """The file of a job that is done. Raises GoneError when it was cleared."""
        path = self.path(job_id)
        if not path.is_file():
            raise GoneError(f"the file of export {job_id} was cleared; export again.")
        return path

    def _options(self, source: StoreRecords, asked: ExportRequest) -> Options:
        return Options(asked.format, asked.images, None, source.categories)

    def _step(self, context: JobContext, what: str, total: int | None = None) -> Callable[[int], None]:
        def step(count: int) -> None:
            if self._stopping.is_set():
                raise ServerStopsError
            if count % _EVERY == 0:
                context.progress(count, total, what)

        return step

    def _clear(self) -> None:
        """Keep the newest."""
        files = sorted(self._folder.glob("export-*.zip"), key=lambda path: path.stat().st_mtime)
        for path in files[:-_KEPT]:
            path.unlink(missing_ok=True)


def _zip(folder: Path, target: Path, step: Callable[[int], None]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for number, path in enumerate(sorted(folder.rglob("*")), start=1):
            if path.is_file():
                kind = zipfile.ZIP_STORED if path.suffix.lower() in _STORED else zipfile.ZIP_DEFLATED
                archive.write(path, path.relative_to(folder).as_posix(), compress_type=kind)
            step(number)
