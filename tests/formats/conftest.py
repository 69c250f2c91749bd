"""Small data sets on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.geometry import Size
from segany.masks import RLE
from segany.settings import Settings

SavePicture = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> SavePicture:
    """Save a picture under a name below the test's folder: an array, or 40x60 pixels of noise when left out."""

    def picture(name: str, array: NDArray[np.generic] | None = None, mode: str | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if array is None:
            array = np.random.default_rng(len(name)).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        made = PillowImage.fromarray(array)
        if mode == "P":
            made.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
        made.save(path)
        return path

    return picture


@pytest.fixture
def rectangle() -> Callable[..., RLE]:
    """The mask of a box XYXY."""

    def made(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = (40, 60)) -> RLE:
        mask = np.zeros(size, dtype=bool)
        mask[y0:y1, x0:x1] = True
        return RLE.from_mask(mask)

    return made


@pytest.fixture
def size() -> Size:
    return Size(40, 60)


@pytest.fixture
def annotated_data() -> Path:
    """The folder of annotated data, or the test is skipped."""
    data = Settings.from_environment().data
    if data is None:
        pytest.skip("SEGANY_DATA, the folder of annotated data, is not set")
    return data
