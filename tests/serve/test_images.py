"""Uploads: images come in, and nothing else does, whatever it is called; pictures go out as what they are."""

import gzip
import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from segany.serve._uploads import clean_name

API = "/api/v1"


def send(client: TestClient, name: str, content: bytes) -> Any:
    answer = client.post(f"{API}/records", files={"files": (name, content)})
    assert answer.status_code == 201, answer.text
    return answer.json()


def huge_png(width: int, height: int) -> bytes:
    """A header that promises more pixels than anyone has."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def zip_bomb() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("photo.png", b"\0" * 20_000_000)
    return content.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
REFUSED = {
    "svg": ("a.svg", SVG),
    "svg called png": ("a.png", SVG),
    "html": ("a.html", b"<!doctype html><script>alert(1)</script>"),
    "html called jpg": ("a.jpg", b"<html><script>alert(1)</script></html>"),
    "zip": ("a.zip", zip_bomb()),
    "zip called png": ("a.png", zip_bomb()),
    "gzip": ("a.png", gzip.compress(b"\0" * 1_000_000)),
    "json": ("a.json", b'{"images": [], "annotations": [], "categories": []}'),
    "url": ("a.png", b"http://127.0.0.1:8000/api/v1/users"),
    "text": ("a.txt", b"hello"),
    "empty": ("a.png", b""),
    "1 by 1e9": ("a.png", huge_png(1, 1_000_000_000)),
    "50000 by 50000": ("a.png", huge_png(50_000, 50_000)),
    "cut short": ("a.png", huge_png(100, 100)[:60]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(client: TestClient, what: str) -> None:
    reply = send(client, *REFUSED[what])
    assert reply["records"] == []
    (problem,) = reply["problems"]
    assert "tmp" not in problem["message"], "the server's folders are nobody's business"
    assert client.get(f"{API}/records").json()["records"] == []


def test_one_that_is_refused_does_not_keep_out_the_others(client: TestClient, make_photo: Any) -> None:
    files = [("files", (name, content)) for name, content in (("a.png", make_photo()), ("b.svg", SVG))]
    reply = client.post(f"{API}/records", files=files).json()
    assert [each["file_name"] for each in reply["records"]] == ["a.png"]
    assert [each["file_name"] for each in reply["problems"]] == ["b.svg"]


def test_the_same_again_is_recognised(client: TestClient, make_photo: Any) -> None:
    first, second = send(client, "a.png", make_photo()), send(client, "b.png", make_photo())
    assert (first["records"][0]["known"], second["records"][0]["known"]) == (False, True)
    assert first["records"][0]["id"] == second["records"][0]["id"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("/absolute/photo.png", "photo.png"),
        ("..", "upload"),
        ("a\x00b\n.png", "ab.png"),
        ("\ud800.png", "png"),
        (None, "upload"),
        ("Übung 1.png", "Übung 1.png"),
        ("x" * 300 + ".png", "x" * 196 + ".png"),
    ],
)
def test_names_have_no_folders(given: str | None, expected: str) -> None:
    assert clean_name(given) == expected


def test_a_name_writes_nowhere_else(client: TestClient, make_photo: Any, tmp_path: Path) -> None:
    before = {path for path in tmp_path.rglob("*") if "store" not in path.parts}
    reply = send(client, "../../../../escaped.png", make_photo())
    assert reply["records"][0]["file_name"] == "escaped.png"
    assert {path for path in tmp_path.rglob("*") if "store" not in path.parts} == before


def test_too_many_files(client: TestClient, make_photo: Any) -> None:
    files = [("files", ("a.png", make_photo()))] * 33
    answer = client.post(f"{API}/records", files=files)
    assert (answer.status_code, answer.json()["code"]) == (422, "config")


def test_too_many_pixels(server: Any, make_photo: Any) -> None:
    client = server.start(max_pixels=1000)
    assert "1,000" in send(client, "a.png", make_photo())["problems"][0]["message"]


@pytest.mark.parametrize(("kind", "media"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
def test_pictures_come_as_they_are(client: TestClient, make_photo: Any, kind: str, media: str) -> None:
    # By its content, whatever it is called.
    content = make_photo(kind=kind)
    record = send(client, "photo.html", content)["records"][0]["id"]
    answer = client.get(f"{API}/records/{record}/image")
    assert (answer.content, answer.headers["content-type"]) == (content, media)
    cached = client.get(f"{API}/records/{record}/image", headers={"If-None-Match": answer.headers["etag"]})
    assert (cached.status_code, cached.content) == (304, b"")


def test_deep_pictures_come_as_the_model_sees_them(client: TestClient, store: Any) -> None:
    content = io.BytesIO()
    deep = (np.arange(60 * 80).reshape(60, 80) * 13).astype(np.uint16)
    Image.fromarray(deep).save(content, "PNG")
    record = send(client, "deep.png", content.getvalue())["records"][0]["id"]
    answer = client.get(f"{API}/records/{record}/image")
    shown = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert np.array_equal(shown, store.image(record).pixels)


def test_thumbnails(client: TestClient, make_photo: Any) -> None:
    record = send(client, "a.png", make_photo())["records"][0]["id"]
    for side, size in {32: (32, 24), 256: (80, 60)}.items():
        answer = client.get(f"{API}/records/{record}/thumbnail", params={"side": side})
        assert Image.open(io.BytesIO(answer.content)).size == size
    assert client.get(f"{API}/records/{record}/thumbnail", params={"side": 100_000}).status_code == 422
    assert client.get(f"{API}/records/99/thumbnail").status_code == 404
