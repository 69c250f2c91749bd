"""One batch of records on its way into the database: finds out what is known, gathers rows, inserts them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, insert, select, update

from segany.errors import StoreError
from segany.geometry import Size
from segany.store._hashes import StoredHashes
from segany.store._incoming import Prepared
from segany.store._rows import AnnotationValues, renamed, to_json
from segany.store.blobs import Blobs
from segany.store.database import Writing
from segany.store.events import event_row
from segany.store.models import AnnotationRow, CategoryRow, EventRow, FileRow, ImageRow, MaskRow, PixelsRow

__all__ = ["AddReport", "Batch"]

_MAX_IN = 500


@dataclass
class AddReport:
    """What became of what was added.

    Attributes:
        records: New records.
        known: Records that the store had already.
        masks: New annotations.
        known_masks: Annotations that the store had already, edited since or not.
        differing_masks: Annotations that the store has under the same id and origin, with other content; the store's
            are kept.
        without_pixels: New records of which the image is not there.
        pixels: Records that got their image now.
        altered: Images that an ingest step changed.
        refused: Images that an ingest step kept out.
        near_duplicates: Pairs of records, the new one first.
        problems: (name, what is wrong) of what was not added.
        record_ids: The record of each image that was added or known, in order; not kept unless asked for.
    """

    records: int = 0
    known: int = 0
    masks: int = 0
    known_masks: int = 0
    differing_masks: int = 0
    without_pixels: int = 0
    pixels: int = 0
    altered: int = 0
    refused: int = 0
    near_duplicates: list[tuple[int, int]] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    record_ids: list[int] = field(default_factory=list)


class Batch:
    """What one transaction adds.

    Attributes:
        done: Its share of the report.
    """

    def __init__(
        self, writing: Writing, blobs: Blobs, hashes: StoredHashes, batch: Sequence[Prepared], *, actor: str
    ) -> None:
        """Set up.

        Args:
            writing: The transaction.
            blobs: Where stored files lie.
            hashes: Perceptual hashes of what is stored, locked for this transaction.
            batch: What to add.
            actor: Who adds.
        """
        self._writing, self._blobs, self._hashes, self._batch, self._actor = writing, blobs, hashes, batch, actor
        self._connection = writing.connection
        self._images: dict[int, dict[str, Any]] = {}
        self._pixels: list[dict[str, Any]] = []
        self._files: dict[str, int] = {}
        self._masks: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self.done = AddReport()

    def run(self) -> None:
        """Add everything; raises StoreError when a stored file vanished."""
        if any(prepared.pixels is not None for prepared in self._batch):
            self._hashes.refresh(self._connection)
        self._look_up()
        for prepared in self._batch:
            self._take(prepared)
        new = list(self._images.values())
        self._writing.insert(ImageRow, new)
        self._writing.insert(PixelsRow, self._pixels)
        self._writing.insert(FileRow, [{"source_digest": k, "image_id": v} for k, v in self._files.items()])
        self._writing.insert(MaskRow, self._masks)
        self._writing.insert(AnnotationRow, self._annotations)
        self._writing.insert(EventRow, self._events)
        self._add_categories()

    def _look_up(self) -> None:
        """Everything of the batch that the store may know, by few queries."""
        batch = self._batch
        digests = [p.pixels.columns["digest"] for p in batch if p.pixels is not None]
        stated = [p.image["digest"] for p in batch if p.image is not None and p.image["digest"]]
        keys = [p.image["origin_key"] for p in batch if p.image is not None]
        sources = [p.source_digest for p in batch if p.source_digest]
        self._by_file: dict[str, int] = dict(self._pairs(FileRow.source_digest, FileRow.image_id, sources))
        self._by_pixels: dict[str, int] = dict(self._pairs(PixelsRow.digest, PixelsRow.image_id, digests + stated))
        self._by_digest: dict[str, int] = dict(self._pairs(ImageRow.digest, ImageRow.id, digests + stated))
        self._by_key: dict[bytes, list[int]] = {}
        for key, identity in self._pairs(ImageRow.origin_key, ImageRow.id, keys):
            self._by_key.setdefault(key, []).append(identity)
        known = {*self._by_file.values(), *self._by_pixels.values(), *self._by_digest.values()}
        known |= {identity for found in self._by_key.values() for identity in found}
        rows = self._chunks(
            ImageRow.id,
            sorted(known),
            lambda where: (
                select(
                    ImageRow.id,
                    ImageRow.height,
                    ImageRow.width,
                    ImageRow.until,
                    PixelsRow.digest.label("pixels_digest"),
                )
                .join(PixelsRow, PixelsRow.image_id == ImageRow.id, isouter=True)
                .where(where)
            ),
        )
        self._known = {row.id: (Size(row.height, row.width), row.until is not None) for row in rows}
        self._with_pixels = {row.id for row in rows if row.pixels_digest is not None}

    def _chunks(self, column: Any, values: Sequence[Any], query: Callable[[ColumnElement[bool]], Any]) -> list[Any]:
        found: list[Any] = []
        for start in range(0, len(values), _MAX_IN):
            found += self._connection.execute(query(column.in_(values[start : start + _MAX_IN]))).all()
        return found

    def _pairs(self, column: Any, value: Any, wanted: Sequence[Any]) -> list[tuple[Any, Any]]:
        rows = self._chunks(column, list(dict.fromkeys(wanted)), lambda where: select(column, value).where(where))
        return [(row[0], row[1]) for row in rows]

    def _take(self, prepared: Prepared) -> None:
        self._tell_decisions(prepared)
        if prepared.refused:
            self.done.refused += 1
            return
        image_id = self._find(prepared)
        if image_id is None and prepared.image is None:
            # Its record was removed for good between preparing and now.
            self.done.problems.append((prepared.name, f"{prepared.name} was deleted meanwhile; add it again."))
            return
        if image_id is None:
            self._add_record(prepared)
            return
        problem = self._misfit(prepared, image_id)
        if problem:
            self.done.problems.append((prepared.name, problem))
            return
        self.done.known += 1
        self._extend(prepared, image_id)

    def _find(self, prepared: Prepared) -> int | None:
        """The record that this is another sight of, or None."""
        if prepared.source_digest in self._by_file:
            return self._by_file[prepared.source_digest]
        pixels = prepared.pixels
        if pixels is not None and (found := self._by_pixels.get(pixels.columns["digest"])) is not None:
            return found
        stated = None if prepared.image is None else prepared.image["digest"]
        for digest in (stated, None if pixels is None else pixels.columns["digest"]):
            if digest is not None:
                found = self._by_digest.get(digest) or self._by_pixels.get(digest)
                if found is not None and (pixels is None or found not in self._with_pixels):
                    return found
        if prepared.image is None:
            return None
        same_name = self._by_key.get(prepared.image["origin_key"], [])
        bare = [each for each in same_name if each not in self._with_pixels]
        if bare:
            return bare[0]
        # A file of annotations may come again without its images; two photos of one name are two.
        return same_name[0] if pixels is None and len(same_name) == 1 else None

    def _misfit(self, prepared: Prepared, image_id: int) -> str | None:
        """Why it cannot be joined to the record that it belongs to."""
        there, removed = self._known[image_id]
        if removed:
            return f"{prepared.name} was removed from the store and is not added again."
        if prepared.image is not None and there != (prepared.image["height"], prepared.image["width"]):
            came = Size(prepared.image["height"], prepared.image["width"])
            return f"{prepared.name} would be record {image_id}, but it is {came} and that is {there}."
        return None

    def _add_record(self, prepared: Prepared) -> None:
        assert prepared.image is not None
        image_id, revision = self._writing.new_id("image"), self._writing.revision
        self._images[image_id] = {
            **prepared.image,
            "id": image_id,
            "near_group": image_id,
            "revision": revision,
            "since": revision,
            "until": None,
        }
        self._known[image_id] = (Size(prepared.image["height"], prepared.image["width"]), False)
        self.done.records += 1
        self._by_key.setdefault(prepared.image["origin_key"], []).append(image_id)
        if prepared.image["digest"]:
            self._by_digest.setdefault(prepared.image["digest"], image_id)
        if prepared.pixels is None:
            self.done.without_pixels += 1
        else:
            self._add_pixels(prepared, image_id)
        for values in prepared.annotations:
            self._add_annotation(values, image_id, prepared.origin)
        self.done.record_ids.append(image_id)
        self._say("record.added", image_id, {"name": prepared.name, "masks": len(prepared.annotations)})

    def _extend(self, prepared: Prepared, image_id: int) -> None:
        """Add to a known record what it does not have."""
        self.done.record_ids.append(image_id)
        added = self._add_new_annotations(prepared, image_id)
        gets_pixels = prepared.pixels is not None and image_id not in self._with_pixels
        if gets_pixels:
            self._add_pixels(prepared, image_id)
            self.done.pixels += 1
        elif prepared.source_digest and prepared.source_digest not in self._by_file:
            self._files[prepared.source_digest] = self._by_file[prepared.source_digest] = image_id
        if added or gets_pixels:
            if image_id in self._images:
                return
            self._connection.execute(
                update(ImageRow).where(ImageRow.id == image_id).values(revision=self._writing.revision)
            )
            self._say("record.extended", image_id, {"name": prepared.name, "masks": added, "pixels": gets_pixels})

    def _add_new_annotations(self, prepared: Prepared, image_id: int) -> int:
        if not prepared.annotations:
            return 0
        asked = (
            select(AnnotationRow.identity, AnnotationRow.origin, AnnotationRow.digest)
            .where(AnnotationRow.image_id == image_id)
            .order_by(AnnotationRow.since.desc())
        )
        # The oldest row of an id is what was imported; the others are edits.
        imported = {row.identity: (row.origin, row.digest) for row in self._connection.execute(asked)}
        for row in self._annotations:
            if row["image_id"] == image_id:
                imported.setdefault(row["identity"], (row["origin"], row["digest"]))
        # Another data set's annotations whose ids are taken get ids that say where they are from.
        new_names = {
            identity: to_json(f"{prepared.origin}:{identity.strip(chr(34))}", prepared.name)
            for columns, _, _ in prepared.annotations
            if (known := imported.get(identity := columns["identity"])) is not None
            and known[0] != prepared.origin
            and known[1] != columns["digest"]
        }
        added = 0
        for values in prepared.annotations:
            known = imported.get(values[0]["identity"])
            if values[0]["identity"] in new_names or values[0]["parent"] in new_names:
                values = renamed(values, new_names)
                known = imported.get(values[0]["identity"])
            if known is None:
                self._add_annotation(values, image_id, prepared.origin)
                added += 1
            elif known[1] == values[0]["digest"]:
                self.done.known_masks += 1
            else:
                self.done.differing_masks += 1
        return added

    def _add_pixels(self, prepared: Prepared, image_id: int) -> None:
        assert prepared.pixels is not None
        columns = prepared.pixels.columns
        if not self._blobs.has(columns["blob"]):
            raise StoreError(f"the stored file of {prepared.name} vanished while it was added; add it again.")
        self._pixels.append({"image_id": image_id, **columns, "since": self._writing.revision})
        self._with_pixels.add(image_id)
        self._by_pixels[columns["digest"]] = image_id
        if prepared.source_digest and prepared.source_digest not in self._by_file:
            self._files[prepared.source_digest] = self._by_file[prepared.source_digest] = image_id
        self.done.altered += prepared.pixels.altered
        self._join_near_duplicates(image_id, columns["perceptual"])

    def _join_near_duplicates(self, image_id: int, perceptual: bytes) -> None:
        near = [each for each in self._hashes.near(perceptual) if each != image_id]
        self._hashes.add(image_id, perceptual)
        if not near:
            return
        self.done.near_duplicates.append((image_id, near[0]))
        groups = {row["near_group"] for each in near if (row := self._images.get(each)) is not None}
        stored = [each for each in near if each not in self._images]
        rows = self._chunks(ImageRow.id, stored, lambda where: select(ImageRow.near_group).where(where))
        groups |= {row.near_group for row in rows}
        mine = self._images.get(image_id)
        groups.add(self._known_group(image_id) if mine is None else mine["near_group"])
        joined = min(groups)
        for row in self._images.values():
            if row["near_group"] in groups:
                row["near_group"] = joined
        self._connection.execute(
            update(ImageRow).where(ImageRow.near_group.in_(sorted(groups - {joined}))).values(near_group=joined)
        )
        self._say("record.near_duplicate", image_id, {"of": near[0]})

    def _known_group(self, image_id: int) -> int:
        return int(self._connection.execute(select(ImageRow.near_group).where(ImageRow.id == image_id)).scalar_one())

    def _add_annotation(self, values: AnnotationValues, image_id: int, origin: str) -> None:
        columns, counts, outline = values
        mask_id = self._writing.new_id("mask")
        self._masks.append({"id": mask_id, "counts": counts, "outline": outline})
        self._annotations.append(
            {
                **columns,
                "id": self._writing.new_id("annotation"),
                "image_id": image_id,
                "mask_id": mask_id,
                "origin": origin or None,
                "since": self._writing.revision,
                "until": None,
            }
        )
        self.done.masks += 1

    def _tell_decisions(self, prepared: Prepared) -> None:
        for step, decision in prepared.decisions:
            said = {"name": prepared.name, "source_digest": prepared.source_digest, "verdict": decision.verdict}
            self._say(f"ingest.{step}", None, {**said, "details": dict(decision.details)})

    def _say(self, kind: str, image_id: int | None, details: dict[str, Any]) -> None:
        self._events.append(event_row(self._writing, self._actor, kind, image_id, details))

    def _add_categories(self) -> None:
        named = {category.name: category.supercategory for each in self._batch for category in each.categories}
        for row in self._annotations:
            if row["category"] is not None:
                named.setdefault(row["category"], None)
        known = {name for name, _ in self._pairs(CategoryRow.name, CategoryRow.position, list(named))}
        rows = [
            {"name": name, "supercategory": above, "color": None, "position": 0}
            for name, above in named.items()
            if name not in known
        ]
        if rows:
            self._connection.execute(insert(CategoryRow), rows)
