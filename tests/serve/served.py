"""What is killed: a real server over a store, with a backend that answers with discs.

    python served.py STORE [SECONDS [PORT]]

Prints its URL when it listens; embedding takes SECONDS. Without PORT it takes one that is free.
"""

import sys
import time
from collections.abc import Sequence
from typing import Any
from unittest import mock

from segany import serve
from segany.engine import open_store
from segany.predict import Predictor
from segany.predict.backends.base import Features
from segany.predict.backends.fake import FakeBackend
from segany.serve import ServeSettings, run


class SlowBackend(FakeBackend):
    """Takes its time to embed."""

    seconds = 0.0

    def encode(self, images: Sequence[Any]) -> list[Features]:
        time.sleep(self.seconds)
        return super().encode(images)


if __name__ == "__main__":
    SlowBackend.seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    port = int(sys.argv[3]) if len(sys.argv) > 3 else 0

    def create_app(store: Any, settings: Any) -> Any:
        return serve.create_app(store, settings, predictor=Predictor(backend=SlowBackend()))

    with open_store(sys.argv[1]) as opened, mock.patch.object(run, "create_app", create_app):
        # Nothing is learned: the same click has the same answer all the time.
        settings = ServeSettings(port=port, shutdown_seconds=3, learn_after_seconds=86_400)
        run.serve(opened, settings, on_start=lambda url: print(url, flush=True))
    print("ended", flush=True)
