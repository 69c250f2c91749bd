"""From the store's and the schema's nouns to the words of the API."""

from collections.abc import Collection

from segany.predict import ImageEmbedding
from segany.schema import Annotation, ModelCard, Prompt
from segany.serve._everything import Run
from segany.store import AccessKey, CategoryInfo, Event, FrozenVersion, Job, RecordSummary, StoredRecord, User
from segany.wire import (
    AnnotationReply,
    CategoryReply,
    EventReply,
    EverythingReply,
    FrameReply,
    ImageReply,
    JobReply,
    Mask,
    ModelCardReply,
    PromptWords,
    RecordReply,
    RecordSummaryReply,
    RevisionReply,
    TokenReply,
    UserReply,
    VersionReply,
)

__all__ = [
    "annotation_reply",
    "card_reply",
    "category_reply",
    "event_reply",
    "frame_reply",
    "job_reply",
    "record_reply",
    "revision_reply",
    "run_reply",
    "summary_reply",
    "token_reply",
    "user_reply",
    "version_reply",
]


def annotation_reply(annotation: Annotation) -> AnnotationReply:
    """An annotation; not checked again, there may be hundreds."""
    return AnnotationReply.model_construct(
        id=annotation.id,
        mask=Mask.of(annotation.segmentation),
        box=annotation.box,
        area=annotation.area,
        category=annotation.category,
        source=annotation.source,
        review_state=annotation.review_state,
        iscrowd=annotation.iscrowd,
        predicted_iou=annotation.predicted_iou,
        stability_score=annotation.stability_score,
        prompts=[_prompt_words(prompt) for prompt in annotation.prompts],
        annotator=annotation.annotator,
        seconds_spent=annotation.seconds_spent,
        parent_id=annotation.parent_id,
        model_digest=annotation.model_digest,
        created_at=annotation.created_at,
    )


def record_reply(stored: StoredRecord, only: Collection[int | str] | None = None) -> RecordReply:
    """A record; of its annotations only those of some ids, where such are given."""
    info = stored.record.image
    told = [each for each in stored.record.annotations if only is None or each.id in only]
    image = ImageReply(
        file_name=info.file_name,
        size=(info.size.height, info.size.width),
        digest=info.digest,
        channels=info.channels,
        dtype=info.dtype,
        licence=info.licence,
        group=info.group,
    )
    return RecordReply.model_construct(
        id=stored.id,
        revision=stored.revision,
        image=image,
        annotations=[annotation_reply(each) for each in told],
        split=stored.split,
        has_image=stored.has_pixels,
        altered=stored.altered,
        partial=only is not None,
    )


def summary_reply(summary: RecordSummary) -> RecordSummaryReply:
    """A record in a list."""
    return RecordSummaryReply(
        id=summary.id,
        file_name=summary.file_name,
        size=(summary.size.height, summary.size.width),
        masks=dict(summary.masks),
        split=summary.split,
        has_image=summary.has_pixels,
        altered=summary.altered,
        revision=summary.revision,
    )


def revision_reply(event: Event) -> RevisionReply:
    """A change of a record, from its event."""
    told = event.details
    return RevisionReply(
        revision=event.revision or 0,
        at=event.at,
        actor=event.actor,
        kind=event.kind,
        added=list(told.get("added", ())),
        changed=list(told.get("changed", ())),
        removed=list(told.get("removed", ())),
        note=told.get("note"),
        key=event.key,
    )


def frame_reply(embedding: ImageEmbedding) -> FrameReply:
    """How the image lies in the model's input."""
    frame = embedding.frame
    return FrameReply(
        original=(frame.original.height, frame.original.width),
        model=(frame.model.height, frame.model.width),
        padded=(frame.padded.height, frame.padded.width),
    )


def run_reply(run: Run) -> EverythingReply:
    """Where a run of everything stands."""
    found = run.proposals
    return EverythingReply(
        run=run.name,
        state=run.state,
        done=1.0 if run.state == "done" else run.clicks / run.total if run.total else 0.0,
        proposals=0 if found is None else len(found),
        complete=found is not None and found.complete,
        message=None if run.error is None else str(run.error),
    )


def job_reply(job: Job) -> JobReply:
    """A job, without its payload and its token."""
    return JobReply(**{name: getattr(job, name) for name in JobReply.model_fields})


def user_reply(user: User) -> UserReply:
    """A user."""
    return UserReply(name=user.name, role=user.role, disabled=user.disabled, created_at=user.created_at)


def token_reply(key: AccessKey) -> TokenReply:
    """A token."""
    return TokenReply(
        id=key.id, label=key.label, created_at=key.created_at, expires_at=key.expires_at, last_used_at=key.used_at
    )


def category_reply(category: CategoryInfo) -> CategoryReply:
    """A class name."""
    return CategoryReply(**{name: getattr(category, name) for name in CategoryReply.model_fields})


def event_reply(event: Event) -> EventReply:
    """An event."""
    return EventReply(
        id=event.id,
        at=event.at,
        actor=event.actor,
        kind=event.kind,
        record_id=event.record_id,
        revision=event.revision,
        details=dict(event.details),
    )


def version_reply(version: FrozenVersion) -> VersionReply:
    """A frozen version."""
    return VersionReply(**{name: getattr(version, name) for name in VersionReply.model_fields})


def card_reply(card: ModelCard) -> ModelCardReply:
    """A model card, without its config."""
    return ModelCardReply(
        name=card.name,
        digest=card.digest,
        status=card.status,
        parent=card.parent,
        trained_on=card.trained_on,
        licence=card.licence,
        scores=dict(card.scores),
    )


def _prompt_words(prompt: Prompt) -> PromptWords:
    kept = prompt.to_dict()
    mask = kept.get("mask")
    if mask is not None:
        counts = mask["counts"]
        mask = Mask(size=tuple(mask["size"]), counts=counts if isinstance(counts, str) else counts.decode("ascii"))
    return PromptWords.model_construct(
        points=[(x, y) for x, y in kept["points"]] if "points" in kept else None,
        labels=kept.get("labels"),
        box=tuple(kept["box"]) if "box" in kept else None,
        mask=mask,
        logits=None,
    )
