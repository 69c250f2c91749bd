"""Fitting the IoU head at the end: it learns to choose, forgets nothing, and is taken back where it does harm."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import segany.train.run
from segany import Predictor
from segany.geometry import Size
from segany.model.checkpoint import load_sam
from segany.model.sam import Sam
from segany.train import FolderData, TrainConfig, TrainResult
from segany.train.data import Sample, load_samples
from segany.train.embeddings import Embeddings
from segany.train.keep import Teacher
from segany.train.refit import Evidence, KeptPhoto, fit_head, kept_evidence, object_evidence
from segany.train.validate import validate

Make = Callable[..., TrainConfig]
Run = Callable[..., TrainResult]


@pytest.fixture
def samples(discs: Path) -> tuple[Sample, ...]:
    return load_samples([FolderData("discs", discs)], val_share=0.0, seed=0).train


def embedding(seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 32, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_the_evidence_is_what_the_head_reads_and_what_masks_are_worth(
    tiny: Sam, samples: tuple[Sample, ...], make_config: Make
) -> None:
    found = object_evidence(tiny, samples, lambda _, place: embedding(place), make_config(refit_objects=10))
    assert found is not None
    # Ten objects of four images with three each: three of every image.
    assert found.tokens.shape == (12, 32)
    assert found.scores.shape == (12, 4)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert not found.tokens.requires_grad
    again = object_evidence(tiny, samples, lambda _, place: embedding(place), make_config(refit_objects=10))
    assert again is not None
    assert torch.equal(found.tokens, again.tokens)


def test_objects_that_are_too_small_are_no_evidence(tiny: Sam, samples: tuple[Sample, ...], make_config: Make) -> None:
    assert object_evidence(tiny, samples, lambda *_: embedding(), make_config(min_cells=2000)) is None


def test_the_head_learns_which_mask_is_best_and_nothing_else_changes(tiny: Sam) -> None:
    torch.manual_seed(0)
    tokens = torch.randn(60, 32)
    wanted = torch.zeros(60, 4)
    wanted[torch.arange(60), 1 + (tokens[:, 0] > 0).long()] = 0.9
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    fit_head(tiny, Evidence(tokens, wanted), None)
    with torch.no_grad():
        assert torch.equal(tiny.mask_decoder.iou_prediction_head(tokens).argmax(1), wanted.argmax(1))
    changed = {name for name, value in tiny.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("mask_decoder.iou_prediction_head.") for name in changed)
    assert all(parameter.requires_grad for parameter in tiny.parameters())


def test_what_is_said_of_kept_photos_stays(tiny: Sam, make_config: Make) -> None:
    teacher = Teacher.of(tiny)
    photo = KeptPhoto(Size(40, 60), embedding(1), embedding(1))
    kept = kept_evidence(tiny, teacher, [lambda: photo] * 3, make_config(refit_objects=30))
    assert kept is not None
    # Sixty clicks anywhere, and up to sixty in the middle of what is seen there.
    assert 60 < len(kept.tokens) <= 120
    objects = Evidence(torch.randn(40, 32) + 3, torch.rand(40, 4))
    fit_head(tiny, objects, kept)
    with torch.no_grad():
        moved = (tiny.mask_decoder.iou_prediction_head(kept.tokens) - kept.scores).abs().max()
        learnt = (tiny.mask_decoder.iou_prediction_head(objects.tokens) - objects.scores).square().mean()
    assert moved < 0.02
    assert learnt < torch.var(objects.scores)


def test_a_head_that_validates_worse_is_taken_back(
    run: Run, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = run(make_config(refit_objects=0, keep_weight=0.0), "without")

    def harm(model: Sam, *_: object) -> None:
        with torch.no_grad():
            for parameter in model.mask_decoder.iou_prediction_head.parameters():
                parameter.mul_(-1)

    values = iter([0.9])
    monkeypatch.setattr(segany.train.run, "fit_head", harm)
    monkeypatch.setattr(
        segany.train.run,
        "validate",
        lambda *given: validate(*given)._replace(miou_1=-next(values)),  # type: ignore[union-attr]
    )
    kept = run(make_config(refit_objects=8, keep_weight=0.0), "kept")
    assert without.model is not None
    assert kept.model is not None
    one, other = (load_sam(path).state_dict() for path in (without.model, kept.model))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert kept.best == without.best


def test_the_task_gives_both_kinds_of_evidence(
    tiny: Sam, samples: tuple[Sample, ...], discs: Path, embedder: Predictor, make_config: Make
) -> None:
    from segany.train.tasks import Interactive

    config = make_config(refit_objects=8)
    photos = sorted((discs / "images").iterdir())
    task = Interactive(tiny, config, samples, Embeddings(embedder, 2, 0), photos, torch.device("cpu"))
    objects, kept = task.evidence()
    assert objects is not None
    assert kept is not None
    assert 16 <= len(kept.tokens) <= 32
