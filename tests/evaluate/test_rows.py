import numpy as np

from segany.evaluate.protocol import size_of
from segany.evaluate.rows import case_columns, object_row, read_case
from segany.evaluate.segmenter import MaskCrop
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, Prompt

MASK = np.zeros((20, 30), dtype=bool)
MASK[4:9, 10:25] = True


def test_a_row_says_which_object() -> None:
    row = object_row(Annotation(7, RLE.from_mask(MASK), category="cat"), {"iou": 0.5})
    assert row == {"object": "7", "category": "cat", "area": 75, "size": "small", "iou": 0.5}


def test_sizes_are_cocos() -> None:
    assert [size_of(area) for area in (1, 1024, 1025, 9216, 9217)] == ["small", "small", "medium", "medium", "large"]


def test_what_a_picture_shows_comes_back() -> None:
    prompt = Prompt(points=[(12, 5)], labels=[0], box=(1, 2, 9, 8))
    columns = case_columns(RLE.from_mask(MASK), MaskCrop((10, 4, 12, 9), MASK[4:9, 10:12]), prompt)
    assert all(name.startswith("_") for name in columns)
    case = read_case(columns, Size(20, 30))
    assert case is not None
    assert case.truth == RLE.from_mask(MASK)
    assert case.answer.area == 10
    assert case.prompt is not None
    assert case.prompt.to_dict() == prompt.to_dict()


def test_a_row_may_have_no_picture() -> None:
    assert read_case({"iou": 0.5}, Size(20, 30)) is None
    case = read_case(case_columns(RLE.from_mask(MASK), RLE.from_mask(~MASK), None), Size(20, 30))
    assert case is not None
    assert case.prompt is None
