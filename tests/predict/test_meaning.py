"""The real model through the predictor: that a prompt means what people mean by it, on every kind of image."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segany import ImageEmbedding, Prediction, Predictor, Prompt, weights
from segany.errors import EmbeddingError
from segany.model.checkpoint import load_sam
from segany.predict.backends.torch import TorchBackend


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


def best(prediction: Prediction) -> NDArray[np.bool_]:
    return prediction.best().to_mask()


CUP = [168, 12, 430, 312]
SURFACE = [204, 95, 370, 193]


@pytest.fixture(scope="module")
def cup(mobile_sam: Predictor, coffee: ImageEmbedding) -> NDArray[np.bool_]:
    return best(mobile_sam.predict(coffee, Prompt(box=CUP)))


def test_a_box_gives_what_fills_it(mobile_sam: Predictor, coffee: ImageEmbedding) -> None:
    prediction = mobile_sam.predict(coffee, Prompt(box=SURFACE))
    assert prediction.iou_predictions[0] > 0.95
    assert prediction.best().box == pytest.approx(SURFACE, abs=3)
    # An ellipse fills 79 % of its box.
    assert prediction.best().area / (166 * 98) == pytest.approx(np.pi / 4, abs=0.05)


def test_a_click_and_a_box_agree(mobile_sam: Predictor, coffee: ImageEmbedding) -> None:
    boxed = best(mobile_sam.predict(coffee, Prompt(box=SURFACE)))
    assert iou(best(mobile_sam.predict(coffee, Prompt(points=[[290, 150]]))), boxed) > 0.97


def test_a_negative_click_takes_something_away(mobile_sam: Predictor, coffee: ImageEmbedding) -> None:
    points = [[280, 110], [120, 220]]
    both = best(mobile_sam.predict(coffee, Prompt(points=points)))
    assert both[110, 280]
    assert both[220, 120]
    one = best(mobile_sam.predict(coffee, Prompt(points=points, labels=[1, 0])))
    assert one[110, 280]
    assert not one[220, 120]


def test_three_masks_are_of_different_size(mobile_sam: Predictor, coffee: ImageEmbedding) -> None:
    masks = mobile_sam.predict(coffee, Prompt(points=[[280, 110]])).masks()
    assert masks[:, 110, 280].all()
    areas = masks.sum(axis=(1, 2))
    assert areas.max() > 1.5 * areas.min()


def test_refining_changes_little_that_is_good(
    mobile_sam: Predictor, coffee: ImageEmbedding, cup: NDArray[np.bool_]
) -> None:
    refined = mobile_sam.predict(coffee, Prompt(box=CUP), refine=2)
    assert iou(best(refined), cup) > 0.9


def test_the_answer_turns_with_the_image(mobile_sam: Predictor, coffee: ImageEmbedding) -> None:
    pixels = np.asarray(Image.open(weights.sample("coffee")).convert("RGB"))
    x0, y0, x1, y1 = SURFACE
    found = best(mobile_sam.predict(mobile_sam.embed(pixels[:, ::-1]), Prompt(box=[600 - x1, y0, 600 - x0, y1])))
    assert iou(found[:, ::-1], best(mobile_sam.predict(coffee, Prompt(box=SURFACE)))) > 0.95


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (2, 3)])
def test_the_smallest_and_thinnest_images(mobile_sam: Predictor, size: tuple[int, int]) -> None:
    embedding = mobile_sam.embed(np.full((*size, 3), 120, dtype=np.uint8))
    height, width = size
    for prompt in (Prompt(points=[[width - 1, height - 1]]), Prompt(box=[0, 0, width, height])):
        prediction = mobile_sam.predict(embedding, prompt)
        assert prediction.masks().shape == (len(prediction), *size)
        assert np.isfinite(prediction.low_res_logits).all()
        assert prediction.best().size == size


def test_grey_deep_and_transparent_files_mean_the_same(
    mobile_sam: Predictor, coffee: ImageEmbedding, tmp_path: Path
) -> None:
    grey = Image.open(weights.sample("coffee")).convert("L")
    grey.save(tmp_path / "grey.png")
    deep = np.asarray(grey, dtype=np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png")
    clear = grey.convert("RGBA")
    clear.save(tmp_path / "clear.png")
    prompt = Prompt(box=CUP)
    wanted = best(mobile_sam.predict(mobile_sam.embed(np.asarray(grey.convert("RGB"))), prompt))
    for name, least in (("grey", 0.999), ("clear", 0.999), ("deep", 0.97)):
        embedding = mobile_sam.embed(tmp_path / f"{name}.png")
        assert iou(best(mobile_sam.predict(embedding, prompt)), wanted) > least, name


def test_several_images_at_once_equal_one_by_one(mobile_sam: Predictor, coffee: ImageEmbedding) -> None:
    names = ["coffee", "astronaut", "rocket"]
    embeddings = mobile_sam.embed_batch([weights.sample(name) for name in names])
    np.testing.assert_array_equal(
        embeddings[0].features.to_numpy()["embedding"], coffee.features.to_numpy()["embedding"]
    )
    logits = np.random.default_rng(0).normal(size=(256, 256))
    own = [
        [Prompt(points=[[300, 180]]), Prompt(box=CUP), Prompt(points=[[9, 9], [50, 60]], labels=[0, 1])],
        [Prompt(points=[[250, 100]], box=[150, 20, 320, 250])],
        [Prompt(mask_logits=logits), *(Prompt(points=[[x, 200]]) for x in (100, 200, 300, 400, 500))],
    ]
    together = mobile_sam.predict_batch(embeddings, own)
    assert [len(predictions) for predictions in together] == [3, 1, 6]
    for embedding, predictions, prompts in zip(embeddings, together, own, strict=True):
        for prediction, prompt in zip(predictions, prompts, strict=True):
            alone = mobile_sam.predict(embedding, prompt)
            np.testing.assert_allclose(prediction.iou_predictions, alone.iou_predictions, atol=1e-5)
            np.testing.assert_allclose(prediction.low_res_logits, alone.low_res_logits, atol=1e-4)
            assert np.count_nonzero(prediction.masks() != alone.masks()) <= 2


def test_bfloat16_is_close_and_is_never_mixed_in(
    mobile_sam: Predictor, coffee: ImageEmbedding, cup: NDArray[np.bool_], tmp_path: Path
) -> None:
    half = Predictor(backend=TorchBackend(load_sam(weights.path("mobile_sam")), device="cpu", precision="bfloat16"))
    embedding = half.embed(weights.sample("coffee"))
    prompt = Prompt(box=CUP)
    prediction = half.predict(embedding, prompt)
    full = mobile_sam.predict(coffee, prompt)
    assert prediction.low_res_logits.dtype == np.float32
    np.testing.assert_allclose(prediction.iou_predictions, full.iou_predictions, atol=0.03)
    assert iou(best(prediction), cup) > 0.97
    assert embedding.backend_key != coffee.backend_key

    with pytest.raises(EmbeddingError, match=r"on torch/.*/cpu/bfloat16, but this predictor is mobile_sam .*float32"):
        mobile_sam.predict(embedding, prompt)
    with pytest.raises(EmbeddingError, match=r"on torch/.*/cpu/float32, but this predictor is mobile_sam .*bfloat16"):
        half.predict(coffee, prompt)
    embedding.save(tmp_path / "half.safetensors")
    with pytest.raises(EmbeddingError, match=r"was made with backend key torch/.*/bfloat16, but this predictor has"):
        mobile_sam.load_embedding(tmp_path / "half.safetensors")
    again = half.predict(half.load_embedding(tmp_path / "half.safetensors"), prompt)
    np.testing.assert_array_equal(again.low_res_logits, prediction.low_res_logits)
