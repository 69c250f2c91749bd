"""Targets and views: masks on the decoder's grid, and image and masks moved alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segany.geometry import Frame, Size
from segany.masks import RLE, mask_iou
from segany.masks.upscale import upscale_logits
from segany.model.config import CONFIGS
from segany.schema import Annotation, ImageInfo, Record
from segany.train.targets import make_targets, on_grid
from segany.train.views import View, draw_view


@pytest.mark.parametrize("size", [(300, 400), (1500, 1100), (64, 256), (1024, 1024)])
def test_a_mask_on_the_grid_gives_the_mask_back(size: tuple[int, int]) -> None:
    """Logits that are the target's, enlarged as predictions are, draw the mask: cells are where pixels are."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    radius = min(size) / 3
    mask = (rows - size[0] / 2) ** 2 + (columns - size[1] / 2.5) ** 2 <= radius**2
    frame = Frame.longest_side(Size(*size), 1024)
    cells = on_grid(mask, frame, 256)
    drawn = upscale_logits(np.where(cells, 10, -10).astype(np.float32), frame) > 0
    assert mask_iou(drawn, mask) > 0.96


@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(2, 40))
def test_image_and_mask_move_alike(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) < 0.5
    view = draw_view((seed,))
    moved = View(view.window, view.flip, view.turns)
    pixels = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 200
    assert np.array_equal(moved.of_image(pixels)[..., 0] > 0, view.of_mask(mask))
    assert view.of_image(pixels).shape == moved.of_image(pixels).shape
    assert min(view.of_mask(mask).shape) >= 1


def test_the_first_view_is_the_image() -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    assert np.array_equal(View().of_image(pixels), pixels)


def test_undecided_and_padded_cells_do_not_count_and_small_objects_are_left_out() -> None:
    size = Size(60, 100)
    big, small, ignored = (np.zeros(size, dtype=np.bool_) for _ in range(3))
    big[10:40, 10:40] = True
    small[50, 90] = True
    ignored[:, 60:] = True
    annotations = (Annotation(0, RLE.from_mask(big)), Annotation(1, RLE.from_mask(small)))
    record = Record(ImageInfo(1, "a.png", size), annotations, ignore=RLE.from_mask(ignored))
    config, rng = CONFIGS["mobile_sam"], np.random.default_rng(0)
    targets = make_targets(record, annotations, View(), config, rng, min_cells=4)
    assert targets is not None
    assert len(targets) == 1
    valid = targets.valid.numpy() > 0
    assert valid[:153, :153].all()
    assert not valid[155:].any()
    assert not valid[:, 155:].any()
    assert targets.boxes[0].numpy() == pytest.approx(np.array([10, 10, 40, 40]) * 10.24, abs=60)
    assert make_targets(record, annotations[1:], View(), config, rng, min_cells=4) is None
