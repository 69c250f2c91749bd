"""Validation: the clicks of the evaluation, on the decoder's grid."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import segany.train.validate as validate
from segany.model.sam import Sam
from segany.train import FolderData, TrainConfig
from segany.train.data import load_samples
from segany.train.interaction import Answers, Prompts

Make = Callable[..., TrainConfig]


def test_it_clicks_the_middle_first_and_counts_what_it_says(
    tiny: Sam, make_config: Make, discs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = load_samples([FolderData("discs", discs)], val_share=0.0, seed=0).train
    asked: list[Prompts] = []

    def decode(model: Sam, embedding: torch.Tensor, prompts: Prompts, wanted: tuple[int, ...]) -> Answers:
        asked.append(prompts)
        count = len(prompts.coords)
        return Answers(torch.full((count, len(wanted), 32, 32), -1.0), torch.rand(count, len(wanted)))

    monkeypatch.setattr(validate, "decode", decode)
    found = validate.validate(tiny, samples, lambda sample, place: torch.zeros(1), make_config(val_objects=4))
    assert found is not None
    assert (found.miou_1, found.miou_5, found.objects) == (0.0, 0.0, 4)
    assert [prompts.coords.shape[1] for prompts in asked[:5]] == [2, 3, 4, 5, 6]
    assert asked[0].mask_logits is None
    assert asked[1].mask_logits is not None
    assert validate.validate(tiny, (), lambda sample, place: torch.zeros(1), make_config()) is None


def test_the_same_objects_each_time(tiny: Sam, make_config: Make, discs: Path) -> None:
    samples = load_samples([FolderData("discs", discs)], val_share=0.0, seed=0).train
    embedding = torch.randn(1, 32, 8, 8, generator=torch.Generator().manual_seed(0))
    first, second = (validate.validate(tiny, samples, lambda *_: embedding, make_config()) for _ in range(2))
    assert first == second
    assert first is not None
    assert first.value == (first.miou_1 + first.miou_5) / 2
