"""Overlays, looked at as a person would: what changed where, and what must not have."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import ConfigError, ImageError, MaskError
from segany.masks import RLE
from segany.render import distinct_colors, overlay
from segany.schema import Prompt
from segany.sources import open_image


def disc(height: int, width: int, y: float, x: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:height, :width]
    inside: NDArray[np.bool_] = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    return inside


def grey(height: int = 300, width: int = 400, value: int = 100) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, dtype=np.uint8)


def drawn(picture: PillowImage.Image) -> NDArray[np.int64]:
    return np.asarray(picture).astype(np.int64)


class TestMasks:
    mask = disc(300, 400, 150, 200, 60)

    def test_fill_outline_halo_and_the_rest(self) -> None:
        pixels = drawn(overlay(grey(), [RLE.from_mask(self.mask)], colors=[(255, 0, 0)], fill=0.4))
        assert pixels[150, 200].tolist() == [162, 60, 60]
        assert pixels[150, 138:143, 0].max() == 255
        # The halo darkens both sides of the line.
        assert pixels[150, 134:146].sum(axis=1).min() < 0.75 * 300
        assert (pixels[:80] == 100).all()
        assert (pixels[150, :130] == 100).all()

    def test_the_picture_given_is_not_changed(self) -> None:
        before = grey()
        overlay(before, [RLE.from_mask(self.mask)], prompts=[Prompt(points=(5, 5))], scores=[0.5], dim=0.5)
        assert (before == 100).all()

    def test_an_outline_is_smooth(self) -> None:
        # Round a circle, the line looks alike in every direction: its redness summed along rays varies little.
        pixels = drawn(overlay(grey(), [RLE.from_mask(self.mask)], colors=[(255, 0, 0)], fill=0))
        sums = []
        for angle in np.linspace(0, 2 * np.pi, 90, endpoint=False):
            radii = np.arange(50, 70, 0.25)
            y = np.rint(150 + radii * np.sin(angle)).astype(int)
            x = np.rint(200 + radii * np.cos(angle)).astype(int)
            sums.append(float((pixels[y, x, 0] - pixels[y, x, 1]).clip(0).sum()))
        assert np.std(sums) / np.mean(sums) < 0.2

    def test_a_hole_is_outlined_and_stays_clear(self) -> None:
        ring = self.mask & ~disc(300, 400, 150, 200, 30)
        pixels = drawn(overlay(grey(), [RLE.from_mask(ring)], colors=[(255, 0, 0)]))
        assert pixels[150, 200].tolist() == [100, 100, 100]
        assert pixels[150, 165:175, 0].max() > 200

    def test_the_whole_outline_is_seen_at_the_border(self) -> None:
        everything = RLE.from_mask(np.ones((300, 400), dtype=bool))
        pixels = drawn(overlay(grey(), [everything], colors=[(255, 0, 0)], fill=0))
        for line in (pixels[0, 20:-20], pixels[-1, 20:-20], pixels[20:-20, 0], pixels[20:-20, -1]):
            assert (line[:, 0] > 230).all()
        assert pixels[150, 200].tolist() == [100, 100, 100]

    def test_where_an_object_leaves_the_picture_its_sides_go_on(self) -> None:
        band = np.zeros((300, 400), dtype=bool)
        band[:, 100:200] = True
        pixels = drawn(overlay(grey(), [RLE.from_mask(band)], colors=[(255, 0, 0)], fill=0))
        assert (pixels[:, 99:101, 0].max(axis=1) > 220).all()

    def test_one_pixel_is_seen(self) -> None:
        dot = np.zeros((300, 400), dtype=bool)
        dot[100, 100] = True
        pixels = drawn(overlay(grey(), [RLE.from_mask(dot)], colors=[(255, 0, 0)]))
        assert pixels[98:103, 98:103, 0].max() > 200

    def test_small_masks_lie_over_large_ones(self) -> None:
        small, large = disc(300, 400, 150, 200, 20), disc(300, 400, 150, 200, 100)
        masks = [RLE.from_mask(small), RLE.from_mask(large)]
        pixels = drawn(overlay(grey(), masks, colors=[(255, 0, 0), (0, 0, 255)], fill=1.0))
        assert pixels[150, 200].tolist() == [255, 0, 0]
        assert pixels[150, 260].tolist() == [0, 0, 255]

    def test_an_empty_mask_draws_nothing(self) -> None:
        empty = RLE.from_mask(np.zeros((300, 400), dtype=bool))
        assert (drawn(overlay(grey(), [empty], scores=[0.5])) == 100).all()

    def test_nothing_to_draw(self) -> None:
        assert (drawn(overlay(grey(), [], dim=0.5)) == 100).all()

    def test_dim(self) -> None:
        pixels = drawn(overlay(grey(), [RLE.from_mask(self.mask)], fill=0, dim=0.7))
        assert pixels[0, 0].tolist() == [30, 30, 30]
        assert pixels[150, 200].tolist() == [100, 100, 100]

    def test_tiles_leave_no_seam(self) -> None:
        # The mask's box spans several tiles; drawn shifted, the tiles' edges lie elsewhere, the picture must not care.
        mask = disc(1300, 1300, 640, 640, 600) & ~disc(1300, 1300, 512, 512, 90)
        one = drawn(overlay(grey(1300, 1300), [RLE.from_mask(mask)]))
        moved = np.zeros_like(mask)
        moved[17:, 23:] = mask[:-17, :-23]
        other = drawn(overlay(grey(1300, 1300), [RLE.from_mask(moved)]))
        assert np.abs(one[30:1240, 30:1240] - other[47:1257, 53:1263]).max() <= 1


class TestSizes:
    @pytest.mark.parametrize("shape", [(1, 1), (1, 10_000), (10_000, 1), (2, 3), (9, 9)])
    @pytest.mark.parametrize("max_side", [None, 1, 5, 700])
    def test_extreme_shapes(self, shape: tuple[int, int], max_side: int | None) -> None:
        mask = RLE.from_mask(np.ones(shape, dtype=bool))
        prompt = Prompt(points=[(0, 0)], box=[0, 0, shape[1], shape[0]], mask=np.ones(shape, dtype=bool))
        picture = overlay(
            grey(*shape), [mask], prompts=[prompt], scores=[0.5], labels=["thing"], dim=0.3, max_side=max_side
        )
        assert picture.mode == "RGB"
        assert max(picture.size) == min(max(shape), max_side or max(shape))

    def test_max_side_shrinks_all_alike(self) -> None:
        mask = disc(600, 800, 300, 400, 200)
        picture = overlay(grey(600, 800), [RLE.from_mask(mask)], colors=[(255, 0, 0)], max_side=400)
        assert picture.size == (400, 300)
        pixels = drawn(picture)
        assert pixels[150, 200].tolist() == [162, 60, 60]
        assert pixels[150, 97:104, 0].max() > 230

    def test_a_thin_mask_survives_shrinking(self) -> None:
        line = np.zeros((1000, 1000), dtype=bool)
        line[500] = True
        assert (drawn(overlay(grey(1000, 1000), [RLE.from_mask(line)], max_side=100)) != 100).any()

    def test_an_image_and_a_pillow_image(self) -> None:
        mask = RLE.from_mask(disc(300, 400, 150, 200, 60))
        of_array = drawn(overlay(grey(), [mask]))
        assert np.array_equal(of_array, drawn(overlay(open_image(grey()), [mask])))
        assert np.array_equal(of_array, drawn(overlay(PillowImage.fromarray(grey()), [mask])))


class TestPrompts:
    def test_clicks_are_green_and_red_with_their_sign(self) -> None:
        pixels = drawn(overlay(grey(), [], prompts=[Prompt(points=[(100, 100), (300, 100)], labels=[1, 0])]))
        green, red = pixels[100, 103], pixels[103, 300]
        assert pixels[100, 100].min() > 240
        assert pixels[100, 300].min() > 240
        assert pixels[97:104, 97:104, 1].max() > 150
        # A plus has an upright bar, a minus has none.
        assert pixels[98, 100].min() > 180
        assert red[0] > 180
        assert red[1] < 120
        assert green.sum() != red.sum()

    @pytest.mark.parametrize("point", [(0, 0), (399, 0), (0, 299), (399, 299)])
    def test_a_click_in_a_corner_is_seen_whole(self, point: tuple[int, int]) -> None:
        in_corner = drawn(overlay(grey(), [], prompts=[Prompt(points=[point])]))
        in_middle = drawn(overlay(grey(), [], prompts=[Prompt(points=[(200, 150)])]))
        changed = [(np.abs(one - 100).sum(axis=2) > 0).sum() for one in (in_corner, in_middle)]
        assert changed[0] == pytest.approx(changed[1], rel=0.1)

    def test_a_box_is_a_white_line_with_a_dark_rim(self) -> None:
        pixels = drawn(overlay(grey(), [], prompts=[Prompt(box=[100, 80, 300, 220])]))
        across = pixels[150, 95:105].sum(axis=1)
        assert across.max() == 3 * 255
        assert across.min() < 3 * 60
        assert (pixels[90:210, 110:290] == 100).all()

    def test_a_box_round_everything_is_seen(self) -> None:
        pixels = drawn(overlay(grey(), [], prompts=[Prompt(box=[0, 0, 400, 300])]))
        for line in (pixels[:6, 200], pixels[-6:, 200], pixels[150, :6], pixels[150, -6:]):
            assert line.sum(axis=1).max() == 3 * 255

    def test_a_mask_prompt_of_another_size_is_outlined(self) -> None:
        prompt = Prompt(mask=disc(75, 100, 37, 50, 15))
        pixels = drawn(overlay(grey(), [], prompts=[prompt]))
        assert pixels[150, 200].tolist() == [100, 100, 100]
        assert pixels[150, 136:146].min(axis=1).max() > 230


class TestTags:
    def plates(self, picture: PillowImage.Image, color: tuple[int, int, int]) -> NDArray[np.int64]:
        return np.argwhere((drawn(picture) == color).all(axis=2))

    def test_a_tag_lies_above_its_mask(self) -> None:
        mask = RLE.from_mask(disc(300, 400, 150, 200, 60))
        found = self.plates(overlay(grey(), [mask], scores=[0.97], colors=[(10, 20, 250)], fill=0.4), (10, 20, 250))
        above = found[found[:, 0] < 85]
        assert len(above) > 100
        assert 190 < above[:, 1].mean() < 210

    @pytest.mark.parametrize(("y", "x"), [(0, 0), (0, 399), (299, 0), (299, 399)])
    def test_a_tag_stays_in_the_picture(self, y: int, x: int) -> None:
        mask = RLE.from_mask(disc(300, 400, y, x, 5))
        in_corner = self.plates(overlay(grey(), [mask], scores=[0.97], colors=[(10, 20, 250)]), (10, 20, 250))
        middle = RLE.from_mask(disc(300, 400, 150, 200, 5))
        in_middle = self.plates(overlay(grey(), [middle], scores=[0.97], colors=[(10, 20, 250)]), (10, 20, 250))
        assert len(in_corner) > 0.8 * len(in_middle)

    def test_tags_of_masks_in_one_place_do_not_cover_each_other(self) -> None:
        masks = [RLE.from_mask(disc(300, 400, 150, 200, 60 + k)) for k in range(3)]
        colors = [(10, 20, 250), (250, 20, 10), (20, 120, 10)]
        picture = overlay(grey(), masks, scores=[0.9, 0.8, 0.7], colors=colors, fill=0)
        sizes = [(self.plates(picture, color)[:, 0] < 88).sum() for color in colors]
        assert min(sizes) > 0.5 * max(sizes)

    def test_a_label_makes_it_wider(self) -> None:
        mask = RLE.from_mask(disc(300, 400, 150, 200, 60))
        plain = self.plates(overlay(grey(), [mask], scores=[0.9], colors=[(10, 20, 250)]), (10, 20, 250))
        named = self.plates(
            overlay(grey(), [mask], scores=[0.9], labels=["wooden spoon"], colors=[(10, 20, 250)]), (10, 20, 250)
        )
        assert len(named) > 1.5 * len(plain)


class TestRefusals:
    mask = RLE.from_mask(disc(300, 400, 150, 200, 60))

    def test_a_mask_of_another_size(self) -> None:
        with pytest.raises(MaskError) as caught:
            overlay(grey(), [self.mask, RLE.from_mask(np.ones((3, 4), dtype=bool))])
        assert str(caught.value) == (
            "mask 1 is 3x4 (height x width) but the picture is 300x400 (height x width); both must have one size."
        )

    @pytest.mark.parametrize("name", ["scores", "labels", "colors"])
    def test_one_for_each(self, name: str) -> None:
        values = {"scores": [0.1, 0.2], "labels": ["a", "b"], "colors": [(1, 2, 3)] * 2}[name]
        with pytest.raises(ConfigError, match=f"^{name} must be one for each of the 1 masks, got 2\\.$"):
            overlay(grey(), [self.mask], **{name: values})  # type: ignore[arg-type]  # one of three

    @pytest.mark.parametrize(("name", "value"), [("fill", -0.1), ("fill", 1.5), ("dim", 2.0), ("dim", float("nan"))])
    def test_opacities(self, name: str, value: float) -> None:
        with pytest.raises(ConfigError, match=f"^{name} must be from 0 to 1, got {value:g}\\.$"):
            overlay(grey(), [self.mask], **{name: value})  # type: ignore[arg-type]  # one of two

    def test_max_side(self) -> None:
        with pytest.raises(ConfigError, match=r"^max_side must be at least 1 pixel, got 0\.$"):
            overlay(grey(), [self.mask], max_side=0)

    def test_no_picture(self) -> None:
        with pytest.raises(ImageError) as caught:
            overlay(np.zeros((300, 400), dtype=np.uint8), [self.mask])
        assert str(caught.value) == (
            "a picture to draw on must be an Image, a Pillow image or uint8 [H, W, 3], got uint8 [300, 400]; "
            "read it through segany.open_image."
        )


def test_the_same_picture_twice() -> None:
    mask = RLE.from_mask(disc(300, 400, 150, 200, 60))
    prompt = Prompt(points=(200, 150))
    one, other = (overlay(grey(), [mask], prompts=[prompt], scores=[0.5]) for _ in range(2))
    assert np.array_equal(drawn(one), drawn(other))
    assert distinct_colors(1) == distinct_colors(1)
