"""Walking through JSON, checked against json.loads."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segany.errors import RecordError
from segany.formats import _json_stream
from segany.formats._json_stream import iter_elements, parse_element
from segany.formats.problems import FlawError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def walked(path: Path, *arrays: str) -> list[tuple[str, int | None, Any]]:
    content = path.read_bytes()
    return [
        (each.key, each.index, parse_element(content[each.start : each.end], "x") if each.index is not None else None)
        for each in iter_elements(path, arrays)
    ]


@given(
    document=st.dictionaries(st.sampled_from(["a", "b", "c", "ü"]), st.lists(VALUES, max_size=5) | VALUES, max_size=4),
    indent=st.sampled_from([None, 0, 2]),
    ascii_only=st.booleans(),
    chunk=st.integers(1, 40),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_elements_are_those_of_json_whatever_the_window(
    document: dict[str, Any], indent: int | None, ascii_only: bool, chunk: int, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document, indent=indent, ensure_ascii=ascii_only), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_json_stream, "_CHUNK_BYTES", chunk)
        found = walked(path, "a", "b")
    expected: list[tuple[str, int | None, Any]] = []
    for key in (key for key in document if key in ("a", "b")):
        value = document[key]
        is_filled = isinstance(value, list) and value
        expected += [(key, index, each) for index, each in enumerate(value)] if is_filled else [(key, None, None)]
    assert found == expected


def test_what_comes_before_the_damage_is_given(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": [1, {"b": 2},\n {"c"', encoding="utf-8")
    elements = iter_elements(path, ["a"])
    assert [next(elements).value, next(elements).value] == [1, {"b": 2}]
    with pytest.raises(FlawError) as caught:
        next(elements)
    assert caught.value.kind == "truncated"
    assert str(caught.value).startswith(
        f"{path} is not valid JSON, it ends too early: expecting ':' delimiter (line 2,"
    )


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("", "truncated", "expected '{', got ''"),
        ("[]", "bad_json", "must be an object: its JSON must begin with {."),
        ('{"a": [1 2]}', "bad_json", "expected ']', got '2' (line 1, byte 9)"),
        ('{"a": [1, nul]}', "bad_json", "expecting value (line 1, byte 10)"),
        ('{"a": [1', "truncated", "expected ']', got '' (line 1, byte 8)"),
        ('{"a": ["x', "truncated", "unterminated string"),
        ('{"a": [1]', "truncated", "expected '}', got ''"),
        ('{1: [1]}', "bad_json", "a key must be text"),
        ('{"a": []} x', "bad_json", "text after the end of the document"),
        ('{"b": ' + "[" * 100_000, "bad_json", "is nested too deeply"),
    ],
)  # fmt: skip
def test_damage_is_told_with_its_place(content: str, kind: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(FlawError) as caught:
        list(iter_elements(path, ["a"]))
    assert caught.value.kind == kind
    assert message in str(caught.value)


def test_nan_comes_through_for_the_field_to_refuse_and_a_mark_at_the_start_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": [NaN, -Infinity]}')
    assert [str(element.value) for element in iter_elements(path, ["a"])] == ["nan", "-inf"]


def test_a_file_that_is_not_there_and_an_element_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"^cannot read .*nowhere"):
        list(iter_elements(tmp_path / "nowhere.json", ["a"]))
    with pytest.raises(RecordError, match=r"^x: image 3 is not UTF-8 text \(byte 1 of it\)\.$"):
        parse_element(b'"\xff"', "x: image 3")


def test_a_value_beyond_the_limit_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_json_stream, "_CHUNK_BYTES", 16)
    monkeypatch.setattr(_json_stream, "_MAX_VALUE_BYTES", 64)
    path = tmp_path / "x.json"
    path.write_text('{"a": ["' + "x" * 10_000 + '"]}', encoding="utf-8")
    with pytest.raises(FlawError, match="is not valid JSON: unterminated string"):
        list(iter_elements(path, ["a"]))
