"""kill -9 at any moment of a conversion: its folder is whole or not there, and doing it again completes it."""

import hashlib
import io
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.formats import open_dataset, sa1b
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, ImageInfo, Parent, Record

VICTIM = Path(__file__).parent / "convert_victim.py"
SOAK_KILLS = 200
SIZE = Size(60, 80)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """60 frames of two videos, with three masks each."""
    rng = np.random.default_rng(3)
    for number in range(60):
        video, index = f"v{number // 30}", number % 30
        masks = [RLE.from_mask(rng.random(SIZE) < 0.02 * k) for k in (1, 2, 3)]
        info = ImageInfo(number, f"{video}-{index}.png", SIZE, parent=Parent("video", video, index), licence="CC0-1.0")
        found = tuple(Annotation(k, mask, source="manual") for k, mask in enumerate(masks, start=1))
        sa1b.write_record(Record(info, found), tmp_path / "in" / f"{number:03d}.json")
        content = io.BytesIO()
        PillowImage.fromarray(rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)).save(content, "PNG")
        (tmp_path / "in" / info.file_name).write_bytes(content.getvalue())
    return tmp_path / "in"


def start(source: Path, target: Path, to: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(VICTIM), str(source), str(target), to]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return process


def run_to_the_end(source: Path, target: Path, to: str) -> float:
    process = start(source, target, to)
    began = time.perf_counter()
    out, errors = process.communicate(timeout=600)
    assert (process.returncode, out) == (0, "done\n"), errors
    return time.perf_counter() - began


def content(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def check_kills(source: Path, folder: Path, to: str, kills: int) -> None:
    target = folder / "out"
    seconds = run_to_the_end(source, target, to)
    wanted = content(target)
    assert len(list(open_dataset(target).records())) == 60
    unfinished = 0
    for _ in range(kills):
        shutil.rmtree(target)
        process = start(source, target, to)
        time.sleep(random.uniform(0, seconds))
        process.kill()
        said = process.communicate()[0]
        if target.exists():
            assert content(target) == wanted
            # Killed between giving the name and tidying up; the name is given already.
            shutil.rmtree(folder / ".out.partial", ignore_errors=True)
        else:
            assert said == ""
            unfinished += 1
            run_to_the_end(source, target, to)
            assert content(target) == wanted
        assert [path.name for path in folder.iterdir()] == ["out"]
    if kills >= 20:
        assert unfinished > kills / 10, "the kills came too late to show anything"


@pytest.mark.parametrize("to", ["yolo", "coco", "sav"])
def test_a_few_kills(to: str, source: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    check_kills(source, tmp_path / "work", to, 2)


@pytest.mark.soak
@pytest.mark.parametrize("to", ["coco", "geojson", "labelme", "labels", "parquet", "sa1b", "sav", "voc", "yolo"])
def test_many_kills(to: str, source: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    check_kills(source, tmp_path / "work", to, -(-SOAK_KILLS // 9))
