"""Which parameters learn: exactly those that the strategy names, each by name."""

from collections.abc import Callable

import pytest
import torch

from segany.model.sam import Sam
from segany.train import TrainConfig
from segany.train.strategies import choose_parameters, encoder_blocks, parameter_groups, regularized

Make = Callable[..., TrainConfig]


def learn(model: Sam, config: TrainConfig) -> set[str]:
    """Names of the parameters that a loss over everything reaches."""
    chosen = choose_parameters(model, config)
    encoder, decoder = model.prompt_encoder, model.mask_decoder
    with regularized(model, config):
        embedding = model.image_encoder(torch.rand(1, 3, 128, 128))
        for labels, logits in (([1, -1], None), ([0, 1], torch.rand(1, 32, 32)), ([2, 3], None)):
            sparse = encoder.sparse(torch.rand(1, 2, 2) * 100, torch.tensor([labels]))
            masks, scores = decoder(embedding, encoder.dense_pe(), sparse, encoder.dense(logits))
            embedding_loss = embedding.square().mean()
            ((masks**2).mean() + scores.sum() + embedding_loss).backward(retain_graph=True)
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == {one.name for one in chosen}
    return reached


def test_scores_reach_the_iou_head_alone(tiny: Sam, make_config: Make) -> None:
    reached = learn(tiny, make_config(tune="scores"))
    assert reached == {f"mask_decoder.{name}" for name, _ in tiny.mask_decoder.named_parameters() if "iou_pred" in name}


def test_decoder_reaches_the_mask_decoder_alone(tiny: Sam, make_config: Make) -> None:
    reached = learn(tiny, make_config(tune="decoder"))
    assert reached == {f"mask_decoder.{name}" for name, _ in tiny.mask_decoder.named_parameters()}


@pytest.mark.parametrize("with_decoder", [True, False])
def test_lora_reaches_its_additions_and_the_decoder_if_asked(tiny: Sam, make_config: Make, with_decoder: bool) -> None:
    plain = {name for name, _ in tiny.named_parameters()}
    reached = learn(tiny, make_config(tune="lora", with_decoder=with_decoder, checkpoint_activations=False))
    assert {name for name in reached if name.startswith("image_encoder.")} == {
        name for name, _ in tiny.named_parameters() if name.endswith((".down", ".up"))
    }
    assert {name for name in reached if not name.startswith("image_encoder.")} == (
        {name for name in plain if name.startswith("mask_decoder.")} if with_decoder else set()
    )


@pytest.mark.parametrize("recompute", [True, False])
def test_full_reaches_everything(tiny: Sam, make_config: Make, recompute: bool) -> None:
    reached = learn(tiny, make_config(tune="full", drop_path=0.0, checkpoint_activations=recompute))
    assert reached == {name for name, _ in tiny.named_parameters()}


def test_distil_reaches_the_encoder_alone(tiny: Sam, make_config: Make) -> None:
    reached = learn(tiny, make_config(tune="distil"))
    assert reached == {f"image_encoder.{name}" for name, _ in tiny.image_encoder.named_parameters()}


def test_recomputing_gives_the_same_gradients(make_config: Make, tiny: Sam) -> None:
    gradients = []
    for recompute in (True, False):
        config = make_config(tune="full", drop_path=0.5, checkpoint_activations=recompute)
        choose_parameters(tiny, config)
        tiny.zero_grad()
        torch.manual_seed(3)
        with regularized(tiny, config):
            tiny.image_encoder(torch.ones(1, 3, 128, 128)).square().mean().backward()
        gradients.append([None if p.grad is None else p.grad.clone() for p in tiny.image_encoder.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one, other)
    assert not any("forward" in block.__dict__ for block in encoder_blocks(tiny))


def test_layers_learn_slower_the_deeper_they_are(tiny: Sam, make_config: Make) -> None:
    chosen = choose_parameters(tiny, make_config(tune="full", layer_decay=0.5))
    paces = {one.name: one.pace for one in chosen}
    assert paces["mask_decoder.iou_token.weight"] == 1
    assert paces["image_encoder.patch_embed.seq.0.c.weight"] == 0.5 ** len(encoder_blocks(tiny))
    by_depth = [
        paces[f"image_encoder.layers.{k}.blocks.0." + ("conv1.c.weight" if k == 0 else "mlp.fc1.weight")]
        for k in range(4)
    ]
    assert by_depth == sorted(by_depth)
    assert len(set(by_depth)) == 4


def test_biases_and_norms_do_not_decay(tiny: Sam, make_config: Make) -> None:
    groups = parameter_groups(choose_parameters(tiny, make_config(tune="decoder")), 0.1)
    assert {group["weight_decay"] for group in groups} == {0.0, 0.1}
    for group in groups:
        if group["weight_decay"]:
            assert all(parameter.dim() > 1 for parameter in group["params"])
