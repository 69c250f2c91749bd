import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest

import segany.model
from segany.errors import ConfigError
from segany.model.config import CONFIGS, ModelConfig, PreprocessConfig, TinyViTConfig, ViTConfig


def test_the_published_models_are_there() -> None:
    assert list(CONFIGS) == ["vit_b", "vit_l", "vit_h", "mobile_sam", "lite_medsam"]
    assert {name: config.name for name, config in CONFIGS.items()} == {name: name for name in CONFIGS}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_published_sides(config: ModelConfig) -> None:
    assert config.input_side == (256 if config.name == "lite_medsam" else 1024)
    assert (config.embedding_side, config.low_res_side) == (64, 256)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_json_round_trip(config: ModelConfig) -> None:
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (None, "unknown key in the model config: colour. Known: name, encoder, preprocess"),
        ("encoder", "unknown key in the vit encoder config: colour. Known: dim, depth"),
        ("preprocess", "unknown key in the preprocess config: colour. Known: input_side, resample"),
    ],
)
def test_an_unknown_key_is_refused(section: str | None, message: str) -> None:
    data = CONFIGS["vit_b"].to_dict()
    (data if section is None else data[section])["colour"] = 1
    with pytest.raises(ConfigError) as error:
        ModelConfig.from_dict(data)
    assert str(error.value).startswith(message)


def _without(key: str, section: str | None = None) -> dict[str, Any]:
    data = CONFIGS["vit_b"].to_dict()
    del (data if section is None else data[section])[key]
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_without("name"), "the model config lacks: name."),
        (_without("depth", "encoder"), "the vit encoder config lacks: depth."),
        (_without("kind", "encoder"), "encoder kind must be one of vit, tiny_vit, got None."),
        (_without("preprocess"), "a model config needs a section 'preprocess', got None."),
        (CONFIGS["vit_b"].to_dict() | {"embed_dim": "wide"}, "a value of the model config has the wrong type"),
    ],
)
def test_a_broken_dict_is_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        ModelConfig.from_dict(data)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PreprocessConfig(input_side=0), "input_side must be at least 1 pixel, got 0."),
        (
            lambda: PreprocessConfig(resample="nearest"),  # type: ignore[arg-type]
            "resample must be one of bilinear_antialias, area, got 'nearest'.",
        ),
        (lambda: PreprocessConfig(std=(1.0, 0.0, 1.0)), "std must be positive, got (1.0, 0.0, 1.0)."),
        (lambda: ViTConfig(10, 2, 3, ()), "dim 10 must be a multiple of heads 3."),
        (lambda: ViTConfig(12, 2, 3, (2,)), "global_blocks (2,) must lie in 0..1."),
        (lambda: ViTConfig(12, 2, 3, (), pretrain_side=100), "pretrain_side 100 must be a multiple of the patch, 16."),
        (lambda: TinyViTConfig(strides=(2, 3, 1)), "strides must be three of 1 or 2, got [2, 3, 1]."),
        (
            lambda: dataclasses.replace(CONFIGS["vit_b"], preprocess=PreprocessConfig(input_side=1000)),
            "input_side 1000 must be a multiple of the encoder's stride, 16.",
        ),
        (
            lambda: dataclasses.replace(CONFIGS["vit_b"], decoder_heads=7),
            "embed_dim 256 must be a multiple of twice decoder_heads, 7.",
        ),
    ],
)
def test_impossible_sizes_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert str(error.value) == message


def test_strides() -> None:
    assert TinyViTConfig().stride == 16
    assert TinyViTConfig(stem_kernel=1).stride == 4
    assert ViTConfig(12, 1, 1, (), patch=8).stride == 8


def test_config_and_preprocess_import_no_torch() -> None:
    code = (
        "import sys, segany.model, segany.model.config, segany.model.preprocess; "
        "print(sorted({'torch', 'cv2', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_can_be_had() -> None:
    for name in segany.model.__all__:
        assert getattr(segany.model, name) is not None
    with pytest.raises(AttributeError, match=r"module 'segany\.model' has no attribute 'nothing'"):
        _ = segany.model.nothing
