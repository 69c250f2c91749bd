import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from segany.errors import ImageError
from segany.geometry import Size
from segany.model.config import CONFIGS, PreprocessConfig
from segany.model.preprocess import normalize_image, resize_image

SAM = CONFIGS["vit_b"].preprocess
LITE = CONFIGS["lite_medsam"].preprocess


def _noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height * 7919 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("large", [1, 10**9])
@pytest.mark.parametrize("size", [(301, 1503), (1503, 301), (50, 30), (1023, 1025), (1024, 700), (7, 9000)])
def test_sam_resizes_as_pillow_does(size: tuple[int, int], large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segany.model.preprocess._LARGE", large)
    pixels = _noise(*size)
    resized, frame = resize_image(pixels, SAM)
    wanted = (frame.model.width, frame.model.height)
    expected = np.asarray(Image.fromarray(pixels).resize(wanted, Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resized, expected)


def test_the_frame_of_a_resized_image() -> None:
    _, frame = resize_image(_noise(301, 1503), SAM)
    assert (frame.original, frame.model, frame.padded) == (Size(301, 1503), Size(205, 1024), Size(1024, 1024))


def test_area_resizing_averages_whole_blocks() -> None:
    pixels = _noise(512, 512)
    resized, _ = resize_image(pixels, LITE)
    means = pixels.reshape(256, 2, 256, 2, 3).mean((1, 3))
    assert np.abs(resized - means).max() <= 0.5


def test_an_image_of_the_input_size_is_left_alone() -> None:
    pixels = _noise(40, 64)
    resized, frame = resize_image(pixels, PreprocessConfig(input_side=64))
    np.testing.assert_array_equal(resized, pixels)
    assert frame.scale == (1.0, 1.0)


@pytest.mark.parametrize("preprocess", [SAM, LITE], ids=["sam", "lite_medsam"])
@pytest.mark.parametrize(
    ("size", "model"),
    [((1, 1), (1.0, 1.0)), ((1, 10000), (0, 1.0)), ((10000, 1), (1.0, 0)), ((2, 3), (2 / 3, 1.0))],
)
def test_extreme_sizes(preprocess: PreprocessConfig, size: tuple[int, int], model: tuple[float, float]) -> None:
    side = preprocess.input_side
    resized, frame = resize_image(_noise(*size), preprocess)
    assert resized.shape[:2] == frame.model == tuple(max(1, int(part * side + 0.5)) for part in model)
    tensor = normalize_image(resized, preprocess)
    assert tensor.shape == (3, side, side)
    assert np.isfinite(tensor).all()


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([SAM, LITE]))
def test_the_long_side_fills_the_input(height: int, width: int, preprocess: PreprocessConfig) -> None:
    small = PreprocessConfig(input_side=96, resample=preprocess.resample, normalize=preprocess.normalize)
    resized, frame = resize_image(_noise(height, width), small)
    assert resized.dtype == np.uint8
    assert resized.shape == (*frame.model, 3)
    assert max(frame.model) == 96
    tensor = normalize_image(resized, small)
    assert (tensor[:, frame.model.height :] == 0).all()
    assert (tensor[:, :, frame.model.width :] == 0).all()


def test_mean_and_std() -> None:
    pixels = _noise(64, 48)
    small = PreprocessConfig(input_side=64)
    tensor = normalize_image(pixels, small)
    mean, std = (np.array(values, np.float32) for values in (small.mean, small.std))
    expected = (pixels.astype(np.float32) - mean) / std
    np.testing.assert_array_equal(tensor[:, :, :48], expected.transpose(2, 0, 1))
    assert (tensor[:, :, 48:] == 0).all()


def test_min_max_uses_the_range_of_all_channels() -> None:
    pixels = np.clip(_noise(64, 64), 30, 200)
    pixels[..., 1] = 100
    tensor = normalize_image(pixels, PreprocessConfig(input_side=64, normalize="min_max"))
    assert (tensor.min(), tensor.max()) == (0.0, 1.0)
    np.testing.assert_allclose(tensor[1], (100 - 30) / 170, rtol=1e-6)


def test_min_max_of_one_grey_is_zero() -> None:
    flat = np.full((8, 8, 3), 77, dtype=np.uint8)
    assert (normalize_image(flat, PreprocessConfig(input_side=8, normalize="min_max")) == 0).all()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["grey", "alpha", "float", "empty"],
)
def test_other_arrays_are_refused(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(ImageError) as error:
        resize_image(pixels, SAM)
    wanted = f"expected a non-empty [H, W, 3] uint8 RGB array, got shape {pixels.shape} of {pixels.dtype}."
    assert str(error.value).startswith(wanted)


def test_strided_and_read_only_pixels_are_taken() -> None:
    pixels = _noise(60, 80)[::2, ::-1]
    pixels.setflags(write=False)
    for preprocess in (SAM, LITE):
        resized, _ = resize_image(pixels, preprocess)
        again, _ = resize_image(pixels.copy(), preprocess)
        np.testing.assert_array_equal(resized, again)
