"""Checkpoints: published .pth and .pt files, segany's and Hugging Face's safetensors."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from segany.errors import CheckpointError, ConfigError, OutputError, WeightsNotFoundError
from segany.files import atomic_path
from segany.model._detect import detect_config
from segany.model._pickles import read_pickle, unreadable
from segany.model.config import ModelConfig, TinyViTConfig
from segany.model.hugging_face import from_hugging_face, is_hugging_face
from segany.model.sam import Sam

__all__ = ["detect_config", "encoder_digest", "load_sam", "model_digest", "read_card", "save_sam"]

CARD_KEY = "segany"
CARD_VERSION = 1
_OWN_KEYS = ("card_version", "config", "digest", "parameters")
# MobileSAM's file still holds the ImageNet classifier that TinyViT was trained with; nothing reads it.
_CLASSIFIER = ("image_encoder.head.", "image_encoder.norm_head.")


def load_sam(path: str | os.PathLike[str], config: ModelConfig | None = None) -> Sam:
    """Read a checkpoint, strictly, into a model on the CPU.

    Reads published .pth and .pt files (also inside a training checkpoint's "model" or "state_dict"),
    files of `save_sam`, and safetensors with `transformers`' SamModel names. Pickles are read as data;
    one that would run code is refused. TinyViT's ImageNet classifier (`head`, `norm_head`) is dropped:
    nothing else is.

    Args:
        path: The file.
        config: What to build; None for the config in the file's card, or the one that the names and
            shapes tell.

    Returns:
        The model in evaluation mode, in the file's precision. Move it, then call `Sam.fuse`.

    Raises:
        WeightsNotFoundError: No such file.
        CheckpointError: Not a checkpoint, truncated, of another architecture, altered since it was
            saved, or a pickle that runs code.
    """
    file = Path(path)
    if not file.is_file():
        raise WeightsNotFoundError(f"no weights file at {file}. Check the path, or pull a model: segany weights pull.")
    state, card = _read(file)
    try:
        if is_hugging_face(state):
            state = from_hugging_face(state)
        if config is None:
            config = ModelConfig.from_dict(card["config"]) if "config" in card else detect_config(state)
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{file}: {error}") from error
    if isinstance(config.encoder, TinyViTConfig):
        state = {name: tensor for name, tensor in state.items() if not name.startswith(_CLASSIFIER)}
    # Without memory of its own: random values would cost seconds, only to be replaced.
    with torch.device("meta"):
        model = Sam(config).eval()
    _check(file, model, state)
    # Copied, because the tensors may be a view of the file, which must be free to change.
    model.load_state_dict({name: tensor.clone() for name, tensor in state.items()}, assign=True)
    if "digest" in card and card["digest"] != model_digest(model):
        raise CheckpointError(f"{file}: the parameters are not those that its card names. Copy or save the file again.")
    return model


def save_sam(model: Sam, path: str | os.PathLike[str], card: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write a safetensors file with a model card in its metadata, atomically.

    Args:
        model: The model; its parameters are written in their precision.
        path: The file to write.
        card: What is known of the model as JSON types (licence, parent, trained_on, scores, ...). Config,
            digest and number of parameters are filled in; the name is the config's unless given.

    Returns:
        The whole card as written.

    Raises:
        ConfigError: The card gives a key that is filled in here, or is not JSON.
        OutputError: The file cannot be written.
    """
    given = dict(card or {})
    taken = [key for key in _OWN_KEYS if key in given]
    if taken:
        raise ConfigError(f"the card's {', '.join(taken)} are filled in from the model; leave them out.")
    whole = {
        "name": model.config.name,
        **given,
        "card_version": CARD_VERSION,
        "config": model.config.to_dict(),
        "digest": model_digest(model),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    try:
        text = json.dumps(whole, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"a model card must hold JSON types only: {error}.") from error
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(path) as temporary:
        try:
            safetensors.torch.save_file(tensors, temporary, metadata={CARD_KEY: text, "format": "pt"})
        except safetensors.SafetensorError as error:
            raise OutputError(f"cannot write {path}: {error}. Free some space or choose another folder.") from error
    return whole


def read_card(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The model card of a file that `save_sam` wrote, without reading its tensors; {} if it has none.

    Raises:
        CheckpointError: Not a safetensors file, or a card that cannot be read.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return _parse_card(Path(path), file.metadata() or {})
    except (safetensors.SafetensorError, OSError) as error:
        raise unreadable(Path(path), error) from error


def model_digest(model: Sam) -> str:
    """sha256 over names, types, shapes and bytes of the parameters: the same whatever file they came from."""
    return _digest(hashlib.sha256(), model.state_dict())


def encoder_digest(model: Sam) -> str:
    """sha256 over all that an embedding depends on beside the image: the encoder, its config and the preprocessing.

    Models of one encoder have the same, whatever their decoders learnt.
    """
    config = model.config.to_dict()
    made_by = json.dumps({key: config[key] for key in ("encoder", "preprocess", "embed_dim")}, sort_keys=True)
    return _digest(hashlib.sha256(made_by.encode()), model.image_encoder.state_dict())


def _digest(total: "hashlib._Hash", state: Mapping[str, Any]) -> str:
    for name, tensor in sorted(state.items()):
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        total.update(memoryview(data.numpy()))
    return total.hexdigest()


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Every tensor of the file by name, and its card."""
    if file.suffix == ".safetensors":
        try:
            with safetensors.safe_open(file, framework="pt") as opened:
                card = _parse_card(file, opened.metadata() or {})
                return {name: opened.get_tensor(name) for name in opened.keys()}, card  # noqa: SIM118
        except (safetensors.SafetensorError, OSError) as error:
            raise unreadable(file, error) from error
    return _named_tensors(file, read_pickle(file)), {}


def _parse_card(file: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    if CARD_KEY not in metadata:
        return {}
    try:
        card = json.loads(metadata[CARD_KEY])
    except ValueError as error:
        raise CheckpointError(f"{file}: its model card is not JSON ({error}). Save the model again.") from error
    if not isinstance(card, dict) or card.get("card_version") != CARD_VERSION:
        raise CheckpointError(f"{file}: its model card is not of version {CARD_VERSION}. Use the segany that wrote it.")
    return card


def _named_tensors(file: Path, loaded: Any) -> dict[str, Tensor]:
    """The state dict, taken out of a training checkpoint if need be, without `DataParallel`'s prefix."""
    for key in ("model", "state_dict"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    names_and_tensors = isinstance(loaded, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in loaded.items()
    )
    if not names_and_tensors or not loaded:
        raise CheckpointError(
            f"{file}: wanted parameters by name, got {type(loaded).__name__}. Save model.state_dict() instead."
        )
    if all(name.startswith("module.") for name in loaded):
        return {name.removeprefix("module."): tensor for name, tensor in loaded.items()}
    return dict(loaded)


def _check(file: Path, model: Sam, state: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError unless names and shapes are the model's."""
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in state]
    unexpected = [name for name in state if name not in wanted]
    shapes = [
        f"{name} {list(state[name].shape)} instead of {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if not (missing or unexpected or shapes):
        return
    try:
        looks_like = detect_config(state).name
    except CheckpointError:
        looks_like = "none of this family"
    problems = [
        f"{len(names)} {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if names
    ]
    raise CheckpointError(
        f"{file} does not hold the parameters of {model.config.name}; by its shapes it looks like {looks_like}. "
        f"{'; '.join(problems)}. Leave out the config to build what the file holds, or give the right file."
    )
