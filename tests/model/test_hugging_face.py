"""Names of, and parity with, `transformers`' SamModel: an independent implementation, at random weights."""

import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from segany.errors import CheckpointError
from segany.model.config import CONFIGS, ModelConfig, PreprocessConfig, ViTConfig
from segany.model.hugging_face import from_hugging_face, is_hugging_face, to_hugging_face
from segany.model.sam import Sam

os.environ["HF_HUB_OFFLINE"] = "1"

MakeSam = Callable[..., Sam]


@pytest.fixture(autouse=True)
def _free_memory() -> Iterator[None]:
    """The largest pair of models shares 2.6 GB of parameters; none may stay for the next test."""
    yield
    gc.collect()


def _reference(model: Sam) -> Any:
    """The same model in `transformers`, sharing the parameters' memory."""
    from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

    config = model.config
    encoder = config.encoder
    assert isinstance(encoder, ViTConfig)
    vision = SamVisionConfig(
        hidden_size=encoder.dim,
        output_channels=config.embed_dim,
        num_hidden_layers=encoder.depth,
        num_attention_heads=encoder.heads,
        image_size=config.input_side,
        patch_size=encoder.patch,
        window_size=encoder.window,
        global_attn_indexes=list(encoder.global_blocks),
        num_pos_feats=config.embed_dim // 2,
        mlp_dim=int(encoder.dim * encoder.mlp_ratio),
    )
    prompt = SamPromptEncoderConfig(
        hidden_size=config.embed_dim,
        image_size=config.input_side,
        patch_size=encoder.patch,
        mask_input_channels=config.mask_channels,
    )
    decoder = SamMaskDecoderConfig(
        hidden_size=config.embed_dim,
        mlp_dim=config.decoder_mlp_dim,
        num_hidden_layers=config.decoder_depth,
        num_attention_heads=config.decoder_heads,
        iou_head_hidden_dim=config.iou_hidden_dim,
    )
    with torch.device("meta"):
        reference = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder))
    reference.load_state_dict(to_hugging_face(model.state_dict(), config), assign=True)
    return reference.eval()


def _decode(model: Sam, embedding: Tensor, coords: list[Any], labels: list[Any], mask: Tensor | None) -> Any:
    sparse = model.prompt_encoder.sparse(torch.tensor(coords), torch.tensor(labels))
    dense = model.prompt_encoder.dense(mask)
    return model.mask_decoder(embedding, model.prompt_encoder.dense_pe(), sparse, dense)


def _check_parity(model: Sam) -> None:
    """Image encoder features, and masks and scores for points, boxes, both and masks."""
    reference = _reference(model)
    side, low_res = model.config.input_side, model.config.low_res_side
    generator = torch.Generator().manual_seed(7)
    image = torch.randn(1, 3, side, side, generator=generator)
    mask = 4 * torch.randn(1, low_res, low_res, generator=generator)
    with torch.inference_mode():
        embedding = model.image_encoder(image)
        expected = reference.get_image_embeddings(image)
        torch.testing.assert_close(embedding, expected, atol=2e-4, rtol=1e-3)
        step = side / 16
        points = [[[2 * step, 5 * step], [9 * step, 3.5 * step]], [[14 * step, step], [0.0, 15 * step]]]
        kinds = [[1, 0], [1, 1]]
        boxes = [[2 * step, step, 9 * step, 12 * step], [step, step, 4 * step, 5 * step]]
        corners = [[box[:2], box[2:]] for box in boxes]
        padding = [[0.0, 0.0]]
        cases: list[tuple[list[Any], list[Any], Tensor | None, dict[str, Any]]] = [
            (
                [point + padding for point in points],
                [[*kind, -1] for kind in kinds],
                None,
                {"input_points": torch.tensor([points]), "input_labels": torch.tensor([kinds])},
            ),
            (corners, [[2, 3], [2, 3]], None, {"input_boxes": torch.tensor([boxes])}),
            (
                [points[0] + corners[0]],
                [[1, 0, 2, 3]],
                None,
                {
                    "input_points": torch.tensor([points[:1]]),
                    "input_labels": torch.tensor([kinds[:1]]),
                    "input_boxes": torch.tensor([boxes[:1]]),
                },
            ),
            (
                [points[0] + padding],
                [[1, 0, -1]],
                mask,
                {
                    "input_points": torch.tensor([points[:1]]),
                    "input_labels": torch.tensor([kinds[:1]]),
                    "input_masks": mask[None],
                },
            ),
        ]
        for coords, labels, mask_logits, arguments in cases:
            logits, iou = _decode(model, expected, coords, labels, mask_logits)
            for multimask, wanted in ((True, slice(1, 4)), (False, slice(0, 1))):
                output = reference(image_embeddings=expected, multimask_output=multimask, **arguments)
                torch.testing.assert_close(logits[:, wanted], output.pred_masks[0], atol=1e-3, rtol=1e-3)
                torch.testing.assert_close(iou[:, wanted], output.iou_scores[0], atol=1e-4, rtol=1e-3)


def _at(name: str, side: int) -> ModelConfig:
    """A published ViT at full width and depth, made for another input side."""
    config = CONFIGS[name]
    assert isinstance(config.encoder, ViTConfig)
    return replace(
        config, encoder=replace(config.encoder, pretrain_side=side), preprocess=PreprocessConfig(input_side=side)
    )


def test_parity_tiny(make_sam: MakeSam, tiny_vit_b: ModelConfig) -> None:
    _check_parity(make_sam(tiny_vit_b))


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_parity_at_full_width_and_depth(make_sam: MakeSam, name: str) -> None:
    _check_parity(make_sam(_at(name, 256)))


def test_parity_vit_b_at_1024(make_sam: MakeSam) -> None:
    _check_parity(make_sam(CONFIGS["vit_b"]))


@pytest.mark.soak
@pytest.mark.parametrize("name", ["vit_l", "vit_h"])
def test_parity_at_1024(make_sam: MakeSam, name: str) -> None:
    _check_parity(make_sam(CONFIGS[name]))


def test_parity_of_interpolated_relative_positions(make_sam: MakeSam, tiny_vit_b: ModelConfig) -> None:
    """Tables made for 64 pixels, read at 112: `transformers` interpolates them, but not the absolute ones."""
    model = make_sam(tiny_vit_b)
    larger = make_sam(replace(tiny_vit_b, preprocess=PreprocessConfig(input_side=112)))
    encoder = tiny_vit_b.encoder
    assert isinstance(encoder, ViTConfig)
    at_112 = replace(
        tiny_vit_b, encoder=replace(encoder, pretrain_side=112), preprocess=PreprocessConfig(input_side=112)
    )
    reference = _reference(make_sam(at_112))
    source = to_hugging_face(model.state_dict(), tiny_vit_b)
    positions = larger.image_encoder._positions(7, 7).detach()  # type: ignore[operator]
    source["vision_encoder.pos_embed"] = positions
    for name, parameter in list(reference.named_parameters()):
        owner, _, leaf = name.rpartition(".")
        setattr(reference.get_submodule(owner), leaf, torch.nn.Parameter(source[name], requires_grad=False))
        assert parameter.dim() == source[name].dim()
    image = torch.randn(1, 3, 112, 112, generator=torch.Generator().manual_seed(8))
    with torch.inference_mode():
        expected = reference.get_image_embeddings(image)
        torch.testing.assert_close(larger.image_encoder(image), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_names_go_both_ways(name: str) -> None:
    from transformers import SamConfig, SamModel, SamVisionConfig

    config = CONFIGS[name]
    encoder = config.encoder
    assert isinstance(encoder, ViTConfig)
    vision = SamVisionConfig(
        hidden_size=encoder.dim,
        num_hidden_layers=encoder.depth,
        num_attention_heads=encoder.heads,
        global_attn_indexes=list(encoder.global_blocks),
        mlp_dim=4 * encoder.dim,
    )
    with torch.device("meta"):
        ours = Sam(config).state_dict()
        theirs = SamModel(SamConfig(vision_config=vision)).state_dict()
    renamed = to_hugging_face(ours, config)
    assert {key: tensor.shape for key, tensor in renamed.items()} == {key: t.shape for key, t in theirs.items()}
    assert is_hugging_face(renamed)
    assert not is_hugging_face(ours)


def test_the_way_back_restores_names_and_tensors(make_sam: MakeSam, tiny_vit_b: ModelConfig) -> None:
    state = make_sam(tiny_vit_b).state_dict()
    back = from_hugging_face(to_hugging_face(state, tiny_vit_b))
    assert back.keys() == state.keys()
    assert all(back[name] is tensor for name, tensor in state.items())


def test_either_name_of_the_position_matrix_is_enough(make_sam: MakeSam, tiny_vit_b: ModelConfig) -> None:
    state = make_sam(tiny_vit_b).state_dict()
    renamed = to_hugging_face(state, tiny_vit_b)
    for name in ("shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding"):
        without = {key: tensor for key, tensor in renamed.items() if key != name}
        assert from_hugging_face(without).keys() == state.keys()
    renamed["shared_image_embedding.positional_embedding"] = torch.zeros(2, 16)
    with pytest.raises(CheckpointError, match="must be one matrix, but differ"):
        from_hugging_face(renamed)


def test_a_tiny_vit_has_no_place_in_hugging_faces_model(make_sam: MakeSam, tiny_mobile: ModelConfig) -> None:
    with pytest.raises(CheckpointError) as error:
        to_hugging_face(make_sam(tiny_mobile).state_dict(), tiny_mobile)
    assert str(error.value).startswith("transformers' SamModel has ViT image encoders only; tiny has a TinyViT.")
