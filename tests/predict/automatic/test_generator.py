import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segany.errors import ConfigError, ImageError
from segany.predict import Predictor
from segany.predict.automatic import AutomaticMaskGenerator, GridSettings, Thresholds
from segany.predict.automatic._clicks import spread_order
from segany.predict.backends import FakeBackend, Features, Scored
from segany.schema import Annotation, PromptBatch

# What the fake's discs need: the one of radius 64 has a score of .9 and a stability near .94.
DISCS = Thresholds(stability_score_thresh=0.9)


def generator(backend: FakeBackend, **settings: object) -> AutomaticMaskGenerator:
    return AutomaticMaskGenerator(Predictor(backend=backend), GridSettings(**settings))  # type: ignore[arg-type]


def test_a_disc_for_each_click_that_is_no_duplicate(photo: NDArray[np.uint8]) -> None:
    record = generator(FakeBackend(), points_per_side=2).generate(photo, DISCS)
    clicks = {annotation.point_coords[0] for annotation in record.annotations}
    assert clicks == {(37.5, 24.0), (112.5, 24.0), (37.5, 72.0), (112.5, 72.0)}
    assert [annotation.predicted_iou for annotation in record.annotations] == [pytest.approx(0.9)] * 4
    assert record.image.size == (96, 150)


def test_generating_proposing_and_iterating_agree(hills: Any, photo: NDArray[np.uint8]) -> None:
    wanted = Thresholds(stability_score_thresh=0.8)
    own = generator(hills, points_per_side=6)

    def runs(annotations: tuple[Annotation, ...]) -> list[tuple[object, object]]:
        return [(annotation.id, annotation.segmentation) for annotation in annotations]

    record = own.generate(photo, wanted)
    assert len(record.annotations) > 3
    assert runs(own.propose(photo).select(wanted).annotations) == runs(record.annotations)
    assert runs(tuple(own.iterate(photo, wanted))) == runs(record.annotations)
    assert runs(own.generate(photo, wanted).annotations) == runs(record.annotations)


def test_the_answer_does_not_depend_on_the_batch(hills: Any, photo: NDArray[np.uint8]) -> None:
    one, many = (generator(hills, points_per_side=5, points_per_batch=size).propose(photo) for size in (1, 64))
    assert hills.asked[:25] == [1] * 25
    # The backend's own limit is 7.
    assert hills.asked[25:] == [7, 7, 7, 4]
    np.testing.assert_array_equal(one.crops[0].points, many.crops[0].points)
    np.testing.assert_array_equal(one.crops[0].iou_predictions, many.crops[0].iou_predictions)


def test_few_clicks_are_scored_with_others_in_their_place(hills: Any, photo: NDArray[np.uint8]) -> None:
    few = generator(hills, points_per_side=3).propose(photo)
    assert hills.asked == [7, 2]
    hills.score_least = 5
    filled = generator(hills, points_per_side=3).propose(photo)
    assert hills.asked[2:] == [7, 5]
    assert filled.clicks == few.clicks == 9
    np.testing.assert_array_equal(filled.crops[0].points, few.crops[0].points)
    np.testing.assert_array_equal(filled.crops[0].iou_predictions, few.crops[0].iou_predictions)


@pytest.mark.parametrize("adaptive", [False, True])
def test_the_answer_does_not_depend_on_what_is_scored_ahead(
    hills: Any, photo: NDArray[np.uint8], adaptive: bool
) -> None:
    found = []
    for count in (0, 1, 3):
        hills.score_ahead = count
        found.append(generator(hills, points_per_side=8, points_per_batch=3, adaptive=adaptive).propose(photo))
    assert len({one.clicks for one in found}) == 1
    for one in found[1:]:
        np.testing.assert_array_equal(found[0].crops[0].points, one.crops[0].points)
        np.testing.assert_array_equal(found[0].crops[0].iou_predictions, one.crops[0].iou_predictions)


def test_iterating_yields_each_crop_before_the_next_is_clicked(hills: Any, photo: NDArray[np.uint8]) -> None:
    own = generator(hills, points_per_side=4, crop_n_layers=1)
    masks = own.iterate(photo, Thresholds(stability_score_thresh=0.5))
    first = next(masks)
    assert first.crop_box == (0, 0, 150, 96)
    assert sum(hills.asked) == 16
    rest = list(masks)
    assert sum(hills.asked) == 16 * 5
    assert [annotation.id for annotation in rest] == list(range(1, 1 + len(rest)))


def test_a_lower_threshold_lowers_the_floor(photo: NDArray[np.uint8]) -> None:
    own = generator(FakeBackend(), points_per_side=1)
    record = own.generate(photo, Thresholds(pred_iou_thresh=0.65, stability_score_thresh=0))
    # The fake's parts and wholes of radius 16, 32 and 64 have scores .7, .8 and .9.
    assert [round(annotation.predicted_iou or 0, 3) for annotation in record.annotations] == [0.9, 0.8, 0.7]


def test_a_threshold_of_zero_keeps_even_a_score_below_zero(photo: NDArray[np.uint8]) -> None:
    class Pessimist(FakeBackend):
        def score(self, features: Features, batch: PromptBatch) -> Scored:
            scored = super().score(features, batch)
            return Scored(scored.iou_predictions - 1, scored.state)

    own = generator(Pessimist(), points_per_side=1)
    everything = Thresholds(pred_iou_thresh=0, stability_score_thresh=0)
    assert len(own.generate(photo, everything).annotations) == 3
    assert len(own.generate(photo, Thresholds(pred_iou_thresh=0.01, stability_score_thresh=0)).annotations) == 0


def test_an_empty_mask_is_no_answer(photo: NDArray[np.uint8]) -> None:
    class Nothing(FakeBackend):
        def low_res(self, scored: Scored, index: NDArray[np.int64], near: float | None = None) -> NDArray[np.float32]:
            return np.full((len(index), 256, 256), -0.5, dtype=np.float32)

    record = generator(Nothing(), points_per_side=2).generate(photo, Thresholds(stability_score_thresh=0))
    assert record.annotations == ()


def test_masks_that_only_fill_the_padding_are_no_answer() -> None:
    class Padding(FakeBackend):
        def low_res(self, scored: Scored, index: NDArray[np.int64], near: float | None = None) -> NDArray[np.float32]:
            logits = np.full((len(index), 256, 256), -10, dtype=np.float32)
            logits[:, 200:] = 10
            return logits

    wide = np.zeros((100, 400, 3), dtype=np.uint8)
    assert generator(Padding(), points_per_side=2).generate(wide).annotations == ()


def test_progress_counts_all_clicks_and_ends_with_no_time_left(hills: Any, photo: NDArray[np.uint8]) -> None:
    seen: list[tuple[int, int, float]] = []
    own = generator(hills, points_per_side=4, crop_n_layers=1, crop_n_points_downscale_factor=2)
    found = own.propose(photo, progress=lambda *state: seen.append(state))
    assert [done for done, _, _ in seen] == list(itertools.accumulate([7, 7, 2] + [4] * 4))
    assert {total for _, total, _ in seen} == {32}
    assert all(seconds > 0 for _, _, seconds in seen[:-1])
    assert seen[-1][2] == 0
    assert found.complete


def test_time_that_is_over_gives_what_was_found(hills: Any, photo: NDArray[np.uint8]) -> None:
    found = generator(hills, points_per_side=8, crop_n_layers=1).propose(photo, max_seconds=1e-9)
    assert not found.complete
    assert hills.asked == [7]
    assert [crop.layer for crop in found.crops] == [0]
    assert hills.encoded == 1
    assert len(found) > 0


@pytest.mark.parametrize("count", [1, 2, 64, 1024])
def test_every_beginning_of_the_order_is_spread_over_all_clicks(count: int) -> None:
    order = spread_order(count)
    assert sorted(order) == list(range(count))
    for part in (count // 8, count // 3):
        if part > 1:
            gaps = np.diff(np.sort(order[:part]), prepend=-1, append=count)
            assert gaps.max() <= 3 * count / part


def test_a_budget_forgets_the_least_sure_masks_first(hills: Any, photo: NDArray[np.uint8]) -> None:
    own = generator(hills, points_per_side=8)
    whole = own.propose(photo)
    budget = whole.nbytes // 3
    part = own.propose(photo, max_bytes=budget)
    assert 0 < len(part) < len(whole)
    assert part.forgotten == len(whole) - len(part)
    assert part.nbytes <= budget
    kept = part.crops[0].iou_predictions
    np.testing.assert_array_equal(kept, whole.crops[0].iou_predictions[: len(kept)])
    part.select(Thresholds(stability_score_thresh=0))
    assert part.nbytes <= budget


def test_masks_beyond_the_budget_are_drawn_again(hills: Any, photo: NDArray[np.uint8]) -> None:
    own, wanted = generator(hills, points_per_side=8), Thresholds(stability_score_thresh=0.5)
    whole = own.propose(photo)
    budget = whole.nbytes * 9 // 10
    part = own.propose(photo, max_bytes=budget)
    assert (part.forgotten, len(part)) == (0, len(whole))
    assert part.nbytes <= budget
    made = len(hills.asked)
    assert [a.segmentation for a in part.select(wanted).annotations] == [
        a.segmentation for a in whole.select(wanted).annotations
    ]
    assert len(hills.asked) > made
    # What was drawn for the selection, and the masks that it remembers, do not stay beyond the budget either.
    assert part.nbytes <= budget


def test_a_budget_is_shared_by_the_crops(hills: Any, photo: NDArray[np.uint8]) -> None:
    own = generator(hills, points_per_side=4, crop_n_layers=1)
    whole = own.propose(photo)
    part = own.propose(photo, max_bytes=whole.nbytes // 4)
    assert part.nbytes <= whole.nbytes // 4
    assert all(len(crop.windows) for crop in part.crops)
    roomy = own.propose(photo, max_bytes=10 * whole.nbytes)
    assert (roomy.forgotten, len(roomy)) == (0, len(whole))


def test_the_least_budget_keeps_one_mask(photo: NDArray[np.uint8]) -> None:
    found = generator(FakeBackend(), points_per_side=3).propose(photo, max_bytes=1)
    assert (len(found), found.forgotten) == (1, 8)
    assert len(found.select(DISCS).annotations) == 1


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 40), (2000, 3)])
def test_tiny_and_thin_images_with_crops_have_an_answer(size: tuple[int, int]) -> None:
    image = np.zeros((*size, 3), dtype=np.uint8)
    record = generator(FakeBackend(), points_per_side=2, crop_n_layers=2).generate(image, DISCS)
    assert all(annotation.segmentation.size == size for annotation in record.annotations)


@pytest.mark.parametrize("limits", [{"max_seconds": 0.0}, {"max_seconds": -1.0}, {"max_bytes": 0}])
def test_limits_that_are_not_positive_are_refused(limits: dict[str, float], photo: NDArray[np.uint8]) -> None:
    own = generator(FakeBackend(), points_per_side=1)
    seconds, size = limits.get("max_seconds"), limits.get("max_bytes", 400_000_000)
    with pytest.raises(ConfigError, match=rf"^max_seconds and max_bytes must be above 0, got {seconds} and {size}\.$"):
        own.propose(photo, **limits)  # type: ignore[arg-type]


def test_something_that_is_no_image_is_refused() -> None:
    with pytest.raises(ImageError):
        generator(FakeBackend(), points_per_side=1).propose(np.zeros((4, 4, 3, 3), dtype=np.uint8))
