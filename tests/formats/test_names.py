from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segany.formats._names import SafeNames


@pytest.mark.parametrize(
    ("wanted", "given_out"),
    [
        ("a.png", "a.png"),
        ("b/c d/é.JPG", "b/c d/é.JPG"),
        ("../../a.png", "a.png"),
        ("/etc/passwd", "etc/passwd"),
        ("C:\\x\\y.png", "C_/x/y.png"),
        (".a.png", "_a.png"),
        ("nul.png", "_nul.png"),
        ("COM1", "_COM1"),
        ("a\nb\0.png", "a_b_.png"),
        ("a.png. ", "a.png"),
        ("", "image"),
        ("..", "image"),
        ("a.b.txt", "a.b.txt"),
    ],
)
def test_names_are_made_safe(wanted: str, given_out: str) -> None:
    assert SafeNames().take(wanted) == given_out


def test_names_that_differ_by_case_suffix_or_form_are_told_apart() -> None:
    names = SafeNames()
    wanted = ["a.png", "A.png", "a.jpg", "x/a.png", "é.png", "e\u0301.png", "a-2.png"]
    assert [names.take(each) for each in wanted] == [
        *("a.png", "A-2.png", "a-3.jpg", "x/a.png", "é.png", "e\u0301-2.png", "a-2-2.png")
    ]


def test_a_suffix_and_folders_may_be_decided() -> None:
    names = SafeNames()
    assert names.take("x/a.png", suffix=".jpg", flat=True) == "x__a.jpg"
    assert names.take("scan.dcm", suffix=".png") == "scan.dcm.png"


@given(st.lists(st.text(max_size=40), max_size=8))
def test_whatever_comes_a_name_is_relative_and_new(wanted: list[str]) -> None:
    names = SafeNames()
    taken = [names.take(each) for each in wanted]
    assert len({each.casefold() for each in taken}) == len(taken)
    for each in taken:
        for path in (PurePosixPath(each), PureWindowsPath(each)):
            assert not path.is_absolute()
            assert not path.drive
            assert ".." not in path.parts
        assert all(part.strip(". ") for part in each.split("/"))
        each.encode("utf-8")
