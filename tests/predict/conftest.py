"""Predictors that the tests of this folder share."""

import pytest

from segany import ImageEmbedding, Predictor, weights
from segany.predict.backends.fake import FakeBackend


@pytest.fixture
def fake() -> Predictor:
    return Predictor(backend=FakeBackend())


@pytest.fixture(scope="session")
def mobile_sam() -> Predictor:
    return Predictor("mobile_sam", device="cpu", precision="float32")


@pytest.fixture(scope="session")
def coffee(mobile_sam: Predictor) -> ImageEmbedding:
    """The cup of coffee, 400 high and 600 wide."""
    return mobile_sam.embed(weights.sample("coffee"))
