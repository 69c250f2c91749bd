"""Heads, class names, confidence, priority: what is learned from a few examples."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segany.engine.classes import ClassNames
from segany.engine.confidence import Confidence, surely_above
from segany.engine.exemplars import propose_like
from segany.engine.features import cell_shares, image_feature, mask_features
from segany.engine.linear import LinearHead
from segany.engine.models import class_names
from segany.engine.priority import ranked, self_disagreement, uncertainty
from segany.engine.quality import compare_masks
from segany.engine.reviews import learn_names
from segany.errors import ConfigError
from segany.geometry import Frame, Size
from segany.masks import RLE
from segany.predict.automatic import GridSettings
from segany.schema import Annotation

Made = Callable[[int], Any]


def clouds(count: int, classes: int = 3, seed: int = 0) -> tuple[NDArray[np.float64], list[int]]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    return np.eye(classes, 6)[labels] + 0.2 * rng.normal(size=(count, 6)), labels.tolist()


def test_a_head_tells_clouds_apart_as_scikit_would() -> None:
    """At its optimum the weights' penalty balances the error: the gradient is zero."""
    x, labels = clouds(60)
    head = LinearHead.fit(x, labels, count=3, penalty=1e-3)
    chances = head.probabilities(x)
    assert chances.sum(axis=1) == pytest.approx(np.ones(60))
    assert (chances.argmax(axis=1) == labels).mean() > 0.95
    scaled = (x - head.mean) / head.spread
    gradient = scaled.T @ (chances - np.eye(3)[labels]) / 60 + 2e-3 * head.weights
    assert np.abs(gradient).max() < 1e-4
    again = LinearHead.from_dict(head.to_dict())
    assert np.array_equal(again.probabilities(x), chances)


def test_heads_refuse_what_does_not_fit() -> None:
    with pytest.raises(ConfigError, match="a head needs vectors"):
        LinearHead.fit(np.zeros((0, 3)), [], count=2, penalty=1.0)
    with pytest.raises(ConfigError, match="classes must be 0 to 1, got 0 to 2"):
        LinearHead.fit(np.zeros((2, 3)), [0, 2], count=2, penalty=1.0)


@pytest.mark.parametrize("head", ["prototype", "linear", "auto"])
def test_names_from_one_example_each_and_more(head: str) -> None:
    x, labels = clouds(60)
    names = [("leaf", "pot", "soil")[label] for label in labels]
    for examples in (15,) if head == "linear" else (3, 15):
        learned = ClassNames.learn(x[:examples], names[:examples], head=head)  # type: ignore[arg-type]
        best = [row[0].name for row in learned.suggest(x[15:])]
        assert np.mean([a == b for a, b in zip(best, names[15:], strict=True)]) > 0.9
        assert ClassNames.from_dict(learned.to_dict()).suggest(x) == learned.suggest(x)
    assert learned.head == ("prototype" if head == "prototype" else "linear")


def test_one_class_is_always_right() -> None:
    learned = ClassNames.learn(np.ones((2, 4)), ["cell", "cell"])
    assert learned.suggest(np.ones((1, 4)))[0] == [("cell", 1.0)]
    with pytest.raises(ConfigError, match="names are learned from features"):
        ClassNames.learn(np.ones((2, 4)), ["cell"])
    with pytest.raises(ConfigError, match="head must be one of auto, prototype, linear, got 'best'"):
        ClassNames.learn(np.ones((1, 4)), ["cell"], head="best")  # type: ignore[arg-type]


def test_names_of_painted_discs(painted: Made) -> None:
    made = painted(3)
    first, *others = made.truths
    named = [
        Annotation(k, mask, category=name, review_state="accepted")
        for k, (mask, name) in enumerate(zip(made.truths[first], made.names[first], strict=True))
    ]
    made.store.records.save(first, expected=made.store.records.get(first).revision, actor="anna", put=named)
    learn_names(made.store, made.predictor, actor="anna")
    learned = class_names(made.store)
    assert learned is not None
    assert learned.encoder_digest == made.predictor.backend.encoder_digest
    for number in others:
        features = mask_features(made.predictor.embed(made.store.image(number)), made.truths[number])
        assert [row[0].name for row in learned.suggest(features)] == made.names[number]


def test_what_a_person_named_counts_before_anyone_reviewed_it(painted: Made) -> None:
    made = painted(1)
    (number,) = made.truths
    masks = made.truths[number]
    assert learn_names(made.store, made.predictor, actor="anna") is None
    put = [
        Annotation("drawn", masks[0], category="drawn", source="manual"),
        Annotation("found and named", masks[1], category="found and named", annotator="anna"),
        Annotation("guessed", masks[2], category="guessed"),
        Annotation("accepted", masks[2], category="accepted", review_state="accepted"),
        Annotation("rejected", masks[3], category="rejected", source="manual", review_state="rejected"),
        Annotation("flagged", masks[3], category="flagged", source="manual", review_state="flagged"),
        Annotation("crowd", masks[3], category="crowd", source="manual", iscrowd=True),
        Annotation("unnamed", masks[3], source="manual"),
    ]
    made.store.records.save(number, expected=made.store.records.get(number).revision, actor="anna", put=put)
    learned = learn_names(made.store, made.predictor, actor="anna")
    assert learned is not None
    assert learned.names == ("accepted", "drawn", "found and named")


def test_a_confidence_is_no_larger_than_a_few_examples_allow() -> None:
    """Of noise without any classes a name is right by chance, and its confidence says so."""
    rng = np.random.default_rng(0)
    for examples in (1, 5):
        told = []
        for _ in range(20):
            x = rng.normal(size=(4 * examples, 256))
            learned = ClassNames.learn(x, [f"class {k % 4}" for k in range(len(x))])
            told += learned.probabilities(rng.normal(size=(10, 256))).max(axis=1).tolist()
        assert 0.25 < np.mean(told) < 0.45


def test_features_are_of_the_mask(painted: Made) -> None:
    made = painted(1)
    (number,) = made.truths
    embedding = made.predictor.embed(made.store.image(number))
    features = mask_features(embedding, made.truths[number])
    assert np.linalg.norm(features, axis=1) == pytest.approx(np.ones(4))
    reds = [k for k, name in enumerate(made.names[number]) if name == "red"]
    blue = made.names[number].index("blue")
    assert features[reds[0]] @ features[reds[1]] > 0.98 > features[reds[0]] @ features[blue]
    assert image_feature(embedding).shape == (3,)


@pytest.mark.parametrize("size", [(60, 80), (1, 1), (480, 640), (3, 900)])
def test_a_cell_has_the_pixels_that_lie_in_it(size: tuple[int, int]) -> None:
    """As counted one by one."""
    scale = 1024 / max(size)
    frame = Frame(Size(*size), Size(*(max(1, round(side * scale)) for side in size)), Size(1024, 1024))
    rng = np.random.default_rng(0)
    for share in (0.001, 0.5, 1.0):
        mask = rng.random(size) < share
        mask[: size[0] // 2] = False
        counted = np.zeros((64, 64))
        for y, x in zip(*np.nonzero(mask), strict=True):
            row, column = (
                min(63, int((place + 0.5) * per_pixel / 16))
                for place, per_pixel in zip((y, x), frame.scale, strict=True)
            )
            counted[row, column] += 1
        assert np.array_equal(cell_shares(RLE.from_mask(mask), frame, (64, 64)), counted)


def test_confidence_draws_its_line_where_enough_were_accepted() -> None:
    rng = np.random.default_rng(0)
    good = rng.random(400) < 0.5
    evidence = np.column_stack([good + 0.35 * rng.normal(size=400), rng.normal(size=400)])
    groups = np.repeat(np.arange(40), 10)
    learned = Confidence.learn(evidence, good.tolist(), groups.tolist(), model_digest="m", precision=0.95)
    assert learned is not None
    kept = learned.of(evidence) >= learned.keep_from
    assert good[kept].mean() >= 0.95
    assert kept.sum() > 100
    again = Confidence.from_dict(learned.to_dict())
    assert np.array_equal(again.of(evidence), learned.of(evidence))
    guess = Confidence.learn(
        rng.normal(size=(400, 2)), good.tolist(), groups.tolist(), model_digest="m", precision=0.95
    )
    assert guess is not None
    assert guess.keep_from > 1


def test_confidence_needs_reviews_of_both_kinds() -> None:
    x, groups = np.random.default_rng(0).normal(size=(60, 2)), list(range(60))
    assert Confidence.learn(x[:20], [True, False] * 10, groups[:20], model_digest="m") is None
    assert Confidence.learn(x, [True] * 60, groups, model_digest="m") is None
    with pytest.raises(ConfigError, match="precision must lie between 0 and 1, got 1"):
        Confidence.learn(x, [True] * 60, groups, model_digest="m", precision=1.0)


def test_surely_above() -> None:
    assert surely_above(0, 0) == 0
    assert surely_above(9, 10) < surely_above(90, 100) < 0.9
    assert surely_above(10, 10) < 1


def test_priority_asks_what_is_unlike_what_was_asked() -> None:
    features = np.array([[1, 0], [1, 0.01], [0, 1]], dtype=np.float64)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    order = ranked([7, 8, 9], [0.5, 0.5, 0.5], [0.1, 0.1, 0.1], features, np.zeros((0, 2)))
    assert [one.record_id for one in order] == [7, 9, 8]
    order = ranked([7, 8, 9], [0.5, 0.5, 0.5], [0.1, 0.1, 0.1], features, features[:1])
    assert order[0].record_id == 9
    assert order[0].says().startswith("unlike what was seen before (1.00), the model is unsure of its masks (0.50)")


def test_reasons_are_shares() -> None:
    assert uncertainty([0.5]) == 1
    assert uncertainty([0.0, 1.0]) == 0
    assert uncertainty([]) == self_disagreement([]) == 1
    assert self_disagreement([0.75, 0.25]) == 0.5


def test_an_exemplar_proposes_more_of_the_same(painted: Made) -> None:
    made = painted(3)
    first, *others = made.truths
    embedding = made.predictor.embed(made.store.image(first))
    features = mask_features(embedding, made.truths[first])
    is_red = np.array([name == "red" for name in made.names[first]])
    grid = GridSettings(points_per_side=8)
    for number in others:
        image = made.store.image(number)
        wanted = [mask for mask, name in zip(made.truths[number], made.names[number], strict=True) if name == "red"]
        found = propose_like(made.predictor, image, features[is_red][:1], grid=grid, category="red")
        assert len(compare_masks([one.segmentation for one in found[:2]], wanted)) == 2
        assert {one.category for one in found} == {"red"}
        assert [one.id for one in found] == list(range(len(found)))
        assert min(one.extra["likeness"] for one in found[:2]) > max(one.extra["likeness"] for one in found[2:])
        told = propose_like(made.predictor, image, features[is_red][:1], others=features[~is_red], grid=grid)
        assert [one.segmentation for one in told] == [one.segmentation for one in found[:2]]
        assert len(propose_like(made.predictor, image, features[is_red], grid=grid, limit=1)) == 1
        assert propose_like(made.predictor, image, features[is_red], grid=grid, least=1.1) == []
    with pytest.raises(ConfigError, match=r"exemplars must be \[N, 3\] with N >= 1, got \[0, 3\]"):
        propose_like(made.predictor, image, features[:0], grid=grid)
