"""Orientation and first frames."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageOps
from PIL.PngImagePlugin import PngImageFile

from segany.sources import open_image, open_source


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


def blocks(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """Four flat colours, so that lossy formats keep them nearly."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[: height // 2, : width // 2] = (200, 30, 40)
    picture[: height // 2, width // 2 :] = (20, 180, 60)
    picture[height // 2 :, : width // 2] = (30, 40, 190)
    picture[height // 2 :, width // 2 :] = (230, 220, 40)
    return picture


def save(path: Path, picture: PillowImage.Image, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def save_and_open(picture: PillowImage.Image, exif: PillowImage.Exif) -> PillowImage.Image:
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    return PillowImage.open(file)


def upright(values: NDArray[np.uint16], orientation: int) -> NDArray[np.uint16]:
    """By Pillow, channel by channel."""
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    turned = [
        np.asarray(ImageOps.exif_transpose(save_and_open(PillowImage.fromarray(values[..., c]), exif)))
        for c in range(values.shape[2])
    ]
    return np.dstack(turned)


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
    def test_all_eight(self, tmp_path: Path, suffix: str, orientation: int) -> None:
        exif = PillowImage.Exif()
        exif[0x0112] = orientation
        options = {"quality": 95} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
        path = save(tmp_path / f"a.{suffix}", PillowImage.fromarray(blocks(600, 400)), exif=exif, **options)
        with PillowImage.open(path) as stored:
            expected = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
        source, image = open_source(path), open_image(path)
        assert np.array_equal(image.pixels, expected)
        assert np.array_equal(source.read(), expected)
        assert image.info.size == source.info.size == expected.shape[:2]
        # Pillow turns a TIFF itself and does not say so.
        assert image.mapping.orientation == (1 if suffix == "tif" else orientation)
        if orientation in (2, 6):
            # Against the meaning of the tag, not only against Pillow.
            corner = {2: (20, 180, 60), 6: (30, 40, 190)}[orientation]
            assert np.abs(image.pixels[5, 5].astype(int) - corner).max() < 6

    def test_behind_the_pixels_of_a_png(self, tmp_path: Path) -> None:
        path = tmp_path / "photo.png"
        exif = PillowImage.Exif()
        exif[0x0112] = 6
        PillowImage.new("RGB", (5, 3)).save(path, exif=exif)
        content = path.read_bytes()
        at = content.index(b"eXIf") - 4
        length = 12 + int.from_bytes(content[at : at + 4], "big")
        chunk, end = content[at : at + length], content[-12:]
        path.write_bytes(content[:at] + content[at + length : -12] + chunk + end)
        assert open_image(path).size == (5, 3)

    def test_a_png_is_not_decoded_to_learn_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "photo.png"
        PillowImage.new("RGB", (5, 3)).save(path)
        monkeypatch.setattr(PngImageFile, "load", lambda self: pytest.fail("decoded"))
        assert open_source(path).info.size == (3, 5)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_sixteen_bit_colour(self, tmp_path: Path, orientation: int) -> None:
        values = np.random.default_rng(7).integers(0, 65536, (5, 7, 3), dtype=np.uint16)
        tag = (274, "H", 1, orientation, True)
        tifffile.imwrite(tmp_path / "deep.tif", values, photometric="rgb", extratags=[tag])
        expected = upright(values, orientation)
        source = open_source(tmp_path / "deep.tif")
        assert source.info.size == expected.shape[:2]
        assert np.array_equal(source.read(), expected)

    def test_a_pillow_image_is_turned_once(self, tmp_path: Path) -> None:
        exif = PillowImage.Exif()
        exif[0x0112] = 6
        path = save(tmp_path / "a.png", PillowImage.fromarray(blocks()), exif=exif)
        with PillowImage.open(path) as lazy:
            assert np.array_equal(open_image(lazy).pixels, np.rot90(blocks(), -1))
            assert open_image(lazy).info.file_name == "a.png"
        with PillowImage.open(path) as lazy:
            assert np.array_equal(open_image(ImageOps.exif_transpose(lazy)).pixels, np.rot90(blocks(), -1))

    def test_a_senseless_orientation_is_none(self, tmp_path: Path) -> None:
        exif = PillowImage.Exif()
        exif[0x0112] = 77
        path = save(tmp_path / "a.png", PillowImage.fromarray(blocks()), exif=exif)
        assert np.array_equal(open_image(path).pixels, blocks())


class TestFrames:
    def test_animated_gif(self, tmp_path: Path) -> None:
        frames = [PillowImage.fromarray(np.roll(blocks(), 10 * k, axis=1)) for k in range(3)]
        path = save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
        image = open_image(path)
        assert np.array_equal(image.pixels, blocks())
        assert "first of 3 frames" in image.mapping.notes

    @pytest.mark.parametrize("deep", [False, True])
    def test_pages_of_a_tiff(self, tmp_path: Path, deep: bool) -> None:
        pages = [noise(6, 7, 3).astype(np.uint16 if deep else np.uint8) for _ in range(2)]
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            for page in pages:
                writer.write(page, photometric="rgb", contiguous=False)
        image = open_image(tmp_path / "a.tif", window=(0, 255))
        assert np.array_equal(image.pixels, pages[0])
        assert image.mapping.notes == ("first of 2 frames",)

    def test_animated_webp(self, tmp_path: Path) -> None:
        frames = [PillowImage.fromarray(np.roll(blocks(), 10 * k, axis=1)) for k in range(2)]
        path = save(tmp_path / "a.webp", frames[0], save_all=True, append_images=frames[1:], lossless=True)
        image = open_image(path)
        assert np.array_equal(image.pixels, blocks())
        assert "first of 2 frames" in image.mapping.notes
