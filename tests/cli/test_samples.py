import json
from pathlib import Path

import pytest

from segany import weights
from segany.cli.main import main


def test_copies_a_photo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samples", "coffee", "--out", str(tmp_path / "photos")]) == 0
    copy = tmp_path / "photos" / "coffee.png"
    assert capsys.readouterr().out == f"{copy}\n"
    assert copy.read_bytes() == weights.sample("coffee").read_bytes()


def test_all_of_them_with_their_licences(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samples", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["coffee", "astronaut", "chelsea", "rocket"]
    assert [Path(row["path"]).is_file() for row in rows] == [True] * 4
    assert {row["licence"] for row in rows} == {"CC0-1.0", "LicenseRef-Public-Domain"}


def test_no_such_photo(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samples", "mobile_sam"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert (
        captured.err.strip() == "error: 'mobile_sam' is no sample photo; there are: coffee, astronaut, chelsea, rocket."
    )


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").write_bytes(b"")
    assert main(["samples", "coffee", "--out", str(tmp_path / "photos")]) == 1
    assert capsys.readouterr().err.startswith(f"error: cannot write {tmp_path / 'photos' / 'coffee.png'}: ")
