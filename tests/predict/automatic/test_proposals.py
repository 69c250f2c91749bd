from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from segany.errors import ConfigError
from segany.geometry import Frame, Size, crop_boxes, nms, point_grid
from segany.masks import RLE, remove_small_regions
from segany.predict import Predictor
from segany.predict.automatic import AutomaticMaskGenerator, GridSettings, Proposals, Thresholds, rank
from segany.predict.backends import FakeBackend
from segany.schema import PADDING, POSITIVE, PromptBatch, Record


class Plain(NamedTuple):
    """One mask the plain way: everything enlarged before anything is decided."""

    mask: NDArray[np.bool_]
    score: float
    stability: float
    box: tuple[int, int, int, int]
    crop: tuple[int, int, int, int]
    point: tuple[float, float]


def plainly(backend: FakeBackend, image: NDArray[np.uint8], grid: GridSettings, wanted: Thresholds) -> list[Plain]:
    """The generator's answer without windows, bounds, budgets or any other order than the reference's."""
    found: list[Plain] = []
    size = Size(*image.shape[:2])
    crops = crop_boxes(size, grid.crop_n_layers, grid.crop_overlap_ratio)
    for (x0, y0, x1, y1), layer in zip(crops.boxes.tolist(), crops.layers.tolist(), strict=True):
        frame = Frame.longest_side(Size(y1 - y0, x1 - x0), 1024)
        clicks = grid.layer_grids()[layer] * (x1 - x0, y1 - y0)
        points = [np.stack([frame.to_model(click), (0, 0)]).astype(np.float32) for click in clicks]
        labels = [np.array([POSITIVE, PADDING], np.int32)] * len(points)
        (features,) = backend.encode([image[y0:y1, x0:x1]])
        scored = backend.score(features, PromptBatch(tuple(points), tuple(labels), (None,) * len(points)))
        here: list[Plain] = []
        for prompt, click in enumerate(clicks):
            for level in (1, 2, 3):
                score = scored.iou_predictions[prompt, level]
                if not score > wanted.pred_iou_thresh:
                    continue
                low = torch.from_numpy(backend.low_res(scored, np.array([[prompt, level]])))[None]
                low = F.interpolate(low, (1024, 1024), mode="bilinear")[..., : frame.model[0], : frame.model[1]]
                logits = F.interpolate(low, tuple(frame.original), mode="bilinear")[0, 0].numpy()
                offset = grid.stability_score_offset
                high, lower = np.count_nonzero(logits > offset), np.count_nonzero(logits > -offset)
                if not lower or high / lower < wanted.stability_score_thresh or not (logits > 0).any():
                    continue
                mask = np.zeros(size, bool)
                mask[y0:y1, x0:x1] = logits > 0
                y, x = np.nonzero(mask)
                box = (x.min(), y.min(), x.max(), y.max())
                near = [
                    abs(side - edge) <= 20 and abs(side - border) > 20
                    for side, edge, border in zip(box, (x0, y0, x1, y1), (0, 0, size[1], size[0]), strict=True)
                ]
                if not any(near):
                    at = (float(click[0]) + x0, float(click[1]) + y0)
                    here.append(Plain(mask, float(score), high / lower, box, (x0, y0, x1, y1), at))
        found += without_duplicates(here, [one.score for one in here], wanted.box_nms_thresh)
    if grid.crop_n_layers:
        areas = [(one.crop[2] - one.crop[0]) * (one.crop[3] - one.crop[1]) for one in found]
        found = without_duplicates(found, [1 / area for area in areas], wanted.crop_nms_thresh)
    return found


def without_duplicates(found: list[Plain], scores: list[float], threshold: float) -> list[Plain]:
    boxes = np.array([one.box for one in found], dtype=np.float32).reshape(-1, 4)
    return [found[k] for k in nms(boxes, scores, threshold)]


def proposals(backend: FakeBackend, image: NDArray[np.uint8], **settings: Any) -> Proposals:
    return AutomaticMaskGenerator(Predictor(backend=backend), GridSettings(**settings)).propose(image)


def assert_same(record: Record, plain: list[Plain]) -> None:
    assert [a.point_coords for a in record.annotations] == [(one.point,) for one in plain]
    for annotation, one in zip(record.annotations, plain, strict=True):
        assert annotation.segmentation == RLE.from_mask(one.mask)
        assert annotation.predicted_iou == one.score
        assert annotation.stability_score == pytest.approx(one.stability, abs=1e-9)
        assert annotation.box == (one.box[0], one.box[1], one.box[2] + 1, one.box[3] + 1)
        assert annotation.area == one.mask.sum()
        assert annotation.crop_box == one.crop


@pytest.mark.parametrize(
    "wanted",
    [
        Thresholds(),
        Thresholds(stability_score_thresh=0.8),
        Thresholds(stability_score_thresh=0, box_nms_thresh=0.3),
        Thresholds(pred_iou_thresh=0.9, stability_score_thresh=0.7, box_nms_thresh=0.9),
        Thresholds(stability_score_thresh=0.7, box_nms_thresh=1),
        Thresholds(stability_score_thresh=0.7, box_nms_thresh=0),
    ],
    ids=str,
)
def test_deciding_before_enlarging_gives_the_plain_answer(
    hills: Any, photo: NDArray[np.uint8], wanted: Thresholds
) -> None:
    found = proposals(hills, photo, points_per_side=8)
    plain = plainly(hills, photo, found.grid, wanted)
    assert plain or wanted == Thresholds()
    assert_same(found.select(wanted), plain)


@pytest.mark.parametrize("factor", [1, 2])
def test_crops_give_the_plain_answer(hills: Any, photo: NDArray[np.uint8], factor: int) -> None:
    wanted = Thresholds(stability_score_thresh=0.6)
    found = proposals(hills, photo, points_per_side=4, crop_n_layers=2, crop_n_points_downscale_factor=factor)
    assert [crop.layer for crop in found.crops] == [0] + [1] * 4 + [2] * 16
    plain = plainly(hills, photo, found.grid, wanted)
    assert {one.crop == (0, 0, 150, 96) for one in plain} == {True, False}
    assert_same(found.select(wanted), plain)


def test_a_small_change_of_the_offset_and_own_clicks(hills: Any, photo: NDArray[np.uint8]) -> None:
    grids = (point_grid(3)[::2], np.array([[0.5, 0.25], [1.0, 1.0]]))
    wanted = Thresholds(stability_score_thresh=0.9)
    found = proposals(hills, photo, point_grids=grids, crop_n_layers=1, stability_score_offset=0.25)
    plain = plainly(hills, photo, found.grid, wanted)
    assert plain
    assert_same(found.select(wanted), plain)


def test_only_masks_that_matter_are_enlarged_and_only_once(hills: Any, photo: NDArray[np.uint8]) -> None:
    found = proposals(hills, photo, points_per_side=16)
    wanted = Thresholds(stability_score_thresh=0.7)
    before = found.nbytes
    first = found.select(wanted)
    enlarged = found.nbytes - before
    assert 0 < len(first.annotations) < len(found) / 5
    assert enlarged > 0
    again = found.select(wanted)
    assert found.nbytes == before + enlarged
    assert [a.segmentation for a in again.annotations] == [a.segmentation for a in first.annotations]
    assert all(a.segmentation is b.segmentation for a, b in zip(first.annotations, again.annotations, strict=True))


def test_small_regions_are_cleaned_up_and_untouched_masks_come_first(hills: Any, photo: NDArray[np.uint8]) -> None:
    found = proposals(hills, photo, points_per_side=8)
    rough = Thresholds(stability_score_thresh=0.5)
    clean = Thresholds(stability_score_thresh=0.5, min_mask_region_area=30)
    before, after = found.select(rough).annotations, found.select(clean).annotations
    masks, flags = [], []
    for annotation in before:
        mask, filled = remove_small_regions(annotation.segmentation.to_mask(), 30, "holes")
        mask, removed = remove_small_regions(mask, 30, "islands")
        masks.append(RLE.from_mask(mask))
        flags.append(not (filled or removed))
    assert {True, False} == set(flags)
    kept = nms([[rle.box[0], rle.box[1], rle.box[2] - 1, rle.box[3] - 1] for rle in masks], flags, 0.7)
    assert [a.segmentation for a in after] == [masks[k] for k in kept]
    assert [(a.area, a.box) for a in after] == [(masks[k].area, masks[k].box) for k in kept]
    assert [a.predicted_iou for a in after] == [before[k].predicted_iou for k in kept]


def test_ids_count_and_the_rest_is_filled_in(hills: Any, photo: NDArray[np.uint8]) -> None:
    found = proposals(hills, photo, points_per_side=8)
    record = found.select(Thresholds(stability_score_thresh=0.8))
    assert record.image is found.image
    assert [a.id for a in record.annotations] == list(range(len(record.annotations)))
    assert {a.model_digest for a in record.annotations} == {hills.model_digest}
    assert {a.source for a in record.annotations} == {"automatic"}
    assert len(found) == sum(len(crop.windows) for crop in found.crops)


def test_iterating_gives_the_same_masks_as_selecting(hills: Any, photo: NDArray[np.uint8]) -> None:
    found = proposals(hills, photo, points_per_side=8)
    wanted = Thresholds(stability_score_thresh=0.8)
    assert [a.segmentation for a in found.iterate(wanted)] == [a.segmentation for a in found.select(wanted).annotations]


def test_thresholds_below_the_floor_are_refused(photo: NDArray[np.uint8]) -> None:
    found = proposals(FakeBackend(), photo, points_per_side=2)
    with pytest.raises(
        ConfigError, match=r"^pred_iou_thresh 0\.5 lies below 0\.88, the floor of these proposals, and "
    ):
        found.select(Thresholds(pred_iou_thresh=0.5))


def test_masks_are_ranked_by_the_mean_of_both_scores(hills: Any, photo: NDArray[np.uint8]) -> None:
    record = proposals(hills, photo, points_per_side=8).select(Thresholds(stability_score_thresh=0.6))
    ranked = rank(record)
    means = [(a.predicted_iou or 0) + (a.stability_score or 0) for a in ranked.annotations]
    assert means == sorted(means, reverse=True)
    assert {a.id for a in ranked.annotations} == {a.id for a in record.annotations}
