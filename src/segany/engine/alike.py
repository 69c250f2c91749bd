"""More of the same in a store: masks of one image propose objects like them on others, as a job; people decide."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.engine.exemplars import LEAST_LIKE, propose_like
from segany.engine.features import mask_features
from segany.engine.models import model_in_use
from segany.engine.stages import ENGINE
from segany.errors import ConfigError
from segany.masks import rle_iou_matrix
from segany.predict import EmbeddingCache, Predictor
from segany.predict.automatic import GridSettings
from segany.schema import Annotation
from segany.store import JobContext, JobHandler, Store

__all__ = ["LIKE", "LikeSettings", "like_handler"]

LIKE = "engine.like"


@dataclass(frozen=True)
class LikeSettings:
    """What to look for, and where.

    Attributes:
        record: Whose masks show what is meant.
        masks: Their ids, as text; all masks of the record that nobody rejected when left out.
        category: Only masks of this class, and the class of what is found; the masks' own when left out, if they have
            but one.
        on: Records to look at; all others with an image when left out.
        limit: Most proposals for an image.
        least: As in `propose_like`.
        points_per_side: Clicks along each side of an image.
        overlap_thresh: What overlaps a mask that is there already by more than this IoU is the same object.
    """

    record: int
    masks: tuple[str, ...] = ()
    category: str | None = None
    on: tuple[int, ...] | None = None
    limit: int = 20
    least: float = LEAST_LIKE
    points_per_side: int = 16
    overlap_thresh: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what finds nothing."""
        object.__setattr__(self, "masks", tuple(self.masks))
        if self.on is not None:
            object.__setattr__(self, "on", tuple(self.on))
        if self.limit < 1:
            raise ConfigError(f"limit must be at least 1, got {self.limit}.")
        GridSettings(points_per_side=self.points_per_side)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def like_handler(store: Store, load: Callable[[str], Predictor] | None = None) -> JobHandler:
    """What does jobs of the kind `LIKE`; the payload is `LikeSettings.to_dict()`.

    What is found is flagged: people decide on it. Masks that somebody rejected on the first record say what is not
    meant. After each image a checkpoint says how far it is; a job that goes on does no image twice.

    Args:
        store: Whose.
        load: Loads a model; with the shared cache of embeddings when left out.
    """

    def handle(context: JobContext) -> dict[str, Any]:
        settings = LikeSettings(**context.job.payload)
        predictor = (load or _load)(model_in_use(store))
        meant, others, category = _meant(store, settings, predictor)
        everywhere = store.records.ids(has_pixels=True) if settings.on is None else sorted(set(settings.on))
        wanted = [number for number in everywhere if number != settings.record]
        checkpoint = context.job.checkpoint or {}
        after, found = int(checkpoint.get("after", 0)), int(checkpoint.get("found", 0))
        for done, number in enumerate(wanted, 1):
            # Records may come and go while a job waits; their numbers only grow.
            if number <= after:
                continue
            context.check()
            found += _propose(store, number, settings, predictor, meant, others, category, context.job.id)
            context.checkpoint({"after": number, "found": found}, done=done, total=len(wanted))
        return {"images": len(wanted), "exemplars": len(meant), "category": category, "found": found}

    return handle


def _load(model: str) -> Predictor:
    return Predictor(model, cache=EmbeddingCache.default())


def _meant(
    store: Store, settings: LikeSettings, predictor: Predictor
) -> tuple[NDArray[np.float32], NDArray[np.float32], str | None]:
    """Features of what is meant and of what is not, and the class of what is meant."""
    objects = store.records.get(settings.record).record.objects
    chosen = [one for one in objects if _is_meant(one, settings)]
    known = {str(one.id) for one in chosen}
    missing = [name for name in settings.masks if name not in known]
    if missing or not chosen:
        what = f"the mask {missing[0]}" if missing else "masks"
        of_class = "" if settings.category is None else f" of the class {settings.category!r}"
        raise ConfigError(
            f"record {settings.record} must have {what}{of_class} that nobody rejected; "
            "draw one, or name another record."
        )
    classes = {one.category for one in chosen}
    category = settings.category or (classes.pop() if len(classes) == 1 else None)
    embedding = predictor.embed(store.image(settings.record))
    rejected = [one.segmentation for one in objects if one.review_state == "rejected" and one.area > 0]
    meant = mask_features(embedding, [one.segmentation for one in chosen])
    return meant, mask_features(embedding, rejected), category


def _is_meant(annotation: Annotation, settings: LikeSettings) -> bool:
    if annotation.review_state == "rejected" or annotation.area == 0:
        return False
    named = not settings.masks or str(annotation.id) in settings.masks
    return named and settings.category in (None, annotation.category)


def _propose(
    store: Store,
    number: int,
    settings: LikeSettings,
    predictor: Predictor,
    meant: NDArray[np.float32],
    others: NDArray[np.float32],
    category: str | None,
    job: int,
) -> int:
    """Flag what is like the exemplars on one image; gives how many."""
    stored = store.records.get(number)
    saved = sum(str(one.id).startswith(f"like-{job}-") for one in stored.record.annotations)
    if saved:
        # By an attempt that ended before it could say so.
        return saved
    found = propose_like(
        predictor,
        store.image(number),
        meant,
        others=others,
        limit=settings.limit,
        least=settings.least,
        grid=GridSettings(points_per_side=settings.points_per_side),
        category=category,
    )
    known = [one.segmentation for one in stored.record.annotations if one.area > 0]
    if known and found:
        overlap = rle_iou_matrix([one.segmentation for one in found], known).max(axis=1)
        found = [one for one, share in zip(found, overlap.tolist(), strict=True) if share <= settings.overlap_thresh]
    if not found:
        return 0
    digest, at = predictor.backend.model_digest, datetime.now(UTC)
    put = [
        replace(
            one,
            id=f"like-{job}-{place}",
            source="automatic",
            review_state="flagged",
            model_digest=digest,
            created_at=at,
        )
        for place, one in enumerate(found)
    ]
    store.records.save(
        number, expected=stored.revision, actor=ENGINE, put=put, key=f"engine like {job} record {number}"
    )
    return len(put)
