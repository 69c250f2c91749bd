import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from segany.geometry import Frame, Size
from segany.masks.upscale import LogitWindow, upscale_logits, upscale_strips

SIZES = [
    Size(1200, 1800),
    Size(534, 800),
    Size(427, 640),
    Size(1411, 1411),
    Size(1024, 1024),
    Size(33, 2000),
    Size(1, 10_000),
    Size(10_000, 1),
    Size(1, 1),
]


def logits_like(seed: int, steepness: float = 1.0) -> NDArray[np.float32]:
    """Smooth blobs that cross zero often, with slopes as the decoder's have."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.normal(size=(1, 1, 24, 24)) * 10 * steepness)
    smooth = F.interpolate(coarse, (256, 256), mode="bicubic")[0, 0].numpy()
    return (smooth + rng.normal(size=(256, 256))).astype(np.float32)


def by_torch(logits: NDArray[np.float32], frame: Frame) -> NDArray[np.float32]:
    grid = torch.from_numpy(logits)[None, None]
    grid = F.interpolate(grid, tuple(frame.padded), mode="bilinear", align_corners=False)
    grid = grid[..., : frame.model.height, : frame.model.width]
    return F.interpolate(grid, tuple(frame.original), mode="bilinear", align_corners=False)[0, 0].numpy()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_logits_equal_the_two_bilinear_steps_of_torch(size: Size) -> None:
    frame = Frame.longest_side(size, 1024)
    logits = logits_like(1)
    np.testing.assert_allclose(upscale_logits(logits, frame), by_torch(logits, frame), atol=5e-3)


@pytest.mark.parametrize("steepness", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_not_one_pixel_of_a_mask_differs_from_torch(size: Size, steepness: float) -> None:
    frame = Frame.longest_side(size, 1024)
    for seed in range(3):
        logits = logits_like(seed, steepness)
        assert np.count_nonzero((upscale_logits(logits, frame) > 0) != (by_torch(logits, frame) > 0)) == 0


@pytest.mark.parametrize("strip_pixels", [1, 534 * 100, 10**9])
def test_strips_are_the_whole_in_pieces_whatever_their_width(strip_pixels: int) -> None:
    frame = Frame.longest_side(Size(534, 800), 1024)
    logits = logits_like(2)
    strips = list(upscale_strips(logits, frame, strip_pixels))
    assert all(strip.dtype == np.float32 and strip.shape[0] == 534 for strip in strips)
    joined, whole = np.concatenate(strips, axis=1), upscale_logits(logits, frame)
    np.testing.assert_array_equal(joined > 0, whole > 0)
    np.testing.assert_allclose(joined, whole, atol=5e-3)


def test_another_input_side_and_flat_logits() -> None:
    frame = Frame.longest_side(Size(60, 90), 256)
    assert (upscale_logits(np.zeros((256, 256), np.float32), frame) == 0).all()
    logits = logits_like(3)
    assert ((upscale_logits(logits, frame) > 0) == (by_torch(logits, frame) > 0)).all()


@pytest.mark.parametrize("above", [0.0, -1.0])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_window_holds_every_pixel_above_the_value_with_the_same_sign(size: Size, above: float) -> None:
    frame = Frame.longest_side(size, 1024)
    whole = logits_like(4)
    y, x = np.mgrid[:256, :256]
    for centre in ((20, 9), (128, 100), (0, 255)):
        # A hill in a sea of negative logits, so that the window is smaller than the image.
        logits = np.where(np.hypot(y - centre[0], x - centre[1]) < 12, whole, -5 - np.abs(whole)).astype(np.float32)
        window = LogitWindow.cut(logits, frame, above)
        x0, y0, x1, y1 = window.box
        full = upscale_logits(logits, frame)
        outside = np.ones(size, bool)
        outside[y0:y1, x0:x1] = False
        assert not (full[outside] > above).any()
        strips = list(window.strips(frame, strip_pixels=1000))
        part = np.concatenate(strips, axis=1) if strips else np.zeros((0, 0), np.float32)
        np.testing.assert_array_equal(part > 0, full[y0:y1, x0:x1] > 0)
        np.testing.assert_allclose(part, full[y0:y1, x0:x1], atol=1e-4)
        assert window.cells.size < logits.size


def test_a_window_is_as_small_as_can_be_told_from_the_cells() -> None:
    frame = Frame.longest_side(Size(512, 1024), 1024)
    logits = np.full((256, 256), -1.0, np.float32)
    logits[10:12, 20] = 1
    window = LogitWindow.cut(logits, frame, 0)
    # Two cells of 4 pixels, 2 pixels on each side that mix them in, and one before that does with a share of 0.
    assert window.box == (77, 37, 86, 50)
    assert window.corner == (8, 18)
    assert window.cells.shape == (6, 5)
    np.testing.assert_array_equal(window.cells, logits[8:14, 18:23])


def test_the_window_of_nothing_is_empty() -> None:
    frame = Frame.longest_side(Size(60, 90), 1024)
    window = LogitWindow.cut(np.full((256, 256), -3, np.float32), frame, -3)
    assert window.box == (0, 0, 0, 0)
    assert list(window.strips(frame)) == []


def test_a_mask_in_the_padding_alone_is_empty() -> None:
    frame = Frame.longest_side(Size(100, 1000), 1024)
    logits = np.full((256, 256), -1, np.float32)
    logits[100:] = 1
    assert LogitWindow.cut(logits, frame, 0).box == (0, 0, 0, 0)
