from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from segany.predict.backends import FakeBackend, Features, Scored
from segany.schema import PromptBatch


class HillBackend(FakeBackend):
    """Rugged hills near each click: neighbours find nearly the same ones, scores differ, some masks are unstable."""

    def __init__(self) -> None:
        super().__init__()
        self.key = "hills/1/cpu/float32"
        self.score_batch = 7
        self.encoded = 0
        self.asked: list[int] = []

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Features]:
        self.encoded += len(images)
        return super().encode(images)

    def score(self, features: Features, batch: PromptBatch) -> Scored:
        self.asked.append(len(batch))
        centres = [tuple(coords[0].astype(float) / 4) for coords in batch.coords]
        scores = np.array([[generator(centre, 4).uniform(0.8, 1.0) for _ in range(4)] for centre in centres])
        scores[:, 1:] = [generator(centre, 5).uniform(0.8, 1.0, 3) for centre in centres]
        return Scored(scores.astype(np.float32), centres)

    def low_res(self, scored: Scored, index: NDArray[np.int64], near: float | None = None) -> NDArray[np.float32]:
        return np.array([hill(scored.state[prompt], int(mask)) for prompt, mask in index]).reshape(-1, 256, 256)


def generator(centre: tuple[float, ...], salt: int) -> np.random.Generator:
    return np.random.default_rng([int(centre[0] * 16), int(centre[1] * 16), salt])


def hill(centre: tuple[float, ...], mask: int) -> NDArray[np.float32]:
    """A hill whose place is shared by the clicks of a neighbourhood, and whose slopes are its own."""
    rng = np.random.default_rng([int(centre[0] // 48), int(centre[1] // 48), mask])
    own = generator(centre, mask)
    y, x = np.mgrid[:256, :256] + 0.5
    middle = (np.array(centre) // 48 + rng.uniform(0.2, 0.8, 2)) * 48 + own.normal(0, 1, 2)
    radius = np.array([rng.uniform(4, 60), rng.uniform(4, 60)]) * own.uniform(0.9, 1.1, 2)
    height = own.uniform(2, 30) * (1 - np.hypot((x - middle[0]) / radius[0], (y - middle[1]) / radius[1]))
    return np.asarray(np.maximum(height + own.normal(0, 0.3, (256, 256)), -20), dtype=np.float32)


@pytest.fixture
def hills() -> HillBackend:
    return HillBackend()


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (96, 150, 3), dtype=np.uint8)
