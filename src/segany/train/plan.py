"""Plan: what a run will do, how long it takes and what it needs, before it starts."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from segany.errors import ConfigError
from segany.memory import left_in_container
from segany.model.config import TinyViTConfig
from segany.model.sam import Sam
from segany.train.config import TrainConfig
from segany.train.data import Samples
from segany.train.interaction import interact
from segany.train.strategies import Learning
from segany.train.targets import Targets

__all__ = ["Plan", "available_bytes", "check_fits", "make_plan"]

# Bytes that the activations of one prompt's decoding take for each number of the image's cells and channels, and that
# those of the encoder take for each pixel of its input: measured on the published models, in float32.
_DECODER_BYTES = 115.0
_CHUNK = 4
_TINY_BYTES_PER_PIXEL = 2400.0
_KEPT_SHARE = 0.6
# Estimated: a ViT-B's biases of relative positions alone are 0.8 GB for each of its four global blocks.
_VIT_BYTES_PER_PIXEL = 12000.0
# Torch, the runtime that embeds, and what everything else needs.
_BASE_BYTES = 1.2e9
_EMBEDDING_HELD = 256
_WHAT = {
    "scores": "the IoU head alone",
    "decoder": "the mask decoder, on embeddings that are made once",
    "lora": "narrow additions to the encoder's linear layers",
    "full": "all parameters",
    "distil": "a small encoder that imitates the model's own",
}


@dataclass(frozen=True)
class Plan:
    """What lies ahead.

    Attributes:
        what: In words.
        trained: Parameters that learn.
        parameters: Parameters in all.
        train_images: Images to learn from.
        val_images: Images to validate on.
        masks: Masks to learn from.
        steps: Steps that are left.
        embeddings: Views that have to be embedded first, at most.
        seconds: Predicted time for all of it.
        memory_bytes: Predicted need.
        available_bytes: What there is.
    """

    what: str
    trained: int
    parameters: int
    train_images: int
    val_images: int
    masks: int
    steps: int
    embeddings: int
    seconds: float
    memory_bytes: int
    available_bytes: int

    def sentences(self) -> list[str]:
        """For people."""
        return [
            f"trains {self.what}: {self.trained / 1e6:.2f} M of {self.parameters / 1e6:.2f} M parameters",
            f"learns from {self.masks:,} masks of {self.train_images:,} images; validates on {self.val_images:,}",
            f"{self.steps:,} steps, about {self.seconds / 60:.0f} minutes with up to {self.embeddings:,} embeddings",
            f"needs about {self.memory_bytes / 1e9:.1f} GB of memory; {self.available_bytes / 1e9:.1f} GB are free",
        ]


def make_plan(
    model: Sam, learning: Sequence[Learning], config: TrainConfig, samples: Samples, device: torch.device, steps: int
) -> Plan:
    """Predict; the time of a step is measured on one chunk of prompts, and changes nothing.

    Args:
        model: With what learns chosen.
        learning: That.
        config: Of the run.
        samples: Of the run.
        device: Where it runs.
        steps: That are left.
    """
    trained = sum(one.parameter.numel() for one in learning)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    side = model.config.input_side
    per_prompt = model.config.embedding_side**2 * model.config.embed_dim * _DECODER_BYTES
    per_pixel = _TINY_BYTES_PER_PIXEL if isinstance(model.config.encoder, TinyViTConfig) else _VIT_BYTES_PER_PIXEL
    kept = _KEPT_SHARE if config.checkpoint_activations and config.tune != "distil" else 1.0
    encoder = side**2 * per_pixel * kept if config.trains_encoder else 0.0
    views = len(samples.train) * config.views + len(samples.val)
    held = min(views, _EMBEDDING_HELD) * 4 * model.config.embed_dim * model.config.embedding_side**2
    memory = _BASE_BYTES + 4 * (2 * parameters + 4 * trained) + _CHUNK * per_prompt + encoder + held
    decode, encode = _measured(model, config, device)
    keeps = (config.keep_weight > 0) / config.keep_every
    rounds = config.lone_share + (1 - config.lone_share) * config.interactions
    prompts = config.objects_per_image * rounds + 1.3 * 2 * config.keep_clicks * keeps
    per_image = decode * prompts + encode * (1 + keeps)
    embeddings = (len(samples.train) * config.views if not config.trains_encoder else 0) + len(samples.val)
    validations = steps // config.val_every + 2
    seconds = (
        steps * config.images_per_step / config.devices * per_image
        + (5 if config.keep_weight else 1) * config.refit_objects * decode / 3
        + validations * min(config.val_objects, 10 * len(samples.val)) * 5 * decode / 3
        + embeddings * max(encode, 0.4)
    )
    return Plan(
        what=_WHAT[config.tune] + (", and the mask decoder" if config.tune == "lora" and config.with_decoder else ""),
        trained=trained,
        parameters=parameters,
        train_images=len(samples.train),
        val_images=len(samples.val),
        masks=sum(len(sample.annotations) for sample in samples.train),
        steps=steps,
        embeddings=embeddings,
        seconds=seconds,
        memory_bytes=int(memory * config.devices),
        available_bytes=available_bytes(device),
    )


def check_fits(plan: Plan, config: TrainConfig) -> None:
    """Refuse a run that will not fit. Raises ConfigError with what to change."""
    if plan.memory_bytes <= plan.available_bytes:
        return
    advice = ["close other programs"]
    if config.devices > 1:
        advice.insert(0, f"use fewer devices than {config.devices}")
    if config.trains_encoder and config.tune != "distil":
        if not config.checkpoint_activations:
            advice.insert(0, "set checkpoint_activations=true")
        advice.append("use --tune decoder, which keeps the encoder")
    raise ConfigError(
        f"this run needs about {plan.memory_bytes / 1e9:.1f} GB of memory and {plan.available_bytes / 1e9:.1f} GB are "
        f"free: {', or '.join(advice)}; or leave the check out with --unchecked."
    )


def available_bytes(device: torch.device) -> int:
    """Free memory of the device that computes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    free, left = int(psutil.virtual_memory().available), left_in_container()
    return free if left is None else min(free, left)


def _measured(model: Sam, config: TrainConfig, device: torch.device) -> tuple[float, float]:
    """Seconds for one prompt of one round, and for one image through an encoder that learns."""
    side = model.config.low_res_side
    masks = torch.zeros(2, side, side)
    masks[:, side // 4 : side // 2, side // 4 : side // 2] = 1
    targets = Targets(masks, torch.ones(side, side), torch.tensor([[10.0, 10.0, 100.0, 100.0]] * 2)).to(device)
    embedding = torch.zeros(1, model.config.embed_dim, *[model.config.embedding_side] * 2, device=device)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        rounds = 0
        for round_ in interact(model, embedding, targets, _short(config), np.random.default_rng(0)):
            if round_.loss.requires_grad:
                torch.autograd.backward(round_.loss)
            rounds += 1
        seconds.append((time.perf_counter() - start) / (rounds * len(targets)))
    encode = 0.0
    if config.trains_encoder:
        start = time.perf_counter()
        image = torch.zeros(1, 3, *[model.config.input_side] * 2, device=device)
        made = model.image_encoder(image)
        if made.requires_grad:
            torch.autograd.backward(made.mean())
        encode = time.perf_counter() - start
    model.zero_grad(set_to_none=True)
    return min(seconds), encode


def _short(config: TrainConfig) -> TrainConfig:
    return TrainConfig.from_dict({**config.to_dict(), "clicks": 1, "repeats": 0})
