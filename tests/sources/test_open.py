"""open_image: one way in, and what is known of what came."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import ImageError
from segany.geometry import Size
from segany.sources import open_image, open_source, pixel_digest


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


class TestFormats:
    @pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "ppm", "jp2"])
    def test_lossless_formats_give_the_very_pixels(self, tmp_path: Path, suffix: str) -> None:
        pixels = noise(37, 53, 3)
        image = open_image(save(tmp_path / f"a.{suffix}", PillowImage.fromarray(pixels)))
        assert np.array_equal(image.pixels, pixels)
        assert image.pixels.flags.c_contiguous
        assert image.pixels.flags.writeable
        assert (image.mapping.bands, image.mapping.window, image.mapping.orientation) == ((0, 1, 2), None, 1)
        assert image.mapping.notes == ()

    @pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
    def test_lossy_formats_give_nearly_the_pixels(self, tmp_path: Path, suffix: str) -> None:
        image = open_image(save(tmp_path / f"a.{suffix}", PillowImage.fromarray(blocks()), quality=95))
        assert np.abs(image.pixels.astype(int) - blocks()).mean() < 4

    def test_what_is_known_of_a_file(self, tmp_path: Path) -> None:
        path = save(tmp_path / "photo.png", PillowImage.fromarray(noise(20, 30, 3)))
        info = open_image(str(path)).info
        assert (info.image_id, info.file_name, info.size) == ("photo.png", "photo.png", Size(20, 30))
        assert (info.channels, info.dtype) == (3, "uint8")
        assert info.digest == pixel_digest(noise(20, 30, 3))
        assert info.source_digest == hashlib.sha256(path.read_bytes()).hexdigest()

    def test_the_suffix_does_not_matter(self, tmp_path: Path) -> None:
        PillowImage.fromarray(noise(5, 6, 3)).save(tmp_path / "a.dat", format="PNG")
        assert np.array_equal(open_image(tmp_path / "a.dat").pixels, noise(5, 6, 3))

    def test_a_camera_photo_equals_pillows(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.jpg", PillowImage.fromarray(noise(301, 203, 3)), quality=80)
        with PillowImage.open(path) as expected:
            assert np.array_equal(open_image(path).pixels, np.asarray(expected))


class TestReading:
    def test_a_window(self, tmp_path: Path) -> None:
        pixels = noise(20, 30, 3)
        source = open_source(save(tmp_path / "a.png", PillowImage.fromarray(pixels)))
        assert np.array_equal(source.read((2, 3, 12, 8)), pixels[3:8, 2:12])
        assert source.info.digest is None

    @pytest.mark.parametrize("window", [(0, 0, 31, 5), (-1, 0, 3, 3), (5, 5, 5, 9)])
    def test_a_window_that_is_not_there(self, tmp_path: Path, window: tuple[int, ...]) -> None:
        path = save(tmp_path / "a.png", PillowImage.fromarray(noise(20, 30, 3)))
        with pytest.raises(ImageError) as caught:
            open_source(path).read(window)
        assert str(caught.value) == (
            f"a window must lie within {path}, 20x30 (height x width), with x0 < x1 and y0 < y1, "
            f"got {', '.join(map(str, window))}."
        )

    def test_a_window_of_another_length_and_a_level(self, tmp_path: Path) -> None:
        source = open_source(save(tmp_path / "a.png", PillowImage.fromarray(noise(20, 30, 3))))
        with pytest.raises(ImageError, match=r"a window must be four whole numbers x0, y0, x1, y1, got \[1, 2\]\."):
            source.read((1, 2))
        with pytest.raises(ImageError, match="has one level, 0; got level 1"):
            source.read(level=1)

    def test_pillow_is_not_told_to_read_truncated_files(self) -> None:
        code = "import segany.sources; from PIL import ImageFile; print(ImageFile.LOAD_TRUNCATED_IMAGES)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "False"

    def test_equal_pixels_have_equal_digests_whatever_the_file(self, tmp_path: Path) -> None:
        picture = PillowImage.fromarray(noise(20, 30, 3))
        one, other = open_image(save(tmp_path / "a.png", picture)), open_image(save(tmp_path / "b.bmp", picture))
        assert one.info.digest == other.info.digest
        assert one.info.source_digest != other.info.source_digest

    def test_the_digest_tells_shapes_apart(self) -> None:
        flat = np.zeros(24, dtype=np.uint8)
        digests = {pixel_digest(flat.reshape(s)) for s in [(2, 4, 3), (4, 2, 3), (1, 8, 3)]}
        digests.add(pixel_digest(flat.view(np.uint16)))
        assert len(digests) == 4
        assert pixel_digest(noise(4, 5, 3)[::-1]) == pixel_digest(noise(4, 5, 3)[::-1].copy())

    def test_the_digest_is_pinned(self) -> None:
        pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
        assert pixel_digest(pixels) == hashlib.sha256(b"|u1[2, 2, 3]" + bytes(range(12))).hexdigest()
