"""The hierarchy protocol: do masks that were linked as part and whole agree with what people drew?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from segany import weights
from segany.evaluate.items import Item
from segany.evaluate.metrics import Metric, Ratio, Row, Value
from segany.evaluate.protocol import EvaluationProtocol, Stages
from segany.evaluate.protocols.everything import Everything, MaskFinder
from segany.evaluate.subjects import SubjectSpec
from segany.masks import RLE, rle_iou_matrix
from segany.predict.automatic.hierarchy import find_parents, levels, link_parts
from segany.schema import Annotation, Record

__all__ = ["Hierarchy"]


@dataclass(frozen=True)
class Hierarchy(EvaluationProtocol):
    """Parts and wholes among automatic masks against annotated objects, and against annotated parts where there are.

    Annotated parts are those that name their whole (`parent_id`); where none does, objects that lie inside others.

    Attributes:
        points_per_side: Clicks along each side of the image.
        min_inside: Least share of a part inside its whole, for linking and for judging.
        match_iou: A mask with this IoU or more stands for an object.
    """

    name: ClassVar[str] = "hierarchy"
    summary: ClassVar[str] = (
        "Masks of an image linked as part and whole: do parts stay inside one annotated object, which level stands for "
        "an object, and are annotated parts linked to their wholes?"
    )
    unit: ClassVar[Literal["object", "image"]] = "image"
    main: ClassVar[str] = "parts inside their whole's object"

    points_per_side: int = 32
    min_inside: float = 0.9
    match_iou: float = 0.5

    def open_subject(self, spec: SubjectSpec, progress: weights.Progress | None = None) -> Any:
        """As the everything protocol."""
        return Everything(points_per_side=self.points_per_side).open_subject(spec, progress)

    def rows(self, item: Item, subjects: Sequence[Any], stages: Stages) -> list[Row]:
        """See `EvaluationProtocol.rows`."""
        finder: MaskFinder = subjects[0]
        with stages("read"):
            image = item.open()
        with stages("predict"):
            found = link_parts(finder.find(image), self.min_inside)
        with stages("score"):
            columns = _links(found) | self._against(found, item.objects) | self._pairs(found, item.objects)
        return [columns]

    def _against(self, found: Record, objects: Sequence[Annotation]) -> dict[str, Value]:
        """Levels and parts against annotated objects."""
        masks = [annotation.segmentation for annotation in found.annotations]
        truths = [annotation.segmentation for annotation in objects]
        if not masks or not truths:
            return {"objects": len(truths), "found_objects": 0, "found_as_wholes": 0}
        ious, inside = rle_iou_matrix(masks, truths), _inside(masks, truths)
        depth = np.array(levels(found))
        best = ious.argmax(axis=0)
        matched = ious.max(axis=0) >= self.match_iou
        roots = _roots(found)
        parts = np.flatnonzero(depth > 0)
        whole_object = ious[roots[parts]].argmax(axis=1)
        known = ious[roots[parts], whole_object] >= self.match_iou
        at_home = inside[parts, whole_object] >= self.min_inside
        return {
            "objects": len(truths),
            "found_objects": int(np.count_nonzero(matched)),
            "found_as_wholes": int(np.count_nonzero(matched & (depth[best] == 0))),
            "found_as_parts": int(np.count_nonzero(matched & (depth[best] == 1))),
            "found_as_subparts": int(np.count_nonzero(matched & (depth[best] > 1))),
            "parts_pure": int(np.count_nonzero(inside[parts].max(axis=1) >= self.min_inside)),
            "parts_of_known": int(np.count_nonzero(known)),
            "parts_at_home": int(np.count_nonzero(known & at_home)),
        }

    def _pairs(self, found: Record, objects: Sequence[Annotation]) -> dict[str, Value]:
        """Annotated parts: of those found together with their whole, how many are linked?"""
        places = {annotation.id: place for place, annotation in enumerate(objects)}
        truths = [annotation.segmentation for annotation in objects]
        named = [None if one.parent_id is None else places.get(one.parent_id) for one in objects]
        wholes = named if any(one is not None for one in named) else find_parents(truths, self.min_inside)
        pairs = [(part, whole) for part, whole in enumerate(wholes) if whole is not None]
        linked = both = 0
        if pairs and found.annotations:
            ious = rle_iou_matrix([annotation.segmentation for annotation in found.annotations], truths)
            best, reached = ious.argmax(axis=0), ious.max(axis=0) >= self.match_iou
            ids = [annotation.id for annotation in found.annotations]
            for part, whole in pairs:
                if reached[part] and reached[whole] and best[part] != best[whole]:
                    both += 1
                    linked += ids[best[whole]] in _ancestors(found, ids[best[part]])
        return {"annotated_parts": len(pairs), "pairs_found": both, "pairs_linked": linked}

    def metrics(self) -> Mapping[str, Metric]:
        """See `EvaluationProtocol.metrics`."""
        return {
            "parts inside their whole's object": Ratio("parts_at_home", "parts_of_known"),
            "parts inside one object": Ratio("parts_pure", "parts"),
            "part's share inside its whole": Ratio("inside_sum", "parts"),
            "objects found": Ratio("found_objects", "objects"),
            "objects found as wholes": Ratio("found_as_wholes", "found_objects"),
            "objects found as parts": Ratio("found_as_parts", "found_objects"),
            "objects found as subparts": Ratio("found_as_subparts", "found_objects"),
            "annotated parts linked": Ratio("pairs_linked", "pairs_found"),
            "annotated parts": Ratio("annotated_parts", unit="number"),
            "masks that are parts": Ratio("parts", "masks"),
            "deepest level": Ratio("deepest", unit="number"),
        }


def _links(found: Record) -> dict[str, Value]:
    """What is true of any hierarchy, whoever drew what."""
    by_id = {annotation.id: annotation for annotation in found.annotations}
    shares = [
        one.segmentation.intersection(by_id[one.parent_id].segmentation) / one.segmentation.area
        for one in found.annotations
        if one.parent_id is not None
    ]
    return {
        "masks": len(found.annotations),
        "parts": len(shares),
        "inside_sum": float(np.sum(shares)),
        "inside_least": min(shares, default=None),
        "deepest": max(levels(found), default=0),
    }


def _inside(masks: Sequence[RLE], truths: Sequence[RLE]) -> NDArray[np.float64]:
    """[N, M]: the share of each mask that lies in each object."""
    return rle_iou_matrix(masks, truths, [True] * len(truths))


def _roots(found: Record) -> NDArray[np.int64]:
    """[N] int64: the place of the mask that each one belongs to in the end."""
    places = {annotation.id: place for place, annotation in enumerate(found.annotations)}
    return np.array(
        [
            places[_ancestors(found, one.id)[-1]] if one.parent_id is not None else places[one.id]
            for one in found.annotations
        ],
        dtype=np.int64,
    )


def _ancestors(found: Record, number: int | str) -> list[int | str]:
    """Ids of the masks above one, the nearest first."""
    parents = {annotation.id: annotation.parent_id for annotation in found.annotations}
    above: list[int | str] = []
    at = parents[number]
    while at is not None:
        above.append(at)
        at = parents[at]
    return above
