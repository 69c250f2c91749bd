"""Memory: what is freed is given back."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from segany import memory
from segany.serve.settings import ServeSettings
from segany.train.plan import available_bytes

# Small arrays, of which every eighth stays: the C library cannot shrink its heap, only give back the gaps.
LOOP = """
import numpy as np, psutil
from segany.memory import give_back
kept = [np.ones(8_000) for _ in range(8_000)][::8]
before = psutil.Process().memory_info().rss
give_back()
print(before, psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(memory._malloc_trim() is None, reason="this C library gives memory back by itself")
def test_freed_memory_goes_back_to_the_system() -> None:
    before, after = map(int, subprocess.check_output([sys.executable, "-c", LOOP], text=True).split())
    # 448 MB were freed.
    assert before - after > 200_000_000


def test_where_there_is_nothing_to_call_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    memory._malloc_trim.cache_clear()
    try:
        assert memory._malloc_trim() is None
        memory.give_back()
    finally:
        memory._malloc_trim.cache_clear()


def group(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(text, encoding="ascii")
    names = (str(folder), "memory.max", "memory.current", "inactive_file")
    monkeypatch.setattr(memory, "_GROUPS", (("/nowhere", *names[1:]), names))


def test_a_container_allows_less_than_the_machine_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"memory_current": "700\n", "memory_stat": "anon 500\ninactive_file 150\n"}
    group(tmp_path, monkeypatch, memory_max="1000\n", **said)
    assert (memory.container_limit(), memory.left_in_container()) == (1000, 450)
    assert available_bytes(torch.device("cpu")) == 450
    assert ServeSettings().hot_images == 8
    group(tmp_path, monkeypatch, memory_max="600\n", **{**said, "memory_stat": "anon 500\n"})
    assert memory.left_in_container() == 0


@pytest.mark.parametrize("limit", ["max\n", "9223372036854771712\n", "much\n"])
def test_where_nothing_limits_it_the_machine_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    group(tmp_path, monkeypatch, memory_max=limit, memory_current="700\n", memory_stat="")
    assert memory.container_limit() is memory.left_in_container() is None
    assert available_bytes(torch.device("cpu")) > 10**6
