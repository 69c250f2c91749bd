"""Converted graphs on disk: found again, made again when anything changed, and never needed to answer."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segany.model import CONFIGS, ModelConfig, PreprocessConfig, Sam, TinyViTConfig
from segany.predict.backends import _openvino_cache as cache
from segany.predict.backends import _openvino_convert as conversion
from segany.predict.backends import _openvino_runtime as runtime
from segany.settings import Settings

TINY = ModelConfig(
    "tiny",
    TinyViTConfig(dims=(8, 8, 8, 8), depths=(1, 1, 1, 1), heads=(1, 1, 1, 1), windows=(4, 4, 4, 4)),
    PreprocessConfig(input_side=32),
    embed_dim=16,
    decoder_heads=2,
    decoder_mlp_dim=16,
    iou_hidden_dim=16,
)


class Loader:
    """Counts how often the model was asked for."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Sam:
        self.calls += 1
        torch.manual_seed(0)
        return Sam(TINY).eval()


@pytest.fixture
def load() -> Loader:
    return Loader()


@pytest.fixture(autouse=True)
def _light(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Converts to one small graph: what is kept, not what is in it, is the matter here."""
    if request.function is not test_a_warm_start_imports_no_torch_and_reports_to_nobody:
        monkeypatch.setattr(conversion, "convert", tripling)


def tripling(model: Sam) -> Iterator[tuple[str, Any]]:
    openvino = runtime.import_openvino()
    given = openvino.opset13.parameter([100], name="given")
    three = openvino.opset13.constant(np.full(100, 3, dtype=np.float32))
    yield "triple", openvino.Model([openvino.opset13.multiply(given, three)], [given], "triple")


def answer(folder: Path, load: Callable[[], Sam], source: str = "tiny") -> bytes:
    graphs = cache.find_or_convert(folder, source, load)
    assert (graphs.config, len(graphs.model_digest), len(graphs.encoder_digest)) == (TINY, 64, 64)
    run = runtime.core().compile_model(graphs.read("triple"), "CPU")
    return bytes(run([np.arange(100, dtype=np.float32)])[0].tobytes())


def contents(folder: Path) -> tuple[Path, list[Path]]:
    """The one record and its graphs' files."""
    (record,) = folder.glob("*.json")
    return record, sorted((folder / json.loads(record.read_text(encoding="utf-8"))["folder"]).iterdir())


def test_a_model_is_converted_once(tmp_path: Path, load: Loader) -> None:
    first = answer(tmp_path / "deep" / "down", load)
    assert answer(tmp_path / "deep" / "down", load) == first
    assert load.calls == 1
    assert answer(tmp_path / "deep" / "down", load, "another") == first
    assert load.calls == 2


@pytest.mark.parametrize("kind", [".bin", ".xml"])
@pytest.mark.parametrize("damage", ["cut", "altered", "gone"])
def test_a_damaged_file_is_made_again(tmp_path: Path, load: Loader, kind: str, damage: str) -> None:
    first = answer(tmp_path, load)
    record, files = contents(tmp_path)
    victim = next(file for file in files if file.name == f"triple{kind}")
    data = victim.read_bytes()
    if damage == "gone":
        victim.unlink()
    else:
        victim.write_bytes(data[:-10] if damage == "cut" else data[:-10] + bytes(10))
        os.utime(victim, (0, 0))
    assert answer(tmp_path, load) == first
    assert load.calls == 2
    again, files = contents(tmp_path)
    assert again == record
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [files[0].parent]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"folder": 3}', '{"folder": "/", "files": {"x": []}}'])
def test_a_damaged_record_is_made_again(tmp_path: Path, load: Loader, text: str) -> None:
    first = answer(tmp_path, load)
    contents(tmp_path)[0].write_text(text, encoding="utf-8")
    assert answer(tmp_path, load) == first
    assert load.calls == 2


def test_a_copied_folder_is_good(tmp_path: Path, load: Loader) -> None:
    first = answer(tmp_path, load)
    for file in contents(tmp_path)[1]:
        os.utime(file, (0, 0))
    assert answer(tmp_path, load) == first
    assert load.calls == 1


def test_another_version_converts_for_itself(tmp_path: Path, load: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    first = answer(tmp_path, load)
    openvino = runtime.import_openvino()
    with monkeypatch.context() as patch:
        patch.setattr(openvino, "get_version", lambda: "1999.1.0-1")
        assert answer(tmp_path, load) == first
    assert load.calls == 2
    assert answer(tmp_path, load) == first
    assert load.calls == 2


def test_other_code_converts_for_itself(tmp_path: Path, load: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(tmp_path, load)
    other = tmp_path / "elsewhere.py"
    other.write_text("", encoding="utf-8")
    monkeypatch.setattr(conversion, "__file__", str(other))
    answer(tmp_path, load)
    assert load.calls == 2


def test_graphs_unused_for_a_month_are_removed(tmp_path: Path, load: Loader) -> None:
    answer(tmp_path, load, "old")
    record, files = contents(tmp_path)
    month_ago = time.time() - 31 * 24 * 3600
    os.utime(record, (month_ago, month_ago))
    answer(tmp_path, load, "new")
    assert contents(tmp_path)[0] != record
    assert not files[0].parent.exists()


def test_a_conversion_that_fails_leaves_nothing(tmp_path: Path, load: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(model: Sam) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "convert", stopped)
        with pytest.raises(KeyboardInterrupt):
            answer(tmp_path, load)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert answer(tmp_path, load) == answer(tmp_path, load)
    assert load.calls == 2


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path: Path, load: Loader) -> None:
    first = answer(tmp_path / "good", load)
    assert np.frombuffer(first, np.float32)[:3].tolist() == [0, 3, 6]
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.warns(RuntimeWarning, match="converted graphs are not kept, so that each start converts them again"):
        assert answer(tmp_path / "file", load) == first


def test_a_full_disk_costs_time_only(tmp_path: Path, load: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    first = answer(tmp_path / "good", load)

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("No space left on device")

    monkeypatch.setattr(runtime.import_openvino(), "save_model", full)
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        assert answer(tmp_path / "full", load) == first
    assert [path.suffix for path in (tmp_path / "full").iterdir()] == [".lock"]


WARM_START = """
import sys
import numpy as np
from segany import Predictor, Prompt
predictor = Predictor("mobile_sam", device="cpu", precision="float32", runtime="openvino")
embedding = predictor.embed(np.zeros((40, 60, 3), dtype=np.uint8))
predictor.predict(embedding, Prompt(points=[[30, 20]])).best()
print(predictor.backend.key.split("/")[0], "torch" in sys.modules)
print(*[name for name in sys.modules if "openvino_telemetry" in name])
"""


def test_a_warm_start_imports_no_torch_and_reports_to_nobody(tmp_path: Path) -> None:
    # Warm, whichever test runs first.
    from segany.predict import Predictor

    Predictor("mobile_sam", device="cpu", precision="float32", runtime="openvino")
    environment = {**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    environment["SEGANY_HOME"] = str(Settings.from_environment().home)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WARM_START], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.stdout, done.stderr) == ("openvino False\n\n", "")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_published_configs_have_the_depth_that_graphs_are_made_for() -> None:
    assert {config.decoder_depth for config in CONFIGS.values()} == {2}
