"""Fetching from a real package index: an HTTP server on the loopback interface."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest

from segany.errors import DigestError, OutputError, WeightsNotFoundError
from segany.settings import Settings
from segany.weights import Entry, PackageSource, UrlSource, _fetch, _index

if TYPE_CHECKING:
    from tests.weights.conftest import Index

CONTENT = np.random.default_rng(0).bytes(300_000)
WHEEL = "demo_project-1.0-py3-none-any.whl"
SDIST = "demo_project-1.0.tar.gz"
# Nobody listens on the discard port.
NOBODY = "http://127.0.0.1:9"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def configured(index: "Index", monkeypatch: pytest.MonkeyPatch) -> "Index":
    settings = _index.IndexSettings(urls=(f"{index.url}/simple/",))
    monkeypatch.setattr(_index, "read_pip_configuration", lambda: settings)
    return index


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def entry(*sources: PackageSource | UrlSource, content: bytes = CONTENT) -> Entry:
    return Entry(
        name="demo",
        kind="model",
        file_name="demo.pt",
        sha256=sha256(content),
        size=len(content),
        licence="MIT",
        licence_source="package",
        description="made by a test",
        sources=sources,
    )


def left_in(settings: Settings) -> set[str]:
    """What is in the cache, but for the locks."""
    return {path.name for path in (settings.home / "weights").rglob("*") if path.suffix != ".lock"}


def fetch_fails(what: Entry, settings: Settings, kind: type[Exception] = WeightsNotFoundError) -> str:
    with pytest.raises(kind) as caught:
        _fetch.fetch(what, settings)
    assert left_in(settings) == set()
    return str(caught.value)


class TestTheFileArrives:
    @pytest.mark.parametrize("as_html", [False, True])
    @pytest.mark.parametrize("file", [WHEEL, SDIST])
    def test_from_a_package(self, configured: "Index", settings: Settings, file: str, as_html: bool) -> None:
        configured.as_html = as_html
        seen: list[tuple[str, int, int]] = []
        path = _fetch.fetch(entry(configured.add(file, CONTENT)), settings, lambda *report: seen.append(report))
        assert path == settings.home / "weights" / "demo.pt"
        assert path.read_bytes() == CONTENT
        assert left_in(settings) == {"demo.pt", ".demo.pt.checked"}
        assert seen[-1] == ("demo", len(configured.files[file]), len(configured.files[file]))

    def test_from_the_publisher(self, index: "Index", settings: Settings) -> None:
        index.files["demo.pt"] = CONTENT
        path = _fetch.fetch(entry(UrlSource(f"{index.url}/files/demo.pt")), settings)
        assert path.read_bytes() == CONTENT

    def test_from_the_second_source_if_the_first_fails(self, configured: "Index", settings: Settings) -> None:
        wrong = configured.add(SDIST, bytes(len(CONTENT)))
        right = configured.add(WHEEL, CONTENT)
        assert _fetch.fetch(entry(wrong, right), settings).read_bytes() == CONTENT
        assert left_in(settings) == {"demo.pt", ".demo.pt.checked"}

    def test_once_only(self, configured: "Index", settings: Settings) -> None:
        what = entry(configured.add(WHEEL, CONTENT))
        _fetch.fetch(what, settings)
        _fetch.fetch(what, settings)
        assert [method for method, _, _ in configured.answers] == ["GET"]

    def test_from_the_index_that_pip_is_configured_for(
        self, index: "Index", settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        what = entry(index.add(WHEEL, CONTENT))
        monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple/")
        _index.read_pip_configuration.cache_clear()
        try:
            assert _fetch.fetch(what, settings).read_bytes() == CONTENT
        finally:
            _index.read_pip_configuration.cache_clear()


class TestPartsOfAWheel:
    SMALL = CONTENT[:9_000]
    REST: ClassVar = {"pkg/a.bin": np.random.default_rng(1).bytes(3_000_000)}

    def test_a_small_member_does_not_cost_the_whole_archive(self, configured: "Index", settings: Settings) -> None:
        what = entry(configured.add(WHEEL, self.SMALL, **self.REST), content=self.SMALL)
        assert _fetch.fetch(what, settings).read_bytes() == self.SMALL
        assert sum(sent for _, _, sent in configured.answers) < 3_000_000 / 5

    def test_a_server_without_parts_gives_the_whole(self, configured: "Index", settings: Settings) -> None:
        configured.gives_parts = False
        what = entry(configured.add(WHEEL, self.SMALL, **self.REST), content=self.SMALL)
        assert _fetch.fetch(what, settings).read_bytes() == self.SMALL

    def test_a_wrong_member_is_refused_though_the_archive_is_not_hashed(
        self, configured: "Index", settings: Settings
    ) -> None:
        what = entry(configured.add(WHEEL, bytes(9_000), **self.REST), content=self.SMALL)
        message = fetch_fails(what, settings, DigestError)
        assert f"it gave a file with sha256 {sha256(bytes(9_000))} instead of {sha256(self.SMALL)}" in message


class TestTheFileIsRefused:
    def test_wrong_member(self, configured: "Index", settings: Settings) -> None:
        other = bytes(len(CONTENT))
        what = entry(configured.add(SDIST, other))
        assert fetch_fails(what, settings, DigestError) == (
            "demo could not be fetched (package demo-project 1.0: it gave a file with sha256 "
            f"{sha256(other)} instead of {sha256(CONTENT)}). Put demo.pt (300,000 bytes, sha256 {sha256(CONTENT)}) at "
            f"{settings.home / 'weights' / 'demo.pt'}; it is pkg/model.pt in demo_project-1.0.tar.gz of the package "
            "index."
        )

    def test_archive_changed_after_it_was_listed(self, configured: "Index", settings: Settings) -> None:
        source = configured.add(SDIST, CONTENT)
        configured.listed_sha256[SDIST] = source.sha256
        configured.files[SDIST] = configured.files[SDIST] + b"more"
        assert f"instead of {source.sha256}" in fetch_fails(entry(source), settings, DigestError)

    def test_archive_listed_with_another_digest_is_not_downloaded(
        self, configured: "Index", settings: Settings
    ) -> None:
        source = configured.add(SDIST, CONTENT)
        configured.listed_sha256[SDIST] = "0" * 64
        message = fetch_fails(entry(source), settings)
        assert "the index offers another demo_project-1.0.tar.gz than the one pinned" in message
        assert configured.answers == []

    @pytest.mark.parametrize("file", [WHEEL, SDIST])
    def test_download_cut_short(self, configured: "Index", settings: Settings, file: str) -> None:
        configured.cut_after = 100_000
        message = fetch_fails(entry(configured.add(file, CONTENT)), settings)
        assert "(package demo-project 1.0: the download was cut short" in message

    def test_publisher_gives_more_than_expected(self, index: "Index", settings: Settings) -> None:
        index.files["demo.pt"] = CONTENT + b"more"
        message = fetch_fails(entry(UrlSource(f"{index.url}/files/demo.pt")), settings)
        assert "the file is longer than the 300,000 bytes expected" in message

    @pytest.mark.parametrize(
        ("project_file", "reason"),
        [
            ("demo_project-2.0.tar.gz", "the index has no demo_project-1.0.tar.gz"),
            (None, "the index has no such project"),
        ],
    )
    def test_not_on_the_index(
        self, configured: "Index", settings: Settings, project_file: str | None, reason: str
    ) -> None:
        source = configured.add(SDIST, b"x")
        if project_file is None:
            source = PackageSource("other-project", "1.0", source.file, source.sha256, source.member)
        else:
            configured.files = {project_file: b"x"}
        assert f"demo could not be fetched (package {source.project} 1.0: {reason})." in fetch_fails(
            entry(source), settings
        )

    def test_no_connection(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        nowhere = _index.IndexSettings(urls=(f"{NOBODY.replace('//', '//someone:secret@')}/simple/",))
        monkeypatch.setattr(_index, "read_pip_configuration", lambda: nowhere)
        source = PackageSource("demo-project", "1.0", SDIST, "0" * 64, "pkg/model.pt")
        message = fetch_fails(entry(source, UrlSource(f"{NOBODY}/demo.pt")), settings)
        assert f"(package demo-project 1.0: no connection; {NOBODY}/demo.pt: no connection)" in message
        assert "secret" not in message

    def test_publisher_has_moved(self, index: "Index", settings: Settings) -> None:
        url = f"{index.url}/files/gone.pt"
        assert f"{url}: the server answered HTTP 404" in fetch_fails(entry(UrlSource(url)), settings)

    def test_no_source_at_all(self, settings: Settings) -> None:
        message = fetch_fails(entry(), settings)
        assert message.startswith("demo could not be fetched (no source is known). Put demo.pt (300,000 bytes, ")
        assert message.endswith("; it is made by a test.")


class TestLogins:
    def test_the_login_goes_to_the_index_and_its_files(
        self, index: "Index", settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = f"{index.url.replace('//', '//someone:secret@')}/simple/"
        monkeypatch.setattr(_index, "read_pip_configuration", lambda: _index.IndexSettings(urls=(url,)))
        _fetch.fetch(entry(index.add(SDIST, CONTENT)), settings)
        assert set(index.logins.values()) == {"Basic c29tZW9uZTpzZWNyZXQ="}

    def test_the_login_goes_to_no_other_host(
        self, index: "Index", settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = f"{index.url.replace('//', '//someone:secret@')}/simple/"
        monkeypatch.setattr(_index, "read_pip_configuration", lambda: _index.IndexSettings(urls=(url,)))
        index.files_at = index.url.replace("127.0.0.1", "localhost")
        _fetch.fetch(entry(index.add(SDIST, CONTENT)), settings)
        assert index.logins == {
            "/simple/demo-project/": "Basic c29tZW9uZTpzZWNyZXQ=",
            "/files/demo_project-1.0.tar.gz": None,
        }

    def test_the_login_goes_to_no_publisher(
        self, index: "Index", settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = f"{index.url.replace('//', '//someone:secret@')}/simple/"
        monkeypatch.setattr(_index, "read_pip_configuration", lambda: _index.IndexSettings(urls=(url,)))
        index.files["demo.pt"] = CONTENT
        _fetch.fetch(entry(UrlSource(f"{index.url}/files/demo.pt")), settings)
        assert index.logins == {"/files/demo.pt": None}


class TestInterruptions:
    def test_ctrl_c_leaves_nothing(self, configured: "Index", settings: Settings) -> None:
        def stop(_name: str, done: int, _total: int) -> None:
            raise KeyboardInterrupt

        what = entry(configured.add(SDIST, CONTENT))
        with pytest.raises(KeyboardInterrupt):
            _fetch.fetch(what, settings, stop)
        assert left_in(settings) == set()
        assert _fetch.fetch(what, settings).read_bytes() == CONTENT

    def test_what_a_killed_process_left_is_removed(self, configured: "Index", settings: Settings) -> None:
        partial = settings.home / "weights" / ".demo.pt.partial"
        partial.mkdir(parents=True)
        (partial / SDIST).write_bytes(b"half")
        _fetch.fetch(entry(configured.add(SDIST, CONTENT)), settings)
        assert left_in(settings) == {"demo.pt", ".demo.pt.checked"}

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
    def test_a_real_sigint_leaves_nothing(self, index: "Index", settings: Settings) -> None:
        index.pause_after = 150_000
        process = start(index, settings, index.add(SDIST, CONTENT))
        assert index.paused.wait(30)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert process.returncode != 0
        assert "KeyboardInterrupt" in errors
        assert left_in(settings) == set()

    def test_two_processes_at_once_fetch_once(self, index: "Index", settings: Settings) -> None:
        index.pause_after = 150_000
        source = index.add(SDIST, CONTENT)
        processes = [start(index, settings, source) for _ in range(2)]
        for process in processes:
            output, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
            assert Path(output.strip()).read_bytes() == CONTENT
        assert [method for method, _, _ in index.answers] == ["GET"]


class TestTheCacheCannotBeWritten:
    def test_no_space(self, index: "Index", settings: Settings) -> None:
        if sys.platform == "win32":
            pytest.skip("Windows has no limit on the size of a process's files")
        source = index.add(SDIST, CONTENT)
        process = start(index, settings, source, limit_bytes=100_000)
        _, errors = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "segany.errors.OutputError: cannot write " in errors
        assert "Nothing was left half-written; free some space" in errors
        assert left_in(settings) == set()

    def test_a_file_in_place_of_the_folder(self, tmp_path: Path) -> None:
        home = tmp_path / "home"
        home.write_bytes(b"")
        with pytest.raises(OutputError, match=r"^cannot write to .*weights: .*Set SEGANY_HOME to a folder"):
            _fetch.fetch(entry(), Settings(home=home))


def start(
    index: "Index", settings: Settings, source: PackageSource, *, limit_bytes: int | None = None
) -> subprocess.Popen[str]:
    """Fetch in a process of its own."""
    code = f"""
from pathlib import Path
from segany.settings import Settings
from segany.weights import Entry, PackageSource, _fetch
if {limit_bytes} is not None:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))
print(_fetch.fetch({entry(source)!r}, Settings(home=Path({str(settings.home)!r}))))
"""
    environment = {**os.environ, "PIP_INDEX_URL": f"{index.url}/simple/", "PIP_EXTRA_INDEX_URL": ""}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
