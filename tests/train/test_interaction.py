"""Interactions: rounds, tokens and clicks as the paper has them."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch

import segany.train.interaction as interaction
from segany.model.sam import Sam
from segany.train import TrainConfig
from segany.train.interaction import Answers, Prompts, interact, round_plan
from segany.train.targets import Targets

Make = Callable[..., TrainConfig]


@pytest.fixture
def targets() -> Targets:
    masks = torch.zeros(3, 32, 32)
    masks[0, 4:12, 4:12] = 1
    masks[1, 20:28, 6:20] = 1
    masks[2, 15:19, 22:30] = 1
    boxes = torch.tensor([[16.0, 16, 48, 48], [24, 80, 80, 112], [88, 60, 120, 76]])
    return Targets(masks, torch.ones(32, 32), boxes)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Prompts, tuple[int, ...]]]:
    """Every question to the decoder."""
    found: list[tuple[Prompts, tuple[int, ...]]] = []
    whole = interaction.decode

    def decode(model: Sam, embedding: torch.Tensor, prompts: Prompts, wanted: tuple[int, ...]) -> Answers:
        found.append((prompts, wanted))
        return whole(model, embedding, prompts, wanted)

    monkeypatch.setattr(interaction, "decode", decode)
    return found


def embedding() -> torch.Tensor:
    return torch.randn(1, 32, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_paper_has_eleven_rounds_with_eight_clicks() -> None:
    config = TrainConfig()
    assert config.interactions == 11
    places = set()
    for seed in range(50):
        plan = round_plan(config, np.random.default_rng(seed))
        assert len(plan) == 10
        assert sum(plan) == 8
        assert plan[-1] is False
        places.add(plan.index(False))
    assert len(places) == 9


def test_rounds_click_on_what_is_wrong_and_feed_logits_back(
    tiny: Sam, make_config: Make, targets: Targets, asked: list[tuple[Prompts, tuple[int, ...]]]
) -> None:
    config = make_config(clicks=3, repeats=1, box_share=0.0)
    rounds = list(interact(tiny, embedding(), targets, config, np.random.default_rng(0)))
    assert [one.round for one in rounds] == [0, 1, 2, 3, 4]
    first, wanted = asked[0]
    assert wanted == (1, 2, 3, 0)
    assert first.mask_logits is None
    assert first.labels.tolist() == [[1, -1]] * 3
    cells = ((first.coords[:, 0] + 0.5) / 4).long()
    for mask, (x, y) in zip(targets.masks, cells.tolist(), strict=True):
        assert mask[y, x] == 1
    for (before, _), (prompts, wanted) in itertools.pairwise(asked):
        assert wanted == (0,)
        assert prompts.mask_logits is not None
        assert not prompts.mask_logits.requires_grad
        if prompts.coords.shape[1] == before.coords.shape[1]:
            continue
        x, y = ((prompts.coords[:, -2] + 0.5) / 4).long().T
        drawn = prompts.mask_logits[torch.arange(3), y, x] > 0
        truth = targets.masks[torch.arange(3), y, x] > 0
        assert prompts.labels[:, -2].tolist() == truth.int().tolist()
        assert (drawn != truth).all()
    assert asked[-1][0].coords.shape[1] == 5


def test_a_box_is_two_corners_after_the_clicks_without_padding(
    tiny: Sam, make_config: Make, targets: Targets, asked: list[tuple[Prompts, tuple[int, ...]]]
) -> None:
    config = make_config(clicks=1, repeats=0, box_share=1.0)
    list(interact(tiny, embedding(), targets, config, np.random.default_rng(0)))
    assert asked[0][0].labels.tolist() == [[2, 3]] * 3
    assert asked[0][0].coords.flatten(1).tolist() == targets.boxes.tolist()
    assert asked[1][0].labels[:, 1:].tolist() == [[2, 3]] * 3
    assert set(asked[1][0].labels[:, 0].tolist()) <= {0, 1}


def test_parts_sum_to_the_whole(tiny: Sam, make_config: Make, targets: Targets) -> None:
    """Objects decoded apart cost what they cost together."""
    config = make_config(clicks=0, repeats=0, box_share=0.0)
    means = []
    for chunk in (1, 3):
        total = 0.0
        for seed in range(40):
            for one in interact(tiny, embedding(), targets, config, np.random.default_rng(seed), chunk):
                total += float(one.loss.detach()) / 40
        means.append(total)
    assert means[0] == pytest.approx(means[1], rel=0.05)


def test_answers_equal_those_of_prediction(tiny: Sam) -> None:
    """Training and prediction ask the same model: `decode` against the inference path."""
    from segany.model.decode import PromptDecoder

    prompts = Prompts(torch.tensor([[[30.0, 40.0], [0.0, 0.0]]]), torch.tensor([[1, -1]], dtype=torch.int32))
    with torch.no_grad():
        ours = interaction.decode(tiny, embedding(), prompts, (0, 1, 2, 3))
    with torch.inference_mode():
        decoder = PromptDecoder(tiny, torch.float32)
        shared = decoder.prepare(embedding())
        group = decoder.score(embedding(), lambda: shared, prompts.coords, prompts.labels, None)
        logits = group.draw(torch.tensor([0]), torch.tensor([[0, 1, 2, 3]]))
    np.testing.assert_allclose(ours.scores.numpy(), group.iou_predictions.numpy(), atol=1e-5)
    np.testing.assert_allclose(ours.logits.numpy(), logits.numpy(), atol=1e-4)
