"""Folders and patterns: what is found, in which order, and what is said when nothing is."""

import os
import re
from pathlib import Path

import pytest

from segany.errors import ImageError
from segany.sources import iter_image_paths


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "sub/c.tif", "sub/deep/d.webp", ".cache/e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    return tmp_path


def names(paths: list[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def test_a_folder(folder: Path) -> None:
    assert names(iter_image_paths([folder]), folder) == ["a.PNG", "b.jpg"]


def test_a_folder_with_what_lies_below(folder: Path) -> None:
    found = iter_image_paths([folder], recursive=True)
    assert names(found, folder) == ["a.PNG", "b.jpg", "sub/c.tif", "sub/deep/d.webp"]


def test_a_folder_that_is_hidden_itself(folder: Path) -> None:
    assert names(iter_image_paths([folder / ".cache"]), folder) == [".cache/e.png"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["a.PNG", "b.jpg"]),
        ("*.jpg", ["b.jpg"]),
        ("[a-b].*", ["a.PNG", "b.jpg"]),
        ("**/*", ["a.PNG", "b.jpg", "sub/c.tif", "sub/deep/d.webp"]),
        ("sub/?.tif", ["sub/c.tif"]),
    ],
)
def test_a_pattern(folder: Path, pattern: str, expected: list[str]) -> None:
    assert names(iter_image_paths([str(folder / pattern)]), folder) == expected


def test_relative_patterns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert iter_image_paths(["*.jpg", Path("sub")]) == [Path("b.jpg"), Path("sub/c.tif")]


def test_each_file_once_in_the_order_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    found = iter_image_paths(["sub/c.tif", "b.jpg", folder, folder / "b.jpg", "sub/../a.PNG"])
    assert [path.name for path in found] == ["c.tif", "b.jpg", "a.PNG"]


def test_a_file_is_taken_whatever_its_suffix(folder: Path) -> None:
    assert iter_image_paths([folder / "notes.txt"]) == [folder / "notes.txt"]


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "a[1].png").touch()
    assert iter_image_paths([tmp_path / "a[1].png"]) == [tmp_path / "a[1].png"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("no.jpg", "no such file: {}; check its name and the folder it is in."),
        ("*.gif", "the pattern {} matches no image; check it, and quote it if your shell expands patterns."),
        ("*.txt", "the pattern {} matches no image; check it, and quote it if your shell expands patterns."),
        (
            "folder.jpg",
            "the folder {0} holds no image. Its subfolders were not searched; the pattern {0}{1}**{1}* does that.",
        ),
    ],
)
def test_nothing_found(folder: Path, given: str, message: str) -> None:
    with pytest.raises(ImageError, match=f"^{re.escape(message.format(folder / given, os.sep))}$"):
        iter_image_paths([folder, folder / given])


def test_nothing_found_below(folder: Path) -> None:
    message = f"the folder {folder / 'folder.jpg'} holds no image."
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        iter_image_paths([folder / "folder.jpg"], recursive=True)


def test_nothing_given() -> None:
    with pytest.raises(
        ImageError, match=re.escape("no image was given; give files, folders or patterns such as 'photos/*.jpg'.")
    ):
        iter_image_paths([])
