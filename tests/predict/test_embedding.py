import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from segany import ImageEmbedding, Predictor, Prompt, open_image
from segany.errors import EmbeddingError, OutputError
from segany.geometry import Frame, Size
from segany.predict.backends.fake import FakeBackend

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)


@pytest.fixture
def embedding(fake: Predictor) -> ImageEmbedding:
    return fake.embed(PIXELS)


@pytest.fixture
def saved(embedding: ImageEmbedding, tmp_path: Path) -> Path:
    path = tmp_path / "photo.safetensors"
    embedding.save(path)
    return path


def assert_equal(one: ImageEmbedding, other: ImageEmbedding) -> None:
    mine, theirs = one.features.to_numpy(), other.features.to_numpy()
    assert mine.keys() == theirs.keys()
    for name in mine:
        assert mine[name].dtype == theirs[name].dtype
        np.testing.assert_array_equal(mine[name], theirs[name])
    digests = ("image_digest", "model_digest", "encoder_digest")
    for field in (*digests, "frame", "model_name", "preprocess_version", "backend_key"):
        assert getattr(one, field) == getattr(other, field)


def test_a_round_trip_keeps_every_bit(fake: Predictor, embedding: ImageEmbedding, saved: Path) -> None:
    assert_equal(fake.load_embedding(saved), embedding)
    assert_equal(fake.load_embedding(saved, open_image(PIXELS)), embedding)


def test_a_round_trip_keeps_a_tiles_offset(fake: Predictor, embedding: ImageEmbedding, tmp_path: Path) -> None:
    tile = replace(embedding, frame=Frame.longest_side(Size(60, 100), 1024, offset=(7, 9)))
    tile.save(tmp_path / "tile.safetensors")
    assert fake.load_embedding(tmp_path / "tile.safetensors").frame == tile.frame


def test_the_real_model_answers_the_same_afterwards(
    mobile_sam: Predictor, coffee: ImageEmbedding, tmp_path: Path
) -> None:
    coffee.save(tmp_path / "coffee.safetensors")
    loaded = mobile_sam.load_embedding(tmp_path / "coffee.safetensors")
    assert_equal(loaded, coffee)
    prompt = Prompt(points=[[300, 180]])
    before, after = mobile_sam.predict(coffee, prompt), mobile_sam.predict(loaded, prompt)
    np.testing.assert_array_equal(before.low_res_logits, after.low_res_logits)
    np.testing.assert_array_equal(before.iou_predictions, after.iou_predictions)


def test_another_image_is_refused(fake: Predictor, embedding: ImageEmbedding, saved: Path) -> None:
    other = open_image(PIXELS[::-1])
    assert other.info.digest is not None
    with pytest.raises(EmbeddingError) as caught:
        fake.load_embedding(saved, other)
    assert str(caught.value) == (
        f"photo.safetensors was made from another image than array: digests {embedding.image_digest[:12]} and "
        f"{other.info.digest[:12]}; embed the image again."
    )


@pytest.mark.parametrize(
    ("attribute", "words", "value"),
    [
        ("encoder_digest", "encoder digest", "1" * 64),
        ("key", "backend key", "fake/1/cpu/bfloat16"),
    ],
)
def test_another_encoder_backend_or_precision_is_refused(
    embedding: ImageEmbedding, saved: Path, attribute: str, words: str, value: str
) -> None:
    backend = FakeBackend()
    made_with = getattr(backend, attribute)
    setattr(backend, attribute, value)
    with pytest.raises(EmbeddingError) as caught:
        Predictor(backend=backend).load_embedding(saved)
    assert str(caught.value) == (
        f"photo.safetensors was made with {words} {made_with}, but this predictor has {value}; embed the image again "
        "or use the predictor it was made with."
    )


def test_another_preprocessing_is_refused(fake: Predictor, embedding: ImageEmbedding, tmp_path: Path) -> None:
    replace(embedding, preprocess_version=0).save(tmp_path / "old.safetensors")
    with pytest.raises(EmbeddingError, match=r"made with preprocess version 0, but this predictor has 1;"):
        fake.load_embedding(tmp_path / "old.safetensors")


def test_what_is_no_embedding_is_refused(fake: Predictor, tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match=re.escape("cannot read the embedding missing.safetensors: ")):
        fake.load_embedding(tmp_path / "missing.safetensors")
    text = tmp_path / "text.safetensors"
    text.write_text("no tensors", encoding="utf-8")
    with pytest.raises(EmbeddingError, match=re.escape("cannot read the embedding text.safetensors: ")):
        fake.load_embedding(text)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"colour": np.zeros(3, np.float32)}, foreign, metadata={"format": "pt"})
    message = "foreign.safetensors is not an embedding of this version of segany; embed the image again."
    with pytest.raises(EmbeddingError, match=re.escape(message)):
        fake.load_embedding(foreign)


def test_features_of_another_kind_are_refused(fake: Predictor, saved: Path, tmp_path: Path) -> None:
    made_from = {
        "image_digest": "0",
        "encoder_digest": fake.backend.encoder_digest,
        "preprocess_version": 1,
        "backend_key": fake.backend.key,
        "frame": {"original": [60, 100], "model": [614, 1024], "padded": [1024, 1024], "offset": [0, 0]},
    }
    path = tmp_path / "other.safetensors"
    metadata = {"format": "segany-embedding-2", "made_from": json.dumps(made_from)}
    save_file({"embedding": np.zeros(3, np.float32)}, path, metadata=metadata)
    with pytest.raises(EmbeddingError, match=re.escape("the fake backend needs its colour; embed the image again.")):
        fake.load_embedding(path)


def test_nothing_is_half_written(embedding: ImageEmbedding, tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    with pytest.raises(OutputError):
        embedding.save(folder)
    assert list(tmp_path.iterdir()) == [folder]
    assert not list(folder.iterdir())
