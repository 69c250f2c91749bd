"""Settings for the whole suite."""

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from segany.model import ModelConfig, Sam

# Before anything imports Matplotlib: tests have no screen.
os.environ["MPLBACKEND"] = "Agg"

# An embedding that an earlier run cached would hide a change of the encoder. Processes that tests start see it too.
os.environ["SEGANY_CACHE"] = tempfile.mkdtemp(prefix="segany-test-embeddings-")
atexit.register(shutil.rmtree, os.environ["SEGANY_CACHE"], ignore_errors=True)

# A shell that starts the tests in the background has Ctrl-C ignored, and so would every process that they interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Shared machines are slow at times; a slow example is not a wrong one. The same examples each time: whether a change is
# accepted must not hang on luck. `make soak` looks for new ones.
hypothesis.settings.register_profile("segany", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None, max_examples=500)
hypothesis.settings.load_profile("segany")


@pytest.fixture(scope="session")
def tiny_config() -> "ModelConfig":
    """A TinyViT for images of 128 pixels: [1, 32, 8, 8], masks of 32."""
    from segany.model import ModelConfig, PreprocessConfig, TinyViTConfig

    return ModelConfig(
        "tiny",
        TinyViTConfig(dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), heads=(1, 1, 1, 1), windows=(4, 4, 4, 4)),
        PreprocessConfig(input_side=128),
        embed_dim=32,
        decoder_heads=2,
        decoder_mlp_dim=32,
        iou_hidden_dim=32,
    )


@pytest.fixture(scope="session")
def make_tiny(tiny_config: "ModelConfig") -> "Callable[[], Sam]":
    """Makes the model of `tiny_config` where weights do not matter: always with the same random ones."""
    import torch

    from segany.model import Sam

    def make() -> Sam:
        torch.manual_seed(0)
        return Sam(tiny_config).eval()

    return make
