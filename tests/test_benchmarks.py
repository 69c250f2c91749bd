"""The benchmarks' code paths, on toys: that they run is tested here, what they measure is not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segany import weights

FOLDER = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the benchmarks are not in the source archive")


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(FOLDER / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, check=False)


def test_without_a_gpu_the_gpus_benchmark_says_so() -> None:
    done = run("gpu.py")
    assert done.returncode == 2
    assert done.stderr == "no CUDA GPU here; run it where one is, or try it with --device cpu --tiny.\n"


def test_the_gpus_benchmark_on_a_toy(tmp_path: Path) -> None:
    done = run("gpu.py", "--device", "cpu", "--tiny", "--batch", "2", "--threads", "1", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert 0 < result["feature_error"] < 0.02
    ours = result["figures"]["segany"]
    assert ours["operations"] > 10**6
    assert ours["floor"] > 0
    assert "| encoder, images a second |" in (tmp_path / "gpu.md").read_text(encoding="utf-8")


def test_finding_everything_without_a_reference(tmp_path: Path) -> None:
    photo = weights.sample("coffee")
    common = ("--points-per-side", "2", "--repeat", "1", "--threads", "1", "--out", str(tmp_path))
    done = run("everything.py", "--photos", str(photo), *common)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "everything.json").read_text(encoding="utf-8"))
    (row,) = result["photos"]
    full, adaptive = (row["figures"][f"segany {mode}"] for mode in ("full", "adaptive"))
    assert full["clicks"] == 4 > adaptive["clicks"]
    assert (tmp_path / "everything.png").stat().st_size > 1000
    assert "| coffee.png, 600x400 | segany full |" in (tmp_path / "everything.md").read_text(encoding="utf-8")


def test_the_same_answer_twice_and_memory_over_a_loop(tmp_path: Path) -> None:
    done = run("everything_costs.py", "--loop", "3", "--grid", "2", "--threads", "2", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "everything_loop.json").read_text(encoding="utf-8"))
    assert len(result["resident_bytes"]) == 3
    assert len(set(result["digests"])) == 1


def test_what_exemplars_find(tmp_path: Path) -> None:
    """Four photos with two discs each: enough for one exemplar, and for no more."""
    for kind in ("images", "labels"):
        (tmp_path / "discs" / kind).mkdir(parents=True)
    rows, columns = np.mgrid[:96, :128]
    for number in range(4):
        photo, labels = np.full((96, 128, 3), 90, dtype=np.uint8), np.zeros((96, 128), dtype=np.uint8)
        for label, x in enumerate((32 + number, 96 - number), 1):
            inside = np.hypot(columns - x, rows - 48) <= 20
            photo[inside], labels[inside] = (220, 40, 40), label
        Image.fromarray(photo).save(tmp_path / "discs" / "images" / f"{number}.png")
        Image.fromarray(labels).save(tmp_path / "discs" / "labels" / f"{number}.png")
    done = run(
        "exemplars.py", "--data", f"discs={tmp_path / 'discs'}", "--draws", "1", "--points-per-side", "4",
        "--out", str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "exemplars.json").read_text(encoding="utf-8"))["sets"]["discs"]
    assert (row["exemplars"], row["classes"], row["questions"]) == (1, 1, 2)
    assert row["found"]["exemplars"]["mean"] > 0
    assert "| discs | 1 | 1 | 2 | found |" in (tmp_path / "exemplars.md").read_text(encoding="utf-8")
