"""The kernels: that they answer as the graphs do, whole or by sample, and are compiled once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segany import Predictor
from segany.masks import mask_iou
from segany.predict.backends.base import Features, Scored
from segany.predict.backends.kernels import _compiled, are_supported, load_kernels
from segany.predict.backends.openvino import OpenVINOBackend
from segany.predict.load import load_backend
from segany.schema import PADDING, POSITIVE, PromptBatch

pytestmark = pytest.mark.skipif(not are_supported(), reason="this CPU has no bfloat16 dot products")
EVERY = np.stack(np.meshgrid(np.arange(9), np.arange(1, 4), indexing="ij"), -1).reshape(-1, 2)


@pytest.fixture(scope="module")
def backend() -> OpenVINOBackend:
    made = load_backend("mobile_sam", device="cpu", precision="mixed", runtime="openvino")
    assert isinstance(made, OpenVINOBackend)
    return made


@pytest.fixture(scope="module")
def features(backend: OpenVINOBackend) -> Features:
    y, x = np.mgrid[:300, :400]
    picture = np.stack([x // 2, y // 2, (np.hypot(x - 200, y - 150) < 90) * 200], -1).astype(np.uint8)
    picture[40:120, 30:110] = (250, 40, 30)
    return Predictor(backend=backend, cache=None).embed(picture).features


def clicks(count: int) -> PromptBatch:
    rng = np.random.default_rng(3)
    points = rng.uniform(40, 760, (count, 2)).astype(np.float32)
    coords = np.stack([points, np.zeros_like(points)], 1)
    labels = np.array([POSITIVE, PADDING], dtype=np.int32)
    return PromptBatch(tuple(coords), (labels,) * count, (None,) * count)


@pytest.fixture(scope="module")
def scored(backend: OpenVINOBackend, features: Features) -> Scored:
    return backend.score(features, clicks(9))


def one_by_one(backend: OpenVINOBackend, features: Features, count: int) -> list[tuple[Any, Any]]:
    batch = clicks(count)
    answers: list[tuple[Any, Any]] = []
    for number in range(count):
        own = PromptBatch(batch.coords[number : number + 1], batch.labels[number : number + 1], (None,))
        alone = backend.score(features, own)
        masks = backend.low_res(alone, np.array([[0, 1], [0, 2], [0, 3]]))
        answers.append((alone.iou_predictions[0], masks))
    return answers


def test_many_clicks_are_answered_as_each_alone(backend: OpenVINOBackend, features: Features, scored: Scored) -> None:
    # Alone a click goes through the graphs: the same numbers in bfloat16, rounded at other places.
    masks = backend.low_res(scored, EVERY).reshape(9, 3, 256, 256)
    for number, (scores, alone) in enumerate(one_by_one(backend, features, 9)):
        np.testing.assert_allclose(scored.iou_predictions[number], scores, atol=0.05)
        for level in range(3):
            if (alone[level] > 0).sum() > 200:
                assert mask_iou(masks[number, level] > 0, alone[level] > 0) > 0.93


def test_a_prompts_answer_does_not_depend_on_its_company(
    backend: OpenVINOBackend, features: Features, scored: Scored
) -> None:
    again = backend.score(features, clicks(9))
    np.testing.assert_array_equal(again.iou_predictions, scored.iou_predictions)
    np.testing.assert_array_equal(backend.low_res(again, EVERY), backend.low_res(scored, EVERY))


def test_the_sample_is_every_fourth_logit(backend: OpenVINOBackend, scored: Scored) -> None:
    sample = backend.sample(scored, EVERY)
    assert sample is not None
    np.testing.assert_allclose(sample, backend.low_res(scored, EVERY)[:, 2::4, 2::4], atol=1e-5)


def test_drawing_roughly_leaves_the_borders_as_they_are(backend: OpenVINOBackend, scored: Scored) -> None:
    whole, rough = backend.low_res(scored, EVERY), backend.low_res(scored, EVERY, near=2.0)
    assert (np.abs(whole - rough) > 1e-4).any(), "nothing was left out"
    for exact, drawn in zip(whole, rough, strict=True):
        assert np.count_nonzero((exact > 0) != (drawn > 0)) <= 0.002 * max(int(np.count_nonzero(exact > 0)), 500)


def test_no_sample_of_a_mask_that_a_graph_draws(backend: OpenVINOBackend, features: Features) -> None:
    assert backend.sample(backend.score(features, clicks(1)), np.array([[0, 1]])) is None


def test_compiled_kernels_are_kept_and_a_damaged_file_is_not_run(tmp_path: Path) -> None:
    load_kernels(tmp_path)
    (file,) = tmp_path.iterdir()
    good = file.read_bytes()
    file.write_bytes(good[:-100] + bytes(100))
    load_kernels(tmp_path)
    assert file.read_bytes() == good


def test_kept_kernels_are_not_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_kernels(tmp_path)
    monkeypatch.setattr(_compiled, "_compile", lambda: pytest.fail("compiled again"))
    load_kernels(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.warns(RuntimeWarning, match="compiled kernels are not kept"):
        load_kernels(tmp_path / "file")
