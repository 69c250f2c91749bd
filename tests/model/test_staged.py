"""The stages with the passes written out plainly between them equal the structured decoder."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from segany.model.config import ModelConfig
from segany.model.sam import Sam
from segany.model.staged import Placed, StagedDecoder
from segany.model.structured import StructuredDecoder

MakeSam = Callable[..., Sam]


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def from_keys(tiled: Tensor) -> Tensor:
    """[N / 64, H, D / 2, 64, 2] -> [H, D, N]."""
    tiles, heads, pairs, cells, _ = tiled.shape
    return tiled.permute(1, 2, 4, 0, 3).reshape(heads, 2 * pairs, tiles * cells)


def from_values(pairs: Tensor) -> Tensor:
    """[H, N / 2, D, 2] -> [H, N, D]."""
    return pairs.transpose(2, 3).flatten(1, 2)


def per_head(rows: Tensor, keys: Tensor) -> Tensor:
    """[P, J, D] by keys -> [P, J, N]."""
    image = from_keys(keys)
    return torch.matmul(torch.unflatten(rows, 1, (len(image), -1)), image).flatten(1, 2)


def unfolded(matrix: Tensor, rows: Tensor) -> Tensor:
    """The quadratic form of a folded matrix, at every cell: [P, 1, N]."""
    return (rows * torch.matmul(matrix, rows)).sum(1, keepdim=True)


def over_tokens(scores: Tensor, heads: int) -> Tensor:
    return torch.unflatten(scores, 1, (heads, -1)).softmax(2).flatten(1, 2)


def read(weights: Tensor, values: Tensor) -> Tensor:
    image = from_values(values)
    return torch.matmul(torch.unflatten(weights, 1, (len(image), -1)), image).flatten(1, 2)


def first_update(s: Placed, keys: Tensor, doubled: Tensor, gram: Tensor, own: Tensor, queries: Tensor) -> list[Tensor]:
    a = over_tokens(per_head(keys, s.queries1), len(s.values2))
    r = (unfolded(gram, a) + (a * per_head(doubled, s.cross1)).sum(1, keepdim=True) + s.norms[0]).rsqrt()
    scores = r * (per_head(queries, s.keys2) + torch.matmul(own, a)) + per_head(queries, s.position_keys2)
    weights = scores.softmax(-1) * r
    return [torch.matmul(a, weights.transpose(1, 2)), read(weights, s.values2), a, r]


def second_update(s: Placed, a: Tensor, r: Tensor, following: list[Tensor]) -> list[Tensor]:
    own2, keys, doubled1, doubled2, gram, linear, own3, shift, queries = following
    scores = r * (per_head(keys, s.queries2) + torch.matmul(own2, a)) + per_head(keys, s.position_queries2)
    z = torch.cat([r * a, over_tokens(scores, len(s.values2))], 1)
    crossed = torch.cat([per_head(doubled1, s.cross2a), per_head(doubled2, s.cross2b)], 1)
    variance = unfolded(gram, z) + (z * (r * crossed + linear[..., None])).sum(1, keepdim=True)
    r2 = (variance + (s.norms[1] * r + s.norms[2]) * r + s.base).rsqrt()
    inner = r * per_head(queries, s.keys3) + shift[..., None] + torch.matmul(own3, z)
    weights = (r2 * inner + per_head(queries, s.position_keys3)).softmax(-1) * r2
    # Rows of layer 1's update are summed without their 1 / sigma, which the weights carry instead.
    rows = torch.cat([a, z[:, a.shape[1] :]], 1)
    both = [torch.matmul(rows[:, : a.shape[1]], (weights * r).transpose(1, 2))]
    both.append(torch.matmul(rows[:, a.shape[1] :], weights.transpose(1, 2)))
    return [torch.cat(both, 1), read(weights * r, s.values3), weights.sum(-1)]


@pytest.mark.parametrize("labels", [(1, -1), (2, 3), (1, 0, 1, -1)], ids=["click", "box", "three clicks"])
def test_stages_and_passes_give_the_structured_decoders_scores(
    make_sam: MakeSam, tiny_mobile: ModelConfig, labels: tuple[int, ...]
) -> None:
    sam = make_sam(tiny_mobile, seed=4)
    encoder, generator = sam.prompt_encoder, torch.Generator().manual_seed(1)
    structured = StructuredDecoder(sam.mask_decoder, encoder.dense_pe(), encoder.no_mask_embed.weight[0], torch.float32)
    side = sam.config.embedding_side
    embedding = torch.randn(1, sam.config.embed_dim, side, side, generator=generator) * 0.3
    coords = torch.rand(3, len(labels), 2, generator=generator) * sam.config.input_side
    tokens = sam.mask_decoder.prompt_tokens(encoder.sparse(coords, torch.tensor(labels).expand(3, -1)))
    expected = structured.score(structured.prepare(embedding), tokens)

    staged = StagedDecoder(structured, tokens.shape[1])
    placed = staged.prepare(embedding)
    x, queries = staged.begin(tokens)
    out = read(per_head(queries, placed.keys1).softmax(-1), placed.values1)
    y, values, *first = staged.follow(tokens, x, out)
    gathered, out, a, r = first_update(placed, *first)
    y, both, *second = staged.proceed(tokens, y, values, gathered, out)
    answered = staged.finish(y, both, *second_update(placed, a, r, second))

    torch.testing.assert_close(answered.iou_predictions, expected.iou_predictions, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(answered.hyper, expected.hyper, atol=1e-4, rtol=1e-4)
