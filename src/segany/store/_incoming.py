"""Records on their way in: opened, passed through the ingest steps, and made ready as rows, outside any transaction."""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage

from segany.errors import ImageError, RecordError
from segany.formats import Category, Dataset, open_dataset
from segany.schema import Image, ImageInfo, Record
from segany.sources import IMAGE_SUFFIXES, iter_image_paths, open_image, pixel_digest
from segany.store._rows import AnnotationValues, annotation_values, image_values
from segany.store.blobs import Blobs, blob_name
from segany.store.ingest import Decision, IngestStep, apply_steps
from segany.store.near_duplicates import perceptual_hash

__all__ = ["Incoming", "Prepared", "PreparedPixels", "Preparer", "incoming_from_paths"]


@dataclass(frozen=True, eq=False)
class Incoming:
    """A record to be added.

    Attributes:
        record: What is known of the image, and its masks; None for a photo of which nothing is known yet.
        image: The pixels: a file, an image, a way to open it (which may find none), or None for a record without.
        origin: The file or data set that it comes from, as people call it; ids are the same object within one origin.
        categories: Classes that came with it.
        file_name: What to call a photo of which there is no record yet, instead of its file's name: of an upload, say.
    """

    record: Record | None = None
    image: Path | Image | Callable[[], Image | None] | None = None
    origin: str = ""
    categories: tuple[Category, ...] = ()
    file_name: str | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        if self.file_name is not None:
            return self.file_name
        if isinstance(self.image, Path):
            return str(self.image)
        return self.record.image.file_name if self.record is not None else "image"


@dataclass(frozen=True, eq=False)
class PreparedPixels:
    """Pixels that are written already, waiting for their row.

    Attributes:
        columns: Of `pixels`, without the record's id.
        altered: Whether an ingest step changed them.
    """

    columns: dict[str, Any]
    altered: bool


@dataclass(frozen=True, eq=False)
class Prepared:
    """A record as rows.

    Attributes:
        name: What messages call it.
        origin: As in `Incoming`.
        image: Columns of `images` that say what is known; None for a file that the store knows and that brings no
            annotations.
        annotations: Of the record.
        source_digest: sha256 of the file as it came, or None.
        pixels: Of the image, or None: without pixels, refused, or known already.
        decisions: Of the ingest steps.
        refused: Whether a step kept it out.
        categories: Classes that came with it.
    """

    name: str
    origin: str
    image: dict[str, Any] | None
    annotations: Sequence[AnnotationValues]
    source_digest: str | None
    pixels: PreparedPixels | None
    decisions: tuple[tuple[str, Decision], ...] = ()
    refused: bool = False
    categories: tuple[Category, ...] = ()


def incoming_from_paths(
    paths: Iterable[Path], *, recursive: bool, report: Callable[[str, str], None]
) -> Iterator[Incoming]:
    """What files and folders hold: photos, or annotated images of any format that segany reads.

    Args:
        paths: Files, folders, patterns.
        recursive: Look into the folders' folders for photos.
        report: Told of (name, problem) for what cannot be added.

    Raises:
        ImageError: A path that is not there, or holds no image.
    """
    for path in paths:
        dataset = _dataset(path)
        if dataset is None:
            photos = iter_image_paths([path], recursive=recursive)
            yield from (Incoming(image=photo, origin=photo.name) for photo in photos)
        else:
            yield from _from_dataset(dataset, report)


def _dataset(path: Path) -> Dataset | None:
    if not path.exists() or (path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES):
        return None
    try:
        return open_dataset(path, require_images=False)
    except RecordError:
        with suppress(ImageError):
            if path.is_dir() and iter_image_paths([path], recursive=True):
                return None
        raise


def _from_dataset(dataset: Dataset, report: Callable[[str, str], None]) -> Iterator[Incoming]:
    categories = dataset.categories
    told = 0

    def tell(first: int) -> int:
        problems = dataset.problems
        for problem in problems[first:]:
            # Records without their image are added, and counted as such.
            if problem.kind != "missing_image":
                report(problem.file, str(problem))
        return len(problems)

    for record in dataset.records():
        image = dataset.image_path(record) or partial(_from_archive, dataset, record)
        origin = (dataset.annotation_path(record) or dataset.path).name
        yield Incoming(record, image, origin=origin, categories=categories)
        categories = ()
        told = tell(told)
    tell(told)


def _from_archive(dataset: Dataset, record: Record) -> Image | None:
    try:
        return dataset.open_image(record)
    except RecordError as error:
        if getattr(error, "kind", None) == "missing_image":
            return None
        raise


class Preparer:
    """Makes rows of records and writes their images' files: the longer part of adding, outside any transaction."""

    def __init__(
        self, blobs: Blobs, steps: Sequence[IngestStep], knows_file: Callable[[str], bool], max_pixels: int | None
    ) -> None:
        """Set up.

        Args:
            blobs: Where stored files lie.
            steps: Of the policy, in order.
            knows_file: Whether the store has had a file of this digest.
            max_pixels: Largest image to be read.
        """
        self._blobs, self._steps, self._knows_file, self._max_pixels = blobs, steps, knows_file, max_pixels

    def prepare(self, incoming: Incoming) -> Prepared:
        """Open, pass through the steps, write the file, make the rows.

        Raises:
            ImageError: The image cannot be read.
            RecordError: The record cannot be kept, or its masks do not fit the image.
            OutputError: The file cannot be written.
        """
        record = incoming.record
        content, source_digest = None, None
        if isinstance(incoming.image, Path):
            content = _read(incoming.image)
            source_digest = hashlib.sha256(content).hexdigest()
            if self._knows_file(source_digest):
                return self._ready(incoming, record, source_digest, None)
        if incoming.image is None:
            return self._ready(incoming, record, None, None)
        image = self._open(incoming.image, source_digest)
        if image is None:
            return self._ready(incoming, record, None, None)
        source_digest = source_digest or image.info.source_digest
        record = record or Record(_named(image.info, incoming.file_name))
        if record.image.size != image.size:
            raise RecordError(
                f"{incoming.name}: the image is {image.size} but its masks are for {record.image.size}; they belong "
                "to another image or another size of it."
            )
        record = replace(record, image=replace(record.image, channels=image.info.channels, dtype=image.info.dtype))
        outcome = apply_steps(image, self._steps)
        if outcome.image is None:
            return self._ready(incoming, record, source_digest, None, outcome.decisions, refused=True)
        columns = self._stored(outcome.image, outcome.altered, content, incoming)
        columns["source_digest"] = source_digest
        return self._ready(incoming, record, source_digest, PreparedPixels(columns, outcome.altered), outcome.decisions)

    def _open(self, image: Path | Image | Callable[[], Image | None], source_digest: str | None) -> Image | None:
        if isinstance(image, Path):
            opened = open_image(image, max_pixels=self._max_pixels)
            if opened.info.source_digest != source_digest:
                raise ImageError(f"{image} changed while it was read; add it again.")
            return opened
        return image if isinstance(image, Image) else image()

    def _stored(self, image: Image, altered: bool, content: bytes | None, incoming: Incoming) -> dict[str, Any]:
        """Write the file that is kept: as it came where nothing was altered, otherwise a PNG of the pixels."""
        if altered or content is None or not isinstance(incoming.image, Path):
            buffer = io.BytesIO()
            PillowImage.fromarray(image.pixels).save(buffer, format="PNG")
            content, suffix = buffer.getvalue(), ".png"
        else:
            suffix = incoming.image.suffix.lower()
            suffix = suffix if suffix in IMAGE_SUFFIXES else ".image"
        name = blob_name(content, suffix)
        if not self._blobs.has(name):
            self._blobs.write(name, content)
        return {
            "digest": pixel_digest(image.pixels),
            "blob": name,
            "blob_bytes": len(content),
            "altered": altered,
            "perceptual": perceptual_hash(image.pixels),
        }

    def _ready(
        self,
        incoming: Incoming,
        record: Record | None,
        source_digest: str | None,
        pixels: PreparedPixels | None,
        decisions: tuple[tuple[str, Decision], ...] = (),
        *,
        refused: bool = False,
    ) -> Prepared:
        where = incoming.name
        return Prepared(
            name=where,
            origin=incoming.origin,
            image=None if record is None else image_values(record),
            annotations=[] if record is None else [annotation_values(each, where) for each in record.annotations],
            source_digest=source_digest,
            pixels=pixels,
            decisions=decisions,
            refused=refused,
            categories=incoming.categories,
        )


def _named(info: ImageInfo, file_name: str | None) -> ImageInfo:
    return info if file_name is None else replace(info, image_id=file_name, file_name=file_name)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"no such file: {path}; check its name and the folder it is in.") from error
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}; check that you may read it.") from error
