"""How long a preview takes in the annotation page: from the pointer's move until the mask stands on the canvas.

A real server with the default model and a headless Chromium, both on this machine. The page itself measures each
preview (`performance` entries named segany.hover), the wait for an answer that was asked for before included. Writes
benchmarks/results/page.json.
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
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright
from side import machine

from segany import weights
from segany.files import write_text
from segany.serve._page import PAGE

RESULTS = Path(__file__).parent / "results"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=200, help="moves of the pointer, each waited for")
    parser.add_argument("--sweep", type=int, default=200, help="moves 16 ms apart, nobody waiting")
    parser.add_argument("--photo", default="coffee", help="a name of `segany samples`")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "segany", "serve", "--store", f"{folder}/store", "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = next(found[0] for line in server.stdout if (found := re.search(r"http://\S+", line)))
            with sync_playwright() as playwright:
                path = shutil.which("chromium") or shutil.which("google-chrome")
                browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                text = (
                    json.dumps({"machine": machine(os.cpu_count() or 1), **measured(page, url, arguments)}, indent=2)
                    + "\n"
                )
                write_text(RESULTS / "page.json", text)
                print(text)
                browser.close()
        finally:
            server.terminate()
            server.wait()


def measured(page: Page, url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    page.goto(url)
    page.get_by_role("button", name="Upload").wait_for()
    paints = page.evaluate("performance.getEntriesByType('paint').map((each) => [each.name, each.startTime])")
    page.locator("input[type=file]").set_input_files(str(weights.sample(arguments.photo)))
    page.locator(".stage[data-embedding=ready]").wait_for(timeout=60_000)
    stage = page.locator(".stage").bounding_box()
    assert stage is not None
    centre = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    rng = random.Random(0)

    def move() -> None:
        page.mouse.move(centre[0] + rng.uniform(-300, 300), centre[1] + rng.uniform(-200, 200))

    for _ in range(20):
        move()
        page.wait_for_timeout(60)
    single = recorded(page, lambda: [(move(), page.wait_for_timeout(90)) for _ in range(arguments.moves)])
    sweep = recorded(page, lambda: [(move(), page.wait_for_timeout(16)) for _ in range(arguments.sweep)])
    received = page.evaluate(
        "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/predict')).map((e) => e.transferSize)"
    )
    scripts = sum(len(gzip.compress(path.read_bytes())) for path in (PAGE / "assets").glob("*.js"))
    return {
        "paint_ms": {name: round(at) for name, at in paints},
        "script_gzip_bytes": scripts,
        "single_ms": single,
        "sweep_ms": sweep,
        "bytes_per_answer_p50": int(np.median(received)),
    }


def recorded(page: Page, do: Any) -> dict[str, float]:
    page.evaluate("performance.clearMeasures('segany.hover')")
    do()
    page.wait_for_timeout(200)
    took = page.evaluate("performance.getEntriesByName('segany.hover').map((each) => each.duration)")
    p50, p95 = np.percentile(took, [50, 95])
    return {"n": len(took), "p50": round(float(p50), 1), "p95": round(float(p95), 1)}


if __name__ == "__main__":
    main()
