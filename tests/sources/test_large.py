"""Large photos: the same values as through Pillow, the same word for damaged ones, and one array."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.errors import ImageError
from segany.sources import PhotoSource, _large, open_image
from segany.sources._large import LargePhoto

MEMORY = """
import sys
import cv2
from segany.evaluate.machine import peak_memory_bytes
from segany.sources import open_image
import PIL.JpegImagePlugin, PIL.PngImagePlugin
before = peak_memory_bytes()
image = open_image(sys.argv[1])
print(peak_memory_bytes() - before, image.pixels.nbytes)
"""


@pytest.fixture
def every_photo_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_large, "_LEAST_PIXELS", 1)


def photo(path: Path, orientation: int = 1, **options: object) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (61, 47, 3), dtype=np.uint8)
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    picture = PillowImage.fromarray(noise).resize((470, 610), PillowImage.Resampling.BICUBIC)
    picture.save(path, exif=exif, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("png", {}),
        ("jpg", {"quality": 92}),
        ("jpg", {"quality": 40, "subsampling": 2}),
        ("jpg", {"progressive": True}),
        ("jpg", {"quality": 95, "subsampling": 0, "restart_marker_rows": 1}),
    ],
)
def test_values_are_those_of_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, options: dict[str, object], orientation: int
) -> None:
    path = photo(tmp_path / f"photo.{suffix}", orientation, **options)
    by_pillow, read = open_image(path), PhotoSource(path).read()
    monkeypatch.setattr(_large, "_LEAST_PIXELS", 1)
    source = PhotoSource(path)
    assert isinstance(source._header, LargePhoto)
    image = open_image(path)
    np.testing.assert_array_equal(image.pixels, by_pillow.pixels)
    np.testing.assert_array_equal(source.read(), read)
    assert image.info == by_pillow.info


@pytest.mark.usefixtures("every_photo_is_large")
@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("share", [0.4, 0.95])
def test_a_truncated_file(tmp_path: Path, suffix: str, share: float) -> None:
    path = photo(tmp_path / f"photo.{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ImageError, match="is truncated or damaged"):
        open_image(path)


@pytest.mark.usefixtures("every_photo_is_large")
def test_a_truncated_jpeg_with_a_whole_thumbnail(tmp_path: Path) -> None:
    small = photo(tmp_path / "small.jpg").read_bytes()[:60_000]
    thumbnail = b"\xff\xd8" + small[2:4000] + b"\xff\xd9"
    path = photo(tmp_path / "photo.jpg", comment=thumbnail)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 5000])
    with pytest.raises(ImageError, match="is truncated or damaged"):
        open_image(path)


@pytest.mark.usefixtures("every_photo_is_large")
def test_transparency_and_depth_go_the_other_ways(tmp_path: Path) -> None:
    for mode in ("RGBA", "L", "P", "CMYK"):
        path = tmp_path / f"{mode}.{'jpg' if mode == 'CMYK' else 'png'}"
        PillowImage.new(mode, (9, 7)).save(path)
        assert not isinstance(PhotoSource(path)._header, LargePhoto)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_the_pixels_are_held_once(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    PillowImage.fromarray(np.zeros((5000, 6000, 3), dtype=np.uint8)).save(path)
    grown, pixels = map(int, subprocess.check_output([sys.executable, "-c", MEMORY, str(path)], text=True).split())
    assert pixels == 90_000_000
    # Pillow's own copy would make it 2.3 times as much.
    assert grown < 1.25 * pixels
