"""What is killed: a real server over a store, with a backend that answers with discs.

    python served.py STORE [SECONDS [PORT]]

Prints its URL when it listens; embedding takes SECONDS. Without PORT it takes one that is free.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from segany import serve
from segany.engine import open_store
from segany.predict import Predictor
from segany.predict.backends.base import Features
from segany.predict.backends.fake import FakeBackend
from segany.serve import ServeSettings, run


@dataclass(frozen=True, eq=False)
class Seen:
    """The colours of a photo: what looks alike can be told by them.

    Attributes:
        cells: [64, 64, 3] uint8, over the model's padded input.
    """

    cells: NDArray[np.uint8]

    def to_numpy(self) -> Mapping[str, NDArray[Any]]:
        """As an encoder's features, [1, 256, 64, 64]."""
        planes = self.cells.astype(np.float32).transpose(2, 0, 1) / 255
        return {"embedding": np.resize(planes, (1, 256, 64, 64))}


class SlowBackend(FakeBackend):
    """Takes its time to embed."""

    seconds = 0.0

    def encode(self, images: Sequence[Any]) -> list[Features]:
        time.sleep(self.seconds)
        found: list[Features] = []
        for image in images:
            padded = np.zeros((1024, 1024, 3), dtype=np.uint8)
            padded[: image.shape[0], : image.shape[1]] = image
            found.append(Seen(padded[8::16, 8::16]))
        return found


if __name__ == "__main__":
    SlowBackend.seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    port = int(sys.argv[3]) if len(sys.argv) > 3 else 0

    def create_app(store: Any, settings: Any) -> Any:
        return serve.create_app(store, settings, predictor=Predictor(backend=SlowBackend()))

    with open_store(sys.argv[1]) as opened, mock.patch.object(run, "create_app", create_app):
        # Of clicks nothing is learned: the same one has the same answer all the time.
        settings = ServeSettings(
            port=port, shutdown_seconds=3, learn_after_seconds=86_400, learn_names_after_seconds=0.2
        )
        run.serve(opened, settings, on_start=lambda url: print(url, flush=True))
    print("ended", flush=True)
