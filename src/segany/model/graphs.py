"""The model cut into graphs for runtimes that are not torch: tensors in, tensors out, and which sizes may vary.

`prompt` makes tokens of points and box corners. A prompt without a mask goes through `score` and `draw`, on what
`prepare` made of the image once; one with a mask through `score_dense` and `draw_dense`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segany.errors import ConfigError
from segany.model.dense_prompts import DenseDecoder
from segany.model.sam import Sam
from segany.model.structured import SharedProjections, StructuredDecoder

__all__ = ["DRAWN_FROM", "SCORED_FROM", "Graph", "cut"]

SCORED_FROM = tuple(name for name in SharedProjections._fields if name != "upscaled")
"""What `score` reads of the image, after the tokens; `draw` reads the rest."""

DRAWN_FROM = "upscaled"


@dataclass(frozen=True, eq=False)
class Graph:
    """One graph, to be traced.

    Attributes:
        name: Its name.
        module: Takes `inputs` in order and gives a tensor or a tuple of tensors.
        inputs: Names and examples.
        outputs: Names.
        free: For each input, the axes whose size may vary.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    free: Mapping[str, tuple[int, ...]]


class _Prompt(nn.Module):
    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.encoder, self.decoder = model.prompt_encoder, model.mask_decoder

    def forward(self, coords: Tensor, labels: Tensor) -> Tensor:
        return self.decoder.prompt_tokens(self.encoder.sparse(coords, labels))


class _Prepare(nn.Module):
    def __init__(self, decoder: StructuredDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, embedding: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.decoder.prepare(embedding))


class _Score(nn.Module):
    def __init__(self, decoder: StructuredDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, tokens: Tensor, *shared: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(SCORED_FROM, shared, strict=True))
        # Scoring does not read what drawing reads.
        return tuple(self.decoder.score(SharedProjections(**named, upscaled=tokens), tokens))


class _Draw(nn.Module):
    def __init__(self, decoder: StructuredDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, upscaled: Tensor, hyper: Tensor, z: Tensor, w: Tensor, r: Tensor) -> Tensor:
        return self.decoder.masks(upscaled, hyper, z, w, r)


class _ScoreDense(nn.Module):
    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.encoder = model.prompt_encoder
        self.decoder = DenseDecoder(model.mask_decoder, model.prompt_encoder.dense_pe())

    def forward(self, embedding: Tensor, mask_logits: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.decoder.score(embedding, self.encoder.dense(mask_logits), tokens))


class _DrawDense(nn.Module):
    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.decoder = model.mask_decoder

    def forward(self, hyper: Tensor, keys: Tensor) -> Tensor:
        return self.decoder.draw(hyper, keys)


def cut(model: Sam) -> Iterator[Graph]:
    """Give the graphs, one after the other, with examples for one image and one click.

    Args:
        model: In float32 on the CPU, in evaluation mode.

    Raises:
        ConfigError: The mask decoder has another depth than two.
    """
    encoder, decoder = model.prompt_encoder, model.mask_decoder
    if not StructuredDecoder.supports(decoder):
        raise ConfigError(
            f"only mask decoders of two layers can be cut into graphs; {model.config.name} has "
            f"{model.config.decoder_depth}. Use the torch runtime."
        )
    side = model.config.input_side
    pixels = torch.zeros(1, 3, side, side)
    yield Graph("encoder", model.image_encoder, {"pixels": pixels}, ("embedding",), {})
    cells = model.config.embedding_side
    embedding = torch.zeros(1, model.config.embed_dim, cells, cells)
    prompt = _Prompt(model)
    click = {"coords": torch.zeros(1, 2, 2), "labels": torch.tensor([[1, -1]], dtype=torch.int32)}
    yield Graph("prompt", prompt, click, ("tokens",), {"coords": (0, 1), "labels": (0, 1)})
    structured = StructuredDecoder(decoder, encoder.dense_pe(), encoder.no_mask_embed.weight[0], torch.float32)
    yield Graph("prepare", _Prepare(structured), {"embedding": embedding}, SharedProjections._fields, {})
    tokens = prompt(**click)
    shared = structured.prepare(embedding)
    of_image = {name: getattr(shared, name) for name in SCORED_FROM}
    scored = structured.score(shared, tokens)
    yield Graph("score", _Score(structured), {"tokens": tokens, **of_image}, scored._fields, {"tokens": (1,)})
    own = {name: getattr(scored, name) for name in ("hyper", "z", "w", "r")}
    free = {"hyper": (1,), "z": (1,), "w": (1,)}
    yield Graph("draw", _Draw(structured), {DRAWN_FROM: shared.upscaled, **own}, ("logits",), free)
    low = model.config.low_res_side
    with_mask = {"embedding": embedding, "mask_logits": torch.zeros(1, low, low), "tokens": tokens}
    dense = _ScoreDense(model)
    found = dense(*with_mask.values())
    yield Graph("score_dense", dense, with_mask, ("iou_predictions", "hyper", "keys"), {"tokens": (1,)})
    yield Graph("draw_dense", _DrawDense(model), {"hyper": found[1], "keys": found[2]}, ("logits",), {"hyper": (1,)})
