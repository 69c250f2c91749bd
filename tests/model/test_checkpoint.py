import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from segany import weights
from segany.errors import CheckpointError, ConfigError, OutputError, WeightsError, WeightsNotFoundError
from segany.model.checkpoint import detect_config, encoder_digest, load_sam, model_digest, read_card, save_sam
from segany.model.config import CONFIGS, ModelConfig, TinyViTConfig
from segany.model.hugging_face import to_hugging_face
from segany.model.sam import Sam

MakeSam = Callable[..., Sam]


@pytest.fixture
def model(make_sam: MakeSam, tiny_vit_b: ModelConfig) -> Sam:
    return make_sam(tiny_vit_b)


def _message(path: Path, config: ModelConfig | None = None) -> str:
    with pytest.raises(CheckpointError) as error:
        load_sam(path, config)
    return str(error.value)


# Telling what a file holds.


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_published_models_are_told_by_their_shapes(config: ModelConfig) -> None:
    with torch.device("meta"):
        state = Sam(config).state_dict()
    assert detect_config(state) == config


def test_own_sizes_are_told_too(model: Sam, tiny_vit_b: ModelConfig, tiny_mobile: ModelConfig) -> None:
    found = detect_config(model.state_dict())
    assert (found.name, found.encoder, found.input_side) == ("vit", tiny_vit_b.encoder, 64)
    found = detect_config(Sam(tiny_mobile).state_dict())
    assert (found.name, found.embed_dim) == ("tiny_vit", 32)
    assert isinstance(found.encoder, TinyViTConfig)
    assert (found.encoder.dims, found.encoder.depths) == ((8, 16, 24, 32), (1, 2, 1, 1))
    assert (found.encoder.heads[1:], found.encoder.windows[1:]) == ((2, 3, 4), (7, 5, 7))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["fc.weight"], "no image encoder of this model family among 1 tensors (top names: fc). Wanted: image_encoder"),
        (["image_encoder.trunk.pos_embed"], "This looks like SAM 2, which has another architecture."),
        (["mask_decoder.iou_token.weight"], "This looks like a decoder without its image encoder."),
        (["image_encoder.pos_embed"], "looks like a Segment Anything model, but its sizes do not fit together"),
    ],
)
def test_other_models_are_named(names: list[str], message: str) -> None:
    with pytest.raises(CheckpointError) as error:
        detect_config({name: torch.zeros(1, 2, 2, 4) for name in names})
    assert message in str(error.value)


# Reading and writing.


def test_safetensors_round_trip(model: Sam, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "tiny.safetensors"
    card = save_sam(model, path, {"licence": "Apache-2.0", "parent": "0" * 64})
    loaded = load_sam(path)
    assert loaded.config == model.config
    assert not loaded.training
    assert model_digest(loaded) == model_digest(model) == card["digest"]
    assert read_card(path) == card
    assert (card["name"], card["licence"], card["parent"]) == ("tiny", "Apache-2.0", "0" * 64)
    assert card["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert ModelConfig.from_dict(card["config"]) == model.config
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("old_format", [False, True], ids=["zip", "old"])
@pytest.mark.parametrize("wrap", ["plain", "model", "state_dict", "parallel"])
def test_published_files_and_training_checkpoints(model: Sam, tmp_path: Path, wrap: str, old_format: bool) -> None:
    state: Any = model.state_dict()
    if wrap == "parallel":
        state = {f"module.{name}": tensor for name, tensor in state.items()}
    elif wrap != "plain":
        state = {wrap: state, "epoch": 3, "optimizer": {"state": {}}}
    path = tmp_path / "tiny.pth"
    torch.save(state, path, _use_new_zipfile_serialization=not old_format)
    assert model_digest(load_sam(path, model.config)) == model_digest(model)


def test_precision_is_the_files(model: Sam, tmp_path: Path) -> None:
    save_sam(model.bfloat16(), tmp_path / "half.safetensors")
    loaded = load_sam(tmp_path / "half.safetensors")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    assert model_digest(loaded) == model_digest(model)


def test_the_file_is_free_once_it_is_loaded(model: Sam, tmp_path: Path) -> None:
    digest = model_digest(model)
    torch.save(model.state_dict(), tmp_path / "tiny.pt")
    save_sam(model, tmp_path / "tiny.safetensors")
    for path in tmp_path.iterdir():
        loaded = load_sam(path, model.config)
        path.write_bytes(bytes(path.stat().st_size))
        assert model_digest(loaded) == digest


def test_the_digest_sees_values_names_and_precision(make_sam: MakeSam, model: Sam, tiny_vit_b: ModelConfig) -> None:
    digest = model_digest(model)
    assert digest == model_digest(make_sam(tiny_vit_b))
    assert digest != model_digest(make_sam(tiny_vit_b, seed=1))
    with torch.no_grad():
        model.mask_decoder.iou_token.weight[0, 3] += 1e-6
    changed = model_digest(model)
    assert changed != digest
    assert model_digest(model.bfloat16()) != changed


def test_the_encoders_digest_sees_all_that_embeddings_depend_on_and_nothing_else(
    make_sam: MakeSam, tiny_vit_b: ModelConfig
) -> None:
    digest = encoder_digest(make_sam(tiny_vit_b))
    learnt = make_sam(tiny_vit_b)
    with torch.no_grad():
        learnt.mask_decoder.iou_token.weight[0, 3] += 1
        learnt.prompt_encoder.no_mask_embed.weight[0, 3] += 1
    assert encoder_digest(learnt) == digest
    assert encoder_digest(make_sam(replace(tiny_vit_b, name="other"))) == digest
    lit_otherwise = replace(tiny_vit_b, preprocess=replace(tiny_vit_b.preprocess, mean=(1.0, 2.0, 3.0)))
    assert encoder_digest(make_sam(lit_otherwise)) != digest
    with torch.no_grad():
        next(learnt.image_encoder.parameters()).view(-1)[0] += 1e-6
    assert encoder_digest(learnt) != digest


def test_hugging_face_names_are_read(model: Sam, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    renamed = to_hugging_face(model.state_dict(), model.config)
    safetensors.torch.save_file({name: tensor.clone() for name, tensor in renamed.items()}, path)
    assert model_digest(load_sam(path, model.config)) == model_digest(model)
    assert read_card(path) == {}


def test_only_tiny_vits_classifier_is_dropped(make_sam: MakeSam, tiny_mobile: ModelConfig, tmp_path: Path) -> None:
    model = make_sam(tiny_mobile)
    extra = {"image_encoder.head.weight": torch.zeros(9, 32), "image_encoder.norm_head.bias": torch.zeros(32)}
    path = tmp_path / "mobile.pt"
    torch.save(model.state_dict() | extra, path)
    assert model_digest(load_sam(path, tiny_mobile)) == model_digest(model)
    torch.save(model.state_dict() | {"image_encoder.extra.weight": torch.zeros(1)}, path)
    assert "1 unexpected: image_encoder.extra.weight." in _message(path, tiny_mobile)


# Refusing.


def test_no_such_file(tmp_path: Path) -> None:
    path = tmp_path / "none.pt"
    with pytest.raises(WeightsNotFoundError) as error:
        load_sam(path)
    assert str(error.value) == f"no weights file at {path}. Check the path, or pull a model: segany weights pull."


def test_another_architecture(make_sam: MakeSam, model: Sam, tiny_mobile: ModelConfig, tmp_path: Path) -> None:
    path = tmp_path / "mobile.pt"
    torch.save(make_sam(tiny_mobile).state_dict(), path)
    message = _message(path, model.config)
    start = f"{path} does not hold the parameters of tiny; by its shapes it looks like tiny_vit. "
    assert message.startswith(start)
    assert "missing: image_encoder.pos_embed, image_encoder.patch_embed.proj.weight," in message
    assert "unexpected: image_encoder.patch_embed.seq.0.c.weight," in message
    assert message.endswith("Leave out the config to build what the file holds, or give the right file.")


def test_missing_and_misshapen_parameters(model: Sam, tmp_path: Path) -> None:
    state = model.state_dict()
    del state["mask_decoder.iou_token.weight"]
    state["mask_decoder.mask_tokens.weight"] = torch.zeros(3, 32)
    path = tmp_path / "tiny.pt"
    torch.save(state, path)
    message = _message(path, model.config)
    assert "1 missing: mask_decoder.iou_token.weight; " in message
    assert "1 of another shape: mask_decoder.mask_tokens.weight [3, 32] instead of [4, 32]. " in message


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated(model: Sam, tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"tiny{suffix}"
    if suffix == ".pt":
        torch.save(model.state_dict(), path)
    else:
        save_sam(model, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    message = _message(path)
    assert message.startswith(f"{path}: not a whole checkpoint file (")
    assert message.endswith("if it is one, it is truncated: fetch it again.")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"not weights at all " * 50, b"\x89PNG\r\n\x1a\n" + bytes(200), b"{}"])
def test_another_kind_of_file(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    assert _message(path).startswith(f"{path}: not a whole checkpoint file (")


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 1}, {"model": 3}])
def test_pickles_without_parameters(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "list.pt"
    torch.save(content, path)
    kind = type(content).__name__
    assert _message(path) == f"{path}: wanted parameters by name, got {kind}. Save model.state_dict() instead."


class _Command:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("form", ["zip", "old", "bare", "beside parameters"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(model: Sam, tmp_path: Path, form: str) -> None:
    victim = tmp_path / "victim"
    command = _Command(f'echo run > "{victim}"')
    # The pickle does work where nothing stops it.
    pickle.loads(pickle.dumps(command))
    assert victim.exists()
    victim.unlink()
    path = tmp_path / "weights.pt"
    if form == "bare":
        path.write_bytes(pickle.dumps(command))
    else:
        state = {**model.state_dict(), "x": command} if form == "beside parameters" else {"x": command}
        torch.save(state, path, _use_new_zipfile_serialization=form != "old")
    name = f"{os.system.__module__}.system"
    assert _message(path) == (
        f"{path}: refused, because it holds more than data: loading it would run {name}. "
        "Nothing was run. Get the weights from their publisher, or as safetensors."
    )
    assert not victim.exists()


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "module.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    assert "refused, because it holds more than data: loading it would run torch.nn.modules.linear" in _message(path)


def test_altered_parameters_do_not_match_their_card(model: Sam, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    save_sam(model, path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert _message(path).startswith(f"{path}: the parameters are not those that its card names.")


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("no JSON", "its model card is not JSON"),
        (json.dumps({"card_version": 99}), "its model card is not of version 1."),
        (json.dumps([]), "its model card is not of version 1."),
        (json.dumps({"card_version": 1, "config": {"name": "x"}}), "a model config needs a section 'encoder'"),
    ],
)
def test_a_broken_card(model: Sam, tmp_path: Path, card: str, message: str) -> None:
    path = tmp_path / "tiny.safetensors"
    safetensors.torch.save_file(model.state_dict(), path, metadata={"segany": card})
    assert message in _message(path)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"digest": "0"}, "the card's digest are filled in from the model; leave them out."),
        ({"scores": {1, 2}}, "a model card must hold JSON types only: "),
    ],
)
def test_a_card_that_cannot_be_written(model: Sam, tmp_path: Path, card: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        save_sam(model, tmp_path / "tiny.safetensors", card)
    assert str(error.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written(model: Sam, tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        save_sam(model, tmp_path / "folder.safetensors")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder.safetensors"]


def test_a_full_disk_leaves_the_older_file(model: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    path = tmp_path / "tiny.safetensors"
    save_sam(model, path)
    before = path.read_bytes()
    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OutputError, match="No space left on device"):
        save_sam(model.bfloat16(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# The real files.


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("mobile_sam", "dc2416d69f7c62bfbb49ed7c0ee5397268d6d9679e8497f4962024740ca56d92"),
        ("lite_medsam", "120eb0e8045f97484792c73a2eed0a123c3e9fc11e17241fc39eee0c3b878352"),
    ],
)
def test_published_weights_load_strictly(name: str, digest: str) -> None:
    try:
        path = weights.path(name)
    except WeightsError as error:
        pytest.skip(f"no weights here: {error}")
    model = load_sam(path)
    assert model.config == CONFIGS[name]
    assert model_digest(model) == digest
    image = torch.randn(
        1, 3, model.config.input_side, model.config.input_side, generator=torch.Generator().manual_seed(0)
    )
    with torch.inference_mode():
        plain = model.image_encoder(image)
        fused = model.fuse().image_encoder(image)
    assert plain.shape == (1, 256, 64, 64)
    torch.testing.assert_close(fused, plain, atol=1e-4, rtol=1e-4)
