"""The hierarchy protocol by hand."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segany.evaluate.items import EvaluationSet, Item
from segany.evaluate.protocol import Stages
from segany.evaluate.protocols import Hierarchy
from segany.formats import coco
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, Image, Record

SIZE = Size(90, 120)


def box(x0: int, y0: int, x1: int, y1: int) -> RLE:
    mask = np.zeros(SIZE, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return RLE.from_mask(mask)


class Known:
    """Finds given masks."""

    name = digest = "known"
    about: Mapping[str, str] = {}

    def __init__(self, *masks: RLE) -> None:
        self._masks = masks

    def find(self, image: Image) -> Record:
        return Record(image.info, tuple(Annotation(k + 5, mask) for k, mask in enumerate(self._masks)))


# A whole, a part of it, a part of that part, and a part that reaches over the object's border, inside no object.
MASKS = (box(0, 0, 60, 60), box(0, 0, 30, 30), box(5, 5, 15, 15), box(40, 20, 60, 40), box(70, 60, 80, 70))


def item_of(made: Path, *truths: RLE, parents: Mapping[int, int] | None = None) -> Item:
    info = next(iter(coco.read_records(made / "instances.json"))).image
    item = next(EvaluationSet("made", made, unit="image").items())
    annotations = [Annotation(k, mask, parent_id=(parents or {}).get(k)) for k, mask in enumerate(truths)]
    return replace(item, record=Record(info, tuple(annotations)))


def test_levels_and_parts_against_objects(made: Path) -> None:
    item = item_of(made, box(0, 0, 50, 60), box(0, 0, 29, 30), box(71, 60, 80, 70), box(90, 0, 100, 9))
    (row,) = Hierarchy().rows(item, [Known(*MASKS)], Stages())
    assert (row["masks"], row["parts"], row["deepest"]) == (5, 3, 2)
    assert row["inside_sum"] == 3
    assert row["inside_least"] == 1
    # The big object by a whole, the one in it by a part, the third by a whole, the last by nothing.
    assert (row["objects"], row["found_objects"], row["found_as_wholes"]) == (4, 3, 2)
    assert (row["found_as_parts"], row["found_as_subparts"]) == (1, 0)
    # All parts belong to the mask of the big object; half of the last one lies outside it.
    assert (row["parts_of_known"], row["parts_at_home"], row["parts_pure"]) == (3, 2, 2)
    # One object lies in another; both were found, by a part and its whole.
    assert (row["annotated_parts"], row["pairs_found"], row["pairs_linked"]) == (1, 1, 1)


def test_annotated_parts_go_before_containment(made: Path) -> None:
    item = item_of(made, MASKS[0], MASKS[1], MASKS[4], parents={2: 0})
    (row,) = Hierarchy().rows(item, [Known(*MASKS)], Stages())
    # The third is a part by annotation, and was not linked to the first: it lies elsewhere.
    assert (row["annotated_parts"], row["pairs_found"], row["pairs_linked"]) == (1, 1, 0)


def test_nothing_drawn_or_nothing_found(made: Path) -> None:
    metrics = Hierarchy().metrics()
    for item, finder in ((item_of(made), Known(*MASKS)), (item_of(made, MASKS[0]), Known())):
        rows = Hierarchy().rows(item, [finder], Stages())
        for metric in metrics.values():
            metric.update(rows)
    assert metrics["objects found"].value() == 0
    assert np.isnan(metrics["objects found as wholes"].value())
    assert metrics["masks that are parts"].value() == pytest.approx(3 / 5)
    assert metrics["part's share inside its whole"].value() == 1
