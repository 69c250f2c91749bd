"""What an image contributes to a step: rounds, and now and then a photo that is kept."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from segany import Predictor
from segany.model.sam import Sam
from segany.train import FolderData, TrainConfig
from segany.train.data import load_samples
from segany.train.embeddings import Embeddings
from segany.train.tasks import Interactive

Make = Callable[..., TrainConfig]
Parts = Callable[[TrainConfig, int], list[str]]


@pytest.fixture
def parts(tiny: Sam, discs: Path, embedder: Predictor) -> Parts:
    """Names of what an image's loss consists of."""

    def read(config: TrainConfig, number: int) -> list[str]:
        samples = load_samples([FolderData("discs", discs)], val_share=0.0, seed=0).train
        photos = sorted((discs / "images").iterdir())
        task = Interactive(tiny, config, samples, Embeddings(embedder, 2, 0), photos, torch.device("cpu"))
        return ["keep" if "keep" in part.figures else "round" for part in task.parts(number)]

    return read


def test_every_round_is_a_part_and_a_kept_photo_two(parts: Parts, make_config: Make) -> None:
    assert parts(make_config(clicks=2, repeats=1), 0) == ["round"] * 4 + ["keep"] * 2


def test_some_images_get_their_first_prompt_alone(parts: Parts, make_config: Make) -> None:
    assert parts(make_config(clicks=2, repeats=1, lone_share=1.0, keep_weight=0.0), 0) == ["round"]
    half = make_config(clicks=2, repeats=1, lone_share=0.5, keep_weight=0.0)
    assert {len(parts(half, number)) for number in range(12)} == {1, 4}


def test_photos_are_kept_as_often_as_is_said(parts: Parts, make_config: Make) -> None:
    config = make_config(clicks=0, repeats=0, keep_every=3)
    assert ["keep" in parts(config, number) for number in range(6)] == [True, False, False, True, False, False]
