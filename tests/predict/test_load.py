"""From a model's name to a backend."""

import pytest

from segany import weights
from segany.errors import ConfigError, WeightsNotFoundError
from segany.model.config import CONFIGS
from segany.predict.load import load_backend


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
