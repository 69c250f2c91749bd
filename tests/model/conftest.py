"""Small and random models, made quickly."""

from collections.abc import Callable

import pytest
import torch

from segany.model.config import ModelConfig, PreprocessConfig, TinyViTConfig, ViTConfig
from segany.model.sam import Sam

MakeSam = Callable[..., Sam]


def _fill(model: Sam, seed: int) -> Sam:
    """Random values of a size that keeps every layer's output near 1, so that no part hides another's mistake."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            tensor.zero_()
            continue
        if name.endswith("gaussian_matrix"):
            tensor.normal_(generator=generator)
        elif name.endswith("running_var") or ("norm" in name and name.endswith("weight")):
            tensor.uniform_(0.7, 1.3, generator=generator)
        elif "rel_pos" in name or "attention_biases" in name:
            tensor.uniform_(-0.5, 0.5, generator=generator)
        elif tensor.dim() < 2 or "embed" in name or "token" in name:
            tensor.uniform_(-0.2, 0.2, generator=generator)
        else:
            bound = (3 / tensor[0].numel()) ** 0.5
            tensor.uniform_(-bound, bound, generator=generator)
    return model.eval()


@pytest.fixture(scope="session")
def make_sam() -> MakeSam:
    """Make a random model of a config."""

    def make(config: ModelConfig, seed: int = 0) -> Sam:
        # Without the layers' own random values, which cost seconds for the large models.
        with torch.device("meta"):
            model = Sam(config)
        return _fill(model.to_empty(device="cpu"), seed)

    return make


@pytest.fixture(scope="session")
def tiny_vit_b() -> ModelConfig:
    """A plain ViT with every part of the large ones: windows that need padding, global blocks."""
    encoder = ViTConfig(dim=32, depth=3, heads=2, global_blocks=(1,), window=3, pretrain_side=64)
    return ModelConfig("tiny", encoder, PreprocessConfig(input_side=64), 32, decoder_heads=4, decoder_mlp_dim=64)


@pytest.fixture(scope="session")
def tiny_mobile() -> ModelConfig:
    """A TinyViT with every part of the real one."""
    encoder = TinyViTConfig(dims=(8, 16, 24, 32), depths=(1, 2, 1, 1), heads=(1, 2, 3, 4), windows=(7, 7, 5, 7))
    return ModelConfig("tiny", encoder, PreprocessConfig(input_side=128), 32, decoder_heads=4, decoder_mlp_dim=64)
