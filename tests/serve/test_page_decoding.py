"""The page decodes by itself in headless Chromium: as the server does, and the server answers when that fails."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from segany import weights
from segany.client import Client
from segany.settings import Settings

pytest.importorskip("onnxscript", reason="needs the extra: pip install 'segany[export]'")

# As found before any fixture of a test gives it a home of its own: the photo is there.
SETTINGS = Settings.from_environment()
EXPORT_SECONDS = 400
TOLD = "({...document.documentElement.dataset})"
# In shares of the photo: the cup, the saucer, the spoon, the table.
POINTS = [(0.5, 0.5), (0.3, 0.65), (0.76, 0.42), (0.06, 0.08)]


@pytest.fixture(scope="module")
def url(chromium: str, serve_model: Callable[..., str]) -> str:
    # In float32, as the page decodes: in bfloat16 the server's own masks are off by as much as is allowed here.
    return serve_model("--precision", "float32")


@pytest.fixture(scope="module")
def record(url: str) -> int:
    path = Path(weights.sample("coffee", settings=SETTINGS))
    with Client(url) as client:
        return client.upload([path]).records[0].id


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
    yield opened
    context.close()
    assert problems == []


def show(page: Any, url: str, record: int, wish: str) -> None:
    page.goto(f"{url}/images/{record}?decode={wish}")
    page.locator(".stage[data-embedding=ready]").wait_for(timeout=60_000)


def until(page: Any, script: str, wanted: Any, seconds: float) -> Any:
    value = None
    for _ in range(int(seconds * 10)):
        if wanted(value := page.evaluate(script)):
            return value
        page.wait_for_timeout(100)
    raise AssertionError(f"{script} is still {value!r}")


def move(page: Any, x: float, y: float) -> None:
    """To a place in shares of the photo, which fills the stage as far as it can (600x400)."""
    stage = page.locator(".stage").bounding_box()
    scale = min(stage["width"] / 600, stage["height"] / 400) * 0.94
    left, top = stage["x"] + (stage["width"] - 600 * scale) / 2, stage["y"] + (stage["height"] - 400 * scale) / 2
    page.mouse.move(left + x * 600 * scale, top + y * 400 * scale)


def decoded(page: Any, place: str) -> int:
    return int(page.evaluate(f"performance.getEntriesByName('segany.decode.{place}').length"))


def test_masks_that_the_page_decodes_are_the_servers(page: Any, url: str, record: int) -> None:
    show(page, url, record, "local")
    for turn in range(EXPORT_SECONDS):
        move(page, 0.5 + 0.001 * (turn % 50), 0.5)
        page.wait_for_timeout(1000 if turn else 300)
        if page.evaluate(TOLD).get("decodeLocal", "waiting") != "waiting":
            break
    told = page.evaluate(TOLD)
    assert (told["decodeLocal"], told["decodedBy"]) == ("ready", "local")
    before = decoded(page, "local")
    with Client(url) as client:
        for number, (x, y) in enumerate(POINTS, 1):
            move(page, x, y)
            page.mouse.down()
            page.mouse.up()
            until(page, "document.querySelectorAll('.mask').length", lambda masks: masks == number, 20)  # noqa: B023
            page.locator(".save-state.saved[data-waiting='0']").wait_for()
        found = client.record(record).annotations
        assert len(found) == len(POINTS)
        for annotation in found:
            (point,) = annotation.prompts[0].points or []
            best = client.predict(record, points=[(int(point[0]), int(point[1]))]).candidates[0]
            own, theirs = (mask.rle().to_mask() for mask in (annotation.mask, best.mask))
            alike = np.count_nonzero(own & theirs) / np.count_nonzero(own | theirs)
            assert alike >= 0.98, point
            assert annotation.predicted_iou == pytest.approx(best.predicted_iou, abs=0.02)
        assert decoded(page, "local") > before
        # A correction goes on from that mask, at the server.
        page.keyboard.down("Alt")
        move(page, 0.1, 0.12)
        page.mouse.down()
        page.mouse.up()
        page.keyboard.up("Alt")
        page.locator(".foot", has_text="negative click").wait_for()
        page.locator(".save-state.saved[data-waiting='0']").wait_for()
        corrected = client.record(record).annotations[-1]
        assert corrected.mask != found[-1].mask
        assert [prompt.labels for prompt in corrected.prompts] == [[1, 0]]
    assert page.evaluate(TOLD)["decodeLocal"] == "ready"


@pytest.mark.parametrize("pattern", ["**/assets/worker-*.js", "**/assets/*.wasm", "**/embedding/features"])
def test_the_server_answers_when_the_worker_cannot(page: Any, url: str, record: int, pattern: str) -> None:
    page.context.route(pattern, lambda route: route.abort())
    show(page, url, record, "local")
    for turn in range(EXPORT_SECONDS):
        move(page, 0.4 + 0.001 * (turn % 50), 0.5)
        page.wait_for_timeout(300)
        if page.evaluate(TOLD).get("decodeLocal", "waiting") != "waiting":
            break
    told = page.evaluate(TOLD)
    assert told["decodedBy"] == "server"
    assert told["decodeLocal"] not in ("ready", "waiting")
    before = decoded(page, "server")
    move(page, 0.52, 0.5)
    until(page, "performance.getEntriesByName('segany.decode.server').length", lambda count: count > before, 10)
    assert decoded(page, "local") == 0


def test_both_ways_are_measured_and_one_is_chosen(page: Any, url: str, record: int) -> None:
    show(page, url, record, "auto")
    for turn in range(80):
        move(page, 0.4 + 0.003 * turn, 0.5)
        page.wait_for_timeout(700)
        if min(decoded(page, "local"), decoded(page, "server")) >= 3:
            break
    assert min(decoded(page, "local"), decoded(page, "server")) >= 3
    assert page.evaluate(TOLD)["decodedBy"] in ("local", "server")


def test_images_are_made_ready_here_only_where_that_pays(page: Any, url: str, record: int, tmp_path: Path) -> None:
    photo = ImageOps.mirror(Image.open(weights.sample("coffee", settings=SETTINGS)).convert("RGB"))
    photo.save(tmp_path / "mirrored.png")
    with Client(url) as client:
        client.upload(tmp_path / "mirrored.png")
        answer = client.predict(record, points=[(300, 200)])
    reply = {"predictions": [answer.model_dump(mode="json")], "model_digest": "0" * 64, "milliseconds": {}}
    downloads: list[str] = []
    page.on("request", lambda sent: downloads.append(sent.url) if sent.url.endswith("/features") else None)
    # A server that is quicker than any decoder in the page.
    page.route("**/predict", lambda route: route.fulfill(json=reply))
    show(page, url, record, "auto")
    for turn in range(100):
        move(page, 0.4 + 0.003 * turn, 0.5)
        page.wait_for_timeout(700)
        if page.evaluate(TOLD).get("decodedBy") == "server" and decoded(page, "local") >= 3:
            break
    assert decoded(page, "local") >= 3
    assert len(downloads) == 1
    page.keyboard.press(".")
    page.wait_for_url(lambda address: f"/images/{record}" not in address)
    page.locator(".stage[data-embedding=ready]").wait_for(timeout=60_000)
    for turn in range(5):
        move(page, 0.4 + 0.01 * turn, 0.5)
        page.wait_for_timeout(100)
    until(page, TOLD, lambda told: told["decodeLocal"] == "resting", 10)
    page.wait_for_timeout(1000)
    assert len(downloads) == 1
    # It became slow: the page takes over.
    page.unroute("**/predict")
    page.evaluate(
        """() => {
          const real = window.fetch;
          window.fetch = async (...asked) => {
            if (String(asked[0]).endsWith("/predict")) await new Promise((done) => setTimeout(done, 1500));
            return real(...asked);
          };
        }"""
    )
    for turn in range(40):
        move(page, 0.4 + 0.005 * turn, 0.5)
        page.wait_for_timeout(1600)
        if page.evaluate(TOLD)["decodedBy"] == "local":
            break
    assert page.evaluate(TOLD)["decodedBy"] == "local"
    assert len(downloads) == 2
