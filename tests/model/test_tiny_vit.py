import math
from collections.abc import Callable

import pytest
import torch

from segany.model.checkpoint import model_digest
from segany.model.config import ModelConfig, TinyViTConfig
from segany.model.sam import Sam
from segany.model.tiny_vit import TinyViT, _Attention

MakeSam = Callable[..., Sam]


@pytest.mark.parametrize("side", [16, 48, 128, 240])
def test_any_input_side(make_sam: MakeSam, tiny_mobile: ModelConfig, side: int) -> None:
    encoder = make_sam(tiny_mobile).image_encoder
    with torch.inference_mode():
        stages = encoder.stages(torch.randn(2, 3, side, side))
    cells = side // 16
    assert stages.embedding.shape == (2, 32, cells, cells)
    assert stages.l1 is not None
    assert stages.l2 is not None
    assert stages.l1.shape == (2, 24, cells, cells)
    assert stages.l2.shape == (2, 32, cells, cells)


def test_pointwise_stem_keeps_the_side() -> None:
    encoder = TinyViT(TinyViTConfig((8, 8, 8, 8), (1, 1, 1, 1), (1, 1, 1, 1), stem_kernel=1), 16).eval()
    with torch.inference_mode():
        assert encoder(torch.randn(1, 3, 32, 32)).shape == (1, 16, 8, 8)


def test_an_image_does_not_see_the_others_of_its_batch(make_sam: MakeSam, tiny_mobile: ModelConfig) -> None:
    encoder = make_sam(tiny_mobile).fuse().image_encoder
    images = torch.randn(3, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        together = encoder(images)
        alone = torch.cat([encoder(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_fusing_changes_neither_results_nor_parameters(make_sam: MakeSam, tiny_mobile: ModelConfig) -> None:
    model = make_sam(tiny_mobile)
    images = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(2))
    digest = model_digest(model)
    with torch.inference_mode():
        plain = model.image_encoder.stages(images)
        fused = model.fuse().image_encoder.stages(images)
    for before, after in zip(plain, fused, strict=True):
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert model_digest(model) == digest


def _is_fused(model: Sam) -> set[bool]:
    return {tensor is not None for name, tensor in _buffers(model) if name.endswith("folded_bias")}


def _buffers(model: Sam) -> list[tuple[str, torch.Tensor | None]]:
    return [(name, tensor) for module in model.modules() for name, tensor in module._buffers.items()]


def test_training_and_loading_drop_what_was_fused(make_sam: MakeSam, tiny_mobile: ModelConfig) -> None:
    model = make_sam(tiny_mobile).fuse()
    assert _is_fused(model) == {True}
    assert _is_fused(model.train()) == {False}
    other = make_sam(tiny_mobile, seed=1)
    model.eval().fuse().load_state_dict(other.state_dict())
    assert _is_fused(model) == {False}
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(model.image_encoder(images), other.image_encoder(images))


def test_gradients_reach_a_fused_model(make_sam: MakeSam, tiny_mobile: ModelConfig) -> None:
    encoder = make_sam(tiny_mobile).fuse().image_encoder
    encoder(torch.randn(1, 3, 64, 64)).square().sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


def test_attention_adds_the_bias_of_each_offset() -> None:
    torch.manual_seed(3)
    attention = _Attention(dim=8, heads=2, window=3)
    torch.nn.init.normal_(attention.attention_biases)
    x = torch.randn(1, 9, 8)
    with torch.inference_mode():
        qkv = attention.qkv(attention.norm(x))[0].view(9, 2, 3, 4)
        heads = []
        for head in range(2):
            query, key, value = qkv[:, head].unbind(1)
            scores = query @ key.T / math.sqrt(4)
            for here in range(9):
                for there in range(9):
                    dy, dx = abs(here // 3 - there // 3), abs(here % 3 - there % 3)
                    scores[here, there] += attention.attention_biases[head, dy * 3 + dx]
            heads.append(scores.softmax(-1) @ value)
        expected = attention.proj(torch.cat(heads, -1))
        torch.testing.assert_close(attention(x)[0], expected)
        attention.fuse()
        torch.testing.assert_close(attention(x)[0], expected)
