"""The three stages of the data engine (SAM paper, sec. 4), as jobs over a store.

*Assisted-manual*: images are queued for people, who draw with the model's help. *Semi-automatic*: masks that people
are surely going to accept are kept, the others are flagged, and people decide on these and add what is missing.
*Automatic*: masks that pass the paper's filters (predicted IoU, stability, suppression of duplicates) are kept; nobody
is asked. Kept masks are `unreviewed`, so that they never pass for masks that somebody accepted.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import numpy as np

from segany.engine.confidence import Confidence
from segany.engine.features import image_feature
from segany.engine.models import confidence, model_in_use
from segany.engine.priority import Priority, ranked, self_disagreement, uncertainty
from segany.engine.proposals import LEARNED, evidence_of, propose, without_doubles
from segany.engine.tasks import OPEN, ask
from segany.errors import ConfigError
from segany.masks import rle_iou_matrix
from segany.predict import EmbeddingCache, ImageEmbedding, Predictor
from segany.predict.automatic import GridSettings, Thresholds
from segany.schema import Annotation, Prompt
from segany.store import JobContext, JobHandler, Store

__all__ = ["STAGE", "Stage", "StageSettings", "queue_images", "stage_handler"]

STAGE = "engine.stage"
Stage = Literal["assisted-manual", "semi-automatic", "automatic"]
ENGINE = "engine"

# As many masks of an image are asked for once more; they tell how far the model agrees with itself.
_ASKED_AGAIN = 32


@dataclass(frozen=True)
class StageSettings:
    """What a stage does.

    Attributes:
        stage: Which.
        points_per_side: Clicks along each side of an image.
        pred_iou_thresh: "automatic": keep masks of a predicted IoU above this.
        stability_score_thresh: "automatic": and of at least this stability.
        ask_iou_thresh: "semi-automatic": masks of a predicted IoU up to this are forgotten.
        ask_stability_thresh: "semi-automatic": and those below this stability.
        ask_from: "semi-automatic": once it was learned what people accept, masks that are less likely than this to be
            accepted are forgotten instead: a look at each (1.6 s) costs more than drawing the object with one click and
            two looks (5.6 s) where a mask is missing, see `annotator.Costs`. Where it was learned from finished images,
            `proposals.LEARNED` takes the place of the two thresholds above: what the model thinks of a mask says less.
        box_nms_thresh: Of two masks whose boxes overlap by more than this IoU the better is taken.
        overlap_thresh: Masks that overlap an accepted one by more than this IoU are the same object; and once it was
            learned what people accept, so are two that overlap each other by more: the likelier one is taken.
        records: Only these; all with an image when left out.
        limit: Most images to queue for people; None for all.
    """

    stage: Stage
    points_per_side: int = 32
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    ask_iou_thresh: float = 0.88
    ask_stability_thresh: float = 0.95
    ask_from: float = 0.3
    box_nms_thresh: float = 0.7
    overlap_thresh: float = 0.5
    records: tuple[int, ...] | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no stage, and what the generator refuses."""
        if self.stage not in get_args(Stage):
            raise ConfigError(f"stage must be one of {', '.join(get_args(Stage))}, got {self.stage!r}.")
        if self.records is not None:
            object.__setattr__(self, "records", tuple(self.records))
        GridSettings(points_per_side=self.points_per_side)
        self.thresholds()

    def thresholds(self, learned: Confidence | None = None) -> Thresholds:
        """What masks must pass.

        Args:
            learned: What people accept of this model's masks, if it is known.
        """
        if self.stage != "semi-automatic":
            first, second = self.pred_iou_thresh, self.stability_score_thresh
        elif learned is not None and learned.knows_all:
            first, second = LEARNED.pred_iou_thresh, LEARNED.stability_score_thresh
        else:
            first, second = self.ask_iou_thresh, self.ask_stability_thresh
        return Thresholds(first, second, box_nms_thresh=self.box_nms_thresh)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "records": None if self.records is None else list(self.records)}


def stage_handler(store: Store, load: Callable[[str], Predictor] | None = None) -> JobHandler:
    """What does jobs of the kind `STAGE`; the payload is `StageSettings.to_dict()`.

    After each image a checkpoint says how far it is; a job that goes on does no image twice.

    Args:
        store: Whose.
        load: Loads a model; with the shared cache of embeddings when left out.
    """

    def handle(context: JobContext) -> dict[str, Any]:
        settings = StageSettings(**context.job.payload)
        predictor = (load or _load)(model_in_use(store))
        wanted = store.records.ids(has_pixels=True)
        if settings.records is not None:
            wanted = [number for number in wanted if number in set(settings.records)]
        after = (context.job.checkpoint or {}).get("after", 0)
        kept, flagged = (context.job.checkpoint or {}).get("masks", [0, 0])
        if settings.stage != "assisted-manual":
            for done, number in enumerate(wanted, 1):
                if number <= after:
                    continue
                context.check()
                mine = _fill(store, number, settings, predictor, context.job.id)
                kept, flagged = kept + mine[0], flagged + mine[1]
                context.checkpoint({"after": number, "masks": [kept, flagged]}, done=done, total=len(wanted))
        queued = [] if settings.stage == "automatic" else queue_images(store, settings, predictor, wanted)
        return {"images": len(wanted), "kept": kept, "flagged": flagged, "queued": len(queued)}

    return handle


def queue_images(store: Store, settings: StageSettings, predictor: Predictor, records: Sequence[int]) -> list[Priority]:
    """Ask people about images, the most valuable first; images that are queued or done already are passed over.

    Args:
        store: Where.
        settings: Of the stage that asks.
        predictor: The model in use.
        records: Which images.

    Returns:
        What was asked, in its order.
    """
    jobs = store.jobs.list(kinds=[OPEN], states=["queued", "running", "done"], limit=100_000)
    known = {job.record_id for job in jobs}
    done = sorted({job.record_id for job in jobs if job.state == "done" and job.record_id is not None})
    waiting = [number for number in records if number not in known]
    uncertain, disagrees, features = [], [], []
    for stored in store.records.iterate(waiting):
        masks = [one for one in stored.record.objects if one.source == "automatic" and one.review_state == "flagged"]
        uncertain.append(uncertainty([float(one.extra["confidence"]) for one in masks if "confidence" in one.extra]))
        disagrees.append(self_disagreement([float(one.extra["again"]) for one in masks if "again" in one.extra]))
        features.append(image_feature(predictor.embed(store.image(stored.id))))
    seen = [image_feature(predictor.embed(store.image(number))) for number in done]
    width = len((features or seen)[0]) if features or seen else 1
    order = ranked(
        waiting,
        uncertain,
        disagrees,
        np.array(features, dtype=np.float64).reshape(-1, width),
        np.array(seen, dtype=np.float64).reshape(-1, width),
    )[: settings.limit]
    for place, each in enumerate(order):
        # Later places are worth less, as images like them were asked about before.
        ask(
            store,
            each.record_id,
            stage=settings.stage,
            priority=(len(order) - place) / len(order),
            why=each.says(),
            reasons=each.reasons,
            key=f"annotate {each.record_id}",
        )
    return order


def _load(model: str) -> Predictor:
    return Predictor(model, cache=EmbeddingCache.default())


def _fill(store: Store, number: int, settings: StageSettings, predictor: Predictor, job: int) -> tuple[int, int]:
    """Propose masks for an image and save them; gives how many were kept and how many flagged."""
    stored = store.records.get(number)
    image = store.image(number)
    embedding = predictor.embed(image)
    learned = confidence(store) if settings.stage == "semi-automatic" else None
    if learned is not None and learned.model_digest != predictor.backend.model_digest:
        learned = None
    thresholds = settings.thresholds(learned)
    found = propose(predictor, image, thresholds, points_per_side=settings.points_per_side)
    earlier = [one for one in stored.record.annotations if _may_be_replaced(one)]
    decided = [one.segmentation for one in stored.record.annotations if not _may_be_replaced(one)]
    if decided and found:
        same = rle_iou_matrix([one.segmentation for one in found], decided).max(axis=1) > settings.overlap_thresh
        found = [one for one, is_known in zip(found, same.tolist(), strict=True) if not is_known]
    put = _judged(found, settings, predictor, embedding, learned, job)
    if put or earlier:
        store.records.save(
            number,
            expected=stored.revision,
            actor=ENGINE,
            put=put,
            remove=[one.id for one in earlier],
            key=f"engine stage {job} record {number}",
        )
    flagged = sum(one.review_state == "flagged" for one in put)
    return len(put) - flagged, flagged


def _judged(
    found: Sequence[Annotation],
    settings: StageSettings,
    predictor: Predictor,
    embedding: ImageEmbedding,
    learned: Confidence | None,
    job: int,
) -> list[Annotation]:
    """Masks with what is known of them, and whether people must look."""
    if not found:
        return []
    digest, at = predictor.backend.model_digest, datetime.now(UTC)
    ask_people: list[bool] = [False] * len(found)
    extras: list[dict[str, Any]] = [{} for _ in found]
    if settings.stage == "semi-automatic":
        chances = _chances(found, embedding, learned)
        line = np.inf
        if learned is not None:
            line = learned.keep_from
            first = without_doubles([one.segmentation for one in found], chances, settings.overlap_thresh)
            worth = [place for place in first if chances[place] >= min(settings.ask_from, line)]
            found, chances = [found[place] for place in worth], [chances[place] for place in worth]
            if not found:
                return []
        ask_people = [chance < line for chance in chances]
        again = _asked_again(found[:_ASKED_AGAIN], predictor, embedding)
        extras = [{"confidence": round(chance, 4)} for chance in chances]
        for extra, iou in zip(extras, again, strict=False):
            extra["again"] = round(iou, 4)
    return [
        replace(
            one,
            id=f"auto-{job}-{place}",
            predicted_iou=float(one.predicted_iou or 0.0),
            source="automatic",
            review_state="flagged" if asked else "unreviewed",
            model_digest=digest,
            created_at=at,
            extra=extra,
        )
        for place, (one, asked, extra) in enumerate(zip(found, ask_people, extras, strict=True))
    ]


def _chances(found: Sequence[Annotation], embedding: ImageEmbedding, learned: Confidence | None) -> list[float]:
    """Probability that each mask would be accepted; before anything was learned, the product of the model's scores."""
    if learned is None:
        return [min(1.0, float(one.predicted_iou or 0.0) * float(one.stability_score or 0.0)) for one in found]
    return [float(chance) for chance in learned.of(evidence_of(embedding, found))]


def _asked_again(found: Sequence[Annotation], predictor: Predictor, embedding: ImageEmbedding) -> list[float]:
    """IoU of each mask with the model's answer to its box."""
    answers = predictor.predict_many(embedding, [Prompt(box=one.box) for one in found])
    masks = [answer.best() for answer in answers]
    return [float(rle_iou_matrix([one.segmentation], [mask])[0, 0]) for one, mask in zip(found, masks, strict=True)]


def _may_be_replaced(annotation: Annotation) -> bool:
    """Whether it is an engine's mask that nobody has decided on."""
    return (
        annotation.source == "automatic"
        and annotation.annotator is None
        and annotation.review_state in ("unreviewed", "flagged")
    )
