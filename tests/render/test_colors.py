import numpy as np
import pytest
from numpy.typing import NDArray

from segany.render import distinct_colors
from segany.render.colors import RGB, ink_on


def oklab(color: RGB) -> NDArray[np.float64]:
    """B. Ottosson's OKLab, through matrices from sRGB: another way than the package's."""
    encoded = np.array(color) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    to_cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    lab: NDArray[np.float64] = np.array(to_lab) @ np.cbrt(np.array(to_cones) @ linear)
    return lab


@pytest.mark.parametrize(("count", "apart"), [(8, 0.11), (21, 0.10)])
def test_colours_lie_apart(count: int, apart: float) -> None:
    lab = np.array([oklab(color) for color in distinct_colors(count)])
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 9 * np.eye(count)
    # 0.02 is what the eye just sees; side by side over a photo it takes several times that.
    assert distance.min() > apart


def test_however_many_there_are_those_that_follow_each_other_lie_apart() -> None:
    lab = np.array([oklab(color) for color in distinct_colors(300)])
    for step in range(1, 8):
        assert np.linalg.norm(lab[step:] - lab[:-step], axis=1).min() > 0.05


def test_none_is_as_pale_as_paper_or_as_dark_as_ink() -> None:
    lightness = [oklab(color)[0] for color in distinct_colors(200)]
    assert min(lightness) > 0.45
    assert max(lightness) < 0.9


def test_more_of_them_start_alike() -> None:
    assert distinct_colors(40)[:7] == distinct_colors(7)
    assert distinct_colors(0) == []
    assert len(set(distinct_colors(300))) == 300


def test_the_first_is_azure() -> None:
    red, green, blue = distinct_colors(1)[0]
    assert blue > green > red


def test_ink_can_be_read() -> None:
    assert ink_on((255, 255, 255)) == (0, 0, 0)
    assert ink_on((0, 0, 0)) == (255, 255, 255)
    assert ink_on((0, 0, 160)) == (255, 255, 255)
    assert ink_on((250, 230, 90)) == (0, 0, 0)
