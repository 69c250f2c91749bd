"""Keeping answers: nothing to pay at first, and a way back for a decoder that went astray."""

from collections.abc import Callable

import numpy as np
import torch

from segany.geometry import Size
from segany.model.sam import Sam
from segany.train import TrainConfig
from segany.train.keep import Teacher, keep_losses

Make = Callable[..., TrainConfig]


def total(model: Sam, teacher: Teacher, config: TrainConfig, seed: int = 0) -> torch.Tensor:
    embedding = torch.randn(1, 32, 8, 8, generator=torch.Generator().manual_seed(0))
    parts = keep_losses(model, teacher, embedding, embedding, Size(40, 60), config, np.random.default_rng(seed))
    return torch.stack(list(parts)).sum()


def test_it_costs_nothing_until_the_decoder_changes(tiny: Sam, make_config: Make) -> None:
    teacher = Teacher.of(tiny)
    assert abs(total(tiny, teacher, make_config()).item()) < 1e-6
    with torch.no_grad():
        tiny.mask_decoder.mask_tokens.weight.add_(0.3)
    assert total(tiny, teacher, make_config()).item() > 1e-4


def test_it_leads_a_decoder_back(tiny: Sam, make_config: Make) -> None:
    teacher = Teacher.of(tiny)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in tiny.mask_decoder.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    config = make_config()
    optimizer = torch.optim.Adam(tiny.mask_decoder.parameters(), 1e-3)
    before = total(tiny, teacher, config, 99).item()
    for seed in range(40):
        optimizer.zero_grad()
        torch.autograd.backward(total(tiny, teacher, config, seed))
        optimizer.step()
    assert total(tiny, teacher, config, 99).item() < before / 3
