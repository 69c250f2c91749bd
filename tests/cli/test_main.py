"""`segany` itself: versions, help, exit codes, cold start."""

import json
import os
import subprocess
import sys

import pytest

import segany
from segany.cli.main import main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"segany {segany.__version__}\n"


def test_wrong_usage_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment"]) == 2
    assert "Missing argument" in capsys.readouterr().err
    assert main(["nonsense"]) == 2


def test_python_m_segany_is_segany() -> None:
    done = subprocess.run([sys.executable, "-m", "segany", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("segany ")


def test_help_loads_no_torch() -> None:
    script = (
        "import sys; from segany.cli.main import main; main(['--help']);"
        "heavy = {'torch', 'cv2', 'matplotlib', 'numpy'} & set(sys.modules); print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "torch" not in done.stderr
    assert "cv2" not in done.stderr


def test_a_command_shares_its_cores() -> None:
    script = "import os; from segany.cli.main import main; main(['--version']); print(os.environ['OMP_WAIT_POLICY'])"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "PASSIVE"


def test_doctor_says_what_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["torch"]
    assert "mobile_sam" in found["cache"]["models"]
    assert found["problems"] == []


def test_doctor_says_what_is_missing_and_how_to_get_it(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEGANY_HOME", str(tmp_path))
    assert main(["doctor"]) == 1
    assert "segany weights pull mobile_sam" in capsys.readouterr().out
