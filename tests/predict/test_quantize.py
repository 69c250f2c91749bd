"""Models in int8: calibrated once, measured and said, kept, and never mistaken for another."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from segany import Predictor, Prompt, weights
from segany.errors import ConfigError, EmbeddingError, MissingExtraError
from segany.model import ModelConfig, PreprocessConfig, Sam, ViTConfig
from segany.predict import EmbeddingCache, load, quantize
from segany.predict.backends import _openvino_int8 as int8
from segany.predict.backends._openvino_cache import Graphs, find_or_convert
from segany.predict.backends.openvino import OpenVINOBackend


@dataclass(frozen=True)
class TinyCheckpoint:
    load: Callable[[], Sam]
    identity: str = "tiny"


def photo(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (96, 128, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory, make_tiny: Callable[[], Sam]) -> Path:
    """The tiny model's graphs."""
    folder = tmp_path_factory.mktemp("converted")
    find_or_convert(folder, TinyCheckpoint.identity, make_tiny)
    return folder


@pytest.fixture
def home(tmp_path: Path, converted: Path, make_tiny: Callable[[], Sam], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, in which every model is the tiny one."""
    shutil.copytree(converted, tmp_path / "openvino")
    monkeypatch.setenv("SEGANY_HOME", str(tmp_path))
    for module in (quantize, load):
        monkeypatch.setattr(module, "locate", lambda *_: TinyCheckpoint(make_tiny))
    return tmp_path


def test_a_model_is_quantised_once_measured_and_found_again(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = quantize.quantize("tiny", [photo(0), photo(1)])
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1] == str(report)
    assert re.fullmatch(
        r"tiny quantised to int8 on 2 images: mean mask IoU with float32 [01]\.\d{3} over 32 clicks "
        r"\([01]\.\d{3} where each chooses its mask\)",
        str(report),
    )
    assert 0.5 < report.mask_iou <= 1
    assert report.clicks == 32

    def never(*_: object) -> None:
        raise AssertionError("quantised again")

    with monkeypatch.context() as patch:
        patch.setattr(quantize, "quantize_encoder", never)
        predictor = Predictor("tiny", device="cpu", precision="int8", runtime="openvino")
    assert predictor.backend.key.endswith(f"/cpu/int8-{int8.identity('tiny', report.calibration)}")
    exact = Predictor("tiny", device="cpu", precision="float32", runtime="openvino")
    one, other = (p.embed(photo(0)).features.to_numpy()["embedding"] for p in (predictor, exact))
    assert 0 < np.linalg.norm(one - other) < 0.2 * np.linalg.norm(other)

    # On other images it is another model, in the place of the first.
    again = quantize.quantize("tiny", [photo(2)])
    assert again.calibration != report.calibration
    renewed = Predictor("tiny", device="cpu", precision="int8", runtime="openvino")
    assert renewed.backend.key.endswith(f"/cpu/int8-{int8.identity('tiny', again.calibration)}")
    with pytest.raises(EmbeddingError, match="embed the image again"):
        renewed.predict(predictor.embed(photo(0)), _click())
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (home / "openvino").glob("*.json")]
    notes = [record["notes"] for record in records if record["notes"]]
    assert [note["calibration"] for note in notes] == [again.calibration]


def test_no_embedding_of_a_low_precision_is_given_to_a_float32_predictor(
    home: Path, tmp_path: Path, make_tiny: Callable[[], Sam]
) -> None:
    quantize.quantize("tiny", [photo(0)])
    cache = EmbeddingCache(tmp_path / "embeddings", 10**8)
    precisions = ["int8", "float32"]
    if OpenVINOBackend("tiny", make_tiny, folder=home / "openvino").key.endswith("mixed"):
        precisions[1:1] = ["mixed", "balanced", "bfloat16"]
    predictors = [Predictor("tiny", device="cpu", precision=p, runtime="openvino", cache=cache) for p in precisions]
    assert len({predictor.backend.key for predictor in predictors}) == len(precisions)
    embeddings = [predictor.embed(photo(0)) for predictor in predictors]
    assert cache.info().files == len(precisions)
    for predictor, own in zip(predictors, embeddings, strict=True):
        found = cache.load(own.image_digest, predictor.backend)
        assert found is not None
        assert found.backend_key == predictor.backend.key
        for other in embeddings:
            if other is not own:
                with pytest.raises(EmbeddingError, match="embed the image again"):
                    predictor.predict(other, _click())


def test_the_first_use_calibrates_on_the_samples(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def count(graphs: Graphs, inputs: list[NDArray[np.float32]]) -> object:
        asked.append(len(inputs))
        return graphs.read("encoder")

    monkeypatch.setattr(quantize, "quantize_encoder", count)
    monkeypatch.setattr(weights, "sample", lambda name: photo(len(name)))
    for _ in range(2):
        Predictor("tiny", device="cpu", precision="int8", runtime="openvino")
    assert asked == [len(weights.entries("sample"))]


def test_encoders_quantised_in_another_way_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = int8.identity("tiny", "0" * 64)
    assert first == int8.identity("tiny", "0" * 64)
    assert first != int8.identity("tiny", "1" * 64)
    assert first != int8.identity("huge", "0" * 64)
    other = tmp_path / "code.py"
    other.write_text("", encoding="utf-8")
    monkeypatch.setattr(int8, "__file__", str(other))
    assert first != int8.identity("tiny", "0" * 64)


def test_of_many_images_a_few_are_taken_from_all_over() -> None:
    assert quantize._spread(range(320)) == list(range(0, 320, 10))
    assert quantize._spread("abc") == ["a", "b", "c"]


def test_no_images_are_refused(home: Path) -> None:
    message = "calibration needs at least one image, got none; give photos like those to come."
    with pytest.raises(ConfigError, match=re.escape(message)):
        quantize.quantize("tiny", [])


def test_other_encoders_are_refused() -> None:
    config = ModelConfig("large", ViTConfig(16, 1, 1, (0,)), PreprocessConfig(input_side=128))
    message = "int8 is made for TinyViT encoders, and large has another; use --precision bfloat16."
    with pytest.raises(ConfigError, match=re.escape(message)):
        int8.quantize_encoder(Graphs(config, "0" * 64, "0" * 64, {}), [])


def test_a_missing_library_is_named(tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'segany[quantize]'")):
        int8.quantize_encoder(Graphs(tiny_config, "0" * 64, "0" * 64, {}), [])


def test_quantising_reports_to_nobody() -> None:
    int8._import_nncf()
    from nncf.telemetry import telemetry

    assert "openvino_telemetry" not in sys.modules
    assert type(telemetry).__name__ == "MagicMock"


def _click() -> Prompt:
    return Prompt(points=[[40, 30]])
