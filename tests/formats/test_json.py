from pathlib import Path

import pytest

from segany.errors import RecordError
from segany.formats._json import Fields, read_json


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[1, 2]", encoding="utf-8")
    assert read_json(path, max_bytes=6) == [1, 2]
    with pytest.raises(RecordError, match=r"a\.json is larger than 5 bytes"):
        read_json(path, max_bytes=5)


def test_a_byte_order_mark_is_no_part_of_the_document(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert read_json(path) == {}


def test_missing_and_null_are_the_same() -> None:
    fields = Fields({"a": None}, "x")
    assert fields.number("a") is None
    assert fields.number("b") is None
    with pytest.raises(RecordError, match=r"^x: a is missing\.$"):
        fields.require(fields.number("a"), "a")


def test_values_keep_their_kind() -> None:
    fields = Fields({"a": 3, "b": 3.0, "c": "3", "d": True, "e": 1}, "x")
    assert fields.whole("a") == fields.whole("b") == 3
    assert (fields.identity("a"), fields.identity("c")) == (3, "3")
    assert fields.flag("d") is True
    assert fields.flag("e") is True
    for key in ("c", "d"):
        with pytest.raises(RecordError, match=f"x: {key} must be a finite number"):
            fields.number(key)
    with pytest.raises(RecordError, match="x: a must be text, got 3"):
        fields.text("a")


def test_a_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(RecordError) as caught:
        Fields({"a": "y" * 1000}, "x").number("a")
    assert len(str(caught.value)) < 130
