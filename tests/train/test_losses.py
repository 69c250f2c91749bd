"""Losses against an implementation of their own, in NumPy and float64, straight from the papers."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segany.train.losses import dice_loss, focal_loss, mask_ious, mask_losses

Floats = NDArray[np.float64]


def focal(logits: Floats, truth: Floats, valid: Floats) -> float:
    """FL(p_t) = -a_t (1 - p_t)^2 log p_t (arXiv 1708.02002, eq. 5)."""
    p = 1 / (1 + np.exp(-logits))
    total = 0.0
    for share, wanted, counts in zip(p, truth, valid, strict=True):
        p_t, a_t = (share, 0.25) if wanted else (1 - share, 0.75)
        total += counts * -a_t * (1 - p_t) ** 2 * np.log(p_t)
    return float(total / valid.sum())


def dice(logits: Floats, truth: Floats, valid: Floats) -> float:
    p = valid / (1 + np.exp(-logits))
    return float(1 - (2 * np.sum(p * truth) + 1) / (np.sum(p) + np.sum(truth * valid) + 1))


def iou(logits: Floats, truth: Floats, valid: Floats) -> float:
    drawn, wanted = (logits > 0) & (valid > 0), (truth > 0) & (valid > 0)
    return float((drawn & wanted).sum() / max((drawn | wanted).sum(), 1))


@pytest.fixture
def case() -> tuple[Floats, Floats, Floats, Floats]:
    rng = np.random.default_rng(1)
    valid = np.ones(40)
    valid[30:] = 0
    return rng.normal(0, 3, (5, 3, 40)), (rng.random((5, 40)) < 0.3).astype(np.float64), valid, rng.random((5, 3))


def tensors(*arrays: Any) -> list[torch.Tensor]:
    return [torch.from_numpy(array).float() for array in arrays]


@pytest.mark.parametrize(("ours", "other"), [(focal_loss, focal), (dice_loss, dice), (mask_ious, iou)])
def test_a_term_equals_an_independent_one(ours: Any, other: Any, case: Any) -> None:
    logits, truth, valid, _ = case
    expected = [[other(logits[p, m], truth[p], valid) for m in range(3)] for p in range(5)]
    np.testing.assert_allclose(ours(*tensors(logits, truth, valid)).numpy(), expected, rtol=2e-5)


@pytest.mark.parametrize("score_all", [True, False])
def test_only_the_best_candidate_learns_its_mask(score_all: bool, case: Any) -> None:
    logits, truth, valid, scores = case
    given, guessed = (torch.from_numpy(array).float().requires_grad_() for array in (logits, scores))
    losses = mask_losses(given, guessed, *tensors(truth, valid), focal_weight=20, dice_weight=1, score_all=score_all)
    cost = np.array(
        [
            [20 * focal(logits[p, m], truth[p], valid) + dice(logits[p, m], truth[p], valid) for m in range(3)]
            for p in range(5)
        ]
    )
    best = cost.argmin(axis=1)
    assert losses.best.tolist() == best.tolist()
    errors = np.array([[(scores[p, m] - iou(logits[p, m], truth[p], valid)) ** 2 for m in range(3)] for p in range(5)])
    wanted = errors.mean(axis=1) if score_all else errors[np.arange(5), best]
    np.testing.assert_allclose(losses.score.detach().numpy(), wanted, rtol=1e-4)
    torch.autograd.backward((20 * losses.focal + losses.dice + losses.score).sum())
    assert given.grad is not None
    assert guessed.grad is not None
    reached = given.grad.abs().sum(-1) > 0
    assert reached.tolist() == [[m == best[p] for m in range(3)] for p in range(5)]
    assert (guessed.grad != 0).sum().item() == (15 if score_all else 5)


def test_what_does_not_count_changes_nothing(case: Any) -> None:
    logits, truth, valid, _ = case
    other = logits.copy()
    other[..., 30:] = 9
    for loss in (focal_loss, dice_loss):
        assert torch.equal(loss(*tensors(logits, truth, valid)), loss(*tensors(other, truth, valid)))


def test_a_perfect_mask_costs_nothing() -> None:
    truth = torch.zeros(1, 100)
    truth[0, :30] = 1
    logits = (60 * truth - 30)[:, None]
    assert focal_loss(logits, truth, torch.ones(100)).item() == pytest.approx(0, abs=1e-9)
    assert dice_loss(logits, truth, torch.ones(100)).item() == pytest.approx(0, abs=1e-6)
    assert mask_ious(logits, truth, torch.ones(100)).item() == 1
