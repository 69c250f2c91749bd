import numpy as np
import pytest
import torch
from PIL import Image

from segany.compat import ResizeLongestSide

TRANSFORM = ResizeLongestSide(1024)


@pytest.mark.parametrize(
    ("size", "resized"),
    [((1200, 1800), (683, 1024)), ((534, 800), (684, 1024)), ((1024, 1024), (1024, 1024)), ((1, 10_000), (1, 1024))],
)
def test_the_long_side_becomes_the_target(size: tuple[int, int], resized: tuple[int, int]) -> None:
    assert ResizeLongestSide.get_preprocess_shape(*size, 1024) == resized


def test_images_are_resized_by_pillow_and_copied() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    resized = ResizeLongestSide(32).apply_image(image)
    np.testing.assert_array_equal(resized, Image.fromarray(image).resize((32, 20), Image.Resampling.BILINEAR))
    same = ResizeLongestSide(64).apply_image(image)
    np.testing.assert_array_equal(same, image)
    assert not np.shares_memory(same, image)


def test_points_and_boxes() -> None:
    size = (1200, 1800)
    points = np.array([[500, 375], [0, 0], [1799, 1199]])
    mapped = TRANSFORM.apply_coords(points, size)
    np.testing.assert_array_equal(mapped, points * np.array([1024 / 1800, 683 / 1200]))
    np.testing.assert_array_equal(TRANSFORM.apply_boxes(np.array([0, 0, 1799, 1199]), size), mapped[1:].reshape(1, 4))
    boxes = np.array([[0, 0, 9, 9], [3, 4, 50, 60]])
    assert TRANSFORM.apply_boxes(boxes, size).shape == (2, 4)
    # What was given stays as it was.
    np.testing.assert_array_equal(points[0], [500, 375])


def test_torch_agrees_with_numpy() -> None:
    size = (427, 640)
    rng = np.random.default_rng(0)
    boxes = rng.uniform(0, 400, (5, 4))
    by_torch = TRANSFORM.apply_boxes_torch(torch.from_numpy(boxes), size)
    assert by_torch.dtype == torch.float32
    np.testing.assert_allclose(by_torch.numpy(), TRANSFORM.apply_boxes(boxes, size), rtol=1e-6)
    clicks = torch.tensor([[[5, 6]], [[7, 8]]])
    np.testing.assert_allclose(
        TRANSFORM.apply_coords_torch(clicks, size).numpy(), TRANSFORM.apply_coords(clicks.numpy(), size), rtol=1e-6
    )


def test_torch_images_are_close_to_pillow() -> None:
    y, x = np.mgrid[:80, :120]
    image = np.stack([x, y, (x + y) // 2], axis=-1).astype(np.uint8)
    transform = ResizeLongestSide(64)
    by_torch = transform.apply_image_torch(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    assert by_torch.shape == (1, 3, 43, 64)
    np.testing.assert_allclose(by_torch[0].permute(1, 2, 0).numpy(), transform.apply_image(image), atol=1)
