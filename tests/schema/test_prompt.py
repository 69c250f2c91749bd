"""Prompt: what it keeps, every refusal in its exact words; PromptBatch: which prompts share a call."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segany.errors import MaskError, PromptError
from segany.schema import Prompt, PromptBatch, VideoPrompt

MASK = np.array([[0, 1], [0, 0]], dtype=bool)


class TestWhatIsKept:
    def test_points_and_labels(self) -> None:
        prompt = Prompt(points=[(1, 2), (3.5, 4)], labels=[1, 0])
        assert prompt.points is not None
        assert prompt.labels is not None
        assert prompt.points.dtype == np.float64
        assert prompt.labels.dtype == np.int64
        assert prompt.points.tolist() == [[1, 2], [3.5, 4]]
        assert prompt.labels.tolist() == [1, 0]

    def test_one_point_without_brackets_is_positive(self) -> None:
        prompt = Prompt(points=(5, 6))
        assert prompt.points is not None
        assert prompt.labels is not None
        assert prompt.points.tolist() == [[5, 6]]
        assert prompt.labels.tolist() == [1]

    def test_a_box(self) -> None:
        prompt = Prompt(box=np.array([1, 2, 3, 4], dtype=np.int32))
        assert prompt.box is not None
        assert prompt.box.dtype == np.float64

    @pytest.mark.parametrize(
        "mask",
        [
            MASK,
            MASK.astype(np.uint8),
            MASK * np.uint8(255),
            MASK.astype(np.float32),
            MASK[None],
            MASK[..., None],
            MASK.tolist(),
        ],
    )
    def test_a_mask(self, mask: Any) -> None:
        prompt = Prompt(mask=mask)
        assert prompt.mask is not None
        assert prompt.mask.dtype == np.bool_
        assert np.array_equal(prompt.mask, MASK)

    @pytest.mark.parametrize("value", [1, 255])
    def test_a_mask_of_everything(self, value: int) -> None:
        prompt = Prompt(mask=np.full((3, 4), value))
        assert prompt.mask is not None
        assert prompt.mask.all()

    @pytest.mark.parametrize("shape", [(4, 6), (1, 4, 6)])
    def test_mask_logits(self, shape: tuple[int, ...]) -> None:
        prompt = Prompt(mask_logits=np.ones(shape))
        assert prompt.mask_logits is not None
        assert prompt.mask_logits.shape == (4, 6)
        assert prompt.mask_logits.dtype == np.float32

    def test_the_callers_arrays_are_copied(self) -> None:
        points, mask = np.array([[1.0, 2.0]]), MASK.copy()
        prompt = Prompt(points=points, mask=mask)
        points[:], mask[:] = 9, True
        assert prompt.points is not None
        assert prompt.mask is not None
        assert prompt.points.tolist() == [[1, 2]]
        assert prompt.mask.sum() == 1
        with pytest.raises(ValueError, match="read-only"):
            prompt.points[0, 0] = 3
        with pytest.raises(ValueError, match="read-only"):
            prompt.mask[0, 0] = True

    @pytest.mark.parametrize(
        ("fields", "ambiguous"),
        [
            ({"points": [(1, 2)]}, True),
            ({"points": [(1, 2)], "labels": [0]}, True),
            ({"points": [(1, 2), (3, 4)]}, False),
            ({"points": [(1, 2)], "box": [0, 0, 3, 3]}, False),
            ({"points": [(1, 2)], "mask": MASK}, False),
            ({"points": [(1, 2)], "mask_logits": np.ones((4, 4))}, False),
            ({"box": [0, 0, 3, 3]}, False),
            ({"mask": MASK}, False),
        ],
    )
    def test_only_a_click_alone_is_ambiguous(self, fields: dict[str, Any], ambiguous: bool) -> None:
        assert Prompt(**fields).is_ambiguous is ambiguous

    def test_a_video_prompt_holds_one(self) -> None:
        prompt = Prompt(points=(1, 2))
        assert VideoPrompt(3, 0, prompt).prompt is prompt


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({}, "a prompt needs points, a box or a mask, got none of them; give at least one."),
    ({"labels": [1]}, "a prompt needs points, a box or a mask, got none of them; give at least one."),
    (
        {"labels": [1], "box": [0, 0, 1, 1]},
        "labels belong to points, but no points came; give both or neither.",
    ),
    (
        {"mask": MASK, "mask_logits": np.zeros((2, 2))},
        "a prompt takes a mask or mask_logits, got both; leave one out.",
    ),
    ({"points": []}, "points must hold at least one (x, y), got an empty list; leave points out instead."),
    (
        {"points": np.zeros((0, 2))},
        "points must hold at least one (x, y), got an empty list; leave points out instead.",
    ),
    ({"points": [1, 2, 3]}, "points must be [N, 2] (x, y), got shape [3]."),
    ({"points": [[1, 2, 3]]}, "points must be [N, 2] (x, y), got shape [1, 3]."),
    ({"points": [[[1, 2]]]}, "points must be [N, 2] (x, y), got shape [1, 1, 2]."),
    ({"points": 5}, "points must be [N, 2] (x, y), got shape []."),
    ({"points": [["a", "b"]]}, "points must be numbers, got [['a', 'b']]."),
    ({"points": [[1, 2], [3]]}, "points must be numbers, got [[1, 2], [3]]."),
    ({"points": [[1, np.nan]]}, "points must be finite, got NaN or infinity in [[1.0, nan]]."),
    ({"points": [[np.inf, 1]]}, "points must be finite, got NaN or infinity in [[inf, 1.0]]."),
    ({"points": [[1, 2]], "labels": []}, "points and labels must have one length, got 1 points and 0 labels."),
    ({"points": [[1, 2]], "labels": [1, 0]}, "points and labels must have one length, got 1 points and 2 labels."),
    ({"points": [[1, 2]], "labels": [7]}, "a label must be 1 (on the object) or 0 (off it), got 7."),
    ({"points": [[1, 2]], "labels": [-1]}, "a label must be 1 (on the object) or 0 (off it), got -1."),
    ({"points": [[1, 2]], "labels": [0.5]}, "a label must be 1 (on the object) or 0 (off it), got 0.5."),
    ({"points": [[1, 2]], "labels": ["x"]}, "labels must be numbers, got ['x']."),
    ({"points": [[1, 2]], "labels": [np.nan]}, "labels must be finite, got NaN or infinity in [nan]."),
    (
        {"box": [1, 2, 3]},
        "a box must be four numbers x0, y0, x1, y1, got shape [3]; give one prompt per box.",
    ),
    (
        {"box": [[1, 2, 3, 4], [1, 2, 3, 4]]},
        "a box must be four numbers x0, y0, x1, y1, got shape [2, 4]; give one prompt per box.",
    ),
    (
        {"box": [5, 0, 5, 9]},
        "a box must have x1 > x0 and y1 > y0, got x0=5, y0=0, x1=5, y1=9; "
        "boxes are corners (x0, y0, x1, y1), not a corner with width and height.",
    ),
    (
        {"box": [0, 9.5, 5, 2]},
        "a box must have x1 > x0 and y1 > y0, got x0=0, y0=9.5, x1=5, y1=2; "
        "boxes are corners (x0, y0, x1, y1), not a corner with width and height.",
    ),
    ({"box": [0, 0, np.nan, 2]}, "a box must be finite, got NaN or infinity in [0.0, 0.0, nan, 2.0]."),
    ({"box": "here"}, "a box must be numbers, got 'here'."),
    ({"mask": np.zeros((3, 3), dtype=bool)}, "a mask prompt must mark at least one pixel, got an empty mask."),
    ({"mask": np.zeros((3, 3))}, "a mask prompt must mark at least one pixel, got an empty mask."),
    ({"mask": [1, 0]}, "a mask must be one [H, W] array, got shape [2]."),
    ({"mask": np.ones((2, 3, 3))}, "a mask must be one [H, W] array, got shape [2, 3, 3]."),
    ({"mask": np.ones((0, 3))}, "a mask must be one [H, W] array, got shape [0, 3]."),
    ({"mask": [[1], [1, 0]]}, "a mask must be one [H, W] array, got [[1], [1, 0]]."),
    ({"mask": [["a"]]}, "a mask must be binary (bool, 0/1 or 0/255), got <U1 with other values."),
    ({"mask": [[0, np.nan]]}, "a mask must be binary (bool, 0/1 or 0/255), got float64 with other values."),
    (
        {"mask": [[0, 1, 2]]},
        "a mask must be binary (bool, 0/1 or 0/255), got 3 values from 0 to 2; "
        "pass logits of an earlier prediction as mask_logits.",
    ),
    (
        {"mask": [[-3.5, 2.25]]},
        "a mask must be binary (bool, 0/1 or 0/255), got 2 values from -3.5 to 2.25; "
        "pass logits of an earlier prediction as mask_logits.",
    ),
    (
        {"mask": [[1, 2]]},
        "a mask must be binary (bool, 0/1 or 0/255), got 2 values from 1 to 2; "
        "pass logits of an earlier prediction as mask_logits.",
    ),
    ({"mask_logits": np.zeros(5)}, "mask_logits must be one [h, w] array, got shape [5]."),
    ({"mask_logits": np.zeros((3, 4, 4))}, "mask_logits must be one [h, w] array, got shape [3, 4, 4]."),
    ({"mask_logits": np.zeros((0, 4))}, "mask_logits must be one [h, w] array, got shape [0, 4]."),
    ({"mask_logits": [[np.inf]]}, "mask_logits must be finite, got NaN or infinity in [[inf]]."),
]


@pytest.mark.parametrize(("fields", "message"), REFUSALS)
def test_refusals(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PromptError) as caught:
        Prompt(**fields)
    assert str(caught.value) == message


def test_a_refusal_of_much_stays_short() -> None:
    with pytest.raises(PromptError) as caught:
        Prompt(points=[["x", "y"]] * 10_000)
    assert len(str(caught.value)) < 150


coordinates = st.floats(-1e6, 1e6)
points = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=5)
masks = st.lists(st.booleans(), min_size=12, max_size=12).filter(any).map(lambda v: np.array(v).reshape(3, 4))
boxes = st.tuples(coordinates, coordinates, st.floats(0.5, 100), st.floats(0.5, 100)).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)


def same(a: NDArray[Any] | None, b: NDArray[Any] | None) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))


class TestAsDict:
    @given(st.none() | points, st.none() | boxes, st.none() | masks, st.data())
    def test_round_trip(self, points: Any, box: Any, mask: Any, data: st.DataObject) -> None:
        if points is None and box is None and mask is None:
            box = [0, 0, 1, 1]
        labels = (
            None
            if points is None
            else data.draw(st.lists(st.integers(0, 1), min_size=len(points), max_size=len(points)))
        )
        prompt = Prompt(points, labels, box, mask)
        again = Prompt.from_dict(prompt.to_dict())
        for name in ("points", "labels", "box", "mask"):
            assert same(getattr(prompt, name), getattr(again, name))

    def test_the_form(self) -> None:
        prompt = Prompt([(1, 2)], [0], [0, 0, 4, 5], MASK)
        assert prompt.to_dict() == {
            "points": [[1.0, 2.0]],
            "labels": [0],
            "box": [0.0, 0.0, 4.0, 5.0],
            "mask": {"size": [2, 2], "counts": "211"},
        }

    def test_logits_are_not_kept(self) -> None:
        assert Prompt(points=(1, 2), mask_logits=np.ones((2, 2))).to_dict().keys() == {"points", "labels"}

    def test_an_unknown_key(self) -> None:
        with pytest.raises(PromptError) as caught:
            Prompt.from_dict({"points": [[1, 2]], "text": "the dog"})
        assert str(caught.value) == "unknown key 'text' in a prompt; it may have box, labels, mask, points."

    def test_nothing_in_it(self) -> None:
        with pytest.raises(PromptError, match="a prompt needs points, a box or a mask"):
            Prompt.from_dict({})

    def test_a_damaged_mask(self) -> None:
        with pytest.raises(MaskError):
            Prompt.from_dict({"mask": {"size": [2, 2], "counts": "9"}})


def batch(*prompts: tuple[int, tuple[int, int] | None]) -> PromptBatch:
    """Prompts of so many tokens, with mask logits of that shape; each filled with its own number."""
    return PromptBatch(
        tuple(np.full((tokens, 2), k, dtype=np.float32) for k, (tokens, _) in enumerate(prompts)),
        tuple(np.full(tokens, k, dtype=np.int32) for k, (tokens, _) in enumerate(prompts)),
        tuple(None if s is None else np.full(s, k, dtype=np.float32) for k, (_, s) in enumerate(prompts)),
    )


class TestPromptBatch:
    def test_groups_are_alike_and_in_order(self) -> None:
        mixed = batch((2, None), (3, None), (2, (4, 4)), (2, None), (3, None), (2, (4, 4)), (2, (8, 8)))
        groups = list(mixed.groups(limit=64))
        assert [group.indices.tolist() for group in groups] == [[0, 3], [2, 5], [6], [1, 4]]
        for group in groups:
            for row, index in enumerate(group.indices):
                assert (group.coords[row] == index).all()
                assert (group.labels[row] == index).all()
                if group.mask_logits is not None:
                    assert (group.mask_logits[row] == index).all()
        assert [group.mask_logits is None for group in groups] == [True, False, False, True]

    def test_no_group_is_over_the_limit(self) -> None:
        groups = list(batch(*[(2, None)] * 7).groups(limit=3))
        assert [group.indices.tolist() for group in groups] == [[0, 1, 2], [3, 4, 5], [6]]
        assert groups[0].coords.shape == (3, 2, 2)

    @given(
        st.lists(st.tuples(st.integers(1, 4), st.sampled_from([None, (2, 2)])), min_size=1, max_size=20),
        st.integers(1, 6),
    )
    def test_every_prompt_is_in_one_group(self, prompts: list[tuple[int, tuple[int, int] | None]], limit: int) -> None:
        groups = list(batch(*prompts).groups(limit))
        assert sorted(np.concatenate([group.indices for group in groups]).tolist()) == list(range(len(prompts)))
        assert all(len(group.indices) <= limit for group in groups)

    def test_it_has_a_length(self) -> None:
        assert len(batch((1, None), (2, None))) == 2

    def test_an_empty_one(self) -> None:
        with pytest.raises(PromptError) as caught:
            PromptBatch((), (), ())
        assert str(caught.value) == (
            "a batch needs at least one prompt, got an empty list; give a prompt or skip the image."
        )

    def test_lengths_that_differ(self) -> None:
        with pytest.raises(PromptError) as caught:
            PromptBatch((np.zeros((1, 2), np.float32),), (), (None,))
        assert str(caught.value) == "coords, labels and mask_logits of a batch must have one length."
