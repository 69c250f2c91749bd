"""Memory: what is freed is given back."""

import subprocess
import sys

import pytest

from segany import memory

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
