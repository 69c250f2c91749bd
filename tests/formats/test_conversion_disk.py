"""A conversion where there is no room, no right, or no turn: it says so, and leaves nothing half-written."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.formats import TARGETS, open_dataset, sa1b
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, ImageInfo, Parent, Record

VICTIM = Path(__file__).parent / "convert_victim.py"
SIZE = Size(60, 80)
PROCESSES = 4


def make_source(folder: Path, count: int = 12) -> Path:
    """Frames of a video that do not compress, with a mask each."""
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True)
    for number in range(count):
        info = ImageInfo(number, f"{number}.png", SIZE, parent=Parent("video", "v", number))
        mask = RLE.from_mask(rng.random(SIZE) < 0.5)
        sa1b.write_record(Record(info, (Annotation(1, mask, source="manual"),)), folder / f"{number}.json")
        PillowImage.fromarray(rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="segany-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


# A program on its own, because the small disk is seen by it alone.
ON_A_SMALL_DISK = """
mount -t tmpfs -o size=64k segany "$1" || exit 77
shift
"$@"
code=$?
find "$TARGET" -mindepth 1 1>&2
exit $code
"""


@pytest.mark.parametrize("to", TARGETS)
def test_a_disk_that_is_full(to: str, tmp_path: Path) -> None:
    if shutil.which("unshare") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root on Linux can have a small disk made")
    source = make_source(tmp_path / "in")
    disk = tmp_path / "disk"
    disk.mkdir()
    unshare = ["unshare", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh", str(disk)]
    convert = [sys.executable, str(VICTIM), str(source), str(disk / "out"), to]
    told = {**os.environ, "TARGET": str(disk)}
    done = subprocess.run([*unshare, *convert], capture_output=True, text=True, check=False, env=told)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"no small disk can be made here: {done.stderr}")
    assert (done.returncode, done.stdout) == (1, "ready\n"), done.stderr
    assert "No space left on device. Nothing was left half-written; free some space" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("segany.errors.OutputError: cannot write"), "something was left"


AS_ANOTHER = """
import os, sys, tempfile
from pathlib import Path
from segany.errors import OutputError
from segany.formats import Options, convert, open_dataset, plan_conversion

source, target, to = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
dataset = open_dataset(source)
plan = plan_conversion(dataset, Options(to))
with tempfile.TemporaryDirectory() as mine:
    # Loads all that is needed: another user may not be able to read our Python.
    convert(dataset, Path(mine) / "out", plan)
os.setgid(65534)
os.setuid(65534)
try:
    convert(dataset, target, plan)
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("there", [True, False])
def test_another_users_folder(there: bool, open_folder: Path) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    source, target = make_source(open_folder / "in", 2), open_folder / "out"
    if there:
        target.mkdir()
    command = [sys.executable, "-c", AS_ANOTHER, str(source), str(target), "coco"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"cannot write {target}: Permission denied. Nothing was left half-written; free some space or choose another "
        "output folder, then run it again.\n"
    )
    assert sorted(path.name for path in open_folder.iterdir()) == (["in", "out"] if there else ["in"])


def test_processes_that_write_one_folder(tmp_path: Path) -> None:
    """One of them makes it, and the others say why they did not."""
    source = make_source(tmp_path / "in")
    (tmp_path / "work").mkdir()
    target = tmp_path / "work" / "out"
    command = [sys.executable, str(VICTIM), str(source), str(target), "coco"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(PROCESSES)]  # type: ignore[call-overload]
    said = [process.communicate(timeout=120) for process in processes]
    assert sorted(process.returncode for process in processes) == [0, *([1] * (PROCESSES - 1))], said
    for process, (_, errors) in zip(processes, said, strict=True):
        if process.returncode:
            last = errors.splitlines()[-1]
            assert "another process is writing" in last or "is there already and not empty" in last
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["out"]
    dataset = open_dataset(target, strict=True)
    assert len(list(dataset.records())) == 12
    assert all(dataset.image_path(record) is not None for record in dataset.records())
