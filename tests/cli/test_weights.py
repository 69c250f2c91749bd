import json
from pathlib import Path

import pytest

from segany import weights
from segany.cli.main import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and no network."""
    monkeypatch.setenv("SEGANY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEGANY_OFFLINE", "1")
    return tmp_path / "home"


@pytest.fixture
def coffee() -> bytes:
    """A real photo, from the cache of this machine."""
    return weights.sample("coffee").read_bytes()


@pytest.fixture
def with_coffee(coffee: bytes, home: Path) -> Path:
    target = home / "samples" / "coffee.png"
    target.parent.mkdir(parents=True)
    target.write_bytes(coffee)
    return home


class TestList:
    def test_table(self, with_coffee: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["weights", "list"]) == 0
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert lines[0] == ["name", "kind", "size", "licence", "here"]
        assert ["mobile_sam", "model", "40.7", "MB", "Apache-2.0", "no"] in lines
        assert ["sam_vit_h", "model", "2.6", "GB", "Apache-2.0", "*", "no"] in lines
        assert ["coffee", "sample", "466.7", "kB", "CC0-1.0", "yes"] in lines

    def test_json(self, with_coffee: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["weights", "list", "--kind", "sample", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert {row["name"]: row["cached"] for row in rows} == {
            "coffee": True,
            "astronaut": False,
            "chelsea": False,
            "rocket": False,
        }

    def test_a_wrong_file_shows_and_fails(self, with_coffee: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (with_coffee / "samples" / "coffee.png").write_bytes(b"short")
        assert main(["weights", "list", "--kind", "sample"]) == 1
        out = capsys.readouterr().out
        assert "wrong file" in out
        assert "it has 5 bytes instead of 466,706. It was moved to coffee.png.bad" in out

    def test_unknown_kind(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["weights", "list", "--kind", "modell"]) == 1
        assert capsys.readouterr().err.startswith("error: --kind must be one of model, reference, detector,")


class TestPull:
    def test_offline_is_one_line(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["weights", "pull"]) == 1
        captured = capsys.readouterr()
        (line,) = captured.err.strip().splitlines()
        assert line.startswith("error: mobile_sam is not in the cache and SEGANY_OFFLINE forbids the network. Put ")
        assert captured.out == ""

    def test_unknown_name(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["weights", "pull", "mobilesam"]) == 1
        assert capsys.readouterr().err.startswith("error: no weights are named 'mobilesam'; did you mean mobile_sam")

    def test_what_is_here_is_left_as_it_is(self, with_coffee: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["weights", "pull", "coffee", "--json"]) == 0
        path = with_coffee / "samples" / "coffee.png"
        assert json.loads(capsys.readouterr().out) == [{"name": "coffee", "path": str(path)}]


class TestWhere:
    def test_prints_where_a_file_belongs(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["weights", "where", "vit_t", "coffee"]) == 0
        assert capsys.readouterr().out.splitlines() == [
            str(home / "weights" / "mobile_sam.pt"),
            str(home / "samples" / "coffee.png"),
        ]

    def test_json_says_whether_it_is_there(self, with_coffee: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["weights", "where", "coffee", "rocket", "--json"]) == 0
        assert [row["present"] for row in json.loads(capsys.readouterr().out)] == [True, False]


class TestVerify:
    def test_intact(self, with_coffee: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["weights", "verify"]) == 0
        assert capsys.readouterr().out == "coffee: intact\n"

    def test_spoilt(self, with_coffee: Path, coffee: bytes, capsys: pytest.CaptureFixture[str]) -> None:
        path = with_coffee / "samples" / "coffee.png"
        path.write_bytes(coffee[:-1] + b"x")
        assert main(["weights", "verify", "coffee", "--json"]) == 1
        captured = capsys.readouterr()
        assert json.loads(captured.out) == [{"name": "coffee", "path": str(path), "intact": False}]
        assert captured.err.startswith(f"error: {path} is not coffee (sha256 cc02f8ca188b")
        assert len(captured.err.splitlines()) == 1
        assert not path.exists()

    def test_not_here(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["weights", "verify", "coffee"]) == 1
        assert capsys.readouterr().err.startswith("error: coffee is not in the cache. Put coffee.png ")
