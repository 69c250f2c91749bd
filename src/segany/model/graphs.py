"""The model cut into graphs for runtimes that are not torch: tensors in, tensors out, and which sizes may vary.

`prompt` makes tokens of points and box corners. A prompt without a mask goes through `score` and `draw`, on what
`prepare` made of the image once; one with a mask through `score_dense` and `draw_dense`. Where kernels pass over the
image's cells, many clicks go through `begin`, `follow`, `proceed` and `finish` between them, on what `place` made.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segany.errors import ConfigError
from segany.model.dense_prompts import DenseDecoder
from segany.model.sam import Sam
from segany.model.staged import Answered, Begun, Following, PassedOn, Placed, StagedDecoder
from segany.model.structured import SharedProjections, StructuredDecoder

__all__ = ["CLICK_TOKENS", "DRAWN_FROM", "SCORED_FROM", "Graph", "cut"]

SCORED_FROM = tuple(name for name in SharedProjections._fields if name != "upscaled")
"""What `score` reads of the image, after the tokens; `draw` reads the rest."""

DRAWN_FROM = "upscaled"

CLICK_TOKENS = 7
"""Tokens of a click with its padding, or of a box, after those of the IoU and the four masks."""


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


class _Stage(nn.Module):
    """One method of the staged decoder."""

    def __init__(self, decoder: StagedDecoder, method: str) -> None:
        super().__init__()
        self.decoder, self.method = decoder, method

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(getattr(self.decoder, self.method)(*inputs))


class _ScoreDense(nn.Module):
    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.encoder = model.prompt_encoder
        self.decoder = DenseDecoder(model.mask_decoder, model.prompt_encoder.dense_pe())

    def forward(self, cells: Tensor, mask_logits: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.decoder.score(cells, self.encoder.dense_cells(mask_logits), tokens))


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
    yield from _stages(StagedDecoder(structured, CLICK_TOKENS), embedding, tokens)
    low = model.config.low_res_side
    as_cells = embedding.flatten(2).transpose(1, 2).contiguous()
    with_mask = {"cells": as_cells, "mask_logits": torch.zeros(1, low, low), "tokens": tokens}
    dense = _ScoreDense(model)
    found = dense(*with_mask.values())
    yield Graph("score_dense", dense, with_mask, ("iou_predictions", "hyper", "keys"), {"tokens": (1,)})
    yield Graph("draw_dense", _DrawDense(model), {"hyper": found[1], "keys": found[2]}, ("logits",), {"hyper": (1,)})


def _stages(decoder: StagedDecoder, embedding: Tensor, tokens: Tensor) -> Iterator[Graph]:
    """The stages between the kernels' passes, for any number of prompts."""
    yield Graph("place", _Stage(decoder, "prepare"), {"embedding": embedding}, Placed._fields, {})
    begun = decoder.begin(tokens)
    rows, channels = begun.queries.shape[1:]
    out = torch.zeros(1, rows, channels)
    passed = decoder.follow(tokens, begun.tokens, out)
    gathered, twice = torch.zeros(1, rows, rows), torch.zeros(1, 2 * rows, rows)
    following = decoder.proceed(tokens, passed.tokens, passed.values, gathered, out)
    stages: list[tuple[str, dict[str, Tensor], tuple[str, ...]]] = [
        ("begin", {"tokens": tokens}, Begun._fields),
        ("follow", {"tokens": tokens, "x": begun.tokens, "out": out}, PassedOn._fields),
        (
            "proceed",
            {"tokens": tokens, "y": passed.tokens, "values": passed.values, "gathered": gathered, "out": out},
            Following._fields,
        ),
        (
            "finish",
            {"y": following.tokens, "values": following.values, "gathered": twice, "out": out, "share": out[..., 0]},
            Answered._fields,
        ),
    ]
    for name, inputs, outputs in stages:
        # Names of a graph's inputs and outputs must differ.
        names = tuple(f"{output}_out" if output in inputs else output for output in outputs)
        yield Graph(name, _Stage(decoder, name), inputs, names, dict.fromkeys(inputs, (0,)))
