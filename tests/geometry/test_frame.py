import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segany.errors import ConfigError
from segany.geometry import Frame, Size


@pytest.mark.parametrize(
    ("original", "model"),
    [
        (Size(1200, 1800), Size(683, 1024)),
        (Size(1800, 1200), Size(1024, 683)),
        (Size(1024, 1024), Size(1024, 1024)),
        (Size(10, 20), Size(512, 1024)),
        (Size(1, 10_000), Size(1, 1024)),
    ],
)
def test_the_long_side_is_scaled_and_no_side_falls_under_one_pixel(original: Size, model: Size) -> None:
    frame = Frame.longest_side(original, 1024)
    assert frame.model == model
    assert frame.padded == Size(1024, 1024)


def test_a_half_is_rounded_up() -> None:
    # 3 / 8 * 4 is 1.5 model pixels.
    assert Frame.longest_side(Size(3, 8), 4).model == Size(2, 4)


def test_each_axis_has_the_scale_of_its_own_rounding() -> None:
    frame = Frame.longest_side(Size(1200, 1800), 1024)
    assert frame.scale == (683 / 1200, 1024 / 1800)
    np.testing.assert_allclose(frame.to_model(np.array([1800.0, 1200.0])), [1024.0, 683.0])


def test_a_tile_is_a_frame_with_an_offset() -> None:
    frame = Frame.longest_side(Size(100, 200), 400, offset=(30, 70))
    np.testing.assert_allclose(frame.to_model(np.array([[70.0, 30.0], [170.0, 80.0]])), [[0.0, 0.0], [200.0, 100.0]])


@given(
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    st.sampled_from([256, 1024]),
    st.tuples(st.integers(0, 9000), st.integers(0, 9000)),
    st.tuples(st.floats(-100, 9000), st.floats(-100, 9000)),
)
def test_to_original_undoes_to_model(
    size: tuple[int, int], side: int, offset: tuple[int, int], point: tuple[float, float]
) -> None:
    frame = Frame.longest_side(Size(*size), side, offset)
    np.testing.assert_allclose(frame.to_original(frame.to_model(np.array(point))), point, rtol=1e-9, atol=1e-6)


def test_box_corners_keep_their_shape() -> None:
    corners = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    assert Frame.longest_side(Size(10, 10), 20).to_model(corners).shape == (3, 2, 2)


def test_impossible_frames_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"a frame's sides must be at least 1 pixel, got 1x1 .* and 0x5"):
        Frame(Size(1, 1), Size(0, 5), Size(8, 8))
    with pytest.raises(ConfigError, match=r"the resized image \(9x5 .*\) must fit into the model's input \(8x8"):
        Frame(Size(1, 1), Size(9, 5), Size(8, 8))
