"""LoRA: narrow additions to linear layers (Hu et al., arXiv 2106.09685), merged into them or kept in a small file."""

import json
import math
import os
from pathlib import Path
from typing import Any, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segany.errors import CheckpointError, OutputError
from segany.files import atomic_path
from segany.model.checkpoint import model_digest
from segany.model.sam import Sam

__all__ = ["LoraLinear", "add_lora", "apply_lora", "lora_layers", "merge_lora", "save_lora"]

_KEY = "segany-lora"


class LoraLinear(nn.Module):
    """A linear layer that stays as it is, and a narrow one beside it that learns.

    Attributes:
        base: The layer.
        down: [rank, in], random at first.
        up: [out, rank], zero at first: nothing changes until it learns.
        scale: On what the two give.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float, generator: torch.Generator) -> None:
        """Wrap a layer; the generator draws on the CPU, so that every device starts alike."""
        super().__init__()
        self.base = base
        bound = math.sqrt(3 / base.in_features)
        down = torch.empty(rank, base.in_features).uniform_(-bound, bound, generator=generator)
        self.down = nn.Parameter(down.to(base.weight))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank).to(base.weight))
        self.scale = alpha / rank

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        beside = F.linear(F.linear(input, self.down), self.up)
        out: Tensor = self.base(input) + self.scale * beside
        return out

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The layer with the addition in its weight; the sum is made in float64 and rounded once."""
        change = self.scale * (self.up.double() @ self.down.double())
        self.base.weight.copy_((self.base.weight.double() + change).to(self.base.weight))
        return self.base


def add_lora(model: Sam, rank: int, alpha: float, seed: int = 0) -> list[str]:
    """Wrap every linear layer of the image encoder.

    Args:
        model: Is changed.
        rank: Inner width.
        alpha: The scale is this over the rank.
        seed: Of the additions' first values.

    Returns:
        Names of the wrapped layers, in order.
    """
    generator = torch.Generator().manual_seed(seed)
    names = [name for name, module in model.image_encoder.named_modules() if isinstance(module, nn.Linear)]
    for name in names:
        layer = cast(nn.Linear, model.image_encoder.get_submodule(name))
        _put(model.image_encoder, name, LoraLinear(layer, rank, alpha, generator))
    return [f"image_encoder.{name}" for name in names]


def lora_layers(model: nn.Module) -> dict[str, LoraLinear]:
    """The wrapped layers by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLinear)}


def merge_lora(model: Sam) -> None:
    """Put the additions into the layers' own weights; names are then those of a plain model."""
    for name, layer in lora_layers(model).items():
        _put(model, name, layer.merged())


def save_lora(model: Sam, path: str | os.PathLike[str], *, parent: str) -> None:
    """Write the additions alone, and the mask decoder, which may have been trained beside them.

    Args:
        model: With wrapped layers.
        path: The file.
        parent: Digest of the model that they were trained on.

    Raises:
        OutputError: It cannot be written.
    """
    layers = lora_layers(model)
    tensors: dict[str, Tensor] = {}
    for name, layer in layers.items():
        tensors |= {f"{name}.down": layer.down, f"{name}.up": layer.up}
    tensors |= {f"mask_decoder.{name}": tensor for name, tensor in model.mask_decoder.state_dict().items()}
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    card = {"parent": parent, "scales": {name: layer.scale for name, layer in layers.items()}}
    with atomic_path(path) as temporary:
        try:
            safetensors.torch.save_file(ready, temporary, metadata={_KEY: json.dumps(card, sort_keys=True)})
        except safetensors.SafetensorError as error:
            raise OutputError(f"cannot write {path}: {error}. Free some space or choose another folder.") from error


def apply_lora(model: Sam, path: str | os.PathLike[str]) -> None:
    """Merge a file of `save_lora` into the model that it was trained on.

    Raises:
        CheckpointError: Not such a file, or of another model.
    """
    tensors, card = _read(Path(path))
    if card["parent"] != model_digest(model):
        raise CheckpointError(
            f"{path} belongs to the model with the digest {card['parent'][:12]}, not to this one "
            f"({model_digest(model)[:12]}); load the model that it was trained on."
        )
    with torch.no_grad():
        for name, scale in card["scales"].items():
            weight = cast(nn.Linear, model.get_submodule(name)).weight
            change = scale * (tensors[f"{name}.up"].double() @ tensors[f"{name}.down"].double())
            weight.copy_((weight.double() + change.to(weight.device)).to(weight))
    prefix = "mask_decoder."
    decoder = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    model.mask_decoder.load_state_dict(decoder)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            card = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"cannot read {path}: {error}. Copy or train it again.") from error
    if card is None:
        raise CheckpointError(f"{path} holds no LoRA of segany; give adapter.safetensors of a run with --tune lora.")
    return tensors, json.loads(card)


def _put(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
