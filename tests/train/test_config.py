"""Settings of a run: what they may be, and what an unknown one says."""

import json

import pytest

from segany.errors import ConfigError
from segany.train import TrainConfig
from segany.train.schedule import rate_at


def test_it_survives_json() -> None:
    config = TrainConfig(tune="lora", betas=(0.8, 0.99), learning_rate=1e-3)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.digest != TrainConfig(tune="lora").digest


def test_words_become_settings() -> None:
    words = {"steps": "7", "merge": "false", "student_dims": "8,8,16,16", "tune": "lora", "box_share": ".25"}
    assert TrainConfig.parse(words) == {
        "steps": 7,
        "merge": False,
        "student_dims": (8, 8, 16, 16),
        "tune": "lora",
        "box_share": 0.25,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"stepz": 3}, "unknown key in the training config: stepz. Known: tune, model, steps"),
        ({"tune": "all"}, "tune must be one of scores, decoder, lora, full, distil, got 'all'"),
        ({"steps": "many"}, "the training setting steps must be a whole number, got 'many'"),
        ({"steps": True}, "the training setting steps must be a whole number, got True"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"betas": [0.9]}, "betas must be 2 numbers"),
        ({"blend": 1.5}, "blend must lie between 0 and 1, got 1.5"),
        ({"val_share": 1.0}, "val_share must be at least 0 and below 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"devices": 2, "images_per_step": 3}, r"images_per_step \(3\) must be a multiple of devices \(2\)"),
    ],
)
def test_a_wrong_setting_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_dict(given)


def test_a_wrong_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown training setting 'stepz'"):
        TrainConfig.parse({"stepz": "1"})
    with pytest.raises(ConfigError, match="merge must be true or false, got 'maybe'"):
        TrainConfig.parse({"merge": "maybe"})


def test_the_rate_falls_as_in_the_paper() -> None:
    config = TrainConfig(steps=90_000, learning_rate=8e-4)
    assert rate_at(0, config) == pytest.approx(8e-4 / 251)
    assert rate_at(250, config) == pytest.approx(8e-4)
    assert rate_at(59_999, config) == pytest.approx(8e-4)
    assert rate_at(60_000, config) == pytest.approx(8e-5)
    assert rate_at(86_666, config) == pytest.approx(8e-6)
    cosine = TrainConfig(steps=100, schedule="cosine", warmup_steps=0, learning_rate=1.0)
    assert rate_at(50, cosine) == pytest.approx(0.5)
