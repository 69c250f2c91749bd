"""Proposals: everything the model said about an image, kept small, so that thresholds can be moved for free."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError
from segany.geometry import Frame, nms
from segany.masks import RLE, LogitWindow, remove_small_regions
from segany.predict.automatic._clicks import MASK_OVERHEAD
from segany.predict.automatic._enlarged import Enlarged, EnlargedMask, enlarge
from segany.predict.automatic._suppress import inclusive, overlap, touches_inner_edge
from segany.predict.automatic.settings import GridSettings, Thresholds
from segany.schema import Annotation, ImageInfo, Record

__all__ = ["CropProposals", "Proposals", "proposal_score", "rank"]

# Windows of fewer cells are soon enlarged, and no estimate is good for them.
_SMALL_WINDOW = 1024
# For the others: the estimate was off by at most 0.022 on 2,900 masks of two photos.
_STABILITY_SLACK = 0.04


@dataclass(frozen=True, eq=False)
class CropProposals:
    """What was found in one crop. K masks, from the highest predicted IoU to the lowest, ties by click.

    Attributes:
        box: XYXY half-open, the crop in the whole image.
        layer: Crop layer, 0 the whole image.
        frame: Where the crop lies in the model's input.
        points: [K, 2] float64 (x, y), the click of each mask, pixels of the whole image.
        levels: [K] int64: 1 whole, 2 part, 3 subpart, as the decoder numbers its masks.
        iou_predictions: [K] float32.
        stability: [K] float64, estimated at low resolution.
        inner: [K, 4] int64, XYXY with inclusive maxima, pixels of the crop: no larger than the enlarged mask's box.
        outer: [K, 4] int64, the same, no smaller.
        windows: K windows of logits.
    """

    box: tuple[int, int, int, int]
    layer: int
    frame: Frame
    points: NDArray[np.float64]
    levels: NDArray[np.int64]
    iou_predictions: NDArray[np.float32]
    stability: NDArray[np.float64]
    inner: NDArray[np.int64]
    outer: NDArray[np.int64]
    windows: tuple[LogitWindow, ...]


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

    @cached_property
    def _window_bytes(self) -> int:
        return sum(window.cells.nbytes + MASK_OVERHEAD for crop in self.crops for window in crop.windows)

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
        """Filters and greedy NMS of one crop: decided on low-resolution bounds, and at full size where these differ."""
        crop = self.crops[place]
        offset = np.array(crop.box[:2] * 2)
        inner, outer = crop.inner + offset, crop.outer + offset
        whole = np.array([0, 0, self.image.size.width, self.image.size.height])
        passing = self._may_pass(crop, wanted)
        alive = np.flatnonzero(passing)
        while len(alive):
            best, alive = int(alive[0]), alive[1:]
            mask = self._full(place, best)
            if mask.rle.area == 0 or mask.stability < wanted.stability_score_thresh:
                continue
            box = inclusive(mask.rle.box)
            if touches_inner_edge(box, crop.box, whole):
                continue
            yield best, mask
            kept = np.array(box)
            does, may = overlap(kept, inner[alive], outer[alive], wanted.box_nms_thresh)
            for candidate in alive[may].tolist():
                exact = self._full(place, candidate).rle
                inner[candidate] = outer[candidate] = inclusive(exact.box)
            if may.any():
                does, _ = overlap(kept, inner[alive], outer[alive], wanted.box_nms_thresh)
            alive = alive[~does]

    def _may_pass(self, crop: CropProposals, wanted: Thresholds) -> NDArray[np.bool_]:
        passing = np.ones(len(crop.windows), dtype=np.bool_)
        if wanted.pred_iou_thresh > 0:
            passing &= crop.iou_predictions > wanted.pred_iou_thresh
        return passing & (crop.stability >= wanted.stability_score_thresh - _stability_slack(crop.windows))

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


def _stability_slack(windows: Sequence[LogitWindow]) -> NDArray[np.float64]:
    """How far below the threshold an estimated stability score may lie for the mask to be looked at at full size."""
    cells = np.array([window.cells.size for window in windows])
    return np.where(cells < _SMALL_WINDOW, 1.0, _STABILITY_SLACK)


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
