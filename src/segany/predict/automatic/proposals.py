"""Proposals: everything the model said about an image, kept small, so that thresholds can be moved for free."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from segany.errors import ConfigError
from segany.geometry import nms
from segany.masks import RLE, remove_small_regions
from segany.predict.automatic._enlarged import Enlarged, EnlargedMask, enlarge
from segany.predict.automatic._greedy import greedy
from segany.predict.automatic._suppress import inclusive
from segany.predict.automatic.crop import CropProposals
from segany.predict.automatic.settings import GridSettings, Thresholds
from segany.schema import Annotation, ImageInfo, Record

__all__ = ["Proposals", "proposal_score", "rank"]


@dataclass(frozen=True, eq=False)
class Proposals:
    """Every mask that the generator found in an image, above its floor.

    Attributes:
        image: The image.
        crops: What was found in each crop, the whole image first.
        grid: How it was found.
        model_digest: Digest of the model's parameters.
        max_bytes: Memory that masks may take, those remembered at full size included.
        clicks: Clicks made, over all crops.
        complete: False when time ran out before all clicks were made.
        forgotten: Masks above the floor that were dropped for want of memory, those of lowest predicted IoU first.
    """

    image: ImageInfo
    crops: tuple[CropProposals, ...]
    grid: GridSettings
    model_digest: str
    max_bytes: int
    clicks: int
    complete: bool = True
    forgotten: int = 0
    _enlarged: Enlarged = field(default_factory=Enlarged, repr=False)

    def __len__(self) -> int:
        """Number of proposals, over all crops."""
        return sum(len(crop.windows) for crop in self.crops)

    @property
    def nbytes(self) -> int:
        """Memory that the masks take, in bytes."""
        return self._window_bytes + self._enlarged.nbytes

    @property
    def _window_bytes(self) -> int:
        return sum(crop.nbytes for crop in self.crops)

    def select(self, thresholds: Thresholds | None = None) -> Record:
        """The masks that pass, without duplicates: the reference generator's answer.

        Only masks that are kept are enlarged, and those whose fate hangs on a pixel of their box.

        Args:
            thresholds: What to keep; the reference's defaults when left out.

        Returns:
            The record: best mask first within each crop, the most zoomed crops first.

        Raises:
            ConfigError: `pred_iou_thresh` lies below the grid's floor.
        """
        wanted = thresholds or Thresholds()
        kept = list(self.iterate(wanted))
        if len(self.crops) > 1 and kept:
            kept = _across_crops(kept, wanted.crop_nms_thresh)
        if wanted.min_mask_region_area > 0 and kept:
            kept = _clean(kept, wanted.min_mask_region_area, max(wanted.box_nms_thresh, wanted.crop_nms_thresh))
        return Record(self.image, tuple(replace(annotation, id=number) for number, annotation in enumerate(kept)))

    def iterate(self, thresholds: Thresholds | None = None) -> Iterator[Annotation]:
        """Masks as they are enlarged, before duplicates between crops are removed and small regions cleaned up.

        Raises:
            ConfigError: As in `select`.
        """
        return (annotation for annotation, _, _ in self.survivors(thresholds))

    def survivors(self, thresholds: Thresholds | None = None) -> Iterator[tuple[Annotation, CropProposals, int]]:
        """As `iterate`, each mask with its crop and its index there, for those who want its logits.

        Raises:
            ConfigError: As in `select`.
        """
        wanted = thresholds or Thresholds()
        if wanted.pred_iou_thresh < self.grid.floor:
            raise ConfigError(
                f"pred_iou_thresh {wanted.pred_iou_thresh} lies below {self.grid.floor}, the floor of these proposals, "
                "and masks under it were not kept; propose again with GridSettings(floor=...)."
            )
        number = 0
        for place, crop in enumerate(self.crops):
            for index, mask in self._within(place, wanted):
                yield self._annotation(number, crop, index, mask), crop, index
                number += 1

    def _within(self, place: int, wanted: Thresholds) -> Iterator[tuple[int, EnlargedMask]]:
        size = self.image.size
        return greedy(
            self.crops[place],
            np.array([0, 0, size.width, size.height]),
            wanted,
            self.grid.stability_score_offset,
            lambda index: self._full(place, index),
        )

    def _full(self, place: int, index: int) -> EnlargedMask:
        crop = self.crops[place]
        key = (place, index)
        if (known := self._enlarged.get(key)) is not None:
            return known
        made = enlarge(crop.windows[index], crop.frame, crop.box, self.image.size, self.grid.stability_score_offset)
        self._enlarged.put(key, made, self.max_bytes - self._window_bytes)
        return made

    def _annotation(self, number: int, crop: CropProposals, index: int, mask: EnlargedMask) -> Annotation:
        x, y = crop.points[index].tolist()
        x0, y0, x1, y1 = (float(value) for value in crop.box)
        return Annotation(
            id=number,
            segmentation=mask.rle,
            predicted_iou=float(crop.iou_predictions[index]),
            stability_score=mask.stability,
            point_coords=((x, y),),
            crop_box=(x0, y0, x1, y1),
            source="automatic",
            model_digest=self.model_digest,
        )


def proposal_score(annotation: Annotation) -> float:
    """Mean of predicted IoU and stability, by which proposals are ranked (SAM paper, app. D.4)."""
    return ((annotation.predicted_iou or 0.0) + (annotation.stability_score or 0.0)) / 2


def rank(record: Record) -> Record:
    """Order masks by `proposal_score`, the highest first."""
    ordered = sorted(record.annotations, key=lambda annotation: -proposal_score(annotation))
    return replace(record, annotations=tuple(ordered))


def _across_crops(found: Sequence[Annotation], threshold: float) -> list[Annotation]:
    boxes = np.array([inclusive(a.box) for a in found], dtype=np.float32)
    crops = np.array([a.crop_box for a in found], dtype=np.float64)
    zoom = 1 / ((crops[:, 2] - crops[:, 0]) * (crops[:, 3] - crops[:, 1]))
    return [found[k] for k in nms(boxes, zoom, threshold)]


def _clean(found: Sequence[Annotation], min_area: int, threshold: float) -> list[Annotation]:
    """Fill small holes, remove small islands, and drop what became a duplicate; untouched masks win."""
    cleaned: list[Annotation] = []
    untouched: list[float] = []
    for annotation in found:
        mask, filled = remove_small_regions(annotation.segmentation.to_mask(), min_area, "holes")
        mask, removed = remove_small_regions(mask, min_area, "islands")
        untouched.append(float(not (filled or removed)))
        if filled or removed:
            rle = RLE.from_mask(mask)
            x0, y0, x1, y1 = (float(value) for value in rle.box)
            annotation = replace(annotation, segmentation=rle, box=(x0, y0, x1, y1), area=rle.area)
        cleaned.append(annotation)
    boxes = np.array([inclusive(a.box) for a in cleaned], dtype=np.float32)
    return [cleaned[k] for k in nms(boxes, np.array(untouched), threshold)]
