import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segany.compat import ImageNotSetError, Sam, SamPredictor
from segany.errors import ConfigError, ImageError, PromptError
from segany.model import Sam as Model


@pytest.fixture(scope="module")
def sam(make_tiny: Callable[[], Model]) -> Sam:
    return Sam(make_tiny())


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)


@pytest.fixture
def predictor(sam: Sam, photo: NDArray[np.uint8]) -> SamPredictor:
    made = SamPredictor(sam)
    made.set_image(photo)
    return made


def test_nothing_before_an_image_is_set(sam: Sam) -> None:
    predictor = SamPredictor(sam)
    assert not predictor.is_image_set
    message = "no image is set; call set_image before asking for masks or the embedding."
    for call in (
        lambda: predictor.predict(np.array([[1, 1]]), np.array([1])),
        lambda: predictor.predict_torch(None, None),
        predictor.get_image_embedding,
    ):
        with pytest.raises(ImageNotSetError, match=re.escape(message)):
            call()
    # As scripts for the reference catch it.
    with pytest.raises(RuntimeError):
        predictor.get_image_embedding()


def test_an_image_is_set_and_reset(predictor: SamPredictor) -> None:
    assert predictor.is_image_set
    assert predictor.original_size == (60, 100)
    assert predictor.input_size == (77, 128)
    assert predictor.get_image_embedding().shape == (1, 32, 8, 8)
    assert predictor.device == torch.device("cpu")
    predictor.reset_image()
    with pytest.raises(ImageNotSetError):
        predictor.get_image_embedding()


@pytest.mark.parametrize("size", [(60, 100), (128, 128), (100, 128), (300, 40)])
def test_blue_green_red_is_turned_round(sam: Sam, size: tuple[int, int]) -> None:
    # 128 is the input side: such an image is not resized, and must not keep a reversed view.
    photo = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    one, two = SamPredictor(sam), SamPredictor(sam)
    one.set_image(photo)
    two.set_image(photo[..., ::-1], image_format="BGR")
    assert torch.equal(one.get_image_embedding(), two.get_image_embedding())
    two.set_image(photo[..., ::-1])
    assert not torch.equal(one.get_image_embedding(), two.get_image_embedding())


def test_a_read_only_image_is_no_trouble(sam: Sam) -> None:
    photo = np.zeros((128, 128, 3), dtype=np.uint8)
    photo.flags.writeable = False
    SamPredictor(sam).set_image(photo)


@pytest.mark.parametrize("size", [(1, 1), (1, 1000), (1000, 1)])
def test_thin_images(sam: Sam, size: tuple[int, int]) -> None:
    predictor = SamPredictor(sam)
    predictor.set_image(np.full((*size, 3), 90, dtype=np.uint8))
    masks, _, _ = predictor.predict(np.array([[0, 0]]), np.array([1]))
    assert masks.shape == (3, *size)


def test_results_have_the_documented_shapes(predictor: SamPredictor) -> None:
    masks, scores, low_res = predictor.predict(np.array([[50, 30]]), np.array([1]))
    assert (masks.shape, str(masks.dtype)) == ((3, 60, 100), "bool")
    assert (scores.shape, str(scores.dtype)) == ((3,), "float32")
    assert (low_res.shape, str(low_res.dtype)) == ((3, 32, 32), "float32")
    logits, _, _ = predictor.predict(np.array([[50, 30]]), np.array([1]), return_logits=True)
    assert logits.dtype == np.float32
    np.testing.assert_array_equal(logits > 0, masks)
    one, _, _ = predictor.predict(box=np.array([5, 5, 50, 50]), multimask_output=False)
    assert one.shape == (1, 60, 100)


def test_no_prompt_at_all_is_answered_as_by_the_reference(predictor: SamPredictor) -> None:
    masks, scores, _ = predictor.predict()
    assert masks.shape == (3, 60, 100)
    assert np.isfinite(scores).all()


def test_a_batch_equals_single_calls(predictor: SamPredictor) -> None:
    boxes = np.array([[0, 0, 20, 30], [5, 5, 99, 59], [40, 10, 70, 40], [1, 2, 3, 4], [10, 20, 90, 30], [0, 0, 99, 59]])
    clicks = boxes[:, :2] + 1
    transform, size = predictor.transform, (60, 100)
    masks, scores, low_res = predictor.predict_torch(
        transform.apply_coords_torch(torch.from_numpy(clicks)[:, None], size),
        torch.ones((6, 1), dtype=torch.int),
        transform.apply_boxes_torch(torch.from_numpy(boxes), size),
    )
    assert masks.shape == (6, 3, 60, 100)
    for place in range(6):
        one = predictor.predict(clicks[place : place + 1], np.array([1]), boxes[place])
        np.testing.assert_allclose(scores[place].numpy(), one[1], atol=1e-5)
        np.testing.assert_allclose(low_res[place].numpy(), one[2], atol=1e-5)


def test_logits_go_back_in(predictor: SamPredictor) -> None:
    point, label = np.array([[50, 30]]), np.array([1])
    _, scores, low_res = predictor.predict(point, label)
    _, again, _ = predictor.predict(point, label, mask_input=low_res[:1])
    assert not np.allclose(scores, again, atol=1e-7)


def test_parameters_tuned_between_two_images_count(photo: NDArray[np.uint8], make_tiny: Callable[[], Model]) -> None:
    sam = Sam(make_tiny())
    predictor = SamPredictor(sam)
    predictor.set_image(photo)
    before = predictor.get_image_embedding()
    with torch.no_grad():
        for parameter in sam.image_encoder.parameters():
            parameter.mul_(1.1)
        resized = torch.from_numpy(predictor.transform.apply_image(photo)).permute(2, 0, 1)
        wanted = sam.image_encoder(sam.preprocess(resized)[None])
    predictor.set_image(photo)
    after = predictor.get_image_embedding()
    torch.testing.assert_close(after, wanted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(before, after, atol=1e-3)


def test_features_can_be_put_back(predictor: SamPredictor, sam: Sam) -> None:
    # Scripts cache embeddings by reading and writing these attributes.
    other = SamPredictor(sam)
    other.features = predictor.features
    other.original_size, other.input_size = predictor.original_size, predictor.input_size
    other.is_image_set = True
    box = np.array([5, 5, 50, 50])
    np.testing.assert_array_equal(other.predict(box=box)[2], predictor.predict(box=box)[2])


def test_refusals(predictor: SamPredictor, photo: NDArray[np.uint8]) -> None:
    with pytest.raises(ConfigError, match=re.escape("image_format must be RGB or BGR, got 'RGBA'.")):
        predictor.set_image(photo, image_format="RGBA")
    with pytest.raises(ImageError, match=re.escape("expected a non-empty [H, W, 3] uint8 RGB array")):
        predictor.set_image(photo[..., :1])
    message = "a transformed image must be [1, 3, h, w] with the long side 128, got [1, 3, 60, 100]."
    with pytest.raises(ImageError, match=re.escape(message)):
        predictor.set_torch_image(torch.zeros(1, 3, 60, 100), (60, 100))
    message = "point_labels must come with point_coords: 1 on the object, 0 off it; got none."
    with pytest.raises(PromptError, match=re.escape(message)):
        predictor.predict(np.array([[1, 1]]))
    with pytest.raises(PromptError, match=re.escape(message)):
        predictor.predict_torch(torch.zeros(1, 1, 2), None)
    with pytest.raises(
        PromptError, match=re.escape("predict takes one box [4], got 2; give several to predict_torch.")
    ):
        predictor.predict(box=np.array([[0, 0, 5, 5], [1, 1, 6, 6]]))
