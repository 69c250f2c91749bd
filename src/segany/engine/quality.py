"""Quality: second looks, gold questions, and how far people agree."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segany.engine.tasks import BLIND, OPEN, ask
from segany.errors import ConfigError
from segany.masks import RLE, rle_iou_matrix
from segany.store import Store

__all__ = ["Agreement", "agreement", "ask_gold", "ask_second_looks", "compare_masks"]

SAME_OBJECT = 0.5


@dataclass(frozen=True)
class Agreement:
    """How far one person's masks agree with others', or with known ones.

    Attributes:
        annotator: Who.
        purpose: "second_look": with other people's masks. "gold": with known ones.
        images: How many images were compared.
        masks: Masks of both sides together, each pair counting once.
        found: Share of them that both have (IoU of at least .5).
        iou: Mean IoU of those that both have; people agree at .85 to .91 (SAM paper, sec. 5).
        seconds: Mean working time for an image.
    """

    annotator: str
    purpose: str
    images: int
    masks: int
    found: float
    iou: float
    seconds: float


def ask_second_looks(store: Store, *, share: float, seed: int = 0) -> list[int]:
    """Have a share of the finished images annotated once more, by someone else.

    Args:
        store: Where.
        share: 0 to 1 of the finished images; asking for more later adds to those that were chosen before.
        seed: Which ones.

    Returns:
        The records.

    Raises:
        ConfigError: The share is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"share must lie between 0 and 1, got {share:g}.")
    done = store.jobs.list(kinds=[OPEN], states=["done"], limit=100_000)
    records = sorted({job.record_id for job in done if job.record_id is not None})
    chosen = [record for record in records if _draw(record, seed) < share]
    for record in chosen:
        ask(store, record, purpose="second_look", priority=1.0, key=f"second look {record}")
    return chosen


def ask_gold(store: Store, records: Sequence[int], annotators: Sequence[str]) -> None:
    """Ask people what is known already: the accepted masks of these records.

    Args:
        store: Where.
        records: Images whose accepted masks are known to be right and complete.
        annotators: Who is asked; each gets every question once.
    """
    for record in records:
        for annotator in annotators:
            ask(
                store,
                record,
                purpose="gold",
                priority=1.0,
                assignee=annotator,
                key=f"gold {record} {annotator}",
            )


def agreement(store: Store) -> list[Agreement]:
    """How far people agree, from the blind tasks that were done; by purpose and name."""
    sums: Mapping[tuple[str, str], list[tuple[int, int, float, float]]] = defaultdict(list)
    for job in store.jobs.list(kinds=[BLIND], states=["done"], limit=100_000):
        if job.record_id is None:
            continue
        known = [
            one.segmentation
            for one in store.records.get(job.record_id).record.objects
            if one.review_state == "accepted"
        ]
        masks = [RLE.from_coco(mask) for mask in job.result["masks"]]
        pairs = compare_masks(masks, known)
        count = len(masks) + len(known) - len(pairs)
        entry = (count, len(pairs), float(sum(pairs)), float(job.result["seconds"]))
        sums[job.payload["purpose"], job.result["annotator"]].append(entry)
    found = []
    for (purpose, annotator), entries in sorted(sums.items()):
        total, both, ious, seconds = (float(sum(column)) for column in zip(*entries, strict=True))
        found.append(
            Agreement(
                annotator,
                purpose,
                len(entries),
                int(total),
                both / total if total else 1.0,
                ious / both if both else 0.0,
                seconds / len(entries),
            )
        )
    return found


def compare_masks(masks: Sequence[RLE], others: Sequence[RLE]) -> list[float]:
    """IoUs of the masks that both sides have: each with at most one of the other side, the sum being the largest.

    Args:
        masks: Of one image.
        others: Of the same image.
    """
    from scipy.optimize import linear_sum_assignment

    if not masks or not others:
        return []
    ious: NDArray[np.float64] = rle_iou_matrix(list(masks), list(others))
    rows, columns = linear_sum_assignment(np.where(ious >= SAME_OBJECT, ious, 0), maximize=True)
    return [float(ious[r, c]) for r, c in zip(rows, columns, strict=True) if ious[r, c] >= SAME_OBJECT]


def _draw(record: int, seed: int) -> float:
    digest = hashlib.sha256(f"{seed} {record}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
