"""The rearranged decoders equal the plain one: same parameters, same prompts, same answers up to rounding."""

import dataclasses
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from segany import weights
from segany.model import load_sam
from segany.model.config import ModelConfig
from segany.model.dense_prompts import DenseDecoder
from segany.model.sam import Sam
from segany.model.structured import StructuredDecoder

MakeSam = Callable[..., Sam]
CLICK, CLICKS, BOX, BOTH = (1, -1), (1, 0, 1, 0, -1), (2, 3), (1, 0, 2, 3)
PROMPTS = pytest.mark.parametrize(
    "labels", [CLICK, CLICKS, BOX, BOTH], ids=["click", "clicks", "box", "box and clicks"]
)
EVERY = torch.arange(4)


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module", params=["tiny vit", "tiny mobile", "real"])
def sam(request: pytest.FixtureRequest, make_sam: MakeSam, tiny_vit_b: ModelConfig, tiny_mobile: ModelConfig) -> Sam:
    if request.param == "real":
        return load_sam(weights.path("mobile_sam"))
    return make_sam(tiny_vit_b if request.param == "tiny vit" else tiny_mobile, seed=4)


def _embedding(sam: Sam) -> Tensor:
    side = sam.config.embedding_side
    return torch.randn(1, sam.config.embed_dim, side, side, generator=torch.Generator().manual_seed(1)) * 0.3


def _sparse(sam: Sam, labels: tuple[int, ...], prompts: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(len(labels))
    coords = torch.rand(prompts, len(labels), 2, generator=generator) * sam.config.input_side
    return sam.prompt_encoder.sparse(coords, torch.tensor(labels).expand(prompts, -1))


def _plain(sam: Sam, embedding: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
    logits, iou = sam.mask_decoder(embedding, sam.prompt_encoder.dense_pe().to(embedding), sparse, dense)
    return logits, iou


def _structured(sam: Sam, dtype: torch.dtype = torch.float32) -> StructuredDecoder:
    encoder = sam.prompt_encoder
    return StructuredDecoder(sam.mask_decoder, encoder.dense_pe(), encoder.no_mask_embed.weight[0], dtype)


def _through(decoder: StructuredDecoder, sam: Sam, embedding: Tensor, sparse: Tensor) -> tuple[Tensor, Tensor]:
    shared = decoder.prepare(embedding)
    scored = decoder.score(shared, sam.mask_decoder.prompt_tokens(sparse))
    return decoder.masks(shared.upscaled, *scored[1:]), scored.iou_predictions


def _masks(sam: Sam, prompts: int) -> Tensor:
    side = sam.config.low_res_side
    return torch.randn(prompts, side, side, generator=torch.Generator().manual_seed(2)) * 8


def _assert_close(found: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor], share: float) -> None:
    """Differences as a share of the range of the logits, and of 1 for the IoU."""
    torch.testing.assert_close(found[0], wanted[0], rtol=0, atol=share * float(wanted[0].abs().max()))
    torch.testing.assert_close(found[1], wanted[1], rtol=0, atol=share * max(1.0, float(wanted[1].abs().max())))


@PROMPTS
def test_prompts_that_share_the_image(sam: Sam, labels: tuple[int, ...]) -> None:
    embedding, sparse = _embedding(sam), _sparse(sam, labels)
    found = _through(_structured(sam), sam, embedding, sparse)
    _assert_close(found, _plain(sam, embedding, sparse, sam.prompt_encoder.dense(None)), 1e-5)


def _cells(maps: Tensor) -> Tensor:
    """[P, E, S, S] -> [P, N, E]."""
    return maps.flatten(2).transpose(1, 2)


@PROMPTS
def test_prompts_that_bring_a_mask(sam: Sam, labels: tuple[int, ...]) -> None:
    embedding, sparse = _embedding(sam), _sparse(sam, labels, prompts=2)
    dense = sam.prompt_encoder.dense(_masks(sam, 2))
    decoder = DenseDecoder(sam.mask_decoder, sam.prompt_encoder.dense_pe())
    scored = decoder.score(_cells(embedding), _cells(dense), sam.mask_decoder.prompt_tokens(sparse))
    found = sam.mask_decoder.draw(scored.hyper, scored.keys), scored.iou_predictions
    _assert_close(found, _plain(sam, embedding, sparse, dense), 1e-5)


def test_a_mask_alone(sam: Sam) -> None:
    embedding, sparse = _embedding(sam), torch.empty(1, 0, sam.config.embed_dim)
    dense = sam.prompt_encoder.dense(_masks(sam, 1))
    decoder = DenseDecoder(sam.mask_decoder, sam.prompt_encoder.dense_pe())
    scored = decoder.score(_cells(embedding), _cells(dense), sam.mask_decoder.prompt_tokens(sparse))
    found = sam.mask_decoder.draw(scored.hyper, scored.keys), scored.iou_predictions
    _assert_close(found, _plain(sam, embedding, sparse, dense), 1e-5)


class TestInFloat64:
    """Where rounding is out of the way, so that what is left would be a mistake of the algebra."""

    @pytest.fixture
    def exact(self, make_sam: MakeSam, tiny_vit_b: ModelConfig) -> Sam:
        return make_sam(tiny_vit_b, seed=5).double()

    @PROMPTS
    def test_prompts_that_share_the_image(self, exact: Sam, labels: tuple[int, ...]) -> None:
        embedding, sparse = _embedding(exact).double(), _sparse(exact, labels)
        found = _through(_structured(exact, torch.float64), exact, embedding, sparse)
        _assert_close(found, _plain(exact, embedding, sparse, exact.prompt_encoder.dense(None)), 1e-9)

    @PROMPTS
    def test_prompts_that_bring_a_mask(self, exact: Sam, labels: tuple[int, ...]) -> None:
        embedding, sparse = _embedding(exact).double(), _sparse(exact, labels, prompts=2)
        dense = exact.prompt_encoder.dense(_masks(exact, 2))
        scored = DenseDecoder(exact.mask_decoder, exact.prompt_encoder.dense_pe()).score(
            _cells(embedding), _cells(dense), exact.mask_decoder.prompt_tokens(sparse)
        )
        found = exact.mask_decoder.draw(scored.hyper, scored.keys), scored.iou_predictions
        _assert_close(found, _plain(exact, embedding, sparse, dense), 1e-9)


def test_a_large_box_differs_by_rounding_only() -> None:
    """Logits of a box round the whole image reach hundreds: both float32 sides stray from float64 alike."""
    sam = load_sam(weights.path("mobile_sam"))
    embedding = _embedding(sam)
    sparse = sam.prompt_encoder.sparse(torch.tensor([[[0.0, 0.0], [1023.0, 1023.0]]]), torch.tensor([[2, 3]]))
    none = sam.prompt_encoder.dense(None)
    plain, _ = _plain(sam, embedding, sparse, none)
    found, _ = _through(_structured(sam), sam, embedding, sparse)
    sam.double()
    exact, _ = _plain(sam, embedding.double(), sparse.double(), none.double())
    strays = [float((one - exact).abs().max()) for one in (plain, found)]
    assert max(strays) < 1e-5 * float(exact.abs().max())
    assert strays[1] < 4 * strays[0]


def test_in_bfloat16_the_masks_stay() -> None:
    sam = load_sam(weights.path("mobile_sam"))
    embedding, sparse = _embedding(sam), _sparse(sam, CLICK)
    found, _ = _through(_structured(sam, torch.bfloat16), sam, embedding, sparse)
    wanted, _ = _plain(sam, embedding, sparse, sam.prompt_encoder.dense(None))
    assert found.dtype == torch.bfloat16
    # Of a random image: the edges of its masks are everywhere.
    both, either = ((found > 0) & (wanted > 0)).sum((2, 3)), ((found > 0) | (wanted > 0)).sum((2, 3))
    assert float((both / either.clamp(min=1))[either > 100].mean()) > 0.94


def test_only_the_masks_asked_for(make_sam: MakeSam, tiny_vit_b: ModelConfig) -> None:
    sam = make_sam(tiny_vit_b)
    decoder, sparse = _structured(sam), _sparse(sam, CLICK)
    shared = decoder.prepare(_embedding(sam))
    scored = decoder.score(shared, sam.mask_decoder.prompt_tokens(sparse))
    every = decoder.masks(shared.upscaled, *scored[1:])
    some = decoder.masks(shared.upscaled, scored.hyper[1:2, [2, 0]], scored.z[1:2], scored.w[1:2], scored.r[1:2])
    torch.testing.assert_close(some[0], every[1, [2, 0]], rtol=0, atol=1e-5)


def test_a_decoder_of_another_depth_is_told_apart(make_sam: MakeSam, tiny_vit_b: ModelConfig) -> None:
    sam = make_sam(dataclasses.replace(tiny_vit_b, decoder_depth=3))
    assert not StructuredDecoder.supports(sam.mask_decoder)
    embedding, sparse, dense = _embedding(sam), _sparse(sam, CLICK), sam.prompt_encoder.dense(None)
    scored = DenseDecoder(sam.mask_decoder, sam.prompt_encoder.dense_pe()).score(
        _cells(embedding), _cells(dense), sam.mask_decoder.prompt_tokens(sparse)
    )
    found = sam.mask_decoder.draw(scored.hyper, scored.keys), scored.iou_predictions
    _assert_close(found, _plain(sam, embedding, sparse, dense), 1e-5)
