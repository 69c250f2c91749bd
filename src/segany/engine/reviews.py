"""What is learned from what people decided: which automatic masks they accept, and what they call things."""

from collections.abc import Iterator, Sequence

import numpy as np

from segany.engine.classes import ClassNames, Head
from segany.engine.confidence import Confidence, mask_evidence
from segany.engine.features import mask_features
from segany.engine.models import CLASSES, CONFIDENCE, keep
from segany.predict import Predictor
from segany.schema import Annotation, Record
from segany.store import Store, StoredRecord

__all__ = ["NAMED_IMAGES", "learn_confidence", "learn_names", "named_masks"]

NAMED_IMAGES = 500
"""Names are learned from as many images, those that were changed last."""

# The last ones; older ones were of other models, mostly.
_IMAGES = 500


def learn_confidence(store: Store, predictor: Predictor, *, actor: str, precision: float = 0.9) -> Confidence | None:
    """Learn which automatic masks people accept, and keep it with the store.

    Args:
        store: Whose reviews.
        predictor: The model in use.
        actor: Who asks for it.
        precision: As in `Confidence.learn`.

    Returns:
        None while too few masks were reviewed; nothing is kept then.
    """
    evidence, accepted, groups = [], list[bool](), list[int]()
    for stored, masks in _decided(store):
        features = mask_features(predictor.embed(store.image(stored.id)), [one.segmentation for one in masks])
        scores = [float(one.predicted_iou or 0.0) for one in masks]
        stability = [float(one.stability_score or 0.0) for one in masks]
        evidence.append(
            mask_evidence(features, scores, stability, [one.area / one.segmentation.size.area for one in masks])
        )
        accepted += [one.review_state == "accepted" for one in masks]
        groups += [stored.id] * len(masks)
    if not accepted:
        return None
    learned = Confidence.learn(
        np.concatenate(evidence),
        accepted,
        groups,
        model_digest=predictor.backend.model_digest,
        precision=precision,
    )
    if learned is not None:
        keep(store, learned, CONFIDENCE, actor=actor)
    return learned


def learn_names(store: Store, predictor: Predictor, *, actor: str, head: Head = "auto") -> ClassNames | None:
    """Learn what things are called from masks that people gave a class, and keep it with the store.

    Args:
        store: Whose masks.
        predictor: The model in use.
        actor: Who asks for it.
        head: As in `ClassNames.learn`.

    Returns:
        None while no mask counts; see `named_masks`.
    """
    features, names = [], list[str]()
    for stored in store.records.iterate(sorted(number for number, _ in store.records.named(limit=NAMED_IMAGES))):
        if named := named_masks(stored.record):
            embedding = predictor.embed(store.image(stored.id))
            features.append(mask_features(embedding, [one.segmentation for one in named]))
            names += [str(one.category) for one in named]
    if not names:
        return None
    digest = predictor.backend.encoder_digest
    learned = ClassNames.learn(np.concatenate(features), names, head=head, encoder_digest=digest)
    keep(store, learned, CLASSES, actor=actor)
    return learned


def named_masks(record: Record) -> list[Annotation]:
    """The masks that teach names.

    Accepted ones, and those that wait for a review if a person made, changed or named them: who names a cup expects the
    next cup to be known. Rejected and flagged ones are in doubt, and a machine's guess that nobody saw teaches nothing.

    Args:
        record: Whose masks.
    """
    return [
        one
        for one in record.objects
        if one.category is not None
        and one.area > 0
        and (
            one.review_state == "accepted"
            or (one.review_state == "unreviewed" and (one.source != "automatic" or one.annotator is not None))
        )
    ]


def _decided(store: Store) -> Iterator[tuple[StoredRecord, Sequence[Annotation]]]:
    for stored in store.records.iterate(store.records.ids(has_pixels=True, has_masks=True)[-_IMAGES:]):
        masks = [
            one
            for one in stored.record.objects
            if one.source == "automatic" and one.review_state in ("accepted", "rejected") and one.area > 0
        ]
        if masks:
            yield stored, masks
