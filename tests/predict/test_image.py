"""The predictor's behaviour, on discs; what the real model means by it is in test_meaning.py."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segany import ImageEmbedding, Prediction, Predictor, Prompt, open_image
from segany.errors import EmbeddingError, ImageError, PromptError
from segany.geometry import Size
from segany.predict.backends.base import Features, Scored
from segany.predict.backends.fake import FakeBackend
from segany.schema import Image, ImageInfo, PromptBatch

HEIGHT, WIDTH = 60, 100


def picture(value: int = 90, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, dtype=np.uint8)


@pytest.fixture
def embedding(fake: Predictor) -> ImageEmbedding:
    return fake.embed(picture())


class Recorder(FakeBackend):
    """Notes what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded: list[int] = []
        self.batches: list[PromptBatch] = []

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Features]:
        self.encoded.append(len(images))
        return super().encode(images)

    def score(self, features: Features, batch: PromptBatch) -> Scored:
        self.batches.append(batch)
        return super().score(features, batch)


def assert_same(one: Prediction, other: Prediction) -> None:
    np.testing.assert_array_equal(one.iou_predictions, other.iou_predictions)
    np.testing.assert_array_equal(one.low_res_logits, other.low_res_logits)
    assert one.frame == other.frame


class TestEmbed:
    def test_an_embedding_says_what_it_was_made_from(self, fake: Predictor) -> None:
        image = open_image(picture())
        embedding = fake.embed(image)
        assert embedding.image_digest == image.info.digest
        assert embedding.model_name == "fake"
        assert embedding.model_digest == fake.backend.model_digest
        assert embedding.backend_key == fake.backend.key
        assert embedding.frame.original == Size(HEIGHT, WIDTH)
        assert embedding.frame.model == Size(614, 1024)

    def test_images_go_through_in_groups_and_come_back_in_order(self) -> None:
        backend = Recorder()
        predictor = Predictor(backend=backend)
        pictures = [picture(value, 20 + value, 30) for value in range(9)]
        embeddings = predictor.embed_batch(iter(pictures))
        assert backend.encoded == [4, 4, 1]
        for value, embedding in enumerate(embeddings):
            assert embedding.frame.original == Size(20 + value, 30)
            assert embedding.features.to_numpy()["colour"].tolist() == [value] * 3
            assert embedding.image_digest == predictor.embed(pictures[value]).image_digest

    def test_no_images_give_no_embeddings(self, fake: Predictor) -> None:
        assert fake.embed_batch([]) == []

    def test_what_is_no_image_is_refused(self, fake: Predictor, tmp_path: Any) -> None:
        with pytest.raises(ImageError):
            fake.embed(tmp_path / "missing.jpg")
        with pytest.raises(ImageError):
            fake.embed(np.zeros((0, 5, 3), dtype=np.uint8))
        nameless = Image(ImageInfo(1, "a.png", Size(HEIGHT, WIDTH)), picture())
        with pytest.raises(ImageError, match=re.escape("a.png has no digest; read it through segany.open_image.")):
            fake.embed(nameless)


class TestPredict:
    def test_the_masks_lie_where_the_click_is(self, fake: Predictor, embedding: ImageEmbedding) -> None:
        prediction = fake.predict(embedding, Prompt(points=[[70, 20]]))
        masks = prediction.masks()
        assert masks.shape == (3, HEIGHT, WIDTH)
        assert masks[:, 20, 70].all()
        y, x = np.nonzero(masks[0])
        # A disc of 16 low-resolution pixels, 4 model pixels each, at 10.24 model pixels per original pixel.
        assert (x.min() + x.max()) / 2 == pytest.approx(70, abs=0.5)
        assert (y.min() + y.max()) / 2 == pytest.approx(20, abs=0.5)
        assert len(x) == pytest.approx(np.pi * (16 * 4 / 10.24) ** 2, rel=0.05)
        assert prediction.best_index == 2
        np.testing.assert_array_equal(prediction.best().to_mask(), masks[2])

    @pytest.mark.parametrize(
        ("prompt", "count"),
        [
            (Prompt(points=[[5, 5]]), 3),
            (Prompt(points=[[5, 5]], labels=[0]), 3),
            (Prompt(points=[[5, 5], [6, 6]]), 1),
            (Prompt(box=[5, 5, 20, 20]), 1),
            (Prompt(points=[[5, 5]], box=[0, 0, 20, 20]), 1),
            (Prompt(points=[[5, 5]], mask_logits=np.zeros((256, 256))), 1),
            (Prompt(mask_logits=np.zeros((256, 256))), 1),
        ],
    )
    def test_only_a_lone_click_is_ambiguous(
        self, fake: Predictor, embedding: ImageEmbedding, prompt: Prompt, count: int
    ) -> None:
        assert len(fake.predict(embedding, prompt)) == count
        assert len(fake.predict(embedding, prompt, multimask=True)) == 3
        assert len(fake.predict(embedding, prompt, multimask=False)) == 1

    def test_single_and_multiple_masks_are_the_decoders_own(self, fake: Predictor, embedding: ImageEmbedding) -> None:
        prompt = Prompt(points=[[5, 5]])
        single = fake.predict(embedding, prompt, multimask=False)
        multiple = fake.predict(embedding, prompt, multimask=True)
        assert single.iou_predictions.tolist() == pytest.approx([0.6])
        assert multiple.iou_predictions.tolist() == pytest.approx([0.7, 0.8, 0.9])

    def test_prompts_reach_the_backend_in_model_pixels(self) -> None:
        backend = Recorder()
        predictor = Predictor(backend=backend)
        embedding = predictor.embed(picture())
        prompts = [
            Prompt(points=[[50, 30], [10, 10]], labels=[1, 0]),
            Prompt(box=[10, 20, 50, 30]),
            Prompt(points=[[50, 30]], box=[10, 20, 50, 30]),
            Prompt(mask_logits=np.ones((256, 256))),
        ]
        predictor.predict_many(embedding, prompts)
        (batch,) = backend.batches
        scale = np.array([1024 / WIDTH, 614 / HEIGHT])
        corners = np.array([[10, 20], [50, 30]]) * scale
        # Clicks alone are followed by one padding token.
        np.testing.assert_allclose(batch.coords[0], [*(np.array([[50, 30], [10, 10]]) * scale), [0, 0]], rtol=1e-6)
        assert batch.labels[0].tolist() == [1, 0, -1]
        np.testing.assert_allclose(batch.coords[1], corners, rtol=1e-6)
        assert batch.labels[1].tolist() == [2, 3]
        np.testing.assert_allclose(batch.coords[2], [np.array([50, 30]) * scale, *corners], rtol=1e-6)
        assert batch.labels[2].tolist() == [1, 2, 3]
        assert batch.coords[3].shape == (0, 2)
        assert [logits is None for logits in batch.mask_logits] == [True, True, True, False]
        assert all(coords.dtype == np.float32 for coords in batch.coords)

    def test_a_refinement_feeds_the_best_masks_logits_back(self) -> None:
        backend = Recorder()
        predictor = Predictor(backend=backend)
        embedding = predictor.embed(picture())
        prompts = [Prompt(points=[[5, 5]]), Prompt(box=[5, 5, 20, 20])]
        predictor.predict_many(embedding, prompts, refine=2)
        first, second, third = backend.batches
        assert first.mask_logits == (None, None)
        plain = predictor.predict_many(embedding, prompts)
        for batch in (second, third):
            np.testing.assert_array_equal(batch.coords[0], first.coords[0])
            for logits, prediction in zip(batch.mask_logits, plain, strict=True):
                assert logits is not None
                np.testing.assert_array_equal(logits, prediction.low_res_logits[prediction.best_index])


def prompts() -> st.SearchStrategy[Prompt]:
    click = st.tuples(st.floats(0, WIDTH - 1), st.floats(0, HEIGHT - 1), st.integers(0, 1))
    box = st.tuples(st.floats(0, 40), st.floats(0, 20), st.floats(50, WIDTH), st.floats(30, HEIGHT))

    def make(
        clicks: list[tuple[float, float, int]], box: tuple[float, float, float, float] | None, seed: int | None
    ) -> Prompt:
        return Prompt(
            points=[(x, y) for x, y, _ in clicks] or None,
            labels=[label for _, _, label in clicks] or None,
            box=box,
            mask_logits=None if seed is None else np.random.default_rng(seed).normal(size=(256, 256)),
        )

    parts = st.tuples(st.lists(click, max_size=4), st.none() | box, st.none() | st.integers(0, 9))
    return parts.filter(lambda part: part != ([], None, None)).map(lambda part: make(*part))


class TestBatches:
    @settings(max_examples=20)
    @given(st.lists(prompts(), min_size=1, max_size=7), st.sampled_from([None, True, False]))
    def test_many_prompts_equal_single_calls(self, many: list[Prompt], multimask: bool | None) -> None:
        backend = FakeBackend()
        backend.score_batch = 3
        predictor = Predictor(backend=backend)
        embedding = predictor.embed(picture())
        together = predictor.predict_many(embedding, many, multimask=multimask)
        assert len(together) == len(many)
        for prompt, prediction in zip(many, together, strict=True):
            assert_same(prediction, predictor.predict(embedding, prompt, multimask=multimask))

    def test_several_images_with_a_number_and_kind_of_prompts_each(self, fake: Predictor) -> None:
        embeddings = fake.embed_batch([picture(), picture(10, 300, 200), picture(20)])
        own: list[list[Prompt]] = [
            [Prompt(points=[[1, 2]]), Prompt(box=[1, 2, 30, 40]), Prompt(points=[[3, 4], [5, 6]])],
            [],
            [Prompt(points=[[7, 8]], box=[1, 2, 30, 40])],
        ]
        answers = fake.predict_batch(embeddings, own)
        assert [len(predictions) for predictions in answers] == [3, 0, 1]
        for embedding, predictions, its_prompts in zip(embeddings, answers, own, strict=True):
            for prediction, prompt in zip(predictions, its_prompts, strict=True):
                assert_same(prediction, fake.predict(embedding, prompt))

    def test_each_image_needs_its_list(self, fake: Predictor, embedding: ImageEmbedding) -> None:
        message = "each image needs its own list of prompts, got 1 images and 2 lists."
        with pytest.raises(PromptError, match=re.escape(message)):
            fake.predict_batch([embedding], [[], []])


class TestRefusals:
    def refused(self, predictor: Predictor, embedding: ImageEmbedding, prompt: Prompt) -> str:
        with pytest.raises(PromptError) as caught:
            predictor.predict(embedding, prompt)
        return str(caught.value)

    def test_a_point_outside(self, fake: Predictor, embedding: ImageEmbedding) -> None:
        assert self.refused(fake, embedding, Prompt(points=[[5, 5], [100, 99]])) == (
            "prompt 0: point 1 (x=100, y=99) is outside the image, whose x runs from 0 to 99 and y from 0 to 59."
        )
        assert "point 0 (x=-1, y=5) is outside" in self.refused(fake, embedding, Prompt(points=[[-1, 5]]))

    def test_a_point_with_x_and_y_swapped_is_told(self, fake: Predictor, embedding: ImageEmbedding) -> None:
        assert self.refused(fake, embedding, Prompt(points=[[20, 80]])) == (
            "prompt 0: point 0 (x=20, y=80) is outside the image, whose x runs from 0 to 99 and y from 0 to 59. "
            "It would fit with x and y swapped."
        )

    def test_the_last_pixel_is_inside(self, fake: Predictor, embedding: ImageEmbedding) -> None:
        fake.predict(embedding, Prompt(points=[[0.0, 0.0], [WIDTH - 1.0, HEIGHT - 1.0], [99.9, 59.9]]))

    def test_a_box_outside(self, fake: Predictor, embedding: ImageEmbedding) -> None:
        assert self.refused(fake, embedding, Prompt(box=[100, 10, 120, 20])) == (
            "prompt 0: the box (100, 10, 120, 20) is outside the image, which is 100 wide and 60 high."
        )
        # Reaching over the edge is not being outside.
        fake.predict(embedding, Prompt(box=[-20, -20, 50, 50]))
        fake.predict(embedding, Prompt(box=[0, 0, WIDTH, HEIGHT]))

    @pytest.mark.parametrize("box", [[0.1, 0.2, 0.6, 0.7], [0.1, 0.2, 1.0, 1.0], [0, 0, 1, 0.5]])
    def test_a_normalised_box_is_told(self, fake: Predictor, embedding: ImageEmbedding, box: list[float]) -> None:
        x0, y0, x1, y1 = box
        assert self.refused(fake, embedding, Prompt(box=box)) == (
            f"prompt 0: the box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) is smaller than a pixel; boxes are in pixels: "
            "multiply normalised ones by the width (100) and the height (60)."
        )

    def test_the_only_pixel_of_an_image_may_be_boxed(self, fake: Predictor) -> None:
        fake.predict(fake.embed(picture(height=1, width=1)), Prompt(box=[0, 0, 1, 1]))

    def test_which_prompt_is_wrong_is_told(self, fake: Predictor, embedding: ImageEmbedding) -> None:
        with pytest.raises(PromptError, match=re.escape("prompt 2: point 0 (x=5, y=60) is outside the image")):
            fake.predict_many(embedding, [Prompt(points=[[5, 5]]), Prompt(box=[1, 1, 5, 5]), Prompt(points=[[5, 60]])])

    def test_no_prompts(self, fake: Predictor, embedding: ImageEmbedding) -> None:
        message = "at least one prompt is needed, got an empty list; give a point, a box or a mask."
        with pytest.raises(PromptError, match=re.escape(message)):
            fake.predict_many(embedding, [])

    def test_a_negative_refinement(self, fake: Predictor, embedding: ImageEmbedding) -> None:
        with pytest.raises(PromptError, match=re.escape("refine must be 0 or more, got -1.")):
            fake.predict(embedding, Prompt(points=[[5, 5]]), refine=-1)

    def test_logits_of_another_size(self, fake: Predictor, embedding: ImageEmbedding) -> None:
        assert self.refused(fake, embedding, Prompt(mask_logits=np.zeros((60, 100)))) == (
            "prompt 0: mask_logits must be [256, 256] as an earlier prediction of this model has them, got [60, 100]; "
            "pass a picture-sized binary mask as mask."
        )

    @pytest.mark.parametrize(
        ("field", "value"),
        [("model_digest", "1" * 64), ("backend_key", "fake/1/cpu/bfloat16"), ("preprocess_version", 0)],
    )
    def test_an_embedding_of_something_else(
        self, fake: Predictor, embedding: ImageEmbedding, field: str, value: object
    ) -> None:
        other = replace(embedding, **{field: value})  # type: ignore[arg-type]
        with pytest.raises(EmbeddingError) as caught:
            fake.predict(other, Prompt(points=[[5, 5]]))
        assert str(caught.value) == (
            f"this embedding was made by fake ({other.model_digest[:12]}) on {other.backend_key}, but this predictor "
            "is fake (000000000000) on fake/1/cpu/float32; embed the image again."
        )
