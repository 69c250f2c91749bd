"""Models of one encoder share its embeddings, and nothing that belongs to a decoder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from segany.model import ModelConfig, PreprocessConfig, Sam, TinyViTConfig, load_sam, save_sam
from segany.predict import Predictor
from segany.predict.backends.openvino import OpenVINOBackend
from segany.predict.backends.torch import TorchBackend
from segany.predict.cache import EmbeddingCache
from segany.schema import Prompt

TINY = ModelConfig(
    "tiny",
    TinyViTConfig(dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), heads=(1, 1, 1, 1), windows=(4, 4, 4, 4)),
    PreprocessConfig(input_side=128),
    embed_dim=32,
    decoder_heads=2,
    decoder_mlp_dim=32,
    iou_hidden_dim=32,
)
PHOTO = np.random.default_rng(0).integers(0, 256, (128, 96, 3), dtype=np.uint8)
# A lone click reads what prompts share, which is projected by the decoder; a mask goes another way.
PROMPTS = [Prompt(points=[[40, 50]], labels=[1]), Prompt(box=[10, 10, 60, 70], mask_logits=np.ones((32, 32)))]


def model(*, other_decoder: bool = False, other_encoder: bool = False) -> Sam:
    torch.manual_seed(0)
    sam = Sam(TINY).eval()
    changed = (sam.mask_decoder, other_decoder), (sam.image_encoder, other_encoder)
    with torch.no_grad():
        for part in [part for part, changes in changed if changes]:
            for parameter in part.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
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
    runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = predictor(model(), runtime, tmp_path)
    untuned = before.predict_many(before.embed(PHOTO), PROMPTS)
    alone = predictor(model(other_decoder=True), runtime, tmp_path)
    alone._cache = None
    wanted = alone.predict_many(alone.embed(PHOTO), PROMPTS)
    tuned = predictor(model(other_decoder=True), runtime, tmp_path)
    monkeypatch.setattr(type(tuned.backend), "encode", never)
    embedding = tuned.embed(PHOTO)
    assert embedding.model_digest == tuned.backend.model_digest != before.backend.model_digest
    for answer, expected, old in zip(tuned.predict_many(embedding, PROMPTS), wanted, untuned, strict=True):
        np.testing.assert_array_equal(answer.low_res_logits, expected.low_res_logits)
        np.testing.assert_array_equal(answer.iou_predictions, expected.iou_predictions)
        assert not np.allclose(answer.iou_predictions, old.iou_predictions)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_a_tuned_encoder_takes_none(runtime: str, tmp_path: Path) -> None:
    before = predictor(model(), runtime, tmp_path)
    old = before.embed(PHOTO)
    new = predictor(model(other_encoder=True), runtime, tmp_path).embed(PHOTO)
    assert not np.allclose(new.features.to_numpy()["embedding"], old.features.to_numpy()["embedding"])
    assert len(list((tmp_path / "embeddings").rglob("*.safetensors"))) == 2
