"""Choosing among the three masks of a click."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segany import Predictor, open_image
from segany.errors import ConfigError, MaskError
from segany.geometry import Frame, Size
from segany.predict.backends.fake import FakeBackend
from segany.predict.choose import Candidates, MaskChooser, look_at
from segany.schema import Prediction, Prompt

FRAME = Frame.longest_side(Size(120, 160), 1024)
SCORES = np.array([0.8, 0.75, 0.6])


def discs(*radii: float, x: float = 80, y: float = 60) -> np.ndarray:
    """Low-resolution logits of discs round a point of the 120x160 image."""
    rows, columns = np.mgrid[:256, :256] + 0.5
    away = np.hypot(columns / 256 * 160 - x, rows / 256 * 160 - y)
    return np.array([radius - away for radius in radii], dtype=np.float32)


def seen(*radii: float, frame: Frame = FRAME, x: float, y: float) -> Candidates:
    logits = discs(*radii)
    prediction = Prediction(np.linspace(0.9, 0.5, len(logits), dtype=np.float32), logits, frame)
    return look_at(prediction, Prompt(points=[(x, y)]))


def given_depths(*depths: float, scores: np.ndarray = SCORES) -> Candidates:
    return Candidates(scores, np.array(depths), np.full(3, 0.1))


def test_depth_is_one_in_the_middle_and_none_outside() -> None:
    assert seen(40, 20, 10, x=80, y=60).depths == pytest.approx([1, 1, 1], abs=0.06)
    assert seen(40, 20, 10, x=95, y=60).depths == pytest.approx([0.625, 0.25, 0.0], abs=0.06)


def test_depth_in_a_tile_and_in_a_large_image() -> None:
    tile = Frame(FRAME.original, FRAME.model, FRAME.padded, (1000, 2000))
    assert seen(40, 20, 10, frame=tile, x=2095, y=1060).depths == pytest.approx(seen(40, 20, 10, x=95, y=60).depths)
    large = Frame.longest_side(Size(2400, 3200), 1024)
    there = seen(40, 20, 10, frame=large, x=95 * 20, y=60 * 20)
    assert there.depths == pytest.approx([0.625, 0.25, 0.0], abs=0.06)
    assert there.shares == pytest.approx(np.pi * np.array([40, 20, 10]) ** 2 / (120 * 160), rel=0.05)


def test_beyond_the_image_counts_as_outside() -> None:
    assert seen(1000, x=80, y=60).depths[0] == pytest.approx(1.0)
    assert seen(1000, x=80, y=119).depths[0] == pytest.approx(1 / 60)


def test_an_empty_candidate() -> None:
    found = seen(40, -5, 10, x=80, y=60)
    assert (found.depths[1], found.shares[1]) == (0.0, 0.0)
    assert np.isfinite(MaskChooser().remembered(found, np.array([0.9, 0.0, 0.1]), 0.2).preferences(found)).all()


def test_untaught_it_prefers_the_mask_that_the_click_is_deep_in() -> None:
    chooser = MaskChooser()
    assert chooser.rule == (0.3, 1.0, 0.0)
    assert np.argmax(chooser.preferences(given_depths(0, 0, 0))) == 0
    assert np.argmax(chooser.preferences(given_depths(0.2, 0.9, 1.0))) == 1


def test_it_learns_the_level_that_a_project_means() -> None:
    chooser = MaskChooser()
    for _ in range(5):
        chooser = chooser.remembered(given_depths(0, 0, 0), np.array([0.2, 0.4, 0.9]), 0.1)
    assert np.argmax(chooser.preferences(given_depths(0, 0, 0))) == 2
    assert chooser.rule[1] > 0


def test_of_another_model_only_its_sizes_and_rules_are_known() -> None:
    chooser = MaskChooser()
    for _ in range(5):
        chooser = chooser.remembered(given_depths(0, 0, 0), np.array([0.2, 0.4, 0.9]), 0.1)
    other = chooser.with_another_model()
    assert (other.sizes, other.gains, other.rule) == (chooser.sizes, chooser.gains, chooser.rule)
    assert chooser.bias.any()
    assert not other.bias.any()
    assert MaskChooser.from_dict(other.to_dict()) == other


def test_it_learns_the_size_that_a_project_means() -> None:
    """Whole, part and subpart come in any order; what is meant always covers a hundredth of the image."""
    chooser, rng = MaskChooser(), np.random.default_rng(0)
    shares = np.array([0.3, 0.1, 0.01])
    for _ in range(60):
        order = rng.permutation(3)
        candidates = Candidates(np.array([0.8, 0.79, 0.78]), np.zeros(3), shares[order])
        chooser = chooser.remembered(candidates, np.array([0.1, 0.2, 0.9])[order], 0.01)
    assert chooser.rule[2] > 0
    assert np.argmax(chooser.preferences(Candidates(SCORES, np.zeros(3), shares[[0, 2, 1]]))) == 1


def test_it_gives_up_a_rule_that_does_not_pay() -> None:
    """Objects whose best mask is the one that the model prefers, clicked where depth misleads."""
    chooser, rng = MaskChooser(), np.random.default_rng(0)
    for _ in range(40):
        scores = rng.permutation([0.9, 0.8, 0.7])
        chooser = chooser.remembered(
            given_depths(*(5 * (0.9 - scores)), scores=scores), np.where(scores > 0.85, 0.9, 0.1), 0.1
        )
    assert chooser.rule[0] == 0.0
    assert np.argmax(chooser.preferences(given_depths(*(5 * (0.8 - SCORES))))) == 0


def test_memory_is_bounded() -> None:
    chooser = MaskChooser()
    for _ in range(100):
        chooser = chooser.remembered(given_depths(0, 0, 0), SCORES, 0.1)
    assert len(chooser.surprises) == 60


@given(st.lists(st.tuples(*[st.floats(0.001, 1) for _ in range(9)]), max_size=8))
def test_it_survives_json(history: list[tuple[float, ...]]) -> None:
    chooser = MaskChooser()
    for values in history:
        scores, depths, ious = (np.array(values[k : k + 3]) for k in (0, 3, 6))
        chooser = chooser.remembered(Candidates(scores, depths, ious), ious, max(values))
    assert MaskChooser.from_dict(chooser.to_dict()) == chooser


def test_what_is_no_chooser_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"a chooser has the format segany-chooser-1 with surprises, sizes and gains, got"
    ):
        MaskChooser.from_dict({"format": "other"})
    with pytest.raises(ConfigError, match="a chooser has 3 surprises for each mask and 27 gains, got"):
        MaskChooser(surprises=((0.1, 0.2),))


def test_a_predictor_ranks_by_it_and_leaves_the_scores_alone() -> None:
    predictor = Predictor(backend=FakeBackend())
    embedding = predictor.embed(open_image(np.zeros((120, 160, 3), dtype=np.uint8)))
    click = Prompt(points=[(80, 60)])
    plain = predictor.predict(embedding, click)
    chooser = MaskChooser()
    for _ in range(8):
        chooser = chooser.learned(plain, click, plain.rle(0))
    asked = predictor.predict(embedding, click, chooser=chooser)
    assert (plain.best_index, asked.best_index) == (2, 0)
    assert np.array_equal(asked.iou_predictions, plain.iou_predictions)
    assert asked.ranking.tolist() == np.argsort(-asked.preferences).tolist()
    assert asked.best() == plain.rle(0)


def test_only_a_lone_click_is_a_choice() -> None:
    predictor = Predictor(backend=FakeBackend())
    embedding = predictor.embed(open_image(np.zeros((120, 160, 3), dtype=np.uint8)))
    two = Prompt(points=[(80, 60), (90, 60)])
    several = predictor.predict(embedding, two, multimask=True)
    chooser = MaskChooser()
    assert chooser.applied(several, two) is several
    assert chooser.learned(several, two, several.rle(0)) is chooser
    single = predictor.predict(embedding, Prompt(box=(10, 10, 50, 50)))
    assert chooser.applied(single, Prompt(box=(10, 10, 50, 50))) is single


def test_as_many_preferences_as_masks() -> None:
    with pytest.raises(MaskError, match=r"a prediction of 3 masks needs as many preferences, got \[2\]"):
        Prediction(SCORES.astype(np.float32), discs(3, 2, 1), FRAME, np.zeros(2, dtype=np.float32))


def test_the_same_is_ranked_by_its_weights_alone() -> None:
    """Programs in other languages rank by `linear`."""
    chooser = MaskChooser()
    for share, index in ((0.02, 2), (0.03, 2), (0.4, 0), (0.02, 2)):
        ious = np.full(3, 0.2)
        ious[index] = 0.95
        candidates = Candidates(SCORES, np.array([0.3, 0.6, 0.9]), np.array([0.3, 0.1, 0.02]))
        by = chooser.linear()
        away = np.log(candidates.shares) - by["log_share"]
        fit = np.maximum(by["floor"], -by["sharpness"] * away**2)
        own = candidates.scores + by["depth"] * candidates.depths + by["offsets"] + by["size"] * fit
        assert own == pytest.approx(chooser.preferences(candidates), abs=1e-5)
        chooser = chooser.remembered(candidates, ious, share)
