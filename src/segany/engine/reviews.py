"""What is learned from what people decided: which automatic masks they accept, and what they call things."""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice

import numpy as np

from segany.engine.classes import ClassNames, Head
from segany.engine.confidence import Confidence
from segany.engine.features import mask_features
from segany.engine.models import CLASSES, CONFIDENCE, keep
from segany.engine.proposals import LEARNED, evidence_of, finished_images, propose, would_be_accepted
from segany.predict import Predictor
from segany.schema import Annotation, Record
from segany.store import Store, StoredRecord

__all__ = ["NAMED_IMAGES", "REPLAYED_IMAGES", "learn_confidence", "learn_names", "named_masks"]

NAMED_IMAGES = 500
"""Names are learned from as many images, those that were changed last."""

REPLAYED_IMAGES = 40
"""What people accept is learned from as many finished images; each takes the time of `segany everything`."""

# The last ones; older ones were of other models, mostly.
_IMAGES = 500


def learn_confidence(
    store: Store,
    predictor: Predictor,
    *,
    actor: str,
    precision: float = 0.9,
    points_per_side: int = 32,
    progress: Callable[[int], None] | None = None,
) -> Confidence | None:
    """Learn which automatic masks people accept, and keep it with the store.

    Where people finished an image, the model in use proposes masks for it once more, and those that are the outline of
    something that was accepted count as accepted, the others as rejected: so a model is known before it was reviewed,
    and images that were drawn by hand teach as well. What shows the same as a mask that was kept without a look says
    nothing: else the model would confirm itself. Elsewhere the reviews of automatic masks count.

    Args:
        store: Whose reviews.
        predictor: The model in use.
        actor: Who asks for it.
        precision: As in `Confidence.learn`.
        points_per_side: Clicks along each side of an image, as the stage will make them.
        progress: Told how many finished images were looked at.

    Returns:
        None while too few masks were reviewed; nothing is kept then.
    """
    evidence, accepted, groups = [], list[bool](), list[int]()
    replayed = set[int]()
    for finished in islice(finished_images(store), REPLAYED_IMAGES):
        replayed.add(finished.record)
        image = store.image(finished.record)
        masks = propose(predictor, image, LEARNED, points_per_side=points_per_side)
        verdicts = [
            (one, good) for one, good in zip(masks, would_be_accepted(masks, finished), strict=True) if good is not None
        ]
        if verdicts:
            evidence.append(evidence_of(predictor.embed(image), [one for one, _ in verdicts]))
            accepted += [good for _, good in verdicts]
            groups += [finished.record] * len(verdicts)
        if progress is not None:
            progress(len(replayed))
    known = len(accepted)
    for stored, decided in _decided(store, replayed):
        evidence.append(evidence_of(predictor.embed(store.image(stored.id)), decided))
        accepted += [one.review_state == "accepted" for one in decided]
        groups += [stored.id] * len(decided)
    if not accepted:
        return None
    learned = Confidence.learn(
        np.concatenate(evidence),
        accepted,
        groups,
        model_digest=predictor.backend.model_digest,
        precision=precision,
        replayed=known,
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


def _decided(store: Store, passed_over: Collection[int]) -> Iterator[tuple[StoredRecord, Sequence[Annotation]]]:
    numbers = store.records.ids(has_pixels=True, has_masks=True)[-_IMAGES:]
    for stored in store.records.iterate([number for number in numbers if number not in passed_over]):
        masks = [
            one
            for one in stored.record.objects
            if one.source == "automatic" and one.review_state in ("accepted", "rejected") and one.area > 0
        ]
        if masks:
            yield stored, masks
