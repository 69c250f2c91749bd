"""How values of every depth and number of channels are shown as 8-bit RGB."""

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageCms

from segany.errors import ImageError
from segany.geometry import Size
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


def png(width: int, height: int, *, depth: int = 8, colour: int = 0, data: bytes = b"", extra: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    text = chunk(b"zTXt", extra) if extra else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + text + chunk(b"IDAT", data) + chunk(b"IEND", b"")


class TestColour:
    def test_grey(self, tmp_path: Path) -> None:
        grey = noise(300, 20)
        image = open_image(save(tmp_path / "a.png", PillowImage.fromarray(grey)))
        assert np.array_equal(image.pixels, np.dstack([grey] * 3))
        assert (image.mapping.bands, image.info.channels) == ((0, 0, 0), 1)

    def test_one_bit(self, tmp_path: Path) -> None:
        bits = noise(9, 11) > 127
        image = open_image(save(tmp_path / "a.png", PillowImage.fromarray(bits)))
        assert np.array_equal(image.pixels, np.dstack([bits * np.uint8(255)] * 3))
        assert (image.info.dtype, image.mapping.window) == ("bool", (0.0, 1.0))

    def test_transparency_is_laid_on_white(self, tmp_path: Path) -> None:
        rgba = np.zeros((2, 3, 4), dtype=np.uint8)
        rgba[..., 0] = 200
        rgba[..., 3] = [[0, 128, 255]] * 2
        image = open_image(save(tmp_path / "a.png", PillowImage.fromarray(rgba)))
        assert image.pixels[0].tolist() == [[255, 255, 255], [227, 127, 127], [200, 0, 0]]
        assert image.mapping.notes == ("transparency laid on white",)
        assert image.info.channels == 4

    def test_grey_with_transparency(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png", PillowImage.merge("LA", [PillowImage.new("L", (2, 1), 100)] * 2))
        assert open_image(path).pixels[0, 0].tolist() == [194, 194, 194]

    def test_bands_leave_transparency_out(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png", PillowImage.new("RGBA", (2, 1), (10, 20, 30, 0)))
        image = open_image(path, bands=(2, 1, 0))
        assert image.pixels[0, 0].tolist() == [30, 20, 10]
        assert image.mapping.notes == ()
        assert open_image(path, bands=[3]).pixels[0, 0].tolist() == [0, 0, 0]

    def test_a_palette(self, tmp_path: Path) -> None:
        palette = PillowImage.fromarray(blocks()).quantize(4)
        image = open_image(save(tmp_path / "a.png", palette))
        assert np.array_equal(image.pixels, blocks())
        assert image.mapping.notes == ("palette shown as its colours",)
        assert image.info.channels == 3

    def test_a_palette_with_a_transparent_entry(self, tmp_path: Path) -> None:
        palette = PillowImage.fromarray(blocks()).quantize(4)
        index = palette.getpixel((0, 0))
        image = open_image(save(tmp_path / "a.png", palette, transparency=index))
        assert image.pixels[0, 0].tolist() == [255, 255, 255]
        assert image.pixels[-1, -1].tolist() == [230, 220, 40]
        assert image.mapping.notes == ("palette shown as its colours", "transparency laid on white")

    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_a_transparent_colour(self, tmp_path: Path, mode: str) -> None:
        picture = PillowImage.fromarray(blocks()).convert(mode)
        path = save(tmp_path / "a.png", picture, transparency=picture.getpixel((0, 0)))
        assert open_image(path).pixels[0, 0].tolist() == [255, 255, 255]

    @pytest.mark.parametrize("suffix", ["jpg", "tif"])
    def test_cmyk(self, tmp_path: Path, suffix: str) -> None:
        # Pillow writes CMYK JPEG the way Adobe's programs do, inverted, with an Adobe marker.
        path = save(tmp_path / f"a.{suffix}", PillowImage.fromarray(blocks()).convert("CMYK"))
        if suffix == "jpg":
            assert b"Adobe" in path.read_bytes()[:200]
        image = open_image(path)
        assert np.abs(image.pixels.astype(int) - blocks()).mean() < 6
        assert image.mapping.notes == ("CMYK shown as RGB without its colour profile",)

    def test_cie_lab(self, tmp_path: Path) -> None:
        to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        lab = ImageCms.applyTransform(PillowImage.fromarray(blocks()), to_lab)
        assert lab is not None
        image = open_image(save(tmp_path / "a.tif", lab))
        assert np.abs(image.pixels.astype(int) - blocks()).max() <= 9
        assert image.mapping.notes == ("CIE Lab shown as sRGB",)

    @pytest.mark.parametrize("mode", ["YCbCr", "HSV"])
    def test_other_colour_spaces_of_pillow(self, mode: str) -> None:
        image = open_image(PillowImage.fromarray(blocks()).convert(mode))
        assert np.abs(image.pixels.astype(int) - blocks()).max() <= 5
        assert image.mapping.notes == (f"{mode} shown as RGB",)

    def test_ycbcr_tiff(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.tif", PillowImage.fromarray(blocks()), compression="jpeg", quality=95)
        assert np.abs(open_image(path).pixels.astype(int) - blocks()).mean() < 4


class TestDepth:
    def ramp(self) -> NDArray[np.uint16]:
        """0 to 4095 with one hot pixel, as of a 12-bit camera."""
        values = np.linspace(0, 4095, 64 * 64).round().astype(np.uint16).reshape(64, 64)
        values[0, 0] = 65535
        return values

    def expected(self, values: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8]:
        return np.rint(np.clip((values.astype(np.float64) - low) / (high - low) * 255, 0, 255)).astype(np.uint8)

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_sixteen_bits_grey(self, tmp_path: Path, suffix: str) -> None:
        values = self.ramp()
        image = open_image(save(tmp_path / f"a.{suffix}", PillowImage.fromarray(values)))
        low, high = np.percentile(values, (0.1, 99.9))
        assert image.mapping.window == (low, high)
        assert high < 4096
        assert np.array_equal(image.pixels[..., 0], self.expected(values, low, high))
        assert image.info.dtype == "uint16"

    def test_a_chosen_window(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png", PillowImage.fromarray(self.ramp()))
        image = open_image(path, window=(1000, 2000))
        assert image.mapping.window == (1000.0, 2000.0)
        assert np.array_equal(image.pixels[..., 1], self.expected(self.ramp(), 1000, 2000))

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_sixteen_bits_colour_at_full_depth(self, tmp_path: Path, suffix: str) -> None:
        # All within the lower byte: read through its upper byte alone, it would be black.
        values = np.random.default_rng(7).integers(0, 250, (30, 40, 3), dtype=np.uint16)
        path = tmp_path / f"a.{suffix}"
        if suffix == "png":
            cv2.imwrite(str(path), values[..., ::-1])
        else:
            tifffile.imwrite(path, values, photometric="rgb", compression="deflate")
        source = open_source(path)
        assert (source.info.channels, source.info.dtype) == (3, "uint16")
        assert np.array_equal(source.read(), values)
        low, high = np.percentile(values, (0.1, 99.9))
        assert np.array_equal(open_image(path).pixels, self.expected(values, low, high))

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_sixteen_bits_with_transparency(self, tmp_path: Path, suffix: str) -> None:
        values = np.full((4, 4, 4), 30000, dtype=np.uint16)
        values[2:, :, :3] = 10000
        values[..., 3] = [0, 0, 65535, 65535]
        path = tmp_path / f"a.{suffix}"
        if suffix == "png":
            cv2.imwrite(str(path), values)
        else:
            tifffile.imwrite(path, values, photometric="rgb", extrasamples=["unassalpha"])
        image = open_image(path)
        assert image.pixels[..., 0].tolist() == [[255] * 4] * 2 + [[255, 255, 0, 0]] * 2
        assert image.mapping.notes == ("transparency laid on white",)

    def test_sixteen_bit_grey_png_with_transparency(self, tmp_path: Path) -> None:
        rows = b"".join(b"\x00" + struct.pack(">4H", 1000, 65535, 2000, 65535) for _ in range(3))
        (tmp_path / "a.png").write_bytes(png(2, 3, depth=16, colour=4, data=zlib.compress(rows)))
        source = open_source(tmp_path / "a.png")
        assert (source.info.size, source.info.dtype, source.info.channels) == (Size(3, 2), "uint16", 4)
        assert source.read()[0].tolist() == [[1000, 1000, 1000, 65535], [2000, 2000, 2000, 65535]]

    @pytest.mark.parametrize("dtype", ["int16", "int32", "uint32", "float32", "float64"])
    def test_deep_grey_tiff(self, tmp_path: Path, dtype: str) -> None:
        scale = {"uint32": 1_000_000, "int32": -500_000}.get(dtype, -3)
        values = (np.arange(50 * 50).reshape(50, 50) * scale).astype(dtype)
        tifffile.imwrite(tmp_path / "a.tif", values)
        low, high = np.percentile(values, (0.1, 99.9))
        image = open_image(tmp_path / "a.tif")
        assert image.mapping.window == pytest.approx((low, high))
        assert np.array_equal(image.pixels[..., 0], self.expected(values, low, high))

    @pytest.mark.parametrize("compression", [None, "tiff_adobe_deflate"])
    def test_one_band_stored_as_a_plane(self, tmp_path: Path, compression: str | None) -> None:
        # As geographic programs write it.
        values = self.ramp()
        picture = PillowImage.fromarray(values)
        path = save(tmp_path / "a.tif", picture, compression=compression, tiffinfo={284: 2})
        with tifffile.TiffFile(path) as tiff:
            assert tiff.pages.first.tags.valueof(284) == 2
        assert np.array_equal(open_source(path).read()[..., 0], values)

    def test_a_flat_deep_image_is_black(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", np.full((5, 5), 777, dtype=np.uint16))
        image = open_image(tmp_path / "a.tif")
        assert not image.pixels.any()
        assert image.mapping.window == (777.0, 777.0)

    def test_a_rare_bright_thing_on_flat_ground_is_seen(self, tmp_path: Path) -> None:
        values = np.full((100, 100), 100, dtype=np.uint16)
        values[50, 50] = 900
        tifffile.imwrite(tmp_path / "a.tif", values)
        image = open_image(tmp_path / "a.tif")
        assert image.mapping.window == (100.0, 900.0)
        assert image.pixels[50, 50, 0] == 255

    def test_nan_in_a_file(self, tmp_path: Path) -> None:
        values = np.ones((5, 5), dtype=np.float32)
        values[2, 3] = np.nan
        tifffile.imwrite(tmp_path / "a.tif", values)
        with pytest.raises(ImageError, match=r"a\.tif holds NaN or infinite values; replace them first, for example"):
            open_image(tmp_path / "a.tif")
        with pytest.raises(ImageError, match="holds NaN"):
            open_image(tmp_path / "a.tif", window=(0, 2))

    def test_the_sample_of_a_large_image_sees_all_of_it(self) -> None:
        values = np.zeros((2500, 2500), dtype=np.uint16)
        values[:, 1250:] = 1000
        assert open_image(values).mapping.window == (0.0, 1000.0)
        assert open_image(values.T).mapping.window == (0.0, 1000.0)


class TestManyChannels:
    @pytest.mark.parametrize("planar", ["contig", "separate"])
    def test_tiff_of_seven_bands(self, tmp_path: Path, planar: str) -> None:
        values = noise(20, 30, 7)
        data = np.moveaxis(values, 2, 0) if planar == "separate" else values
        tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", planarconfig=planar)
        source = open_source(tmp_path / "a.tif")
        assert (source.info.size, source.info.channels) == (Size(20, 30), 7)
        assert np.array_equal(source.read((3, 4, 13, 9)), values[4:9, 3:13])
        image = open_image(tmp_path / "a.tif")
        assert np.array_equal(image.pixels, values[..., :3])
        assert image.mapping.notes == ("7 channels: the first three shown as red, green and blue",)
        assert np.array_equal(open_image(tmp_path / "a.tif", bands=(5, 3, 0)).pixels, values[..., [5, 3, 0]])
        assert np.array_equal(open_image(tmp_path / "a.tif", bands=(6,)).pixels, values[..., [6, 6, 6]])

    def test_four_bands_that_are_no_transparency(self, tmp_path: Path) -> None:
        values = np.random.default_rng(7).integers(0, 4000, (20, 30, 4), dtype=np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unspecified"])
        image = open_image(tmp_path / "a.tif", window=(0, 255))
        assert np.array_equal(image.pixels, np.minimum(values[..., :3], 255).astype(np.uint8))

    def test_eight_bit_bands_beyond_colour_are_kept(self, tmp_path: Path) -> None:
        values = noise(20, 30, 4)
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unspecified"])
        assert open_source(tmp_path / "a.tif").info.channels == 4
        image = open_image(tmp_path / "a.tif")
        assert np.array_equal(image.pixels, values[..., :3])
        assert image.mapping.notes == ("4 channels: the first three shown as red, green and blue",)
        assert np.array_equal(open_image(tmp_path / "a.tif", bands=(3, 0, 1)).pixels, values[..., [3, 0, 1]])

    @pytest.mark.parametrize("bands", [(7,), (-1,), (0, 1), (0, 1, 7), ()])
    def test_bands_that_are_not_there(self, bands: tuple[int, ...]) -> None:
        message = f"bands must be one or three channels from 0 to 6, got {list(bands)} for array with 7 channels."
        with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
            open_image(noise(4, 5, 7), bands=bands)

    def test_a_codec_that_is_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def without_codec(*_: object, **__: object) -> None:
            raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

        path = tmp_path / "a.tif"
        tifffile.imwrite(path, noise(8, 8, 6), photometric="minisblack", planarconfig="contig", compression="deflate")
        monkeypatch.setattr(tifffile.TiffPage, "asarray", without_codec)
        with pytest.raises(ImageError) as caught:
            open_image(path)
        assert str(caught.value) == (
            f"{path} is a TIFF of many channels or deep colour with DEFLATE compression; "
            "reading that needs another package: pip install imagecodecs"
        )
