"""Checkpoints: whole, verified, and the one before kept."""

import json
from pathlib import Path

import pytest
import torch

from segany.errors import CheckpointError, ConfigError
from segany.train.checkpoints import Checkpoints


def test_the_newest_is_read_and_the_last_two_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "run")
    assert checkpoints.load() is None
    for step in range(4):
        checkpoints.save(step, {"step": step, "tensor": torch.full((2,), float(step))})
    state = Checkpoints(tmp_path, "run").load()
    assert state is not None
    assert state["step"] == 3
    assert torch.equal(state["tensor"], torch.tensor([3.0, 3.0]))
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["checkpoint-0000002.pt", "checkpoint-0000003.pt"]
    checkpoints.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_one_says_what_to_do(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "run")
    checkpoints.save(1, {"step": 1})
    path = tmp_path / "checkpoint-0000001.pt"
    path.write_bytes(b"x")
    with pytest.raises(
        CheckpointError, match=r"is damaged: it is not what was written\. Delete it, and the run begins"
    ):
        checkpoints.load()
    path.unlink()
    assert checkpoints.load() is None
    (tmp_path / "checkpoints.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"checkpoints\.json is damaged"):
        checkpoints.load()


def test_one_of_another_run_is_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "run").save(1, {"step": 1})
    with pytest.raises(ConfigError, match="holds a run with other settings or other data"):
        Checkpoints(tmp_path, "other").load()


def test_data_alone_are_read(tmp_path: Path) -> None:
    """A file that would run code is refused, even where its digest is the one that is listed."""
    import hashlib
    import pickle

    checkpoints = Checkpoints(tmp_path, "run")
    checkpoints.save(1, {"step": 1})
    evil = pickle.dumps(print, protocol=2)
    (tmp_path / "checkpoint-0000001.pt").write_bytes(evil)
    index = json.loads((tmp_path / "checkpoints.json").read_text(encoding="utf-8"))
    index["checkpoints"][0]["sha256"] = hashlib.sha256(evil).hexdigest()
    (tmp_path / "checkpoints.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoints.load()
