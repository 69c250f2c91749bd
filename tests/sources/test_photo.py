"""Image files: what is refused, with which words, and what windows of them are read."""

import contextlib
import errno
import re
import struct
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import ConfigError, ImageError
from segany.geometry import Size
from segany.sources import open_image, open_source


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, picture: PillowImage.Image, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def png(width: int, height: int, *, depth: int = 8, colour: int = 0, data: bytes = b"", extra: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    text = chunk(b"zTXt", extra) if extra else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + text + chunk(b"IDAT", data) + chunk(b"IEND", b"")


class TestSizes:
    @pytest.mark.parametrize("shape", [(1, 1), (1, 10_000), (10_000, 1)])
    @pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
    def test_extreme_shapes(self, tmp_path: Path, shape: tuple[int, int], suffix: str) -> None:
        path = save(tmp_path / f"a.{suffix}", PillowImage.new("RGB", shape[::-1], (200, 30, 40)))
        image = open_image(path)
        assert image.size == shape
        assert np.abs(image.pixels.astype(int) - (200, 30, 40)).max() <= 3

    def test_an_image_over_the_limit_is_refused_by_its_header(self, tmp_path: Path) -> None:
        # A bomb: 30 gigapixels in 1 kB. Its data are not even valid, so decoding would give another message.
        path = tmp_path / "bomb.png"
        path.write_bytes(png(200_000, 150_000, data=zlib.compress(b"\x00" * 100_000)))
        with pytest.raises(ImageError) as caught:
            open_source(path)
        assert str(caught.value) == (
            f"{path} is 150000x200000 (height x width), 30,000,000,000 pixels; an image that is read whole may have "
            "200,000,000. Raise the limit with --max-pixels or SEGANY_MAX_PIXELS, or cut the image into tiles and "
            "segment those."
        )

    def test_the_limit_can_be_given(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = save(tmp_path / "a.png", PillowImage.new("L", (10, 10)))
        open_image(path, max_pixels=100)
        with pytest.raises(ImageError, match="100 pixels; an image that is read whole may have 99"):
            open_image(path, max_pixels=99)
        monkeypatch.setenv("SEGANY_MAX_PIXELS", "50")
        with pytest.raises(ImageError, match="may have 50"):
            open_source(path)
        with pytest.raises(ImageError, match=r"array is 10x10 .* may have 50"):
            open_image(np.zeros((10, 10), dtype=np.uint8))
        with pytest.raises(ImageError, match=r"image is 10x10 .* may have 50"):
            open_image(PillowImage.new("L", (10, 10)))
        monkeypatch.setenv("SEGANY_MAX_PIXELS", "many")
        with pytest.raises(ConfigError):
            open_source(path)

    @pytest.mark.parametrize("suffix", ["png", "tif", "gif"])
    def test_pillows_own_limit_neither_matters_nor_changes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
    ) -> None:
        path = save(tmp_path / f"a.{suffix}", PillowImage.fromarray(noise(50, 50)))
        monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 100)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.array_equal(open_image(path).pixels[..., 0], noise(50, 50))
        assert PillowImage.MAX_IMAGE_PIXELS == 100
        with pytest.raises(PillowImage.DecompressionBombError):
            PillowImage.open(path)

    def test_many_threads_and_pillows_limit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = save(tmp_path / "a.tif", PillowImage.fromarray(noise(50, 50)))
        monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 100)
        results: list[bool] = []

        def work() -> None:
            results.extend(np.array_equal(open_image(path).pixels[..., 0], noise(50, 50)) for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [True] * 160
        assert PillowImage.MAX_IMAGE_PIXELS == 100

    def test_a_text_chunk_that_inflates_hugely(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        bomb = b"note\x00\x00" + zlib.compress(bytes(80_000_000))
        path.write_bytes(png(4, 4, data=zlib.compress(b"\x00" * 20), extra=bomb))
        with pytest.raises(ImageError, match=r"is truncated or damaged \(Decompressed data too large"):
            open_image(path)


class TestRefusals:
    def refusal(self, path: Path) -> str:
        with pytest.raises(ImageError) as one:
            open_source(path)
        with pytest.raises(ImageError) as other:
            open_image(path)
        assert str(one.value) == str(other.value)
        return str(one.value)

    def test_no_such_file(self, tmp_path: Path) -> None:
        path = tmp_path / "no.jpg"
        assert self.refusal(path) == f"no such file: {path}; check its name and the folder it is in."

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png", PillowImage.new("L", (4, 4))) / "b.png"
        assert str(path) in self.refusal(path)

    def test_a_folder(self, tmp_path: Path) -> None:
        assert self.refusal(tmp_path) == f"{tmp_path} is a folder, not an image; give the images in it."

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").touch()
        assert self.refusal(tmp_path / "a.jpg") == (
            f"{tmp_path / 'a.jpg'} is empty (0 bytes); copy or download it again."
        )

    def test_a_file_that_may_not_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(path: Path, *_: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        path = save(tmp_path / "a.png", PillowImage.new("L", (4, 4)))
        monkeypatch.setattr(Path, "open", refused)
        assert self.refusal(path) == f"cannot read {path}: Permission denied; check that you may read it."

    @pytest.mark.parametrize(
        ("content", "what"),
        [
            (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
            (b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg width="3"/>', "an SVG drawing"),
            (b"\n<!DOCTYPE html><title>404</title>", "an HTML page, perhaps of a download that failed"),
            (b"version https://git-lfs.github.com/spec/v1\n", "a text file"),
            ("Grüße\n".encode(), "a text file"),
            (b"%PDF-1.7\n", "a PDF document"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "PostScript"),
            (b"8BPS\x00\x01", "a Photoshop document"),
            (b"\x00\x00\x00\x18ftypheic\x00\x00", "a HEIC photo"),
            (b"\x00\x00\x00\x18ftypisom\x00\x00", "a video"),
            (b"\x93NUMPY\x01\x00", "a NumPy array file"),
            (bytes(128) + b"DICM", "a DICOM file"),
        ],
    )
    def test_other_files(self, tmp_path: Path, content: bytes, what: str) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(content)
        assert self.refusal(path).startswith(f"{path} is {what}, not an image that segany reads; ")

    def test_the_whole_sentence(self, tmp_path: Path) -> None:
        path = tmp_path / "a.svg"
        path.write_bytes(b"<svg/>")
        assert self.refusal(path) == (
            f"{path} is an SVG drawing, not an image that segany reads; export it as PNG first."
        )

    def test_unknown_bytes(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(bytes(range(256)))
        assert self.refusal(path) == (
            f"{path} is not an image that segany reads; "
            "wanted one of JPEG, PNG, TIFF, WEBP, GIF, BMP, AVIF, JPEG2000, PPM."
        )

    @pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "gif", "bmp"])
    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
    def test_a_truncated_file(self, tmp_path: Path, suffix: str, share: float) -> None:
        whole = save(tmp_path / f"whole.{suffix}", PillowImage.fromarray(noise(90, 80, 3))).read_bytes()
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ImageError) as caught:
            open_image(path)
        assert str(caught.value).startswith(f"{path} is truncated or damaged (")
        assert str(caught.value).endswith("); copy or download it again.")

    def test_a_truncated_jpeg_by_name(self, tmp_path: Path) -> None:
        whole = save(tmp_path / "whole.jpg", PillowImage.fromarray(noise(90, 80, 3))).read_bytes()
        path = tmp_path / "a.jpg"
        path.write_bytes(whole[: len(whole) // 2])
        assert open_source(path).info.size == Size(90, 80)
        with pytest.raises(ImageError) as caught:
            open_source(path).read()
        assert re.fullmatch(
            re.escape(f"{path} is truncated or damaged (")
            + r"image file is truncated \(\d+ bytes not processed\)"
            + re.escape("); copy or download it again."),
            str(caught.value),
        )

    @pytest.mark.parametrize("kind", ["png", "deflate", "plain"])
    def test_a_truncated_deep_file(self, tmp_path: Path, kind: str) -> None:
        values = np.random.default_rng(7).integers(0, 65536, (90, 80, 3), dtype=np.uint16)
        path = tmp_path / ("a.png" if kind == "png" else "a.tif")
        if kind == "png":
            cv2.imwrite(str(path), values)
        else:
            tifffile.imwrite(path, values, photometric="rgb", compression="deflate" if kind == "deflate" else None)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) * 2 // 3])
        with pytest.raises(ImageError, match="is truncated or damaged"):
            open_image(path)

    def test_a_damaged_deep_png(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        cv2.imwrite(str(path), np.random.default_rng(7).integers(0, 65536, (90, 80, 3), dtype=np.uint16))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
        with pytest.raises(ImageError, match="is truncated or damaged"):
            open_image(path)

    def test_a_header_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(png(10, 10)[:20])
        assert self.refusal(path).startswith(f"{path} is truncated or damaged (")

    def test_random_damage_gives_an_image_or_an_image_error(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(3)
        for suffix in ("jpg", "png", "tif", "webp", "gif", "bmp", "jp2", "avif", "ppm"):
            whole = save(tmp_path / f"whole.{suffix}", PillowImage.fromarray(noise(20, 20, 3))).read_bytes()
            for _ in range(40):
                data = bytearray(whole)
                for place in rng.integers(0, min(len(data), 200), 3):
                    data[place] = rng.integers(0, 256)
                path = tmp_path / f"a.{suffix}"
                path.write_bytes(data)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    # Damage of the header may leave an image that can be read; nothing else may come of it.
                    with contextlib.suppress(ImageError):
                        open_image(path, max_pixels=1_000_000)
