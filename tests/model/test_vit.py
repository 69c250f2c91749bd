from collections.abc import Callable

import pytest
import torch

from segany.model import vit
from segany.model.config import ModelConfig
from segany.model.sam import Sam

MakeSam = Callable[..., Sam]


@pytest.mark.parametrize("side", [16, 48, 64, 112])
def test_any_input_side(make_sam: MakeSam, tiny_vit_b: ModelConfig, side: int) -> None:
    encoder = make_sam(tiny_vit_b).image_encoder
    with torch.inference_mode():
        stages = encoder.stages(torch.randn(2, 3, side, side))
    assert stages.embedding.shape == (2, 32, side // 16, side // 16)
    assert stages.l1 is None
    assert stages.l2 is None
    assert stages.embedding.isfinite().all()


def test_positions_of_the_trained_side_are_not_touched(make_sam: MakeSam, tiny_vit_b: ModelConfig) -> None:
    encoder = make_sam(tiny_vit_b).image_encoder
    assert isinstance(encoder, vit.ViT)
    assert encoder._positions(4, 4) is encoder.pos_embed


def test_constant_positions_stay_constant_at_another_side(make_sam: MakeSam, tiny_vit_b: ModelConfig) -> None:
    encoder = make_sam(tiny_vit_b).image_encoder
    assert isinstance(encoder, vit.ViT)
    torch.nn.init.constant_(encoder.pos_embed, 0.25)
    with torch.inference_mode():
        torch.testing.assert_close(encoder._positions(7, 5), torch.full((1, 7, 5, 32), 0.25))


def test_relative_table_reads_the_row_of_each_offset() -> None:
    rows = torch.arange(7.0)[:, None]
    table = vit._relative_table(rows, 4)[..., 0]
    for query in range(4):
        for key in range(4):
            assert table[query, key] == query - key + 3


def test_relative_table_interpolates_for_another_side() -> None:
    # A table that grows evenly with the offset must do so for any side.
    table = vit._relative_table(torch.linspace(-1, 1, 127)[:, None], 8)[..., 0]
    assert table.shape == (8, 8)
    torch.testing.assert_close(table.diagonal(), torch.zeros(8), atol=1e-6, rtol=0)
    steps = table[1:, 0] - table[:-1, 0]
    torch.testing.assert_close(steps[:-1], steps[:1].expand(6), atol=1e-5, rtol=0)


def test_groups_of_heads_give_the_same(
    make_sam: MakeSam, tiny_vit_b: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = make_sam(tiny_vit_b).image_encoder
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        whole = encoder(images)
        monkeypatch.setattr(vit, "_BIAS_BUDGET", 1)
        torch.testing.assert_close(encoder(images), whole, rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_parameter(make_sam: MakeSam, tiny_vit_b: ModelConfig) -> None:
    encoder = make_sam(tiny_vit_b).image_encoder
    encoder(torch.randn(1, 3, 64, 64)).square().sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []
