"""A small model, small data, and runs that take a second."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from segany import Predictor
from segany.formats import coco
from segany.geometry import Size
from segany.masks import RLE
from segany.model.checkpoint import load_sam, save_sam
from segany.model.config import ModelConfig, PreprocessConfig, TinyViTConfig
from segany.model.sam import Sam
from segany.predict.backends.torch import TorchBackend
from segany.schema import Annotation, ImageInfo, Record
from segany.train import FolderData, TrainConfig, TrainResult, train

SIZE = Size(48, 64)
MakeConfig = Callable[..., TrainConfig]
Run = Callable[..., TrainResult]


def disc(x: int, y: int, radius: float) -> RLE:
    rows, columns = np.mgrid[: SIZE.height, : SIZE.width]
    return RLE.from_mask((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)


def make_tiny(side: int = 128) -> Sam:
    encoder = TinyViTConfig(dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), heads=(1, 2, 3, 4), windows=(7, 7, 7, 7))
    config = ModelConfig("tiny", encoder, PreprocessConfig(input_side=side), 32, decoder_heads=4, decoder_mlp_dim=64)
    torch.manual_seed(0)
    return Sam(config).eval()


@pytest.fixture
def tiny() -> Sam:
    return make_tiny()


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    save_sam(make_tiny(), path)
    return path


@pytest.fixture(scope="session")
def embedder(tiny_file: Path) -> Predictor:
    return Predictor(backend=TorchBackend(load_sam(tiny_file), device="cpu"))


def write_images(folder: Path, images: int, *, groups: bool = False) -> Path:
    """Discs in COCO's format: two cats and a dog on each image."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    records = []
    for number in range(images):
        masks = [disc(16 + number, 20, 9), disc(46, 24, 11), disc(30, 40, 6)]
        pixels = rng.integers(60, 80, (*SIZE, 3), dtype=np.uint8)
        for mask in masks:
            pixels[mask.to_mask()] = 220
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        annotations = [
            Annotation(10 * number + k, mask, category="cat" if k < 2 else "dog") for k, mask in enumerate(masks)
        ]
        records.append(Record(ImageInfo(number, f"{number}.png", SIZE), tuple(annotations)))
    coco.write_records(records, folder / "instances.json")
    if groups:
        lines = ["image,group", *(f"{number}.png,g{number // 2}" for number in range(images))]
        (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    return write_images(tmp_path / "discs", 4)


@pytest.fixture
def make_config(tiny_file: Path) -> MakeConfig:
    """Settings of a run that takes a second."""

    def make(**given: Any) -> TrainConfig:
        small = {
            "model": str(tiny_file),
            "steps": 4,
            "images_per_step": 2,
            "objects_per_image": 2,
            "clicks": 1,
            "repeats": 1,
            "views": 2,
            "val_objects": 4,
            "val_every": 2,
            "save_every": 2,
            "val_share": 0.25,
        }
        return TrainConfig.from_dict(small | given)

    return make


@pytest.fixture
def run(discs: Path, embedder: Predictor, tmp_path: Path) -> Run:
    """Train on the discs."""

    def go(config: TrainConfig, out: str = "run", **given: Any) -> TrainResult:
        data = given.pop("data", [FolderData("discs", discs)])
        return train(config, data=data, out=tmp_path / out, **{"predictor": embedder} | given)

    return go
