"""Scripts as people wrote them for the reference, run after one changed import line."""

import re
from typing import Any

import numpy as np
import pytest

from segany import Predictor, Prompt, weights
from segany.model.checkpoint import load_sam
from segany.predict.backends.torch import TorchBackend

CLICKS_AND_BOX = """
import cv2
import numpy as np
from segment_anything import SamPredictor, sam_model_registry

image = cv2.cvtColor(cv2.imread(PHOTO), cv2.COLOR_BGR2RGB)
sam = sam_model_registry["vit_t"](checkpoint=CHECKPOINT)
sam.to(device="cpu")
sam.eval()
predictor = SamPredictor(sam)
predictor.set_image(image)

masks, scores, logits = predictor.predict(
    point_coords=np.array([[300, 180]]),
    point_labels=np.array([1]),
    multimask_output=True,
)
best = logits[np.argmax(scores), :, :]
again, again_scores, _ = predictor.predict(
    point_coords=np.array([[300, 180], [60, 60]]),
    point_labels=np.array([1, 0]),
    mask_input=best[None, :, :],
    multimask_output=False,
)
boxed, boxed_scores, _ = predictor.predict(
    point_coords=None,
    point_labels=None,
    box=np.array([150, 60, 460, 300])[None, :],
    multimask_output=False,
)
"""

BOXES_IN_ONE_CALL = """
import numpy as np
import torch
from PIL import Image
from mobile_sam import sam_model_registry, SamPredictor

image = np.array(Image.open(PHOTO).convert("RGB"))
mobile_sam = sam_model_registry["vit_t"](checkpoint=CHECKPOINT)
mobile_sam.eval()
predictor = SamPredictor(mobile_sam)
predictor.set_image(image)
input_boxes = torch.tensor([[150, 60, 460, 300], [0, 0, 200, 399], [30, 30, 330, 330]], device=predictor.device)
transformed_boxes = predictor.transform.apply_boxes_torch(input_boxes, image.shape[:2])
masks, scores, low_res = predictor.predict_torch(
    point_coords=None,
    point_labels=None,
    boxes=transformed_boxes,
    multimask_output=False,
)
embedding = predictor.get_image_embedding()
"""

END_TO_END = """
import numpy as np
import torch
from PIL import Image
from segment_anything import sam_model_registry, SamPredictor, ResizeLongestSide

sam = sam_model_registry["vit_t"](checkpoint=CHECKPOINT).to("cpu")
resize_transform = ResizeLongestSide(sam.image_encoder.img_size)

def prepare_image(image, transform, device):
    image = transform.apply_image(image)
    image = torch.as_tensor(image, device=device.device)
    return image.permute(2, 0, 1).contiguous()

image = np.array(Image.open(PHOTO).convert("RGB"))
boxes = torch.tensor([[150, 60, 460, 300], [30, 30, 330, 330]], device=sam.device)
points = torch.tensor([[[75, 90]]], device=sam.device)
batched_input = [
    {
        "image": prepare_image(image, resize_transform, sam),
        "boxes": resize_transform.apply_boxes_torch(boxes, image.shape[:2]),
        "original_size": image.shape[:2],
    },
    {
        "image": prepare_image(image[:200, :150], resize_transform, sam),
        "point_coords": resize_transform.apply_coords_torch(points, (200, 150)),
        "point_labels": torch.ones((1, 1)),
        "original_size": (200, 150),
    },
]
batched_output = sam(batched_input, multimask_output=True)
"""

TUNE_THE_DECODER = """
import torch
import torch.nn.functional as F
from segment_anything import sam_model_registry

torch.manual_seed(0)
sam_model = sam_model_registry["vit_t"](checkpoint=CHECKPOINT)
sam_model.train()
for parameter in sam_model.image_encoder.parameters():
    parameter.requires_grad = False
optimizer = torch.optim.AdamW(sam_model.mask_decoder.parameters(), lr=1e-4)
image_embedding = torch.randn(1, 256, 64, 64) * 0.1
target = torch.zeros(1, 1, 256, 256)
target[..., 64:128, 64:128] = 1
losses = []
for step in range(3):
    with torch.no_grad():
        sparse_embeddings, dense_embeddings = sam_model.prompt_encoder(
            points=None,
            boxes=torch.tensor([[[256.0, 256.0, 512.0, 512.0]]]),
            masks=None,
        )
    low_res_masks, iou_predictions = sam_model.mask_decoder(
        image_embeddings=image_embedding,
        image_pe=sam_model.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse_embeddings,
        dense_prompt_embeddings=dense_embeddings,
        multimask_output=False,
    )
    loss = F.binary_cross_entropy_with_logits(low_res_masks, target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
"""


def run(script: str) -> dict[str, Any]:
    """Change the import line, and nothing else, and run."""
    changed, lines = re.subn(
        r"^from (segment_anything|mobile_sam) import", "from segany.compat import", script, flags=re.M
    )
    assert lines == 1
    names: dict[str, Any] = {
        "PHOTO": str(weights.sample("coffee")),
        "CHECKPOINT": str(weights.path("mobile_sam")),
    }
    exec(compile(changed, "<script>", "exec"), names)
    return names


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(backend=TorchBackend(load_sam(weights.path("mobile_sam")), device="cpu", precision="float32"))


def test_clicks_logits_and_a_box(predictor: Predictor) -> None:
    names = run(CLICKS_AND_BOX)
    embedding = predictor.embed(weights.sample("coffee"))
    click = predictor.predict(embedding, Prompt(points=[[300, 180]]), multimask=True)
    assert names["masks"].shape == (3, 400, 600)
    assert names["masks"].dtype == np.bool_
    np.testing.assert_allclose(names["scores"], click.iou_predictions, atol=1e-4)
    np.testing.assert_allclose(names["logits"], click.low_res_logits, atol=2e-3)
    np.testing.assert_array_equal(names["masks"], click.masks())

    prompt = Prompt(points=[[300, 180], [60, 60]], labels=[1, 0], mask_logits=click.low_res_logits[click.best_index])
    again = predictor.predict(embedding, prompt, multimask=False)
    np.testing.assert_allclose(names["again_scores"], again.iou_predictions, atol=1e-4)
    assert np.count_nonzero(names["again"] != again.masks()) <= 2

    boxed = predictor.predict(embedding, Prompt(box=[150, 60, 460, 300]), multimask=False)
    np.testing.assert_allclose(names["boxed_scores"], boxed.iou_predictions, atol=1e-4)
    np.testing.assert_array_equal(names["boxed"], boxed.masks())


def test_boxes_in_one_call(predictor: Predictor) -> None:
    names = run(BOXES_IN_ONE_CALL)
    assert names["masks"].shape == (3, 1, 400, 600)
    assert names["embedding"].shape == (1, 256, 64, 64)
    prompts = [Prompt(box=box) for box in names["input_boxes"].tolist()]
    ours = predictor.predict_many(predictor.embed(weights.sample("coffee")), prompts, multimask=False)
    for place, prediction in enumerate(ours):
        np.testing.assert_allclose(names["scores"][place].numpy(), prediction.iou_predictions, atol=1e-4)
        np.testing.assert_allclose(names["low_res"][place].numpy(), prediction.low_res_logits, atol=2e-3)
        assert np.count_nonzero(names["masks"][place].numpy() != prediction.masks()) <= 2


def test_images_and_prompts_in_one_go(predictor: Predictor) -> None:
    names = run(END_TO_END)
    boxes, click = names["batched_output"]
    assert set(boxes) == {"masks", "iou_predictions", "low_res_logits"}
    assert boxes["masks"].shape == (2, 3, 400, 600)
    assert click["masks"].shape == (1, 3, 200, 150)
    assert click["low_res_logits"].shape == (1, 3, 256, 256)
    ours = predictor.predict(predictor.embed(names["image"][:200, :150]), Prompt(points=[[75, 90]]), multimask=True)
    np.testing.assert_allclose(click["iou_predictions"][0].numpy(), ours.iou_predictions, atol=1e-4)
    assert np.count_nonzero(click["masks"][0].numpy() != ours.masks()) <= 2


def test_the_decoder_can_be_tuned() -> None:
    names = run(TUNE_THE_DECODER)
    first, _, last = names["losses"]
    assert last < first
    assert all(parameter.grad is None for parameter in names["sam_model"].image_encoder.parameters())
