import json
import sys

import numpy as np
import pytest

from segany.evaluate.machine import describe_machine, peak_memory_bytes


def test_the_machine_is_told_as_json() -> None:
    machine = describe_machine(2)
    assert machine["threads"] == 2
    assert machine["versions"]["numpy"] == np.__version__
    assert machine["cores"] >= 1
    assert machine["processor"]
    json.dumps(machine)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_memory_only_grows() -> None:
    before = peak_memory_bytes()
    held = np.ones(50_000_000, dtype=np.uint8)
    after = peak_memory_bytes()
    assert before is not None
    assert after is not None
    assert after >= before > 10_000_000
    assert held.nbytes
