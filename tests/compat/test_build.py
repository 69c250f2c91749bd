import re
from pathlib import Path

import pytest
import torch

from segany import weights
from segany.compat import (
    Sam,
    build_sam,
    build_sam_vit_b,
    build_sam_vit_h,
    build_sam_vit_l,
    build_sam_vit_t,
    sam_model_registry,
)
from segany.errors import CheckpointError, WeightsNotFoundError
from segany.model import CONFIGS
from segany.model.checkpoint import load_sam


def test_the_registry_has_the_names_that_scripts_use() -> None:
    assert sam_model_registry == {
        "default": build_sam_vit_h,
        "vit_h": build_sam_vit_h,
        "vit_l": build_sam_vit_l,
        "vit_b": build_sam_vit_b,
        "vit_t": build_sam_vit_t,
    }
    assert build_sam is build_sam_vit_h


def test_random_parameters_without_a_checkpoint() -> None:
    sam = sam_model_registry["vit_t"]()
    assert isinstance(sam, Sam)
    assert sam.config == CONFIGS["mobile_sam"]
    assert not sam.training
    assert (sam.image_encoder.img_size, sam.mask_threshold, sam.image_format) == (1024, 0.0, "RGB")
    assert all(parameter.device.type == "cpu" for parameter in sam.parameters())
    assert all(torch.isfinite(parameter).all() for parameter in sam.parameters())


@pytest.mark.parametrize("kind", ["vit_b", "vit_l", "vit_h"])
def test_every_size_has_its_config(kind: str) -> None:
    with torch.device("meta"):
        sam = sam_model_registry[kind](None)
    assert sam.config == CONFIGS[kind]
    assert next(iter(sam.image_encoder.parameters())).shape[-1] in (CONFIGS[kind].encoder.dim, 16)  # type: ignore[union-attr]


def test_a_file_a_path_and_a_name_are_the_same_model(tmp_path: Path) -> None:
    path = weights.path("mobile_sam")
    models = [build_sam_vit_t(checkpoint) for checkpoint in (str(path), path, "mobile_sam")]
    wanted = load_sam(path).state_dict()
    for sam in models:
        state = sam.state_dict()
        assert state.keys() == wanted.keys()
        assert all(torch.equal(state[name], wanted[name]) for name in wanted)
    # And back: a script saves the state dict and loads it elsewhere.
    torch.save(models[0].state_dict(), tmp_path / "tuned.pth")
    models[1].load_state_dict(torch.load(tmp_path / "tuned.pth", weights_only=True))
    build_sam_vit_t(tmp_path / "tuned.pth")


def test_the_model_moves_and_changes_mode() -> None:
    sam = build_sam_vit_t()
    assert sam.to("cpu") is sam
    assert sam.device == torch.device("cpu")
    assert sam.train().training
    assert not sam.eval().training
    assert "pixel_mean" not in sam.state_dict()


def test_a_missing_file_is_named_and_nothing_is_fetched(tmp_path: Path) -> None:
    path = tmp_path / "mobile_sam.pt"
    message = f'no checkpoint at {path}; correct the path, or give checkpoint="mobile_sam" to have it fetched.'
    with pytest.raises(WeightsNotFoundError, match=re.escape(message)):
        build_sam_vit_t(checkpoint=path)
    path = tmp_path / "other.pth"
    message = f"no checkpoint at {path}, and no weights of that name; give a file, or a name of `segany weights list`."
    with pytest.raises(WeightsNotFoundError, match=re.escape(message)):
        build_sam_vit_t(checkpoint=path)


def test_another_models_file_is_refused() -> None:
    with pytest.raises(
        CheckpointError, match="does not hold the parameters of vit_b; by its shapes it looks like mobile_sam"
    ):
        build_sam_vit_b(weights.path("mobile_sam"))
