"""The model cut for export: what is done once for an image, and what for each prompt.

`prepare` projects an embedding for all prompts without a mask (`segany.model.structured`), `decode` answers one of
them; `refine` answers one that brings the logits of an earlier answer, from the embedding itself.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from segany.errors import ConfigError
from segany.model.dense_prompts import DenseDecoder
from segany.model.graphs import Graph
from segany.model.sam import Sam
from segany.model.structured import SharedProjections, StructuredDecoder

__all__ = ["SHARED", "decoder_graphs", "encoder_graph"]

_POSITIONS = ("position_keys2", "position_queries2", "position_keys3")
SHARED = tuple(name for name in SharedProjections._fields if name not in _POSITIONS)
"""What `prepare` gives and `decode` takes, in order; what depends on no image is in `decode`."""

_ANSWER = ("logits", "iou_predictions")
# Neither is read off the example: a size of 0 or 1 would be taken for a constant.
_EXAMPLE_TOKENS = 3


class _Prepare(nn.Module):
    def __init__(self, decoder: StructuredDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, embedding: Tensor) -> tuple[Tensor, ...]:
        shared = self.decoder.prepare(embedding)
        return tuple(getattr(shared, name) for name in SHARED)


class _Decode(nn.Module):
    """Its inputs are written out: the exporter names the inputs of a graph by the arguments."""

    def __init__(self, model: Sam, decoder: StructuredDecoder) -> None:
        super().__init__()
        self.encoder, self.mask_decoder, self.decoder = model.prompt_encoder, model.mask_decoder, decoder

    def forward(
        self,
        coords: Tensor,
        labels: Tensor,
        keys1: Tensor,
        values1: Tensor,
        queries1: Tensor,
        cross1: Tensor,
        keys2: Tensor,
        values2: Tensor,
        queries2: Tensor,
        cross2: Tensor,
        keys3: Tensor,
        values3: Tensor,
        upscaled: Tensor,
        norms: Tensor,
    ) -> tuple[Tensor, Tensor]:
        given = (keys1, values1, queries1, cross1, keys2, values2, queries2, cross2, keys3, values3, upscaled, norms)
        positions = {name: getattr(self.decoder.constants, name) for name in _POSITIONS}
        shared = SharedProjections(**dict(zip(SHARED, given, strict=True)), **positions)
        tokens = self.mask_decoder.prompt_tokens(self.encoder.sparse(coords, labels))
        scored = self.decoder.score(shared, tokens)
        logits = self.decoder.masks(shared.upscaled, scored.hyper, scored.z, scored.w, scored.r)
        return logits.float(), scored.iou_predictions


class _Refine(nn.Module):
    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.encoder, self.mask_decoder = model.prompt_encoder, model.mask_decoder
        self.decoder = DenseDecoder(model.mask_decoder, model.prompt_encoder.dense_pe())

    def forward(self, coords: Tensor, labels: Tensor, embedding: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.mask_decoder.prompt_tokens(self.encoder.sparse(coords, labels))
        cells = embedding.flatten(2).transpose(1, 2)
        scored = self.decoder.score(cells, self.encoder.dense_cells(mask_logits), tokens)
        return self.mask_decoder.draw(scored.hyper, scored.keys), scored.iou_predictions


def encoder_graph(model: Sam) -> Graph:
    """`encoder`: from the padded, normalised image to its embedding.

    Args:
        model: In float32 on the CPU, in evaluation mode.
    """
    side = model.config.input_side
    return Graph("encoder", model.image_encoder, {"pixels": torch.zeros(1, 3, side, side)}, ("embedding",), {})


def decoder_graphs(model: Sam, dtype: torch.dtype) -> Iterator[Graph]:
    """`prepare`, `decode` and `refine`, with examples for one image and one prompt.

    Args:
        model: In float32 on the CPU, in evaluation mode.
        dtype: Of the image's side in `prepare` and `decode`; tokens are float32 always.

    Raises:
        ConfigError: The mask decoder has another depth than two.
    """
    config, encoder = model.config, model.prompt_encoder
    if not StructuredDecoder.supports(model.mask_decoder):
        raise ConfigError(
            f"only mask decoders of two layers can be exported; {config.name} has {config.decoder_depth}."
        )
    side = config.embedding_side
    embedding = torch.zeros(1, config.embed_dim, side, side)
    structured = StructuredDecoder(model.mask_decoder, encoder.dense_pe(), encoder.no_mask_embed.weight[0], dtype)
    prepare = _Prepare(structured)
    yield Graph("prepare", prepare, {"embedding": embedding}, SHARED, {})
    prompt = {
        "coords": torch.zeros(1, _EXAMPLE_TOKENS, 2),
        "labels": torch.tensor([[1, 0, -1]], dtype=torch.int32),
    }
    free = {"coords": (1,), "labels": (1,)}
    shared = dict(zip(SHARED, prepare(embedding), strict=True))
    yield Graph("decode", _Decode(model, structured), {**prompt, **shared}, _ANSWER, free)
    low = config.low_res_side
    earlier = {"embedding": embedding, "mask_logits": torch.zeros(1, low, low)}
    yield Graph("refine", _Refine(model), {**prompt, **earlier}, _ANSWER, free)
