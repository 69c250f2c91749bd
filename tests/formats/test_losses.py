"""The table of what formats can hold, in the code and in the documentation."""

import re
from pathlib import Path

from segany.formats import FIELDS, HOLDS, TARGETS

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "data.md"
# What a group is called on the page, in its order.
ROWS = {
    "holes and parts": "holes, several parts",
    "overlaps": "masks that overlap",
    "any number": "any number of masks",
    "empty masks": "masks without a pixel",
    "outlines": "imported polygons, vertex by vertex",
    "crowds": "crowds",
    "ignore": "pixels to ignore",
    "category": "classes",
    "no category": "masks without a class",
    "ids": "ids of masks",
    "scores": "predicted IoU, stability score",
    "prompts": "clicks, crop, prompts",
    "source": "manual, semi-automatic, automatic",
    "provenance": "model, annotator, seconds, time, review, parent",
    "extra": "other formats' fields",
    "image id": "ids of images",
    "image data": "digests, spacing, affine map, CRS",
    "video": "place in a video or volume",
    "images of no video": "images of no video",
    "unused classes": "classes that no mask has",
}


def test_the_page_has_the_table_of_the_code() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("<!-- holds -->\n")[2].partition("\n\n")[0]
    head, _, *rows = table.splitlines()
    assert re.findall(r"`(\w+)`", head) == list(TARGETS)
    found = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert found == [
        [words, *("yes" if group in HOLDS[target] else "-" for target in TARGETS)] for group, words in ROWS.items()
    ]


def test_every_group_is_of_a_field() -> None:
    groups = {each.group for each in FIELDS}
    assert groups == ROWS.keys()
    assert all(held <= groups for held in HOLDS.values())
    assert len({each.name for each in FIELDS}) == len(FIELDS)
