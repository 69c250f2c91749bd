"""Models of one encoder share its embeddings, and nothing that belongs to a decoder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from segany.model import Sam, load_sam, save_sam
from segany.predict import Predictor
from segany.predict.backends.openvino import OpenVINOBackend
from segany.predict.backends.torch import TorchBackend
from segany.predict.cache import EmbeddingCache
from segany.schema import Prompt

PHOTO = np.random.default_rng(0).integers(0, 256, (128, 96, 3), dtype=np.uint8)
# A lone click reads what prompts share, which is projected by the decoder; a mask goes another way.
PROMPTS = [Prompt(points=[[40, 50]], labels=[1]), Prompt(box=[10, 10, 60, 70], mask_logits=np.ones((32, 32)))]


def tuned(part: torch.nn.Module) -> None:
    """Change a part's parameters, as training would."""
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)


@pytest.fixture
def other_decoder(make_tiny: Callable[[], Sam]) -> Sam:
    sam = make_tiny()
    tuned(sam.mask_decoder)
    return sam


@pytest.fixture
def other_encoder(make_tiny: Callable[[], Sam]) -> Sam:
    sam = make_tiny()
    tuned(sam.image_encoder)
    return sam


def predictor(sam: Sam, runtime: str, folder: Path) -> Predictor:
    cache = EmbeddingCache(folder / "embeddings", 10**8)
    if runtime == "torch":
        return Predictor(backend=TorchBackend(sam, device="cpu"), cache=cache)
    path = folder / f"{len(list(folder.iterdir()))}.safetensors"
    digest = str(save_sam(sam, path)["digest"])
    backend = OpenVINOBackend(digest, lambda: load_sam(path), "float32", folder=folder / "graphs")
    return Predictor(backend=backend, cache=cache)


def never(*_: object) -> None:
    raise AssertionError("the image was encoded again")


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_a_tuned_decoder_takes_embeddings_and_projects_them_itself(
    runtime: str,
    make_tiny: Callable[[], Sam],
    other_decoder: Sam,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = predictor(make_tiny(), runtime, tmp_path)
    untuned = before.predict_many(before.embed(PHOTO), PROMPTS)
    alone = predictor(other_decoder, runtime, tmp_path)
    alone._cache = None
    wanted = alone.predict_many(alone.embed(PHOTO), PROMPTS)
    after = predictor(other_decoder, runtime, tmp_path)
    monkeypatch.setattr(type(after.backend), "encode", never)
    embedding = after.embed(PHOTO)
    assert embedding.model_digest == after.backend.model_digest != before.backend.model_digest
    for answer, expected, old in zip(after.predict_many(embedding, PROMPTS), wanted, untuned, strict=True):
        np.testing.assert_array_equal(answer.low_res_logits, expected.low_res_logits)
        np.testing.assert_array_equal(answer.iou_predictions, expected.iou_predictions)
        assert not np.allclose(answer.iou_predictions, old.iou_predictions)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_a_tuned_encoder_takes_none(
    runtime: str, make_tiny: Callable[[], Sam], other_encoder: Sam, tmp_path: Path
) -> None:
    before = predictor(make_tiny(), runtime, tmp_path)
    old = before.embed(PHOTO)
    new = predictor(other_encoder, runtime, tmp_path).embed(PHOTO)
    assert not np.allclose(new.features.to_numpy()["embedding"], old.features.to_numpy()["embedding"])
    assert len(list((tmp_path / "embeddings").rglob("*.safetensors"))) == 2
