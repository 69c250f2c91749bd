"""A rough mask as a prompt: the conversion, and that it does what people mean by it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segany import ImageEmbedding, Predictor, Prompt
from segany.errors import PromptError
from segany.geometry import Frame, Size
from segany.masks import mask_iou
from segany.predict.mask_prompt import MaskPromptPlan, mask_to_prompt

SIDE = 256


def disc(size: Size, x: float, y: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: size.height, : size.width]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


def plan_of(mask: NDArray[np.bool_], image: Size) -> MaskPromptPlan:
    return mask_to_prompt(mask, Frame.longest_side(image, 1024), SIDE)


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(mask_iou(one, other))


@pytest.fixture(scope="module")
def cup(mobile_sam: Predictor, coffee: ImageEmbedding) -> NDArray[np.bool_]:
    return mobile_sam.predict(coffee, Prompt(box=[80, 10, 490, 350])).best().to_mask()


class TestPlan:
    size = Size(300, 400)

    def test_box_and_point_are_those_of_the_mask_in_original_pixels(self) -> None:
        plan = plan_of(disc(self.size, 120, 90, 30), self.size)
        assert plan.box.tolist() == [90, 60, 151, 121]
        assert plan.points.tolist() == [[120, 90]]
        assert plan.labels.tolist() == [1]

    def test_a_mask_of_another_resolution_spans_the_whole_image(self) -> None:
        small = np.zeros((75, 100), dtype=np.bool_)
        small[10:21, 30:41] = True
        plan = plan_of(small, self.size)
        assert plan.box.tolist() == [120, 40, 164, 84]
        # The cell (35, 15) covers pixels 140 to 143 and 60 to 63.
        assert plan.points.tolist() == [[141.5, 61.5]]

    def test_a_larger_mask_is_scaled_down(self) -> None:
        large = disc(Size(3000, 4000), 1200, 900, 300)
        plan = plan_of(large, self.size)
        np.testing.assert_allclose(plan.box, [90, 60, 120.1 + 30, 90.1 + 30], atol=0.1)
        np.testing.assert_allclose(plan.points, [[120, 90]], atol=4)

    def test_a_tile_is_answered_in_pixels_of_the_whole_image(self) -> None:
        frame = Frame.longest_side(self.size, 1024, offset=(1000, 2000))
        plan = mask_to_prompt(disc(self.size, 120, 90, 30), frame, SIDE)
        assert plan.box.tolist() == [2090, 1060, 2151, 1121]
        assert plan.points.tolist() == [[2120, 1090]]

    def test_logits_are_positive_on_the_mask_and_nowhere_else(self) -> None:
        plan = plan_of(disc(self.size, 120, 90, 30), self.size)
        assert plan.mask_logits.dtype == np.float32
        # 1024 / 400 model pixels, and a quarter of it low-resolution pixels, to the pixel.
        expected = disc(Size(SIDE, SIDE), 120.5 * 0.64 - 0.5, 90.5 * 0.64 - 0.5, 30.5 * 0.64)
        assert iou(plan.mask_logits > 0, expected) > 0.95

    def test_logits_are_soft_at_the_outline_and_full_elsewhere(self) -> None:
        logits = plan_of(disc(self.size, 120, 90, 30), self.size).mask_logits
        row = logits[int(90.5 * 0.64)]
        assert row[int(120.5 * 0.64)] > 19
        assert row[int(250 * 0.64)] < -19
        assert np.count_nonzero(np.abs(row) < 15) >= 4
        assert np.abs(logits).max() <= 20

    def test_the_padding_is_outside(self) -> None:
        plan = plan_of(np.ones(self.size, dtype=np.bool_), self.size)
        inside = plan.mask_logits[: int(300 * 0.64), :]
        assert (inside > 0).all()
        assert (plan.mask_logits[int(300 * 0.64) + 1 :] < -19).all()

    def test_a_coarse_mask_is_less_sure_of_its_outline(self) -> None:
        size = Size(400, 400)
        fine = np.zeros(size, dtype=np.bool_)
        fine[96:192, 96:192] = True
        coarse = fine[::32, ::32]
        fine_plan, coarse_plan = plan_of(fine, size), plan_of(coarse, size)
        assert coarse_plan.distance.max() < fine_plan.distance.max() / 2

    def test_one_pixel_in_a_huge_image_is_found(self) -> None:
        size = Size(4000, 6000)
        mask = np.zeros(size, dtype=np.bool_)
        mask[1234, 4321] = True
        plan = plan_of(mask, size)
        assert plan.box.tolist() == [4321, 1234, 4322, 1235]
        np.testing.assert_allclose(plan.points, [[4321, 1234]], atol=6)
        at = plan.distance[int(1234 * 256 / 6000), int(4321 * 256 / 6000)]
        assert at > -2

    def test_a_line_of_an_image(self) -> None:
        mask = np.zeros((1, 10000), dtype=np.bool_)
        mask[0, 100:200] = True
        plan = plan_of(mask, Size(1, 10000))
        assert plan.box.tolist() == [100, 0, 200, 1]
        assert 100 <= plan.points[0, 0] < 200
        assert plan.points[0, 1] == 0
        assert np.isfinite(plan.mask_logits).all()

    @given(
        height=st.integers(1, 90),
        width=st.integers(1, 90),
        factor=st.floats(0.05, 3.0),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_every_plan_lies_in_its_image(self, height: int, width: int, factor: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        mask = rng.random([max(1, round(height * factor)), max(1, round(width * factor))]) < 0.2
        mask[rng.integers(mask.shape[0]), rng.integers(mask.shape[1])] = True
        plan = plan_of(mask, Size(height, width))
        x0, y0, x1, y1 = plan.box
        assert 0 <= x0 < x1 <= width + 1e-9
        assert 0 <= y0 < y1 <= height + 1e-9
        x, y = plan.points[0]
        assert 0 <= x <= width - 1
        assert 0 <= y <= height - 1
        assert plan.mask_logits.shape == (SIDE, SIDE)
        assert np.isfinite(plan.mask_logits).all()


class TestMerge:
    size = Size(256, 256)

    def test_inside_the_band_the_model_decides_and_far_from_it_the_mask(self) -> None:
        plan = plan_of(disc(self.size, 128, 128, 60), self.size)
        model = np.where(disc(self.size, 128, 128, 62), 10, -10).astype(np.float32)
        model[20:40, 20:40] = 10
        merged = plan.merge(model)
        assert merged[128, 128 + 61] > 0
        assert merged[30, 30] < 0
        assert merged.dtype == np.float32
        assert np.abs(merged).max() <= 32

    def test_several_masks_at_once(self) -> None:
        plan = plan_of(disc(self.size, 128, 128, 60), self.size)
        model = np.random.default_rng(0).normal(size=(3, SIDE, SIDE)).astype(np.float32)
        merged = plan.merge(model)
        np.testing.assert_array_equal(merged[1], plan.merge(model[1]))


class TestHeeding:
    size = Size(256, 256)

    @pytest.mark.parametrize(
        ("point", "label", "binding"),
        [
            ((128, 128), 1, True),
            ((10, 10), 0, True),
            # Within the band either answer may be right.
            ((128 + 62, 128), 1, True),
            ((128 + 58, 128), 0, True),
            ((128, 128), 0, False),
            ((10, 10), 1, False),
        ],
    )
    def test_a_contradicting_click_unbinds(self, point: tuple[int, int], label: int, binding: bool) -> None:
        frame = Frame.longest_side(self.size, 1024)
        plan = mask_to_prompt(disc(self.size, 128, 128, 60), frame, SIDE)
        heeding = plan.heeding(np.array([point], dtype=np.float64), np.array([label]), frame)
        assert heeding.binding is binding
        assert len(heeding.points) == len(heeding.labels) == int(binding)
        logits = np.ones((1, SIDE, SIDE), dtype=np.float32)
        assert np.array_equal(heeding.merge(logits), logits) is not binding


class TestRefusals:
    @pytest.mark.parametrize(
        ("mask", "image"),
        [((60, 80), (480, 640)), ((61, 80), (481, 640)), ((960, 1280), (480, 640)), ((1, 1), (500, 500))],
    )
    def test_another_scale_is_taken(self, mask: tuple[int, int], image: tuple[int, int]) -> None:
        plan_of(np.ones(mask, dtype=np.bool_), Size(*image))

    def test_height_and_width_swapped(self) -> None:
        with pytest.raises(PromptError) as caught:
            plan_of(np.ones((640, 480), dtype=np.bool_), Size(480, 640))
        assert str(caught.value) == (
            "the mask is 640x480 (height x width), but the image is 480x640 (height x width): another shape, not "
            "another scale. Height and width look swapped: transpose the mask."
        )

    def test_the_shape_of_logits(self) -> None:
        with pytest.raises(PromptError) as caught:
            plan_of(np.ones((256, 256), dtype=np.bool_), Size(480, 640))
        assert str(caught.value) == (
            "the mask is 256x256 (height x width), but the image is 480x640 (height x width): another shape, not "
            "another scale. If these are low-resolution logits of an earlier prediction, pass them as mask_logits."
        )

    def test_any_other_shape(self) -> None:
        with pytest.raises(PromptError, match=r"Give a mask that spans the whole image, at any resolution\.$"):
            plan_of(np.ones((100, 300), dtype=np.bool_), Size(480, 640))

    def test_an_empty_mask(self) -> None:
        with pytest.raises(PromptError, match=r"^a mask prompt must mark at least one pixel, got an empty mask\.$"):
            plan_of(np.zeros((480, 640), dtype=np.bool_), Size(480, 640))

    def test_the_predictor_names_the_prompt(self, fake: Predictor) -> None:
        embedding = fake.embed(np.zeros((40, 60, 3), dtype=np.uint8))
        prompts = [Prompt(points=[[5, 5]]), Prompt(mask=np.ones((60, 40)))]
        with pytest.raises(PromptError, match=r"^prompt 1: the mask is 60x40"):
            fake.predict_many(embedding, prompts)


class TestRealModel:
    def test_a_shifted_mask_is_put_right(
        self, mobile_sam: Predictor, coffee: ImageEmbedding, cup: NDArray[np.bool_]
    ) -> None:
        shifted = np.roll(cup, (12, -12), axis=(0, 1))
        answer = mobile_sam.predict(coffee, Prompt(mask=shifted)).best().to_mask()
        assert iou(answer, cup) > iou(shifted, cup) + 0.04

    def test_a_thumbnail_of_a_mask_is_made_exact(
        self, mobile_sam: Predictor, coffee: ImageEmbedding, cup: NDArray[np.bool_]
    ) -> None:
        thumbnail = cup[10::20, 10::20]
        enlarged = np.kron(thumbnail, np.ones((20, 20), dtype=np.bool_))
        answer = mobile_sam.predict(coffee, Prompt(mask=thumbnail)).best().to_mask()
        assert iou(answer, cup) > iou(enlarged, cup) + 0.04

    def test_a_click_may_take_a_part_away(
        self, mobile_sam: Predictor, coffee: ImageEmbedding, cup: NDArray[np.bool_]
    ) -> None:
        too_much = cup.copy()
        too_much[300:400, 500:600] = True
        click = Prompt(points=[[550, 350]], labels=[0], mask=too_much)
        answer = mobile_sam.predict(coffee, click).best().to_mask()
        assert not answer[350, 550]
        assert answer[130, 300]

    def test_three_masks_on_request(self, mobile_sam: Predictor, coffee: ImageEmbedding) -> None:
        mask = disc(Size(400, 600), 300, 150, 80)
        assert len(mobile_sam.predict(coffee, Prompt(mask=mask), multimask=True)) == 3
        assert len(mobile_sam.predict(coffee, Prompt(mask=mask))) == 1
