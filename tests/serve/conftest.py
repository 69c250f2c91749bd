"""A server in this process, or in one of its own: a store, photos, and a backend that answers with discs."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from segany.engine import open_store
from segany.masks import RLE
from segany.predict import Predictor
from segany.predict.backends.fake import FakeBackend
from segany.serve import ServeSettings, create_app
from segany.serve._page import PAGE
from segany.serve.passwords import hash_password
from segany.store import Role, Store, create_store

API = "/api/v1"
PASSWORD = "correct horse battery"
# Made once: each takes as long as it should.
HASH = hash_password(PASSWORD)
# As found before any fixture of a test gives it a home of its own: the model is there, and its graphs after one run.
ENVIRONMENT = dict(os.environ)
FLAGS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def chromium() -> str:
    """A browser; a test that asks for it is skipped where there is none, no page, or nothing that drives it."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'")
    if not (PAGE / "index.html").is_file():
        pytest.skip("the page was not built: npm is missing, or it was not there when segany was installed")
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("Chromium is not installed")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    """Headless Chromium, one for a file: while it runs, this thread has an event loop."""
    from playwright import sync_api

    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_api.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=chromium, args=FLAGS + root)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def serve_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Starts `segany serve` with the default model over a new store, with further options, and gives its URL."""
    with ExitStack() as stack:

        def start(*options: str) -> str:
            store = tmp_path_factory.mktemp("page") / "store"
            command = [sys.executable, "-m", "segany", "serve", "--store", str(store), "--port", "0", *options]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=ENVIRONMENT)
            stack.enter_context(server)
            stack.callback(server.terminate)
            assert server.stdout is not None
            return next(found[0] for line in server.stdout if (found := re.search(r"http://\S+", line)))

        yield start


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Exports go to a home of the test's own."""
    monkeypatch.setenv("SEGANY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: making tables takes longer than copying them."""
    folder = tmp_path_factory.mktemp("empty") / "store"
    create_store(folder)
    return folder


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Iterator[Store]:
    shutil.copytree(empty_store, tmp_path / "store")
    with open_store(tmp_path / "store") as opened:
        yield opened


def photo(seed: int = 0, width: int = 80, height: int = 60, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


@pytest.fixture(scope="session")
def make_photo() -> Callable[..., bytes]:
    return photo


@pytest.fixture
def add_user(store: Store) -> Callable[[str, Role], None]:
    def add(name: str, role: Role) -> None:
        store.users.add(name, role, HASH, actor="test")

    return add


class Server:
    """Starts applications over the test's store, and asks them."""

    def __init__(self, store: Store, stack: ExitStack) -> None:
        self.store, self._stack = store, stack

    def start(self, backend: Any = None, settings: ServeSettings | None = None, **changes: Any) -> TestClient:
        wanted = replace(settings or ServeSettings(), **changes)
        app = create_app(self.store, wanted, predictor=Predictor(backend=backend or FakeBackend()))
        client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
        self._stack.enter_context(client)
        for _ in range(100):
            if client.get("/health/ready").status_code == 200:
                break
            time.sleep(0.02)
        return client

    @staticmethod
    def sign_in(client: TestClient, name: str) -> dict[str, str]:
        """The header that changes need; the cookie is the client's from now on."""
        answer = client.post(f"{API}/session", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return {"X-CSRF-Token": answer.json()["csrf_token"]}

    @staticmethod
    def upload(client: TestClient, content: bytes | None = None, name: str = "photo.png", **how: Any) -> int:
        answer = client.post(f"{API}/records", files={"files": (name, content or photo())}, **how)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["records"][0]["id"])


@pytest.fixture
def server(store: Store) -> Iterator[Server]:
    with ExitStack() as stack:
        yield Server(store, stack)


@pytest.fixture
def client(server: Server) -> TestClient:
    """A server on this machine, without accounts."""
    return server.start()


def mask_words(x: int = 10, y: int = 10, side: int = 8, width: int = 80, height: int = 60) -> dict[str, Any]:
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[y : y + side, x : x + side] = True
    rle = RLE.from_mask(mask)
    return {"size": [height, width], "counts": rle.counts.decode()}


@pytest.fixture
def make_mask() -> Callable[..., dict[str, Any]]:
    return mask_words


class Process:
    """The server, which may die."""

    def __init__(self, store: Path, seconds: float = 0.0, port: int = 0) -> None:
        command = [sys.executable, str(Path(__file__).parent / "served.py"), str(store), str(seconds), str(port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), self._process.communicate()[1]

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=30)

    def end(self) -> tuple[int, str]:
        """Status and the rest of what it printed after an orderly end."""
        self._process.send_signal(signal.SIGTERM)
        out, errors = self._process.communicate(timeout=30)
        assert "Traceback" not in errors, errors
        return self._process.returncode, out


@pytest.fixture(scope="session")
def process() -> type[Process]:
    return Process


@pytest.fixture
def folder(store: Any, make_photo: Any, tmp_path: Path) -> Path:
    """A store of three photos; nobody else has it open."""
    for seed in range(3):
        (tmp_path / f"{seed}.png").write_bytes(make_photo(seed))
    store.add([tmp_path / f"{seed}.png" for seed in range(3)], actor="test")
    return Path(store.location.folder)
