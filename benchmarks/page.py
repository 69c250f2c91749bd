"""How long a preview takes in the annotation page: from the pointer's move until the mask stands on the canvas.

A real server with the default model and a headless Chromium, both on this machine. The page itself measures each
preview (`performance` entries named segany.hover), the wait for an answer that was asked for before included, by each
way: decoded by the server, in the page's worker (WebAssembly), and by the one that the page chose after measuring both.
Bytes are those that the network carried for a click, headers included; the embedding and what is downloaded once are
apart. Writes benchmarks/results/page.json.
"""

import argparse
import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
from playwright.sync_api import Browser, Page, Request, sync_playwright
from side import machine

from segany import weights
from segany.files import write_text
from segany.serve._page import PAGE

EXPORT_SECONDS = 400
CLICKS = 20
WAYS = ("server", "local", "auto")
PAUSE = 150
RESULTS = Path(__file__).parent / "results"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=100, help="moves of the pointer, each waited for")
    parser.add_argument("--sweep", type=int, default=100, help="moves 16 ms apart, nobody waiting")
    parser.add_argument("--photo", default="coffee", help="a name of `segany samples`")
    parser.add_argument("--by", nargs="+", choices=WAYS, default=WAYS, help="other ways' figures stay as they are")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "segany", "serve", "--store", f"{folder}/store", "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = next(match[0] for line in server.stdout if (match := re.search(r"http://\S+", line)))
            with sync_playwright() as playwright:
                path = shutil.which("chromium") or shutil.which("google-chrome")
                browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
                found = measured(browser, url, arguments)
                before = json.loads((RESULTS / "page.json").read_text(encoding="utf-8")).get("by", {})
                by = {way: {**before, **found["by"]}[way] for way in WAYS if way in {**before, **found["by"]}}
                report = {"machine": machine(os.cpu_count() or 1), **found, "by": by}
                text = json.dumps(report, indent=2) + "\n"
                write_text(RESULTS / "page.json", text)
                print(text)
                browser.close()
        finally:
            server.terminate()
            server.wait()


def measured(browser: Browser, url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    scripts = list((PAGE / "assets").glob("*.js"))
    report: dict[str, Any] = {"script_gzip_bytes": sum(len(gzip.compress(path.read_bytes())) for path in scripts)}
    ways: dict[str, Any] = {}
    for wish in arguments.by:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        traffic = Traffic(page)
        page.goto(f"{url}/?decode={wish}")
        page.get_by_role("button", name="Upload").wait_for()
        paints = page.evaluate("performance.getEntriesByType('paint').map((each) => [each.name, each.startTime])")
        report.setdefault("paint_ms", {name: round(at) for name, at in paints})
        page.locator("input[type=file]").set_input_files(str(weights.sample(arguments.photo)))
        page.locator(".stage[data-embedding=ready]").wait_for(timeout=60_000)
        ways[wish] = way(page, traffic, wish, arguments)
        page.close()
    return {**report, "by": ways}


class Traffic:
    """What the network carried for a page and its workers, by address."""

    def __init__(self, page: Page) -> None:
        self._finished: list[Request] = []
        # Their sizes are asked for later: within the handler nothing can be asked.
        page.on("requestfinished", lambda request: self._finished.append(request))

    def of(self, pattern: str = "", since: int = 0) -> list[int]:
        chosen = [request for request in self._finished[since:] if re.search(pattern, request.url)]
        return [sum(max(0, value) for value in cast(dict[str, int], request.sizes()).values()) for request in chosen]

    def __len__(self) -> int:
        return len(self._finished)


def way(page: Page, traffic: Traffic, wish: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Previews, and clicks that keep a mask, decoded one way."""
    stage = page.locator(".stage").bounding_box()
    assert stage is not None
    centre = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    rng = random.Random(0)

    def move() -> None:
        page.mouse.move(centre[0] + rng.uniform(-300, 300), centre[1] + rng.uniform(-200, 200))

    for _ in range(EXPORT_SECONDS if wish != "server" else 1):
        move()
        page.wait_for_timeout(1000)
        if page.evaluate("document.documentElement.dataset.decodeLocal ?? 'waiting'") != "waiting":
            break
    # Both ways are measured while the pointer rests, and the quicker one is kept.
    for _ in range(20):
        move()
        page.wait_for_timeout(600 if wish == "auto" else 100)
    single = recorded(page, move, arguments.moves, PAUSE)
    sweep = recorded(page, move, arguments.sweep, 16)
    told = page.evaluate("({...document.documentElement.dataset})")
    previews = traffic.of("/predict$")
    sent = len(traffic)
    for _ in range(CLICKS):
        move()
        page.wait_for_timeout(PAUSE)
        page.mouse.down()
        page.mouse.up()
        page.locator(".save-state.saved[data-waiting='0']").wait_for()
        page.wait_for_timeout(100)
    clicked = sum(traffic.of(since=sent))
    return {
        "load": round(os.getloadavg()[0], 1),
        "decoded_by": told.get("decodedBy", "server"),
        "single_ms": single,
        "sweep_ms": sweep,
        "bytes_per_preview_p50": int(np.median(previews)) if previews else 0,
        "bytes_per_click": round(clicked / CLICKS),
        "embedding_bytes": max(traffic.of("/features$"), default=0),
        "graph_bytes": sum(traffic.of("/decoder/graphs/")),
    }


def recorded(page: Page, move: Callable[[], None], count: int, pause: int) -> dict[str, float]:
    """Milliseconds of the previews of so many moves, with a pause after each."""
    page.evaluate("performance.clearMeasures('segany.hover')")
    for _ in range(count):
        move()
        page.wait_for_timeout(pause)
    page.wait_for_timeout(200)
    took = page.evaluate("performance.getEntriesByName('segany.hover').map((each) => each.duration)")
    p50, p95 = np.percentile(took, [50, 95])
    return {"n": len(took), "p50": round(float(p50), 1), "p95": round(float(p95), 1)}


if __name__ == "__main__":
    main()
