"""A student for `distil`: a small encoder that begins with a part of the large one's parameters."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from segany.model.config import TinyViTConfig
from segany.model.sam import Sam
from segany.train.config import TrainConfig

__all__ = ["calibrate", "make_student"]

_HEAD_WIDTH = 32


def make_student(original: Sam, config: TrainConfig) -> Sam:
    """A model with a small encoder and the original's decoder.

    Where the original's encoder has a layer of the same name and kind, the student takes its first channels (Xu et al.,
    "Initializing models with larger ones", arXiv 2311.18823); the rest is random.

    Args:
        original: Stays as it is.
        config: Widths and depths of the small encoder; the seed.
    """
    dims = config.student_dims
    heads = tuple(max(1, dim // _HEAD_WIDTH) for dim in dims)
    encoder = TinyViTConfig(dims=dims, depths=config.student_depths, heads=heads)  # type: ignore[arg-type]
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        student = Sam(replace(original.config, name=f"{original.config.name}-student", encoder=encoder))
    student.prompt_encoder.load_state_dict(original.prompt_encoder.state_dict())
    student.mask_decoder.load_state_dict(original.mask_decoder.state_dict())
    large = original.image_encoder.state_dict()
    small = student.image_encoder.state_dict()
    with torch.no_grad():
        for name, tensor in small.items():
            source = large.get(name)
            if source is not None and _covers(source, tensor):
                tensor.copy_(source[tuple(slice(size) for size in tensor.shape)])
    return student.eval()


@torch.no_grad()
def calibrate(student: Sam, inputs: Iterable[Tensor]) -> None:
    """Set the batch norms' statistics to those of some inputs; they stay so while the rest learns.

    Args:
        student: Is changed.
        inputs: [1, 3, S, S] each.
    """
    norms = [module for module in student.image_encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        # A plain mean over all inputs.
        norm.momentum = None
    student.image_encoder.train()
    for pixels in inputs:
        student.image_encoder(pixels)
    student.image_encoder.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _covers(large: Tensor, small: Tensor) -> bool:
    return large.dim() == small.dim() and all(a >= b for a, b in zip(large.shape, small.shape, strict=True))
