"""Tuning strategies: which parameters learn, how fast, and what is done to the encoder meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from segany.model.sam import Sam
from segany.model.vit import ViT
from segany.train.config import TrainConfig
from segany.train.lora import add_lora, lora_layers

__all__ = ["Learning", "choose_parameters", "encoder_blocks", "parameter_groups", "regularized"]


class Learning(NamedTuple):
    """One parameter that learns.

    Attributes:
        name: In the model.
        parameter: Itself.
        pace: Its learning rate over the run's.
        decays: Whether weight decay applies: to products' weights, not to biases, norms and embeddings.
    """

    name: str
    parameter: nn.Parameter
    pace: float
    decays: bool


def choose_parameters(model: Sam, config: TrainConfig) -> list[Learning]:
    """Freeze a model but for what the strategy names; "lora" wraps the encoder's layers first.

    Args:
        model: Is changed.
        config: `tune` and its settings.

    Returns:
        What learns, in the model's order.
    """
    model.eval().requires_grad_(False)
    if config.tune == "lora" and not lora_layers(model):
        add_lora(model, config.lora_rank, config.lora_alpha, config.seed)
    wanted = _wanted(model, config)
    blocks = len(encoder_blocks(model))
    chosen = []
    for name, parameter in model.named_parameters():
        if not wanted(name):
            continue
        parameter.requires_grad_(True)
        pace = config.layer_decay ** (blocks - _depth(name, model)) if config.tune == "full" else 1.0
        chosen.append(
            Learning(name, parameter, pace, parameter.dim() > 1 and "embed" not in name and "token" not in name)
        )
    return chosen


def parameter_groups(learning: list[Learning], weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimizer, each with its own `pace`."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for one in learning:
        groups.setdefault((one.pace, one.decays), []).append(one.parameter)
    return [
        {"params": members, "pace": pace, "weight_decay": weight_decay if decays else 0.0}
        for (pace, decays), members in groups.items()
    ]


def encoder_blocks(model: Sam) -> list[nn.Module]:
    """The blocks of the image encoder, from the pixels up."""
    encoder = model.image_encoder
    if isinstance(encoder, ViT):
        return list(encoder.blocks)
    return [block for stage in encoder.layers for block in stage.blocks]  # type: ignore[union-attr]


@contextmanager
def regularized(model: Sam, config: TrainConfig) -> Iterator[None]:
    """Within it the encoder's blocks are passed over at random ("full") and keep no activations, as the config says.

    A block that is passed over gives what it got; what the others add is scaled up (arXiv 1603.09382).
    """
    blocks = encoder_blocks(model)
    handles = []
    if config.tune == "full" and config.drop_path:
        for number, block in enumerate(blocks, start=1):
            handles.append(block.register_forward_hook(partial(_pass_over, config.drop_path * number / len(blocks))))
    changed = blocks if config.trains_encoder and config.checkpoint_activations and config.tune != "distil" else []
    for block in changed:
        # On the instance: the class and the parameters' names stay as they are.
        block.__dict__["forward"] = partial(_recomputed, block.forward)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for block in changed:
            del block.__dict__["forward"]


def _wanted(model: Sam, config: TrainConfig) -> Callable[[str], bool]:
    if config.tune == "scores":
        return lambda name: name.startswith("mask_decoder.iou_prediction_head.")
    if config.tune == "decoder":
        return lambda name: name.startswith("mask_decoder.")
    if config.tune == "distil":
        return lambda name: name.startswith("image_encoder.")
    if config.tune == "full":
        return lambda name: True
    additions = {f"{name}.{part}" for name in lora_layers(model) for part in ("down", "up")}
    return lambda name: name in additions or (config.with_decoder and name.startswith("mask_decoder."))


def _depth(name: str, model: Sam) -> int:
    """0 for the patches, then the number of the block, and that of the last one for all that is above."""
    blocks = encoder_blocks(model)
    if not name.startswith("image_encoder."):
        return len(blocks)
    parts = name.split(".")
    if parts[1] in ("patch_embed", "pos_embed"):
        return 0
    if parts[1] == "blocks":
        return int(parts[2]) + 1
    if parts[1] == "layers":
        stages = [len(stage.blocks) for stage in model.image_encoder.layers]  # type: ignore[union-attr]
        before = sum(stages[: int(parts[2])])
        return before + (int(parts[4]) + 1 if parts[3] == "blocks" else stages[int(parts[2])])
    return len(blocks)


def _pass_over(share: float, _: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return output
    kept = torch.rand((), device="cpu").item() >= share
    return given[0] + (output - given[0]) / (1 - share) if kept and share < 1 else given[0] + 0 * output


def _recomputed(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return forward(x)
    result: Tensor = checkpoint(forward, x, use_reentrant=False)
    return result
