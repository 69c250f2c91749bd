from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from segany.model.config import ModelConfig
from segany.model.mask_decoder import MaskDecoder
from segany.model.sam import Sam

MakeSam = Callable[..., Sam]


@pytest.fixture
def decoder(make_sam: MakeSam, tiny_vit_b: ModelConfig) -> MaskDecoder:
    return make_sam(tiny_vit_b).mask_decoder


def _inputs(prompts: int, tokens: int, dense: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(prompts * 10 + tokens)
    shapes = [(1, 32, 4, 4), (1, 32, 4, 4), (prompts, tokens, 32), (dense, 32, 4, 4)]
    image, position, sparse, mask = (torch.randn(shape, generator=generator) for shape in shapes)
    return image, position, sparse, mask


@pytest.mark.parametrize(("prompts", "tokens"), [(1, 2), (3, 5), (2, 0)])
def test_shapes(decoder: MaskDecoder, prompts: int, tokens: int) -> None:
    with torch.inference_mode():
        logits, iou = decoder(*_inputs(prompts, tokens))
    assert logits.shape == (prompts, 4, 16, 16)
    assert iou.shape == (prompts, 4)


def test_the_halves_make_the_whole(decoder: MaskDecoder) -> None:
    inputs = _inputs(3, 2)
    with torch.inference_mode():
        logits, iou = decoder(*inputs)
        decoded = decoder.tokens(*inputs)
        assert decoded.mask_tokens.shape == (3, 4, 32)
        assert decoded.keys.shape == (3, 16, 32)
        assert torch.equal(decoded.iou_predictions, iou)
        assert torch.equal(decoder.masks(decoded.mask_tokens, decoded.keys), logits)


@pytest.mark.parametrize("indices", [[0], (1, 2, 3), torch.tensor([[2, 0], [1, 1], [3, 2]])], ids=["0", "1-3", "each"])
def test_only_the_masks_asked_for(decoder: MaskDecoder, indices: Tensor | list[int]) -> None:
    inputs = _inputs(3, 2)
    with torch.inference_mode():
        logits, _ = decoder(*inputs)
        decoded = decoder.tokens(*inputs)
        some = decoder.masks(decoded.mask_tokens, decoded.keys, indices)
    wanted = torch.as_tensor(indices).expand(3, -1)
    expected = torch.stack([logits[prompt, rows] for prompt, rows in enumerate(wanted)])
    torch.testing.assert_close(some, expected, atol=1e-5, rtol=1e-5)


def test_sharing_the_image_gives_what_copies_give(decoder: MaskDecoder) -> None:
    image, position, sparse, mask = _inputs(3, 4)
    copies = image.expand(3, -1, -1, -1).clone(), position, sparse, mask.expand(3, -1, -1, -1).clone()
    with torch.inference_mode():
        shared = decoder(image, position, sparse, mask)
        copied = decoder(*copies)
    for one, other in zip(shared, copied, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_each_prompt_reads_its_own_mask(decoder: MaskDecoder) -> None:
    image, position, sparse, masks = _inputs(3, 2, dense=3)
    with torch.inference_mode():
        together, _ = decoder(image, position, sparse, masks)
        for prompt in range(3):
            alone, _ = decoder(image, position, sparse[prompt, None], masks[prompt, None])
            torch.testing.assert_close(together[prompt], alone[0], atol=1e-4, rtol=1e-4)


def test_upscaling_cell_by_cell_is_the_two_transposed_convolutions(decoder: MaskDecoder) -> None:
    cells = torch.randn(2, 16, 32, generator=torch.Generator().manual_seed(6))
    convolutions = nn.Sequential(*decoder.output_upscaling)
    with torch.inference_mode():
        image = convolutions(cells.transpose(1, 2).reshape(2, 32, 4, 4))
        tokens = torch.randn(2, 4, 32)
        heads = [head(tokens[:, index]) for index, head in enumerate(decoder.output_hypernetworks_mlps)]
        expected = torch.einsum("pkc,pcyx->pkyx", torch.stack(heads, 1), image)
        torch.testing.assert_close(decoder.masks(tokens, cells), expected, atol=1e-4, rtol=1e-4)


def test_gradients_reach_every_parameter(decoder: MaskDecoder) -> None:
    logits, iou = decoder(*_inputs(2, 2))
    (logits.square().sum() + iou.square().sum()).backward()
    assert [name for name, parameter in decoder.named_parameters() if parameter.grad is None] == []
