"""The OpenVINO backend: that it answers as torch does, alone and in company, in every precision."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from segany import Predictor, Prompt, weights
from segany.errors import ConfigError, DeviceError, EmbeddingError
from segany.model import ModelConfig, Sam, ViTConfig
from segany.predict.backends import _openvino_runtime as runtime
from segany.predict.backends.base import Features
from segany.predict.backends.openvino import OpenVINOBackend
from segany.predict.backends.torch import TorchBackend
from segany.schema import PromptBatch

MakeTiny = Callable[[], Sam]
has_bfloat16 = pytest.mark.skipif(not runtime.has_bfloat16(), reason="this CPU does not compute in bfloat16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def backend(folder: Path, make_tiny: MakeTiny) -> OpenVINOBackend:
    return OpenVINOBackend("tiny", make_tiny, "float32", threads=2, folder=folder)


@pytest.fixture(scope="module")
def by_torch(make_tiny: MakeTiny) -> TorchBackend:
    return TorchBackend(make_tiny(), device="cpu", precision="float32")


def image(seed: int, height: int = 128, width: int = 96) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def features(backend: OpenVINOBackend) -> Features:
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


def test_it_answers_as_torch_does(backend: OpenVINOBackend, by_torch: TorchBackend) -> None:
    images = [image(0), image(1, 50, 128)]
    for one, other in zip(backend.encode(images), by_torch.encode(images), strict=True):
        np.testing.assert_allclose(one.to_numpy()["embedding"], other.to_numpy()["embedding"], rtol=0, atol=1e-4)
        batch = ragged(13)
        found, wanted = backend.score(one, batch), by_torch.score(other, batch)
        np.testing.assert_allclose(found.iou_predictions, wanted.iou_predictions, rtol=0, atol=1e-4)
        logits, expected = backend.low_res(found, every(13)), by_torch.low_res(wanted, every(13))
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-3 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("count", [1, 3, 17])
def test_a_prompts_answer_does_not_depend_on_its_company(
    backend: OpenVINOBackend, features: Features, count: int
) -> None:
    batch = ragged(count)
    together = backend.score(features, batch)
    logits = backend.low_res(together, every(count)).reshape(count, 4, 32, 32)
    for place in range(count):
        alone = PromptBatch((batch.coords[place],), (batch.labels[place],), (batch.mask_logits[place],))
        scored = backend.score(features, alone)
        np.testing.assert_array_equal(scored.iou_predictions[0], together.iou_predictions[place])
        np.testing.assert_array_equal(backend.low_res(scored, every(1)), logits[place])


def test_masks_come_in_the_order_asked_for(backend: OpenVINOBackend, features: Features) -> None:
    scored = backend.score(features, ragged(6))
    whole = backend.low_res(scored, every(6)).reshape(6, 4, 32, 32)
    index = np.array([[5, 0], [0, 3], [5, 2], [2, 1], [0, 3]])
    np.testing.assert_allclose(backend.low_res(scored, index), whole[index[:, 0], index[:, 1]], atol=1e-6)
    assert backend.low_res(scored, np.empty((0, 2), dtype=np.int64)).shape == (0, 32, 32)


def test_threads_may_share_it(backend: OpenVINOBackend, features: Features) -> None:
    other = backend.encode([image(1)])[0]
    wanted = [backend.low_res(backend.score(one, ragged(9)), every(9)) for one in (features, other)]

    def ask(number: int) -> bool:
        one = (features, other)[number % 2]
        return np.array_equal(backend.low_res(backend.score(one, ragged(9)), every(9)), wanted[number % 2])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(12)))


def test_a_refused_input_leaves_it_usable(backend: OpenVINOBackend, features: Features) -> None:
    click = PromptBatch((np.zeros((2, 2), np.float32),), (np.array([1, -1], np.int32),), (None,))
    wanted = backend.score(features, click).iou_predictions
    wrong = PromptBatch(click.coords * 5, click.labels * 5, (np.zeros((7, 7), np.float32),) * 5)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            backend.score(features, wrong)
    np.testing.assert_array_equal(backend.score(features, click).iou_predictions, wanted)


def test_features_survive_numpy_bit_for_bit(backend: OpenVINOBackend, features: Features) -> None:
    again = backend.features_from_numpy(features.to_numpy())
    np.testing.assert_array_equal(again.to_numpy()["embedding"], features.to_numpy()["embedding"])
    one, other = backend.score(features, ragged(4)), backend.score(again, ragged(4))
    np.testing.assert_array_equal(one.iou_predictions, other.iou_predictions)
    np.testing.assert_array_equal(backend.low_res(one, every(4)), backend.low_res(other, every(4)))


def test_features_of_another_model_are_refused(backend: OpenVINOBackend) -> None:
    message = "tiny needs an embedding [1, 32, 8, 8], got [1, 256, 64, 64]; embed the image again."
    with pytest.raises(EmbeddingError, match=re.escape(message)):
        backend.features_from_numpy({"embedding": np.zeros((1, 256, 64, 64), np.float32)})
    with pytest.raises(EmbeddingError, match=re.escape("tiny needs an embedding [1, 32, 8, 8], got None;")):
        backend.features_from_numpy({})


def test_it_is_the_same_model(backend: OpenVINOBackend, by_torch: TorchBackend, tiny_config: ModelConfig) -> None:
    assert backend.config == tiny_config
    assert backend.model_digest == by_torch.model_digest
    assert backend.encoder_digest == by_torch.encoder_digest


def test_a_key_names_runtime_version_and_precision(
    backend: OpenVINOBackend,
    folder: Path,
    make_tiny: MakeTiny,
    tiny_config: ModelConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert re.fullmatch(r"openvino/\d+\.\d+\.\d+/cpu/float32", backend.key)
    monkeypatch.setattr(runtime, "has_bfloat16", lambda: False)
    assert OpenVINOBackend("tiny", make_tiny, folder=folder).key == backend.key
    monkeypatch.setattr(runtime, "has_bfloat16", lambda: True)
    assert OpenVINOBackend("tiny", make_tiny, folder=folder).key == backend.key.replace("float32", "mixed")
    encoder = ViTConfig(dim=16, depth=1, heads=1, window=4, global_blocks=(0,), pretrain_side=128)
    vit = OpenVINOBackend("vit", lambda: Sam(replace(tiny_config, encoder=encoder)).eval(), folder=folder)
    assert vit.key == backend.key.replace("float32", "balanced")


def test_a_precision_that_is_not_to_be_had(folder: Path, make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "has_bfloat16", lambda: False)
    message = "this CPU does not compute in bfloat16, which mixed needs; use --precision float32."
    with pytest.raises(DeviceError, match=re.escape(message)):
        OpenVINOBackend("tiny", make_tiny, "mixed", folder=folder)
    message = "precision must be auto, float32, mixed, balanced, bfloat16, int8, got 'half'."
    with pytest.raises(DeviceError, match=re.escape(message)):
        OpenVINOBackend("tiny", make_tiny, "half", folder=folder)
    message = "a quantised encoder belongs to precision int8 and to no other, got int8."
    with pytest.raises(DeviceError, match=re.escape(message)):
        OpenVINOBackend("tiny", make_tiny, "int8", folder=folder)


def test_a_decoder_of_another_depth_is_refused(tmp_path: Path, tiny_config: ModelConfig) -> None:
    deep = replace(tiny_config, name="deep", decoder_depth=3)
    message = "only mask decoders of two layers can be cut into graphs; deep has 3. Use the torch runtime."
    with pytest.raises(ConfigError, match=re.escape(message)):
        OpenVINOBackend("deep", lambda: Sam(deep), "float32", folder=tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


@has_bfloat16
def test_what_an_encoder_carries_on_is_not_rounded(folder: Path, make_tiny: MakeTiny, by_torch: TorchBackend) -> None:
    wanted = by_torch.encode([image(0)])[0].to_numpy()["embedding"]
    error = {}
    for precision in ("balanced", "bfloat16"):
        (features,) = OpenVINOBackend("tiny", make_tiny, precision, threads=1, folder=folder).encode([image(0)])
        error[precision] = np.abs(features.to_numpy()["embedding"] - wanted).mean()
    assert 0 < error["balanced"] < 0.6 * error["bfloat16"]


@has_bfloat16
@pytest.mark.parametrize("precision", ["mixed", "balanced", "bfloat16"])
def test_bfloat16_features_survive_numpy_too(folder: Path, make_tiny: MakeTiny, precision: str) -> None:
    backend = OpenVINOBackend("tiny", make_tiny, precision, threads=1, folder=folder)
    (features,) = backend.encode([image(0)])
    again = backend.features_from_numpy(features.to_numpy())
    one, other = backend.score(features, ragged(4)), backend.score(again, ragged(4))
    np.testing.assert_array_equal(backend.low_res(one, every(4)), backend.low_res(other, every(4)))


class TestTheRealModel:
    """MobileSAM on a photo: what rounding does to masks, where it matters."""

    @staticmethod
    def prompts(size: tuple[int, int]) -> list[Prompt]:
        height, width = size
        box = [width * 0.2, height * 0.15, width * 0.85, height * 0.9]
        clicks = [Prompt(points=np.array([[width * x, height * y]])) for x in (0.2, 0.5, 0.8) for y in (0.3, 0.5, 0.7)]
        both = np.array([[width / 2, height / 2], [3, 3]])
        return [*clicks, Prompt(box=box), Prompt(points=both, labels=[1, 0], box=box)]

    @pytest.fixture
    def wanted(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        return self.answers(Predictor("mobile_sam", device="cpu", precision="float32", runtime="torch"))

    def answers(self, predictor: Predictor) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        embedding = predictor.embed(weights.sample("chelsea"))
        prompts = self.prompts(embedding.frame.original)
        first = predictor.predict_many(embedding, prompts)
        fed = [
            Prompt(points=p.points, box=p.box, mask_logits=q.low_res_logits[0])
            for p, q in zip(prompts, first, strict=True)
        ]
        both = [*first, *predictor.predict_many(embedding, fed[::4])]
        return [(one.iou_predictions, one.low_res_logits) for one in both]

    def test_float32(self, wanted: list[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> None:
        found = self.answers(Predictor("mobile_sam", device="cpu", precision="float32", runtime="openvino"))
        for (scores, logits), (true_scores, true_logits) in zip(found, wanted, strict=True):
            np.testing.assert_allclose(scores, true_scores, rtol=0, atol=1e-4)
            np.testing.assert_allclose(logits, true_logits, rtol=0, atol=1e-3 * float(np.abs(true_logits).max()))

    @has_bfloat16
    @pytest.mark.parametrize(("precision", "mean_iou"), [("mixed", 0.98), ("balanced", 0.98), ("bfloat16", 0.95)])
    def test_bfloat16(
        self, wanted: list[tuple[NDArray[np.float32], NDArray[np.float32]]], precision: str, mean_iou: float
    ) -> None:
        found = self.answers(Predictor("mobile_sam", device="cpu", precision=precision, runtime="openvino"))
        ious: list[float] = []
        for (_, logits), (_, true_logits) in zip(found, wanted, strict=True):
            for one, true in zip(logits > 0, true_logits > 0, strict=True):
                ious.append(np.count_nonzero(one & true) / (np.count_nonzero(one | true) or 1))
        assert np.mean(ious) >= mean_iou
