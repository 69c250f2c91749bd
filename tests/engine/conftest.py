"""A store of painted photos, and a model that sees regions of one colour."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany import Predictor
from segany.engine import open_store
from segany.geometry import Size
from segany.masks import RLE
from segany.model.config import CONFIGS
from segany.predict.backends.base import Features, Scored
from segany.predict.backends.fake import FakeBackend
from segany.schema import PromptBatch
from segany.store import Store, create_store

SIZE = Size(96, 128)
COLOURS = {"red": (220, 40, 40), "blue": (40, 40, 220), "yellow": (230, 230, 60)}


@dataclass(frozen=True, eq=False)
class Seen:
    """The padded image at the decoder's resolution."""

    cells: NDArray[np.uint8]

    def to_numpy(self) -> Mapping[str, NDArray[Any]]:
        return {"embedding": self.cells[::4, ::4].transpose(2, 0, 1)[None].astype(np.float32) / 255}


class ColourBackend(FakeBackend):
    """Answers a click with the connected region of its colour; `damage` shrinks what it answers with."""

    def __init__(self, damage: int = 0) -> None:
        super().__init__(CONFIGS["mobile_sam"])
        self.key = "colours/1/cpu/float32"
        self.model_digest = f"{damage + 1:064d}"
        self.damage = damage
        self.encoded = 0

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Features]:
        self.encoded += len(images)
        found: list[Features] = []
        for image in images:
            padded = np.zeros((1024, 1024, 3), dtype=np.uint8)
            padded[: image.shape[0], : image.shape[1]] = image
            found.append(Seen(padded[2::4, 2::4]))
        return found

    def score(self, features: Features, batch: PromptBatch) -> Scored:
        places = []
        for coords, labels in zip(batch.coords, batch.labels, strict=True):
            x, y = coords[labels >= 2].mean(axis=0) if (labels >= 2).any() else coords[0]
            places.append((min(255, int(x / 4)), min(255, int(y / 4))))
        scores = np.tile(np.array([0.9, 0.8, 0.95, 0.7], dtype=np.float32), (len(batch), 1))
        return Scored(scores, (features, places))

    def low_res(self, scored: Scored, index: NDArray[np.int64], near: float | None = None) -> NDArray[np.float32]:
        features, places = scored.state
        return np.array([self._region(features.cells, places[p], int(k)) for p, k in index]).reshape(-1, 256, 256)

    def features_from_numpy(self, arrays: Mapping[str, NDArray[Any]]) -> Features:
        raise NotImplementedError

    def _region(self, cells: NDArray[np.uint8], place: tuple[int, int], kind: int) -> NDArray[np.float32]:
        x, y = place
        alike = np.abs(cells.astype(np.int64) - cells[y, x]).sum(axis=2) < 130
        _, labels = cv2.connectedComponents(alike.astype(np.uint8), connectivity=4)
        region = (alike if kind == 1 else labels == labels[y, x]).astype(np.uint8)
        shrink = self.damage + (12 if kind == 3 else 0)
        if shrink:
            region = cv2.erode(region, np.ones((2 * shrink + 1,) * 2, dtype=np.uint8))
        return np.where(region > 0, 10.0, -10.0).astype(np.float32)


@dataclass
class Painted:
    """A store, what is in its photos, and who looks at them."""

    store: Store
    truths: dict[int, list[RLE]]
    names: dict[int, list[str]]
    predictor: Predictor


def paint(path: Path, seed: int) -> tuple[list[RLE], list[str]]:
    """Four discs on a grey ground."""
    rng = np.random.default_rng(seed)
    pixels = np.full((*SIZE, 3), 128, dtype=np.uint8)
    # So that no two photos are near-duplicates.
    pixels[:, :, 1] += rng.integers(0, 8, SIZE, dtype=np.uint8)
    rows, columns = np.mgrid[: SIZE.height, : SIZE.width]
    masks, names = [], []
    for place, name in zip(((24, 24), (24, 72), (80, 30), (95, 70)), rng.permutation([*COLOURS, "red"]), strict=True):
        x, y = np.array(place) + rng.integers(-4, 5, 2)
        disc = (columns - x) ** 2 + (rows - y) ** 2 <= rng.integers(10, 15) ** 2
        pixels[disc] = COLOURS[str(name)]
        masks.append(RLE.from_mask(disc))
        names.append(str(name))
    PillowImage.fromarray(pixels).save(path)
    return masks, names


@pytest.fixture
def painted(tmp_path: Path) -> Iterator[Callable[[int], Painted]]:
    """Makes a store of so many photos."""
    opened: list[Store] = []

    def make(photos: int) -> Painted:
        create_store(tmp_path / "store")
        store = open_store(tmp_path / "store")
        opened.append(store)
        truths, names = {}, {}
        for number in range(photos):
            path = tmp_path / f"photo-{number}.png"
            masks, called = paint(path, number)
            record = store.add(path, actor="test").record_ids[0]
            truths[record], names[record] = masks, called
        return Painted(store, truths, names, Predictor(backend=ColourBackend()))

    yield make
    for store in opened:
        store.close()
