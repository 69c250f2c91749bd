from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.errors import ImageError
from segany.geometry import Size
from segany.schema import Image, ImageInfo, Parent, PixelMapping, Source
from segany.sources import ArraySource, open_source


def test_what_is_known() -> None:
    info = ImageInfo(1, "a.jpg", (20, 30))  # type: ignore[arg-type]  # a plain pair becomes a Size
    assert info.size == Size(20, 30)
    assert isinstance(info.size, Size)
    assert (info.channels, info.dtype, info.digest) == (3, "uint8", None)
    assert ImageInfo(1, "a", Size(1, 1), parent=Parent("volume", "scan", 3)).parent == Parent("volume", "scan", 3)


@pytest.mark.parametrize("size", [Size(0, 5), Size(5, 0), Size(-1, 4)])
def test_a_size_without_pixels(size: Size) -> None:
    with pytest.raises(ImageError) as caught:
        ImageInfo("a", "a.jpg", size)
    assert str(caught.value) == f"an image has at least 1x1 pixel, got {size} for 'a.jpg'."


def test_an_image() -> None:
    image = Image(ImageInfo("a", "a.jpg", Size(2, 3)), np.zeros((2, 3, 3), np.uint8))
    assert image.size == Size(2, 3)
    assert image.mapping == PixelMapping((0, 1, 2), None, 1, ())


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((3, 2, 3), np.uint8), ((2, 3), np.uint8), ((2, 3, 4), np.uint8), ((2, 3, 3), np.float32), ((3, 2, 3), np.int8)],
)
def test_pixels_that_do_not_fit(shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    with pytest.raises(ImageError) as caught:
        Image(ImageInfo("a", "a.jpg", Size(2, 3)), np.zeros(shape, dtype))
    assert str(caught.value) == (
        f"pixels must be [2, 3, 3] uint8 RGB, got {list(shape)} {np.dtype(dtype)}; "
        "read files and other arrays through segany.open_image."
    )


def test_readers_are_sources(tmp_path: Path) -> None:
    pixels = np.zeros((4, 5, 3), np.uint8)
    PillowImage.fromarray(pixels).save(tmp_path / "a.png")
    sources: list[Source] = [ArraySource(pixels), open_source(tmp_path / "a.png")]
    for source in sources:
        assert source.info.size == Size(4, 5)
        assert source.read((0, 0, 2, 1)).shape == (1, 2, 3)
