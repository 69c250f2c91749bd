"""Decoding for inference: prompts that share the image together, prompts that bring a mask each with its own."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from segany.model.dense_prompts import DenseDecoder
from segany.model.sam import Sam
from segany.model.structured import SharedProjections, StructuredDecoder

__all__ = ["PromptDecoder", "ScoredGroup"]

_Draw = Callable[[Tensor, Tensor], Tensor]


class ScoredGroup(NamedTuple):
    """Prompts that were decoded together.

    Attributes:
        iou_predictions: [G, 4] float32.
        draw: From rows [R] and masks [R, k], both int64, to logits [R, k, h, w].
    """

    iou_predictions: Tensor
    draw: _Draw


class PromptDecoder:
    """Prompt encoder and mask decoder of a model, for inference."""

    def __init__(self, model: Sam, dtype: torch.dtype) -> None:
        """Derive what decoding needs.

        Args:
            model: Its prompt encoder and mask decoder are in float32 and on their device; they stay so.
            dtype: Precision of the work on the image's cells.
        """
        self._model = model
        self._dtype = dtype
        encoder, decoder = model.prompt_encoder, model.mask_decoder
        position = encoder.dense_pe()
        self._dense = DenseDecoder(decoder, position)
        self._structured: StructuredDecoder | None = None
        if StructuredDecoder.supports(decoder):
            self._structured = StructuredDecoder(decoder, position, encoder.no_mask_embed.weight[0], dtype)

    def prepare(self, embedding: Tensor) -> SharedProjections | None:
        """What all prompts without a mask share; None for a model whose prompts share nothing."""
        return None if self._structured is None else self._structured.prepare(embedding.float())

    def score(
        self,
        embedding: Tensor,
        shared: Callable[[], SharedProjections | None],
        coords: Tensor,
        labels: Tensor,
        mask_logits: Tensor | None,
    ) -> ScoredGroup:
        """Decode a group of prompts up to their IoU predictions.

        Args:
            embedding: [1, E, S, S].
            shared: Gives the embedding's projections; asked only if they are of use.
            coords: [G, T, 2] float32.
            labels: [G, T] int32.
            mask_logits: [G, h, w] float32, or None.
        """
        tokens = self._model.mask_decoder.prompt_tokens(self._model.prompt_encoder.sparse(coords, labels))
        if mask_logits is None and self._structured is not None and (projections := shared()) is not None:
            return self._score_shared(self._structured, projections, tokens)
        return self._score_dense(embedding, tokens, self._model.prompt_encoder.dense_cells(mask_logits))

    def _score_shared(self, decoder: StructuredDecoder, shared: SharedProjections, tokens: Tensor) -> ScoredGroup:
        iou_predictions, hyper, z, w, r = decoder.score(shared, tokens)

        def draw(rows: Tensor, wanted: Tensor) -> Tensor:
            return decoder.masks(shared.upscaled, _pick(hyper[rows], wanted), z[rows], w[rows], r[rows])

        return ScoredGroup(iou_predictions, draw)

    def _score_dense(self, embedding: Tensor, tokens: Tensor, dense: Tensor) -> ScoredGroup:
        cells = embedding.float().flatten(2).transpose(1, 2)
        with self._lowered(embedding.device):
            iou_predictions, hyper, keys = self._dense.score(cells, dense, tokens)

        def draw(rows: Tensor, wanted: Tensor) -> Tensor:
            with self._lowered(embedding.device):
                return self._model.mask_decoder.draw(_pick(hyper[rows], wanted), keys[rows])

        return ScoredGroup(iou_predictions, draw)

    def _lowered(self, device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, self._dtype, enabled=self._dtype != torch.float32)


def _pick(hyper: Tensor, wanted: Tensor) -> Tensor:
    """Rows [R, k] of [R, 4, C]."""
    return hyper.gather(1, wanted.unsqueeze(-1).expand(-1, -1, hyper.shape[2]))
