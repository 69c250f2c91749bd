"""The page's own unit tests and types, and what is promised of its packages."""

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from segany.geometry import Frame, Size
from segany.masks import RLE
from segany.masks.upscale import upscale_logits
from segany.predict.choose import look_at
from segany.schema import Prediction, Prompt
from segany.serve._page import PAGE

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
MOST_BYTES = 500_000


# Discs (x, y, radius) in cells, and where to click, in shares of the image.
DISCS = [
    ((100.0, 90.0, 60.0), (0.4, 0.4), Size(600, 400)),
    ((40.0, 200.0, 12.0), (0.15, 0.9), Size(480, 640)),
    ((128.0, 60.0, 90.0), (0.5, 0.3), Size(120, 160)),
    ((20.0, 20.0, 3.0), (0.08, 0.08), Size(1500, 1500)),
    ((200.0, 30.0, 400.0), (0.7, 0.1), Size(37, 41)),
]


def enlarged() -> list[dict[str, object]]:
    """What the page's own enlargement has to give."""
    cases: list[dict[str, object]] = []
    for disc, shares, size in DISCS:
        frame = Frame.longest_side(size, 1024)
        rows, columns = np.mgrid[:256, :256]
        away = np.hypot(columns + 0.5 - disc[0], rows + 0.5 - disc[1])
        logits = (disc[2] - away + 1.5 * np.sin(columns / 3) * np.cos(rows / 5)).astype(np.float32)
        rle = RLE.from_mask(upscale_logits(logits, frame) > 0)
        click = (float(int(shares[0] * size.width)), float(int(shares[1] * size.height)))
        prediction = Prediction(np.ones(3, np.float32), np.stack([logits] * 3), frame)
        seen = look_at(prediction, Prompt(points=[click]))
        cases.append(
            {
                "disc": disc,
                "side": 256,
                "frame": {name: list(getattr(frame, name)) for name in ("original", "model", "padded")},
                "counts": rle.counts.decode(),
                "area": rle.area,
                "at": [float(value) for value in frame.to_model(np.array([click]))[0]],
                "depth": round(float(seen.depths[0]), 6),
                "share": round(float(seen.shares[0]), 6),
            }
        )
    return cases


def test_what_the_page_is_compared_with_is_up_to_date() -> None:
    """Run this file to write it anew."""
    assert json.loads((WEB / "tests" / "enlarged.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(enlarged())
    )


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


if __name__ == "__main__":
    (WEB / "tests" / "enlarged.json").write_text(json.dumps(enlarged(), indent=1) + "\n", encoding="utf-8")
