"""Predictors that the tests of this folder share."""

import pytest

from segany import ImageEmbedding, Predictor, weights
from segany.model.checkpoint import load_sam
from segany.predict.backends.fake import FakeBackend
from segany.predict.backends.torch import TorchBackend


@pytest.fixture
def fake() -> Predictor:
    return Predictor(backend=FakeBackend())


@pytest.fixture(scope="session")
def mobile_sam() -> Predictor:
    """The real model in the runtime that every machine has."""
    return Predictor(backend=TorchBackend(load_sam(weights.path("mobile_sam")), device="cpu", precision="float32"))


@pytest.fixture(scope="session")
def coffee(mobile_sam: Predictor) -> ImageEmbedding:
    """The cup of coffee, 400 high and 600 wide."""
    return mobile_sam.embed(weights.sample("coffee"))
