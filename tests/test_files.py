"""Atomic writes, against real faults: a full disk, no permission, Ctrl-C and a process that dies."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from segany.errors import ConfigError, OutputError
from segany.files import atomic_path, atomic_write, new_folder, write_bytes, write_text

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX limits and permissions")
ADVICE = "Nothing was left half-written; free some space or choose another output folder, then run it again."


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_writes_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "a.json"
    write_text(target, "größer")
    assert target.read_bytes() == "größer".encode()
    write_bytes(target, b"second")
    assert target.read_bytes() == b"second"
    assert names(target.parent) == ["a.json"]


def test_the_temporary_path_has_the_suffix_and_the_folder(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "mask.png") as temporary:
        assert (temporary.suffix, temporary.parent) == (".png", tmp_path)
        temporary.write_bytes(b"x")
        assert not (tmp_path / "mask.png").exists()
    assert names(tmp_path) == ["mask.png"]


@posix
def test_the_umask_decides_the_permissions(tmp_path: Path) -> None:
    code = "import os, sys; os.umask(0o027); from segany.files import write_text; write_text(sys.argv[1], 'x')"
    assert run(code, str(tmp_path / "a")).returncode == 0
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(error), atomic_write(target) as file:  # noqa: PT012 - the raise is the point
        file.write(b"half")
        raise error
    assert target.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["a.txt"]


@posix
def test_a_real_interrupt_in_the_middle(tmp_path: Path) -> None:
    code = """
import sys, time
from segany.files import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "a")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in stderr
    assert names(tmp_path) == []


@posix
def test_no_space(tmp_path: Path) -> None:
    """RLIMIT_FSIZE fails the write in the kernel, as a full disk does."""
    code = """
import resource, signal, sys
from segany.errors import OutputError
from segany.files import write_bytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_bytes(sys.argv[1], bytes(1_000_000))
except OutputError as error:
    print(error)
"""
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    done = run(code, str(target))
    assert (done.stdout.strip(), done.stderr) == (f"cannot write {target}: File too large. {ADVICE}", "")
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_device(tmp_path: Path) -> None:
    message = f"cannot write {tmp_path / 'a'}: No space left on device. {ADVICE}"
    with (
        pytest.raises(OutputError, match=f"^{re.escape(message)}$"),
        atomic_path(tmp_path / "a"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert names(tmp_path) == []


@posix
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    """Root may write anywhere, so root tries as the user nobody (65534)."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    code = """
import os, sys
from segany.errors import OutputError
from segany.files import write_text
os.chdir(sys.argv[1])  # as root still: the folders above are private
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    write_text("a.json", "x")
except OutputError as error:
    print(error)
"""
    done = run(code, str(folder))
    assert (done.stdout.strip(), done.stderr) == (f"cannot write a.json: Permission denied. {ADVICE}", "")
    folder.chmod(0o755)
    assert names(folder) == []


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(OutputError, match=re.escape(f"cannot write {tmp_path / 'a.json'}: ")):
        write_text(tmp_path / "a.json", "x")
    assert names(tmp_path) == ["a.json"]


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match=re.escape(f"cannot write {tmp_path / 'out' / 'a.json'}: ")):
        write_text(tmp_path / "out" / "a.json", "x")


def test_an_output_error_inside_keeps_its_own_message(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"^mine$"), atomic_path(tmp_path / "a"):
        raise OutputError("mine")


def test_the_last_of_two_writers_wins_whole(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(atomic_write(target))
        second = stack.enter_context(atomic_write(target))
        first.write(b"first" * 1000)
        second.write(b"second")
    # Closed in reverse order: the first writer finishes last.
    assert target.read_bytes() == b"first" * 1000
    assert names(tmp_path) == ["a"]


def is_old(folder: Path) -> bool:
    return (folder / "old.txt").is_file()


def write_old(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "old.txt").write_text("old", encoding="utf-8")


def test_a_folder_appears_whole_in_the_place_of_the_old_one(tmp_path: Path) -> None:
    write_old(tmp_path / "out")
    with new_folder(tmp_path / "out", replaces=is_old) as folder:
        (folder / "new.txt").write_text("new", encoding="utf-8")
        assert names(tmp_path / "out") == ["old.txt"]
    assert names(tmp_path / "out") == ["new.txt"]
    with pytest.raises(ConfigError, match="is there already and not empty; give a new folder"):
        new_folder(tmp_path / "out", replaces=is_old).__enter__()
    assert names(tmp_path) == ["out"]


def test_what_came_into_the_folder_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    write_old(tmp_path / "out")
    with pytest.raises(ConfigError, match="is there already and not empty"):  # noqa: SIM117
        with new_folder(tmp_path / "out", replaces=is_old):
            (tmp_path / "out" / "old.txt").rename(tmp_path / "out" / "letter.txt")
    assert names(tmp_path / "out") == ["letter.txt"]


def test_the_old_folder_is_put_back_when_the_new_one_cannot_take_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_old(tmp_path / "out")
    rename = Path.rename

    def broken(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", broken)
        with pytest.raises(OutputError, match=r"cannot write .*out: Permission denied"):
            new_folder_of_one(tmp_path / "out")
    assert [names(tmp_path), names(tmp_path / "out")] == [["out"], ["old.txt"]]


def new_folder_of_one(target: Path, replaces: Callable[[Path], bool] | None = is_old) -> None:
    with new_folder(target, replaces=replaces) as folder:
        (folder / "new.txt").write_text("new", encoding="utf-8")


def test_the_old_folder_is_put_back_after_a_process_died_between_two_names(tmp_path: Path) -> None:
    write_old(tmp_path / ".out.partial" / "old")
    with pytest.raises(ConfigError, match="is there already and not empty"):
        new_folder_of_one(tmp_path / "out", replaces=None)
    assert [names(tmp_path), names(tmp_path / "out")] == [["out"], ["old.txt"]]


def test_one_process_writes_a_folder_at_a_time(tmp_path: Path) -> None:
    message = r"another process is writing .*out; wait for it, or give another folder"
    with new_folder(tmp_path / "out"), pytest.raises(ConfigError, match=message):
        new_folder(tmp_path / "out", patience_seconds=0.1).__enter__()
    assert names(tmp_path / "out") == []


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_in_the_way_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    write_old(tmp_path / "victim")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(ConfigError, match="link is a link; give the folder itself"):
        new_folder_of_one(tmp_path / "link")
    (tmp_path / ".out.partial").symlink_to(tmp_path / "victim")
    new_folder_of_one(tmp_path / "out")
    assert [names(tmp_path / "out"), names(tmp_path / "victim")] == [["new.txt"], ["old.txt"]]


def test_what_a_killed_run_left_beside_a_folder_is_cleared_away(tmp_path: Path) -> None:
    write_old(tmp_path / ".out.partial" / "new")
    new_folder_of_one(tmp_path / "out")
    assert [names(tmp_path), names(tmp_path / "out")] == [["out"], ["new.txt"]]
