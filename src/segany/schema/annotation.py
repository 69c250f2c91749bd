"""Annotation, Record and Masklet: masks as they are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segany.errors import RecordError
from segany.masks.rle import RLE
from segany.schema.image import ImageInfo
from segany.schema.prompt import Prompt

__all__ = ["Annotation", "AnnotationSource", "Masklet", "Record", "ReviewState"]

AnnotationSource = Literal["manual", "semi_automatic", "automatic"]
ReviewState = Literal["unreviewed", "accepted", "rejected", "flagged"]


@dataclass(frozen=True, eq=False)
class Annotation:
    """One mask with everything known of it.

    Attributes:
        id: Identity within its record or collection.
        segmentation: The mask, original pixels.
        box: XYXY half-open, original pixels; taken from the mask when left out.
        area: Pixels of the mask; taken from the mask when left out.
        predicted_iou: The model's estimate of the IoU with the object, or None when a person drew it.
        stability_score: IoU of the mask at a lower and a higher threshold (SAM paper, sec. 5), or None.
        point_coords: Clicks (x, y) that made it, original pixels.
        crop_box: XYXY half-open: the crop it was found in; the whole image when left out.
        source: Who made it (SAM paper, sec. 4).
        category: Class name, or None.
        iscrowd: COCO's crowd flag: the mask covers a group.
        prompts: All prompts that led to it, in order.
        model_digest: Digest of the model's parameters, or None.
        annotator: Who accepted or drew it, or None.
        seconds_spent: Working time of that person, seconds.
        parent_id: Id of the mask that this one is a part of, or None.
        review_state: Where it stands in review.
        created_at: When, with a time zone.
        outline: Polygons as imported, kept until the mask is edited; each [N, 2] float64 (x, y).
        extra: Fields of a foreign format, returned on export.
    """

    id: int | str
    segmentation: RLE
    box: tuple[float, float, float, float] = None  # type: ignore[assignment]  # filled in below, never None to a reader
    area: int = -1
    predicted_iou: float | None = None
    stability_score: float | None = None
    point_coords: tuple[tuple[float, float], ...] = ()
    crop_box: tuple[float, float, float, float] | None = None
    source: AnnotationSource = "automatic"
    category: str | None = None
    iscrowd: bool = False
    prompts: tuple[Prompt, ...] = ()
    model_digest: str | None = None
    annotator: str | None = None
    seconds_spent: float | None = None
    parent_id: int | str | None = None
    review_state: ReviewState = "unreviewed"
    created_at: datetime | None = None
    outline: tuple[NDArray[np.float64], ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Fill in box and area from the mask and check the rest."""
        if self.box is None:
            object.__setattr__(self, "box", tuple(float(v) for v in self.segmentation.box))
        if self.area < 0:
            object.__setattr__(self, "area", int(self.segmentation.area))
        if self.source not in ("manual", "semi_automatic", "automatic"):
            raise RecordError(
                f"annotation {self.id}: source must be manual, semi_automatic or automatic, got {self.source!r}."
            )
        if self.review_state not in ("unreviewed", "accepted", "rejected", "flagged"):
            raise RecordError(
                f"annotation {self.id}: review_state must be unreviewed, accepted, rejected or flagged, "
                f"got {self.review_state!r}."
            )
        if self.created_at is not None and self.created_at.tzinfo is None:
            raise RecordError(f"annotation {self.id}: created_at must have a time zone, got {self.created_at}.")


@dataclass(frozen=True, eq=False)
class Record:
    """One image and its masks: one SA-1B JSON file.

    Attributes:
        image: What is known of the image.
        annotations: Its masks, all of the image's size, with ids that differ.
        ignore: Pixels that nobody decided on (void borders, an unknown band), or None; crowds are not in it.
        extra: Fields that a foreign format has for the image, returned on export.
    """

    image: ImageInfo
    annotations: tuple[Annotation, ...] = ()
    ignore: RLE | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def objects(self) -> tuple[Annotation, ...]:
        """The annotations that are one object each: all but crowds."""
        return tuple(annotation for annotation in self.annotations if not annotation.iscrowd)

    @property
    def undecided(self) -> RLE | None:
        """Pixels that an evaluation leaves out: `ignore` and every crowd; None where there are none."""
        parts = [annotation.segmentation for annotation in self.annotations if annotation.iscrowd]
        parts += [] if self.ignore is None else [self.ignore]
        return RLE.merge(parts) if parts else None

    def __post_init__(self) -> None:
        """Check that every mask has the image's size and that ids differ."""
        object.__setattr__(self, "annotations", tuple(self.annotations))
        if self.ignore is not None and self.ignore.size != self.image.size:
            raise RecordError(
                f"the region to ignore of {self.image.file_name} is {self.ignore.size} but the image is "
                f"{self.image.size}."
            )
        seen = set()
        for annotation in self.annotations:
            if annotation.segmentation.size != self.image.size:
                raise RecordError(
                    f"annotation {annotation.id} of {self.image.file_name}: its mask is {annotation.segmentation.size} "
                    f"but the image is {self.image.size}."
                )
            if annotation.id in seen:
                raise RecordError(f"{self.image.file_name} has two annotations with the id {annotation.id}.")
            seen.add(annotation.id)


@dataclass(frozen=True, eq=False)
class Masklet:
    """One object through a video (SAM 2 paper, sec. 5).

    Attributes:
        object_id: Which object.
        rles: Frame index -> mask; a frame is missing where the object is not annotated.
    """

    object_id: int
    rles: Mapping[int, RLE]

    def __post_init__(self) -> None:
        """Check that all masks have one size."""
        sizes = {rle.size for rle in self.rles.values()}
        if len(sizes) > 1:
            raise RecordError(f"object {self.object_id}: its masks have {len(sizes)} sizes, e.g. {sorted(sizes)[:2]}.")
