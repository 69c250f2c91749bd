"""LoRA: nothing at first, the same merged or not, and a file of its own."""

from pathlib import Path

import pytest
import torch

from segany.errors import CheckpointError
from segany.model.checkpoint import load_sam, model_digest, save_sam
from segany.model.sam import Sam
from segany.train import apply_lora
from segany.train.lora import add_lora, lora_layers, merge_lora, save_lora


def teach(model: Sam) -> None:
    """Values as after training."""
    torch.manual_seed(5)
    with torch.no_grad():
        for layer in lora_layers(model).values():
            layer.up.normal_(0, 0.1)


def test_it_begins_with_nothing(tiny: Sam) -> None:
    image = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        before = tiny.image_encoder(image)
        names = add_lora(tiny, 4, 8.0)
        assert torch.equal(tiny.image_encoder(image), before)
    assert "image_encoder.layers.1.blocks.0.attn.qkv" in names
    assert len(names) == 3 * 4


def test_merged_equals_unmerged(tiny: Sam) -> None:
    image = torch.rand(1, 3, 128, 128)
    names = {name for name, _ in tiny.named_parameters()}
    add_lora(tiny, 4, 8.0)
    teach(tiny)
    with torch.no_grad():
        unmerged = tiny.image_encoder(image)
        merge_lora(tiny)
        torch.testing.assert_close(tiny.image_encoder(image), unmerged, rtol=1e-5, atol=1e-5)
    assert {name for name, _ in tiny.named_parameters()} == names


def test_a_file_of_additions_gives_the_merged_model(tiny: Sam, tmp_path: Path) -> None:
    save_sam(tiny, tmp_path / "base.safetensors")
    parent = model_digest(tiny)
    add_lora(tiny, 2, 4.0)
    teach(tiny)
    save_lora(tiny, tmp_path / "adapter.safetensors", parent=parent)
    merge_lora(tiny)
    again = load_sam(tmp_path / "base.safetensors")
    apply_lora(again, tmp_path / "adapter.safetensors")
    assert model_digest(again) == model_digest(tiny)
    with pytest.raises(CheckpointError, match="belongs to the model with the digest"):
        apply_lora(again, tmp_path / "adapter.safetensors")
    with pytest.raises(CheckpointError, match=r"holds no LoRA of segany; give adapter\.safetensors"):
        apply_lora(again, tmp_path / "base.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="cannot read"):
        apply_lora(again, tmp_path / "bad.safetensors")
