from collections.abc import Callable

import pytest
import torch

from segany.model.config import ModelConfig
from segany.model.prompt_encoder import PromptEncoder
from segany.model.sam import Sam

MakeSam = Callable[..., Sam]


@pytest.fixture
def encoder(make_sam: MakeSam, tiny_vit_b: ModelConfig) -> PromptEncoder:
    return make_sam(tiny_vit_b).prompt_encoder


def _kinds(encoder: PromptEncoder) -> list[torch.Tensor]:
    return [weight[0] for weight in encoder.point_embeddings.parameters()]


def test_a_click_on_a_cells_centre_has_that_cells_position(encoder: PromptEncoder) -> None:
    # Cells are 16 pixels wide; the centre of cell 2 lies between the pixels 39 and 40.
    coords = torch.tensor([[[39.5, 7.5]]])
    with torch.inference_mode():
        token = encoder.sparse(coords, torch.tensor([[1]]))[0, 0] - _kinds(encoder)[1]
        torch.testing.assert_close(token, encoder.dense_pe()[0, :, 0, 2], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("label", [0, 1, 2, 3])
def test_each_label_has_its_own_kind(encoder: PromptEncoder, label: int) -> None:
    coords = torch.tensor([[[3.0, 50.0], [3.0, 50.0]]])
    with torch.inference_mode():
        tokens = encoder.sparse(coords, torch.tensor([[label, 0]]))[0]
        kinds = _kinds(encoder)
        torch.testing.assert_close(tokens[0] - tokens[1], kinds[label] - kinds[0], atol=1e-6, rtol=1e-5)


def test_padding_has_no_place(encoder: PromptEncoder) -> None:
    with torch.inference_mode():
        tokens = encoder.sparse(torch.tensor([[[0.0, 0.0], [60.0, 9.0]]]), torch.tensor([[-1, -1]]))
    assert torch.equal(tokens, encoder.not_a_point_embed.weight.expand(1, 2, -1))


def test_no_tokens(encoder: PromptEncoder) -> None:
    tokens = encoder.sparse(torch.zeros(3, 0, 2), torch.zeros(3, 0, dtype=torch.int64))
    assert tokens.shape == (3, 0, 32)


def test_dense(encoder: PromptEncoder) -> None:
    with torch.inference_mode():
        nothing = encoder.dense(None)
        masks = encoder.dense(torch.randn(5, 16, 16))
    assert nothing.shape == (1, 32, 4, 4)
    assert torch.equal(nothing[0, :, 3, 1], encoder.no_mask_embed.weight[0])
    assert masks.shape == (5, 32, 4, 4)


def test_dense_cells_are_the_dense_map(encoder: PromptEncoder) -> None:
    with torch.inference_mode():
        for masks in (None, torch.randn(5, 16, 16)):
            maps = encoder.dense(masks)
            torch.testing.assert_close(encoder.dense_cells(masks), maps.flatten(2).transpose(1, 2))


def test_dense_pe_is_cached_and_follows_the_parameters(
    encoder: PromptEncoder, make_sam: MakeSam, tiny_vit_b: ModelConfig
) -> None:
    with torch.inference_mode():
        first = encoder.dense_pe()
    assert encoder.dense_pe() is first
    # Made under inference mode, used where gradients are recorded.
    scale = torch.ones(1, requires_grad=True)
    (gradient,) = torch.autograd.grad((first * scale).sum(), scale)
    torch.testing.assert_close(gradient[0], first.sum())
    other = make_sam(tiny_vit_b, seed=1).prompt_encoder
    encoder.load_state_dict(other.state_dict())
    assert torch.equal(encoder.dense_pe(), other.dense_pe())
    assert not torch.equal(encoder.dense_pe(), first)


def test_positions_stay_exact_in_bfloat16(encoder: PromptEncoder) -> None:
    exact = encoder.dense_pe()
    frequencies = encoder.pe_layer.positional_encoding_gaussian_matrix.clone()
    encoder.bfloat16()
    assert encoder.dense_pe().dtype == torch.bfloat16
    assert torch.equal(encoder.pe_layer.positional_encoding_gaussian_matrix, frequencies)
    assert torch.equal(encoder.dense_pe(), exact.bfloat16())
    tokens = encoder.sparse(torch.tensor([[[3.0, 50.0]]]), torch.tensor([[1]]))
    assert tokens.dtype == torch.bfloat16
    assert encoder.dense(torch.randn(1, 16, 16)).dtype == torch.bfloat16
