"""The torch backend on a tiny random model: shapes, grouping, devices, precisions; and that it is one with `Sam`."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segany.errors import DeviceError, EmbeddingError
from segany.model import Sam
from segany.model.preprocess import normalize_image
from segany.predict.backends.base import Features
from segany.predict.backends.torch import TorchBackend, choose_device
from segany.schema import PromptBatch

MakeTiny = Callable[[], Sam]


@pytest.fixture(scope="module")
def backend(make_tiny: MakeTiny) -> TorchBackend:
    return TorchBackend(make_tiny(), device="cpu")


def image(seed: int, height: int = 128, width: int = 96) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def features(backend: TorchBackend) -> Features:
    return backend.encode([image(0)])[0]


def ragged(count: int, seed: int = 0) -> PromptBatch:
    """Prompts of 0 to 3 tokens, every third with logits."""
    rng = np.random.default_rng(seed)
    coords, labels, logits = [], [], []
    for place in range(count):
        tokens = place % 4
        coords.append(rng.uniform(0, 127, (tokens, 2)).astype(np.float32))
        labels.append(rng.integers(-1, 4, tokens).astype(np.int32))
        given = place % 3 == 0 or tokens == 0
        logits.append(rng.normal(size=(32, 32)).astype(np.float32) if given else None)
    return PromptBatch(tuple(coords), tuple(labels), tuple(logits))


def every(count: int) -> NDArray[np.int64]:
    return np.array([(prompt, mask) for prompt in range(count) for mask in range(4)])


def test_features_are_those_of_the_model(backend: TorchBackend, make_tiny: MakeTiny) -> None:
    images = [image(0), image(1, 50, 128)]
    sam = make_tiny()
    with torch.inference_mode():
        stack = torch.from_numpy(np.stack([normalize_image(one, sam.config.preprocess) for one in images]))
        wanted = sam.image_encoder(stack).numpy()
    for one, expected in zip(backend.encode(images), wanted, strict=True):
        array = one.to_numpy()["embedding"]
        assert array.shape == (1, 32, 8, 8)
        np.testing.assert_allclose(array[0], expected, atol=1e-4)


def test_a_groups_features_do_not_hold_on_to_the_group(backend: TorchBackend) -> None:
    one, _ = backend.encode([image(0), image(1)])
    embedding = one.embedding  # type: ignore[attr-defined]
    assert embedding.untyped_storage().nbytes() == embedding.numel() * 4


def test_scores_and_masks_are_those_of_the_model(
    backend: TorchBackend, features: Features, make_tiny: MakeTiny
) -> None:
    sam = make_tiny()
    batch = ragged(5)
    scored = backend.score(features, batch)
    logits = backend.low_res(scored, every(5)).reshape(5, 4, 32, 32)
    embedding = torch.from_numpy(np.array(features.to_numpy()["embedding"]))
    for place in range(5):
        own = batch.mask_logits[place]
        with torch.inference_mode():
            sparse = sam.prompt_encoder.sparse(
                torch.from_numpy(batch.coords[place])[None], torch.from_numpy(batch.labels[place])[None]
            )
            dense = sam.prompt_encoder.dense(None if own is None else torch.from_numpy(own)[None])
            masks, iou = sam.mask_decoder(embedding, sam.prompt_encoder.dense_pe(), sparse, dense)
        np.testing.assert_allclose(scored.iou_predictions[place], iou[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(logits[place], masks[0].numpy(), atol=1e-4)


@pytest.mark.parametrize("count", [1, 3, 17])
def test_a_prompts_answer_does_not_depend_on_its_company(backend: TorchBackend, features: Features, count: int) -> None:
    batch = ragged(count)
    together = backend.score(features, batch)
    logits = backend.low_res(together, every(count)).reshape(count, 4, 32, 32)
    for place in range(count):
        alone = PromptBatch((batch.coords[place],), (batch.labels[place],), (batch.mask_logits[place],))
        scored = backend.score(features, alone)
        np.testing.assert_allclose(scored.iou_predictions[0], together.iou_predictions[place], atol=1e-5)
        np.testing.assert_allclose(backend.low_res(scored, every(1)), logits[place], atol=1e-5)


def test_masks_come_in_the_order_asked_for(backend: TorchBackend, features: Features) -> None:
    scored = backend.score(features, ragged(6))
    whole = backend.low_res(scored, every(6)).reshape(6, 4, 32, 32)
    index = np.array([[5, 0], [0, 3], [5, 2], [2, 1], [0, 3]])
    np.testing.assert_allclose(backend.low_res(scored, index), whole[index[:, 0], index[:, 1]], atol=1e-6)
    assert backend.low_res(scored, np.empty((0, 2), dtype=np.int64)).shape == (0, 32, 32)


def test_the_same_question_has_the_same_answer_bit_for_bit(backend: TorchBackend) -> None:
    (one,), (other,) = backend.encode([image(3)]), backend.encode([image(3)])
    np.testing.assert_array_equal(one.to_numpy()["embedding"], other.to_numpy()["embedding"])
    first, second = backend.score(one, ragged(4)), backend.score(other, ragged(4))
    np.testing.assert_array_equal(first.iou_predictions, second.iou_predictions)
    np.testing.assert_array_equal(backend.low_res(first, every(4)), backend.low_res(second, every(4)))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_features_survive_numpy_bit_for_bit(make_tiny: MakeTiny, precision: str) -> None:
    backend = TorchBackend(make_tiny(), device="cpu", precision=precision)
    (features,) = backend.encode([image(0)])
    arrays = features.to_numpy()
    again = backend.features_from_numpy(arrays)
    assert torch.equal(again.embedding, features.embedding)  # type: ignore[attr-defined]
    assert again.embedding.dtype == getattr(torch, precision)  # type: ignore[attr-defined]


def test_features_of_another_model_are_refused(backend: TorchBackend) -> None:
    message = "tiny needs an embedding [1, 32, 8, 8], got [1, 256, 64, 64]; embed the image again."
    with pytest.raises(EmbeddingError, match=re.escape(message)):
        backend.features_from_numpy({"embedding": np.zeros((1, 256, 64, 64), np.float32)})
    with pytest.raises(EmbeddingError, match=re.escape("tiny needs an embedding [1, 32, 8, 8], got None;")):
        backend.features_from_numpy({})


def test_a_key_names_runtime_device_and_precision(make_tiny: MakeTiny) -> None:
    keys = [TorchBackend(make_tiny(), device="cpu", precision=one).key for one in ("auto", "float32", "bfloat16")]
    assert keys[0] == keys[1] == f"torch/{torch.__version__}/cpu/float32"
    assert keys[2] == f"torch/{torch.__version__}/cpu/bfloat16"


def test_the_digest_is_of_the_parameters_not_of_the_precision(make_tiny: MakeTiny) -> None:
    full, half = (TorchBackend(make_tiny(), device="cpu", precision=one) for one in ("float32", "bfloat16"))
    assert full.model_digest == half.model_digest
    changed = make_tiny()
    with torch.no_grad():
        changed.mask_decoder.iou_token.weight[0, 0] += 1
    assert TorchBackend(changed, device="cpu").model_digest != full.model_digest


def test_the_model_is_frozen(make_tiny: MakeTiny) -> None:
    sam = make_tiny().train()
    TorchBackend(sam, device="cpu")
    assert not sam.training
    assert not any(parameter.requires_grad for parameter in sam.parameters())


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    for name in ("cuda", "cuda:1", "mps"):
        message = f"device '{name}' is not on this machine, which has: cpu; use --device auto."
        with pytest.raises(DeviceError, match=re.escape(message)):
            choose_device(name)
    with pytest.raises(DeviceError, match=re.escape("device must be auto, cpu, cuda, cuda:N or mps, got 'gpu'.")):
        choose_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match=re.escape("device 'cuda:2' is not on this machine, which has: cpu, cuda;")):
        choose_device("cuda:2")


def test_an_unknown_precision_is_refused(make_tiny: MakeTiny) -> None:
    with pytest.raises(DeviceError, match=re.escape("precision must be auto, float32, mixed, bfloat16, got 'half'.")):
        TorchBackend(make_tiny(), device="cpu", precision="half")
