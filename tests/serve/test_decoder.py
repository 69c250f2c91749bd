"""The decoder's graphs for pages: exported once, in the background, and found again; what fails is told."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from segany.deploy.card import CARD, ExportCard, GraphFile, sha256_of
from segany.errors import SeganyError
from segany.model.config import CONFIGS
from segany.predict.backends.fake import FakeBackend
from segany.serve import _browser
from segany.serve._browser import export_apart

API = "/api/v1"


def put(folder: Path, digest: str) -> None:
    """Two files that pass for graphs, and their card."""
    folder.mkdir(parents=True)
    graphs = {}
    for name in ("prepare", "decode"):
        path = folder / f"{name}.onnx"
        path.write_bytes(name.encode())
        graphs[name] = GraphFile(path.name, path.stat().st_size, sha256_of(path), {}, {})
    card = ExportCard("decoder", "fake", "float32", digest, digest, CONFIGS["mobile_sam"], graphs, {}, {})
    (folder / CARD).write_text(card.to_json(), encoding="utf-8")


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    asked: list[Path] = []

    async def export(model: str, folder: Path) -> None:
        asked.append(folder)
        await asyncio.to_thread(put, folder, FakeBackend().model_digest)

    monkeypatch.setattr(_browser, "export_apart", export)
    monkeypatch.setattr(_browser, "_LIBRARIES", ())
    return asked


def settled(client: TestClient) -> dict[str, Any]:
    assert client.get(f"{API}/decoder").json()["state"] == "missing"
    assert client.post(f"{API}/decoder").status_code == 202
    for _ in range(200):
        said: dict[str, Any] = client.get(f"{API}/decoder").json()
        if said["state"] != "making":
            return said
        time.sleep(0.02)
    raise AssertionError("it is still being made")


def test_the_graphs_are_exported_once_and_served(server: Any, exports: list[Path], home: Path) -> None:
    client = server.start()
    said = settled(client)
    assert said["state"] == "ready"
    assert {each["name"] for each in said["graphs"]} == {"prepare", "decode"}
    for each in said["graphs"]:
        answer = client.get(f"{API}/decoder/graphs/{each['sha256']}")
        assert hashlib.sha256(answer.content).hexdigest() == each["sha256"]
        assert len(answer.content) == each["bytes"]
        assert "immutable" in answer.headers["cache-control"]
    assert client.post(f"{API}/decoder").status_code == 200
    # Another server of the same home finds them.
    assert settled(server.start())["state"] == "ready"
    assert len(exports) == 1
    assert exports[0].parent == home / "graphs"


def test_no_other_file_is_served(server: Any, exports: list[Path]) -> None:
    client = server.start()
    settled(client)
    for name in ("0" * 64, "card.json", "..%2Fcard.json", "decode"):
        assert client.get(f"{API}/decoder/graphs/{name}").status_code == 404


def test_what_was_damaged_is_exported_again(server: Any, exports: list[Path]) -> None:
    settled(server.start())
    (exports[0] / "decode.onnx").write_bytes(b"cut short")
    settled(server.start())
    assert len(exports) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: put(folder, "1" * 64), "the exported graphs are not of the model that the server runs."),
        (None, "only mask decoders of two layers can be exported"),
    ],
)
def test_what_fails_is_told_and_not_tried_again(
    server: Any, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None] | None, message: str
) -> None:
    calls = []

    async def export(model: str, folder: Path) -> None:
        calls.append(model)
        if make is None:
            raise SeganyError(message)
        make(folder)

    monkeypatch.setattr(_browser, "export_apart", export)
    monkeypatch.setattr(_browser, "_LIBRARIES", ())
    client = server.start()
    said = settled(client)
    assert (said["state"], said["message"], said["graphs"]) == ("unavailable", message, [])
    assert client.post(f"{API}/decoder").json()["state"] == "unavailable"
    assert len(calls) == 1


def test_without_the_libraries_it_says_what_to_install(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_browser, "_LIBRARIES", ("no_such_library",))
    said = settled(server.start())
    assert said["message"] == "no_such_library is not installed: pip install 'segany[export]'"


def test_the_process_beside_says_why_it_failed(tmp_path: Path) -> None:
    with pytest.raises(SeganyError, match="no-such-model"):
        asyncio.run(export_apart("no-such-model", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_export_ends_with_the_server(tmp_path: Path) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(export_apart("mobile_sam", tmp_path / "out"))
        await asyncio.sleep(0.3)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert not (tmp_path / "out").exists()


def test_the_embedding_says_how_candidates_are_ranked(server: Any) -> None:
    client = server.start()
    record = server.upload(client)
    said = client.get(f"{API}/records/{record}/embedding").json()["choosing"]
    assert said.keys() == {"depth", "offsets", "size", "log_share", "sharpness", "floor"}
    assert len(said["offsets"]) == 3
