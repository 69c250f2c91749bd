"""The page's own unit tests and types, and what is promised of its packages."""

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from segany.serve._page import PAGE

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
MOST_BYTES = 500_000


@pytest.mark.parametrize("script", ["check", "test"])
def test_scripts(script: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    if not (WEB / "node_modules").is_dir():
        pytest.skip("the page's packages are not installed: npm ci in web/")
    done = subprocess.run([npm, "run", script], cwd=WEB, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_packages_are_pinned_and_their_licences_permissive() -> None:
    package = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for name, version in {**package["dependencies"], **package["devDependencies"]}.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), name
    bundled = {name: about for name, about in lock.items() if name and not about.get("dev")}
    assert {about["license"] for about in bundled.values()} <= {"MIT", "Apache-2.0", "BSD-3-Clause", "ISC"}
    assert not any("resolved" in about for about in lock.values()), "the lock file names a registry"
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8").lower()
    assert all(name.removeprefix("node_modules/") in notice for name in bundled)


def test_the_built_page_is_small_and_has_nothing_inline() -> None:
    if not (PAGE / "index.html").is_file():
        pytest.skip("the page was not built: npm is missing, or it was not there when segany was installed")
    scripts = [gzip.compress(path.read_bytes()) for path in (PAGE / "assets").glob("*.js")]
    assert 0 < sum(map(len, scripts)) < MOST_BYTES
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|https?://", html)
