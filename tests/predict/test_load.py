"""Which backend a machine gets, and what happens when it cannot have the one it asks for."""

import importlib.util
import platform
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from segany import weights
from segany.errors import ConfigError, DeviceError, WeightsNotFoundError
from segany.model.config import CONFIGS
from segany.predict import load
from segany.predict.backends import _openvino_runtime as runtime
from segany.predict.load import load_backend


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is asked of the two backends, on an x86 machine without a GPU."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(load, "_openvino", lambda checkpoint, *rest: asked.append(("openvino", *rest)))
    monkeypatch.setattr(load, "_torch", lambda checkpoint, *rest: asked.append(("torch", *rest)))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(load, "_is_cpu", lambda device: device in ("auto", "cpu"))
    return asked


@pytest.mark.parametrize(
    ("device", "runtime", "expected"),
    [
        ("auto", "auto", "openvino"),
        ("cpu", "auto", "openvino"),
        ("cpu", "openvino", "openvino"),
        ("auto", "openvino", "openvino"),
        ("cpu", "torch", "torch"),
        ("cuda", "auto", "torch"),
        ("mps", "auto", "torch"),
    ],
)
def test_the_runtime_by_device(chosen: list[tuple[Any, ...]], device: str, runtime: str, expected: str) -> None:
    load_backend("mobile_sam", device=device, precision="float32", runtime=runtime)
    assert chosen == [(expected, "float32") if expected == "openvino" else ("torch", device, "float32")]


def test_other_processors_and_missing_packages_mean_torch(
    chosen: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(platform, "machine", lambda: "aarch64")
        load_backend("mobile_sam")
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        load_backend("mobile_sam")
    assert [one for one, *_ in chosen] == ["torch", "torch"]


@pytest.mark.parametrize("error", [DeviceError("no such CPU"), ConfigError("deep")])
def test_torch_stands_in_and_says_so_once(
    chosen: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(load, "_openvino", refuse)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            load_backend("mobile_sam")
    assert [str(one.message) for one in caught] == [f"torch is used instead of OpenVINO: {error}"]
    assert [one for one, *_ in chosen] == ["torch"] * 3
    with pytest.raises(type(error)):
        load_backend("mobile_sam", runtime="openvino")


def test_openvino_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime.import_openvino.cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DeviceError, match=re.escape("OpenVINO cannot be imported: ")):
        load_backend("mobile_sam", runtime="openvino")


def test_words_that_mean_nothing() -> None:
    with pytest.raises(DeviceError, match=re.escape("runtime must be one of auto, torch, openvino, got 'onnx'.")):
        load_backend("mobile_sam", runtime="onnx")
    message = "precision must be one of auto, float32, mixed, balanced, bfloat16, int8, got 'half'."
    with pytest.raises(DeviceError, match=re.escape(message)):
        load_backend("mobile_sam", precision="half")
    message = "the OpenVINO runtime computes on the CPU, got device 'cuda'; use --runtime torch."
    with pytest.raises(DeviceError, match=re.escape(message)):
        load_backend("mobile_sam", device="cuda", runtime="openvino")


@pytest.mark.parametrize("precision", ["balanced", "int8"])
def test_a_precision_of_openvino_is_not_quietly_another(
    chosen: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    message = f"precision {precision} needs the OpenVINO runtime, on the CPU; use --precision bfloat16."
    for device, wanted in (("cpu", "torch"), ("cuda", "auto")):
        with pytest.raises(DeviceError, match=re.escape(message)):
            load_backend("mobile_sam", device=device, precision=precision, runtime=wanted)

    def refuse(*_: object) -> None:
        raise DeviceError("no such CPU")

    monkeypatch.setattr(load, "_openvino", refuse)
    with pytest.raises(DeviceError, match="no such CPU"):
        load_backend("mobile_sam", precision=precision)


def test_a_machine_that_may_have_a_gpu_asks_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidiactl")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for has_gpu in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda has_gpu=has_gpu: has_gpu)
        assert load._is_cpu("auto") is not has_gpu
    assert load._is_cpu("cpu")
    assert not load._is_cpu("cuda:1")


@pytest.mark.parametrize("name", [entry.name for entry in weights.entries("model") if entry.architecture])
def test_every_model_of_the_registry_has_a_config(name: str) -> None:
    assert weights.get(name).architecture in CONFIGS


def test_a_detector_is_no_model_that_takes_prompts() -> None:
    name = weights.entries("detector")[0].name
    with pytest.raises(ConfigError, match=f"^{name} is a detector, not a model that takes prompts"):
        load_backend(name)


def test_a_checkpoint_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(WeightsNotFoundError, match=r"^no checkpoint at .*none\.pth; give a file, or a name of"):
        load_backend("folder/none.pth")
