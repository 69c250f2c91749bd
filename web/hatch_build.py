"""Builds the page into the package, wherever npm is present; without it the server says how to."""

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SOURCES = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts")
_FOLDERS = ("src", "public")
_STAMP = "built-from.txt"


class PageBuildHook(BuildHookInterface):
    """Runs before a wheel, an sdist or an editable installation is made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page; an installation does not fail for want of it.

        Args:
            version: "standard" or "editable".
            build_data: Left as it is.
        """
        if problem := build_page(Path(self.root)):
            self.app.display_warning(problem)


def build_page(root: Path) -> str | None:
    """Build the page, unless what is there was built from the same sources.

    Args:
        root: Folder of the project.

    Returns:
        Why there is no page, or None.
    """
    web, stamp = root / "web", root / "src" / "segany" / "serve" / "page" / _STAMP
    if not (web / "package.json").is_file():
        return None
    sources = _digest(web)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == sources:
        return None
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not here: segany serve has its API, but no annotation page."
    for command in ([npm, "ci", "--no-audit", "--no-fund"], [npm, "run", "build"]):
        done = subprocess.run(command, cwd=web, capture_output=True, text=True, check=False)
        if done.returncode:
            last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
            return f"the annotation page was not built; npm {' '.join(command[1:])} said:\n{last}"
    stamp.write_text(sources, encoding="utf-8")
    return None


def _digest(web: Path) -> str:
    """Over everything that the page is built from."""
    files = [web / name for name in _SOURCES]
    files += sorted(path for folder in _FOLDERS for path in (web / folder).rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(web).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


if __name__ == "__main__":
    print(build_page(Path(__file__).parents[1]) or "the annotation page is built")
