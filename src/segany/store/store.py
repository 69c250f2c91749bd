"""Store: one collection of images and masks, its history, and the work on it."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from sqlalchemy import select

from segany.errors import NotInStoreError, StoreError
from segany.schema import Image
from segany.sources import open_image
from segany.store._hashes import StoredHashes
from segany.store._incoming import Incoming, Preparer, incoming_from_paths
from segany.store._rows import to_json
from segany.store.adding import Adder, AddReport
from segany.store.blobs import Blobs, open_blobs
from segany.store.check import CheckReport, check_store
from segany.store.collection import Collection, ModelCards, put_value
from segany.store.database import Database, Location
from segany.store.events import Events
from segany.store.garbage import GarbageReport, collect_garbage
from segany.store.ingest import IngestStep, supplied_steps
from segany.store.jobs import Jobs
from segany.store.models import FileRow, PixelsRow, ValueRow
from segany.store.records import Records
from segany.store.splits import Splits
from segany.store.stats import StoreStats, measure_store
from segany.store.timeline import Timeline, measure_timeline
from segany.store.upgrade import upgrade
from segany.store.users import Users
from segany.store.versions import Versions

__all__ = ["Store", "create_store"]

DEFAULT_IMAGES = "images"


def create_store(location: str | os.PathLike[str], *, images: str | None = None) -> None:
    """Make an empty store; one that is there already is left as it is, and a half-made one is completed.

    Args:
        location: A folder, or postgresql://USER:PASSWORD@HOST/DATABASE of an empty database.
        images: Where images are kept: a folder, relative to the store's, or an fsspec URL such as s3://bucket/images.
            The folder `images` of the store when left out; a store on a server has none and needs to be told.

    Raises:
        StoreError: There is a store that keeps its images elsewhere; or a store on a server was not told where.
        OutputError: It cannot be written.
    """
    place = Location.of(location)
    if place.folder is None and images is None:
        raise StoreError(
            "a store on a server has no folder of its own: say where images go, with --images FOLDER or URL."
        )
    if place.folder is None and images is not None and "://" not in images:
        images = str(Path(images).absolute())
    if place.folder is not None:
        try:
            place.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the folder {place.folder}: {error.strerror}; choose another.") from error
    database = Database(place)
    try:
        upgrade(database, create=True)
        open_blobs(images or DEFAULT_IMAGES, place.folder)
        with database.write() as writing:
            row = writing.connection.execute(select(ValueRow.value).where(ValueRow.key == "images")).first()
            if row is None:
                put_value(writing, "images", to_json(images or DEFAULT_IMAGES, "images"), is_there=False)
                put_value(writing, "store_id", to_json(uuid4().hex, "store_id"), is_there=False)
            elif images is not None and json.loads(row.value) != images:
                raise StoreError(f"there is a store at {place} already, which keeps its images in {row.value}.")
    finally:
        database.close()


class Store:
    """A collection of images and masks. Opened by `segany.engine.open_store`, which brings the ingest steps.

    May be used by several threads; every process opens its own.

    Attributes:
        location: Where it is.
        records: Load, list, edit and review records.
        versions: Freeze, compare and check out.
        splits: Which records are for training, which for testing.
        jobs: Work to be done.
        events: What happened.
        collection: Values, policy and categories.
        models: Model cards.
        users: Who may sign in to a server.
    """

    def __init__(self, location: str | os.PathLike[str], *, steps: Mapping[str, IngestStep]) -> None:
        """Open a store, and upgrade its tables if they are of an older version.

        Args:
            location: A folder or a postgresql:// URL.
            steps: Every ingest step that this installation has, by name; the policy chooses among them.

        Raises:
            StoreError: There is no store, it is from a newer version, or its server does not answer.
        """
        self.location = Location.of(location)
        if self.location.folder is not None and not Path(self.location.url.database or "").is_file():
            raise StoreError(f"there is no store at {location}; make one with: segany store init {location}")
        self._database = Database(self.location)
        self._steps = dict(steps)
        self._hashes = StoredHashes()
        self.collection = Collection(self._database)
        try:
            upgrade(self._database)
            place = self.collection.value("images", DEFAULT_IMAGES)
            self._blobs: Blobs = open_blobs(place, self.location.folder)
        except BaseException:
            self.close()
            raise
        self.records = Records(self._database)
        self.versions = Versions(self._database)
        self.splits = Splits(self._database)
        self.jobs = Jobs(self._database)
        self.events = Events(self._database)
        self.models = ModelCards(self._database)
        self.users = Users(self._database)

    def __enter__(self) -> "Store":
        """For `with`: closes at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    @property
    def id(self) -> str:
        """What tells this store from every other."""
        return str(self.collection.value("store_id"))

    def add(
        self,
        paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
        *,
        actor: str,
        recursive: bool = True,
        max_pixels: int | None = None,
        keep_ids: bool = True,
        progress: Callable[[AddReport], None] | None = None,
    ) -> AddReport:
        """Add photos and annotated data sets; what the store has already is recognised and not doubled.

        An interrupted call is repeated: it goes on where it was.

        Args:
            paths: Photos, folders of photos, patterns; files and folders of any format that `segany.formats` reads.
            actor: Who adds.
            recursive: Look into folders' folders for photos.
            max_pixels: Largest image to be read; None for `Settings.max_pixels`.
            keep_ids: Give the records' numbers in the report; without, memory stays flat at any number.
            progress: Called after each batch with the report so far.

        Returns:
            What became of it; single images and records that cannot be added are in its `problems`.

        Raises:
            PolicyError: The policy names an ingest step that is not here; nothing was added.
            ImageError: A path is not there, or holds nothing to add.
            OutputError: The store cannot be written; what was added before stays.
        """
        given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        adder = self._adder(actor, max_pixels, keep_ids, progress)

        def report(name: str, problem: str) -> None:
            adder.report.problems.append((name, problem))

        return adder.add(incoming_from_paths([Path(path) for path in given], recursive=recursive, report=report))

    def add_records(
        self,
        records: Iterable[Incoming],
        *,
        actor: str,
        max_pixels: int | None = None,
        keep_ids: bool = True,
        progress: Callable[[AddReport], None] | None = None,
    ) -> AddReport:
        """Add records with or without images, images with or without records: the way in for programs.

        Args:
            records: One after another; taken as they are needed.
            actor: Who adds.
            max_pixels: As in `add`.
            keep_ids: As in `add`.
            progress: As in `add`.

        Raises:
            PolicyError: As `add`.
            OutputError: As `add`.
        """
        return self._adder(actor, max_pixels, keep_ids, progress).add(records)

    def image(self, record_id: int, *, max_pixels: int | None = None) -> Image:
        """The stored pixels of a record.

        Args:
            record_id: Which record.
            max_pixels: As in `add`.

        Raises:
            NotInStoreError: There is no such record, or its image is not stored.
            StoreError: The file is not there any more.
            ImageError: It is damaged.
        """
        stored = self.records.get(record_id)
        with self._database.read() as connection:
            row = connection.execute(select(PixelsRow.blob).where(PixelsRow.image_id == record_id)).first()
        if row is None:
            raise NotInStoreError(
                f"record {record_id} ({stored.record.image.file_name}) has no stored image; add the photo to the store."
            )
        with self._blobs.as_file(row.blob) as path:
            image = open_image(path, max_pixels=max_pixels)
        return replace(image, info=stored.record.image)

    def image_file(self, record_id: int) -> tuple[str, bytes]:
        """Name and content of the stored file of a record's image; raises as `image`."""
        with self._database.read() as connection:
            row = connection.execute(select(PixelsRow.blob).where(PixelsRow.image_id == record_id)).first()
        if row is None:
            raise NotInStoreError(f"record {record_id} has no stored image; add the photo to the store.")
        return row.blob.rpartition("/")[2], self._blobs.read(row.blob)

    def check(self, *, progress: Callable[[CheckReport], None] | None = None) -> CheckReport:
        """Verify every file, mask and version; see `segany.store.check`."""
        return check_store(self._database, self._blobs, progress=progress)

    def gc(
        self, *, actor: str, keep_days: float = 30.0, min_file_age_seconds: float = 3600.0, dry_run: bool = False
    ) -> GarbageReport:
        """Delete what nothing needs any more; see `segany.store.garbage.collect_garbage`."""
        return collect_garbage(
            self._database,
            self._blobs,
            actor=actor,
            keep_days=keep_days,
            min_file_age_seconds=min_file_age_seconds,
            dry_run=dry_run,
        )

    def stats(self) -> StoreStats:
        """Numbers of the collection."""
        return measure_store(self._database)

    def timeline(self) -> Timeline:
        """How its masks came about over time."""
        return measure_timeline(self._database)

    def _adder(
        self, actor: str, max_pixels: int | None, keep_ids: bool, progress: Callable[[AddReport], None] | None
    ) -> Adder:
        steps = supplied_steps(self.collection.policy, self._steps)
        preparer = Preparer(self._blobs, steps, self._knows_file, max_pixels)
        return Adder(
            self._database, self._blobs, preparer, self._hashes, actor=actor, keep_ids=keep_ids, progress=progress
        )

    def _knows_file(self, source_digest: str) -> bool:
        asked = (
            select(FileRow.image_id)
            .join(PixelsRow, PixelsRow.image_id == FileRow.image_id)
            .where(FileRow.source_digest == source_digest)
        )
        with self._database.read() as connection:
            return connection.execute(asked).first() is not None
