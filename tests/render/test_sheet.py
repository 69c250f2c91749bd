import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.errors import ConfigError
from segany.render import contact_sheet
from segany.sources import open_image


def flat(color: tuple[int, ...], size: tuple[int, int] = (300, 200), mode: str = "RGB") -> PillowImage.Image:
    return PillowImage.new(mode, size, color)


def count(sheet: PillowImage.Image, color: tuple[int, int, int]) -> int:
    return int((np.asarray(sheet) == color).all(axis=2).sum())


def test_every_picture_is_on_it() -> None:
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)]
    sheet = contact_sheet([flat(color) for color in colors], columns=2)
    assert [count(sheet, color) for color in colors] == [300 * 200] * 5
    assert sheet.height > 3 * 200
    assert 2 * 300 < sheet.width < 3 * 300


def test_a_row_that_is_not_full() -> None:
    assert contact_sheet([flat((255, 0, 0))], columns=5).width < 400


def test_large_pictures_shrink_and_small_ones_do_not_grow() -> None:
    sheet = contact_sheet([flat((255, 0, 0), (3000, 1000)), flat((0, 255, 0), (10, 10))], side=300)
    assert count(sheet, (255, 0, 0)) == 300 * 100
    assert count(sheet, (0, 255, 0)) == 100


def test_transparency_is_chequered() -> None:
    sheet = contact_sheet([flat((255, 0, 0, 0), mode="RGBA")])
    assert count(sheet, (255, 255, 255)) > 20_000
    assert count(sheet, (222, 222, 222)) > 20_000
    assert count(sheet, (255, 0, 0)) == 0


def test_images_and_arrays() -> None:
    pixels = np.full((20, 30, 3), 9, dtype=np.uint8)
    assert count(contact_sheet([pixels, open_image(pixels), PillowImage.fromarray(pixels)]), (9, 9, 9)) == 1800


def test_captions_lie_below_and_are_cut() -> None:
    plain = contact_sheet([flat((255, 0, 0))])
    named = contact_sheet([flat((255, 0, 0))], ["a cup"])
    long = contact_sheet([flat((255, 0, 0))], ["a cup " * 100])
    assert named.height > plain.height
    assert named.width == plain.width == long.width
    text = (np.asarray(named)[210:] < 128).all(axis=2)
    assert text.sum() > 20
    # Within the picture's width, not running into the margin.
    columns = np.flatnonzero((np.asarray(long)[212:] < 200).all(axis=2).any(axis=0))
    margin = (long.width - 300) // 2
    assert columns.min() >= margin - 1
    assert columns.max() <= margin + 300


def test_extreme_shapes() -> None:
    sheet = contact_sheet([np.zeros((1, 10_000, 3), np.uint8), np.zeros((10_000, 1, 3), np.uint8)], ["a", "b"])
    assert sheet.width < 800
    assert count(sheet, (0, 0, 0)) >= 640 + 640


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        ([], {}, "a sheet needs at least one picture, got none."),
        (
            [flat((0, 0, 0))],
            {"captions": ["a", "b"]},
            "captions must be one for each of the 1 pictures, got 2.",
        ),
        ([flat((0, 0, 0))], {"columns": 0}, "columns and side must be at least 1, got 0 and 640."),
        ([flat((0, 0, 0))], {"side": 0}, "columns and side must be at least 1, got 3 and 0."),
    ],
)
def test_refusals(images: list[PillowImage.Image], options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        contact_sheet(images, **options)  # type: ignore[arg-type]  # one of several
    assert str(caught.value) == message
