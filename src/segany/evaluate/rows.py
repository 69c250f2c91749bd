"""Rows of objects: the columns that most protocols share, and hidden ones that a picture is drawn from later."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from segany.evaluate.metrics import Row, Value
from segany.evaluate.protocol import size_of
from segany.evaluate.segmenter import MaskCrop
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, Prompt

__all__ = ["Case", "case_columns", "object_row", "read_case"]

_TRUTH, _ANSWER, _PROMPT = "_truth", "_answer", "_prompt"


class Case(NamedTuple):
    """What a picture of a row shows.

    Attributes:
        truth: What was meant.
        answer: What came.
        prompt: What was asked, or None.
    """

    truth: RLE
    answer: RLE
    prompt: Prompt | None


def object_row(annotation: Annotation, columns: Mapping[str, Value]) -> dict[str, Value]:
    """The row of one object.

    Args:
        annotation: The object.
        columns: What was measured.
    """
    return {
        "object": str(annotation.id),
        "category": annotation.category,
        "area": annotation.area,
        "size": size_of(annotation.area),
        **columns,
    }


def case_columns(truth: RLE, answer: MaskCrop | RLE, prompt: Prompt | None) -> dict[str, Value]:
    """Hidden columns from which `read_case` makes a picture.

    Args:
        truth: What was meant.
        answer: What came.
        prompt: What was asked; its logits are not kept.
    """
    whole = answer if isinstance(answer, RLE) else answer.rle(truth.size)
    return {
        _TRUTH: truth.counts.decode("ascii"),
        _ANSWER: whole.counts.decode("ascii"),
        _PROMPT: None if prompt is None else json.dumps(prompt.to_dict()),
    }


def read_case(row: Row, size: Size) -> Case | None:
    """What a row's picture shows; None where the row has none.

    Args:
        row: With the columns of `case_columns`.
        size: Of the image.
    """
    truth, answer, prompt = row.get(_TRUTH), row.get(_ANSWER), row.get(_PROMPT)
    if not isinstance(truth, str) or not isinstance(answer, str):
        return None
    asked = Prompt.from_dict(json.loads(prompt)) if isinstance(prompt, str) else None
    return Case(RLE(size, truth.encode("ascii")), RLE(size, answer.encode("ascii")), asked)
