from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.errors import ConfigError, MaskError, OutputError
from segany.masks import RLE
from segany.render import cutout, save_image, save_mask
from segany.sources import open_image

PIXELS = np.random.default_rng(2).integers(1, 256, (60, 80, 3), dtype=np.uint8)
MASK = np.zeros((60, 80), dtype=bool)
MASK[10:40, 20:70] = True
MASK[20:30, 30:40] = False
OBJECT = RLE.from_mask(MASK)


class TestCutout:
    def test_the_object_alone(self) -> None:
        picture = cutout(PIXELS, OBJECT)
        assert (picture.mode, picture.size) == ("RGBA", (80, 60))
        values = np.asarray(picture)
        assert np.array_equal(values[..., 3], MASK * np.uint8(255))
        assert np.array_equal(values[MASK, :3], PIXELS[MASK])

    def test_nothing_of_the_background_stays(self) -> None:
        assert not np.asarray(cutout(PIXELS, OBJECT))[~MASK].any()
        soft = np.asarray(cutout(PIXELS, OBJECT, feather=6))
        assert not soft[soft[..., 3] == 0].any()

    def test_cropped_to_its_box(self) -> None:
        whole = np.asarray(cutout(PIXELS, OBJECT))
        assert np.array_equal(np.asarray(cutout(PIXELS, OBJECT, crop=True)), whole[10:40, 20:70])

    def test_a_soft_edge(self) -> None:
        alpha = np.asarray(cutout(PIXELS, OBJECT, feather=4))[..., 3].astype(int)
        row = alpha[15, 15:26]
        assert row.tolist() == sorted(row.tolist())
        assert (row[0], row[-1]) == (0, 255)
        assert row[4] + row[5] == pytest.approx(255, abs=1)
        assert ((row > 0) & (row < 255)).sum() == 4
        cropped = cutout(PIXELS, OBJECT, feather=4, crop=True)
        assert cropped.size == (54, 34)

    def test_a_soft_edge_ends_where_the_picture_does(self) -> None:
        everything = RLE.from_mask(np.ones((60, 80), dtype=bool))
        assert (np.asarray(cutout(PIXELS, everything, feather=5))[..., 3] == 255).all()
        assert cutout(PIXELS, everything, feather=5, crop=True).size == (80, 60)

    def test_the_picture_given_is_not_changed(self) -> None:
        pixels = PIXELS.copy()
        cutout(open_image(pixels), OBJECT, feather=2)
        assert np.array_equal(pixels, PIXELS)

    def test_an_empty_mask(self) -> None:
        empty = RLE.from_mask(np.zeros((60, 80), dtype=bool))
        assert not np.asarray(cutout(PIXELS, empty, feather=3)).any()
        with pytest.raises(MaskError) as caught:
            cutout(PIXELS, empty, crop=True)
        assert str(caught.value) == "an empty mask has no box to crop to; choose another mask or crop=False."

    def test_a_mask_of_another_size(self) -> None:
        with pytest.raises(MaskError, match=r"^mask 0 is 3x4 .* both must have one size\.$"):
            cutout(PIXELS, RLE.from_mask(np.ones((3, 4), dtype=bool)))

    @pytest.mark.parametrize("feather", [-1.0, float("nan"), float("inf")])
    def test_feather(self, feather: float) -> None:
        with pytest.raises(ConfigError, match=r"^feather must be 0 or a number of pixels, got -?(1|nan|inf)\.$"):
            cutout(PIXELS, OBJECT, feather=feather)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 10_000), (10_000, 1)])
    def test_extreme_shapes(self, shape: tuple[int, int]) -> None:
        pixels = np.full((*shape, 3), 7, dtype=np.uint8)
        mask = RLE.from_mask(np.ones(shape, dtype=bool))
        assert cutout(pixels, mask, crop=True, feather=1).size == shape[::-1]


class TestSaveMask:
    @pytest.mark.parametrize("mask", [OBJECT, MASK, np.asfortranarray(MASK)])
    @pytest.mark.parametrize(("one_bit", "mode"), [(False, "L"), (True, "1")])
    def test_it_can_be_read_again(self, tmp_path: Path, mask: RLE, one_bit: bool, mode: str) -> None:
        path = save_mask(mask, tmp_path / "new" / "mask.png", one_bit=one_bit)
        with PillowImage.open(path) as picture:
            assert (picture.mode, picture.format) == (mode, "PNG")
            values = np.asarray(picture.convert("L"))
        assert np.array_equal(values, MASK * np.uint8(255))
        assert [file.name for file in path.parent.iterdir()] == ["mask.png"]

    def test_another_suffix(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            save_mask(OBJECT, tmp_path / "mask.jpg")
        assert str(caught.value) == "a mask is written as .png, which keeps every pixel, got 'mask.jpg'."

    @pytest.mark.parametrize("mask", [np.zeros((3, 3), np.uint8), np.zeros((3, 3, 1), bool), np.zeros((0, 3), bool)])
    def test_no_mask(self, tmp_path: Path, mask: np.ndarray) -> None:
        with pytest.raises(MaskError) as caught:
            save_mask(mask, tmp_path / "mask.png")
        assert str(caught.value) == f"a mask to write must be bool [H, W], got {mask.dtype} {list(mask.shape)}."


class TestSaveImage:
    @pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg", "a.PNG"])
    def test_suffixes(self, tmp_path: Path, name: str) -> None:
        path = save_image(PillowImage.new("RGB", (4, 5)), tmp_path / name)
        with PillowImage.open(path) as picture:
            assert picture.size == (4, 5)

    @pytest.mark.parametrize("name", ["a.thing", "a"])
    def test_an_unknown_suffix(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ConfigError) as caught:
            save_image(PillowImage.new("RGB", (4, 5)), tmp_path / name)
        assert str(caught.value) == (
            f"a picture's name must end in .png, .jpg, .webp or another known suffix, got {name!r}."
        )

    def test_no_transparency_in_jpeg(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            save_image(PillowImage.new("RGBA", (4, 5)), tmp_path / "a.jpg")
        assert str(caught.value) == ".jpg cannot hold a picture of mode RGBA; write .png."
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").mkdir()
        with pytest.raises(OutputError, match="Nothing was left half-written"):
            save_image(PillowImage.new("RGB", (4, 5)), tmp_path / "a.png")
        assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
