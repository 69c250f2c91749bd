"""NumPy arrays: every shape and type that is meant, and the exact words for those that are not."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from segany.errors import ImageError
from segany.geometry import Size
from segany.schema import Image
from segany.sources import ArraySource, open_image


def ramp(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


class TestWhatIsMeant:
    def test_rgb(self) -> None:
        pixels = ramp(5, 6, 3)
        image = open_image(pixels)
        assert np.array_equal(image.pixels, pixels)
        assert image.info.size == Size(5, 6)
        assert image.info.file_name == "array"

    def test_an_array_is_copied(self) -> None:
        pixels = ramp(5, 6, 3)
        image = open_image(pixels)
        pixels[:] = 0
        assert image.pixels.any()

    def test_a_view_with_strides(self) -> None:
        pixels = ramp(10, 12, 3)
        assert np.array_equal(open_image(pixels[::-2, ::3, ::-1]).pixels, pixels[::-2, ::3, ::-1])

    @pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1)])
    def test_grey(self, shape: tuple[int, ...]) -> None:
        grey = ramp(*shape)
        assert np.array_equal(open_image(grey).pixels, np.dstack([grey.reshape(5, 6)] * 3))

    def test_two_channels(self) -> None:
        image = open_image(ramp(5, 6, 2))
        assert np.array_equal(image.pixels[..., 2], ramp(5, 6, 2)[..., 0])
        assert image.mapping.notes == ("2 channels: the first shown as grey",)

    def test_four_channels_are_transparent(self) -> None:
        rgba = np.zeros((1, 2, 4), dtype=np.uint8)
        rgba[0, 1, 3] = 255
        image = open_image(rgba)
        assert image.pixels.tolist() == [[[255, 255, 255], [0, 0, 0]]]
        assert image.mapping.notes == ("transparency laid on white",)

    def test_float_transparency(self) -> None:
        rgba = np.array([[[1.0, 0.0, 0.0, 0.5]]])
        assert open_image(rgba).pixels[0, 0].tolist() == [255, 128, 128]

    def test_bool(self) -> None:
        image = open_image(np.array([[True, False]]))
        assert image.pixels[0, :, 0].tolist() == [255, 0]

    def test_floats_from_0_to_1(self) -> None:
        image = open_image(np.array([[0.0, 0.25, 1.0]], dtype=np.float32))
        assert image.pixels[0, :, 0].tolist() == [0, 64, 255]
        assert image.mapping.window == (0.0, 1.0)

    def test_dark_floats_stay_dark(self) -> None:
        assert open_image(np.full((3, 3), 0.1)).pixels.max() == 26

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.uint64])
    def test_whole_numbers_to_255_are_8_bit(self, dtype: type[np.generic]) -> None:
        pixels = ramp(20, 20, 3) // 2
        image = open_image(pixels.astype(dtype))
        assert np.array_equal(image.pixels, pixels)
        assert image.mapping.window == (0.0, 255.0)

    @pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16, np.int32, np.float32])
    def test_other_ranges_are_stretched(self, dtype: type[np.generic]) -> None:
        values = np.linspace(-100.5, 120.25, 10_000).reshape(100, 100).astype(dtype)
        if np.dtype(dtype).kind == "u":
            values = np.linspace(10, 900, 10_000).reshape(100, 100).astype(dtype)
        image = open_image(values)
        assert image.mapping.window == pytest.approx(tuple(np.percentile(values, (0.1, 99.9))))
        assert (image.pixels.min(), image.pixels.max()) == (0, 255)

    def test_one_window_for_all_bands_keeps_the_colour(self) -> None:
        values = np.zeros((10, 10, 3), dtype=np.uint16)
        values[..., 0] = 4000
        values[..., 1] = 2000
        assert open_image(values).pixels[0, 0].tolist() == [255, 128, 0]

    def test_a_window_for_8_bit(self) -> None:
        image = open_image(np.array([[10, 20, 30]], dtype=np.uint8), window=(10, 30))
        assert image.pixels[0, :, 0].tolist() == [0, 128, 255]

    def test_large_integers_keep_small_steps(self) -> None:
        values = np.arange(256, dtype=np.int64).reshape(16, 16) + 2**40
        assert len(np.unique(open_image(values).pixels)) > 250

    def test_big_endian(self) -> None:
        values = np.arange(2560, dtype=">u2").reshape(32, 80)
        assert np.array_equal(open_image(values).pixels, open_image(values.astype("<u2")).pixels)

    @pytest.mark.parametrize("shape", [(1, 1, 3), (1, 10_000), (10_000, 1, 1), (3, 4), (3, 5, 3), (4, 9, 4), (1, 1)])
    def test_small_and_long_ones(self, shape: tuple[int, ...]) -> None:
        assert open_image(ramp(*shape)).size == shape[:2]

    def test_an_image_is_returned_as_it_is(self) -> None:
        image = open_image(ramp(3, 4, 3))
        assert open_image(image) is image
        assert isinstance(image, Image)

    @given(hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(width=32)))
    def test_any_floats_give_an_image_or_an_error(self, values: NDArray[np.float32]) -> None:
        if np.isfinite(values).all():
            pixels = open_image(values).pixels[..., 0]
            order = np.argsort(values, axis=None)
            assert (np.diff(pixels.ravel()[order].astype(int)) >= 0).all()
        else:
            with pytest.raises(ImageError, match="NaN or infinite"):
                open_image(values)


class TestWhatIsNot:
    def refusal(self, array: object, **options: tuple[float, ...]) -> str:
        with pytest.raises(ImageError) as caught:
            open_image(array, **options)  # type: ignore[arg-type]  # the point of the test
        return str(caught.value)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_nan(self, value: float) -> None:
        array = np.ones((300, 4, 3))
        array[299, 2, 1] = value
        assert self.refusal(array) == (
            "array holds NaN or infinite values; replace them first, for example with numpy.nan_to_num."
        )

    @pytest.mark.parametrize("shape", [(3, 480, 640), (1, 480, 640), (4, 20, 10)])
    def test_channels_first(self, shape: tuple[int, ...]) -> None:
        assert self.refusal(ramp(*shape)) == (
            f"an image array must be [H, W, C], got shape {list(shape)}, which looks like channels first; "
            f"pass array.transpose(1, 2, 0), or bands= if it is {shape[0]} pixels high."
        )

    def test_bands_say_that_few_rows_are_meant(self) -> None:
        assert open_image(ramp(3, 20, 7), bands=(4, 5, 6)).size == (3, 20)

    @pytest.mark.parametrize("shape", [(7,), (), (2, 2, 2, 2, 2)])
    def test_other_axes(self, shape: tuple[int, ...]) -> None:
        assert self.refusal(ramp(*shape) if shape else np.array(3)) == (
            f"an image array must be [H, W] or [H, W, C], got shape {list(shape)}."
        )

    def test_a_batch(self) -> None:
        assert self.refusal(ramp(2, 5, 5, 3)) == (
            "an image array must be [H, W] or [H, W, C], got shape [2, 5, 5, 3]; pass one image at a time."
        )

    @pytest.mark.parametrize("shape", [(0, 5), (5, 0, 3), (5, 5, 0)])
    def test_empty(self, shape: tuple[int, ...]) -> None:
        assert self.refusal(np.zeros(shape)) == f"an image array must hold at least one pixel, got shape {list(shape)}."

    @pytest.mark.parametrize("array", [np.array([["a"]]), np.array([[None]]), np.array([[1j]])])
    def test_no_numbers(self, array: NDArray[np.generic]) -> None:
        assert self.refusal(array) == f"an image array must hold bool, integers or floats, got dtype {array.dtype}."

    @pytest.mark.parametrize("window", [(5.0, 5.0), (9.0, 1.0), (1.0,), (0.0, np.nan)])
    def test_windows(self, window: tuple[float, ...]) -> None:
        assert self.refusal(ramp(4, 4), window=window) == (
            f"a value window must be (low, high) with high > low, got {list(window)} for array."
        )

    @pytest.mark.parametrize("thing", [b"bytes", [[1, 2], [3, 4]], None, 5])
    def test_other_things(self, thing: object) -> None:
        assert self.refusal(thing) == (
            "an image must be a file's path, a NumPy array or a Pillow image, "
            f"got {type(thing).__name__}; convert it to a NumPy array [H, W, C] first."
        )


class TestSource:
    def test_it_reads_windows_without_copying(self) -> None:
        values = np.arange(60, dtype=np.int16).reshape(5, 6, 2)
        source = ArraySource(values)
        assert (source.info.size, source.info.channels, source.info.dtype) == (Size(5, 6), 2, "int16")
        assert np.array_equal(source.read((1, 2, 4, 5)), values[2:5, 1:4])
        assert np.shares_memory(source.read(), values)

    def test_a_window_outside(self) -> None:
        with pytest.raises(ImageError, match=re.escape("a window must lie within array, 5x6 (height x width)")):
            ArraySource(ramp(5, 6)).read((0, 0, 7, 1))
