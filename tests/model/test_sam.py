from collections.abc import Callable

import pytest
import torch

from segany.model.config import ModelConfig
from segany.model.sam import Sam
from segany.model.tiny_vit import TinyViT
from segany.model.vit import ViT

MakeSam = Callable[..., Sam]


def _answer(model: Sam) -> tuple[torch.Tensor, torch.Tensor]:
    side = model.config.input_side
    dtype = next(model.parameters()).dtype
    image = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(9)).to(dtype)
    coords = torch.tensor([[[side / 3, side / 2], [0, 0]], [[2, 3], [side / 2, side / 4]]])
    labels = torch.tensor([[1, -1], [2, 3]])
    prompts = model.prompt_encoder
    with torch.inference_mode():
        logits, iou = model.mask_decoder(
            model.image_encoder(image), prompts.dense_pe(), prompts.sparse(coords, labels), prompts.dense(None)
        )
    return logits, iou


@pytest.mark.parametrize(("name", "kind"), [("tiny_vit_b", ViT), ("tiny_mobile", TinyViT)])
def test_bfloat16_runs_and_stays_near(
    make_sam: MakeSam, request: pytest.FixtureRequest, name: str, kind: type[ViT | TinyViT]
) -> None:
    config: ModelConfig = request.getfixturevalue(name)
    model = make_sam(config)
    assert isinstance(model.image_encoder, kind)
    logits, iou = _answer(model.fuse())
    assert logits.shape == (2, 4, config.low_res_side, config.low_res_side)
    rough, rough_iou = _answer(model.bfloat16().fuse())
    assert rough.dtype == rough_iou.dtype == torch.bfloat16
    assert (rough - logits).norm() < 0.1 * logits.norm()
    assert (rough_iou - iou).norm() < 0.1 * iou.norm()
