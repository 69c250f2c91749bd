"""The annotation page in headless Chromium, against a real server with the default model."""

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from segany import weights
from segany.client import Client
from segany.settings import Settings
from segany.wire import AnnotationInput

Page = Any

# As found before any fixture of a test gives it a home of its own: the photo is there.
SETTINGS = Settings.from_environment()
LABEL = "cup <img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def url(chromium: str, serve_model: Callable[..., str]) -> str:
    return serve_model()


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Client]:
    with Client(url) as opened:
        yield opened


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Page]:
    """A page with nothing in its database; what it complains of fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
    # What the page decodes by itself is tested in test_page_decoding.py.
    opened.goto(f"{url}/?decode=server")
    yield opened
    context.close()
    assert problems == []


def ready(page: Page) -> None:
    page.locator(".stage[data-embedding=ready]").wait_for(timeout=60_000)


def upload(page: Page, name: str = "coffee") -> int:
    page.locator("input[type=file]").set_input_files(str(weights.sample(name, settings=SETTINGS)))
    page.locator(".file-name", has_text=name).wait_for()
    ready(page)
    return int(re.search(r"/images/(\d+)", page.url)[1])  # type: ignore[index]


def until(page: Page, script: str, true: Callable[[Any], bool], seconds: float = 20.0) -> Any:
    """Ask the page until the answer is right; its policy forbids the scripts that Playwright would wait with."""
    for _ in range(int(seconds * 20)):
        if true(value := page.evaluate(script)):
            return value
        page.wait_for_timeout(50)
    raise AssertionError(f"{script} is still {value!r}")


HOVERS = "performance.getEntriesByName('segany.hover').length"
FOUND = "parseInt(document.querySelector('#found').textContent)"
MASKS = "document.querySelectorAll('.mask').length"


def saved(page: Page) -> None:
    page.locator(".save-state.saved[data-waiting='0']").wait_for()


def masks(page: Page) -> Any:
    return page.locator(".mask")


def middle(page: Page) -> tuple[float, float]:
    box = page.locator(".stage").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def pixel_in_the_middle(client: Client, record: int) -> tuple[int, int]:
    height, width = client.record(record).image.size
    return width // 2, height // 2


def test_from_an_empty_store_to_an_exported_mask(page: Page, client: Client, tmp_path: Path) -> None:
    record = upload(page)
    x, y = middle(page)
    page.mouse.move(x - 3, y)
    page.mouse.move(x, y)
    until(page, HOVERS, lambda hovers: hovers > 0)
    assert client.record(record).annotations == []

    page.mouse.click(x, y)
    masks(page).first.wait_for()
    saved(page)
    (first,) = client.record(record).annotations
    (point,) = first.prompts[0].points or []
    assert point == pytest.approx(pixel_in_the_middle(client, record), abs=2)
    answered = client.predict(record, points=[(int(point[0]), int(point[1]))])
    assert first.mask in [candidate.mask for candidate in answered.candidates]

    page.keyboard.down("Alt")
    page.mouse.click(x + 60, y + 10)
    page.keyboard.up("Alt")
    page.locator(".foot", has_text="negative click").wait_for()
    saved(page)
    (corrected,) = client.record(record).annotations
    assert corrected.mask != first.mask
    assert corrected.prompts[0].labels == [1, 0]

    page.keyboard.press("l")
    page.keyboard.type(LABEL)
    page.keyboard.press("Enter")
    page.locator(".mask-name", has_text=LABEL).wait_for()
    saved(page)
    labelled = client.record(record).annotations[0]
    assert (labelled.category, labelled.mask) == (LABEL, corrected.mask)

    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    saved(page)
    undone = client.record(record).annotations[0]
    assert (undone.category, undone.mask) == (None, first.mask)

    page.reload()
    masks(page).first.wait_for()
    ready(page)
    page.keyboard.press("Control+y")
    page.keyboard.press("Control+y")
    page.locator(".mask-name", has_text=LABEL).wait_for()
    saved(page)
    redone = client.record(record).annotations[0]
    assert (redone.category, redone.mask) == (LABEL, corrected.mask)
    assert (redone.seconds_spent or 0) > 0

    page.get_by_role("button", name="Review", exact=True).click()
    page.keyboard.press("a")
    saved(page)
    assert client.record(record).annotations[0].review_state == "accepted"

    page.get_by_role("button", name="Export", exact=True).click()
    page.locator("dialog").get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    download.value.save_as(tmp_path / "export.zip")
    assert exported_masks(tmp_path / "export.zip") == [redone.mask.counts]


def exported_masks(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as opened:
        (name,) = [name for name in opened.namelist() if name.endswith(".json")]
        annotations = json.loads(opened.read(name))["annotations"]
    return [annotation["segmentation"]["counts"] for annotation in annotations]


def test_every_tool_makes_or_changes_a_mask(page: Page, client: Client) -> None:
    record = upload(page, "chelsea")
    x, y = middle(page)

    def drag(*ends: tuple[float, float]) -> None:
        (fx, fy), *others = ends
        page.mouse.move(x + fx, y + fy)
        page.mouse.down()
        for tx, ty in others:
            page.mouse.move(x + tx, y + ty, steps=4)
        page.mouse.up()

    def said(words: str) -> Any:
        page.locator(".foot", has_text=words).wait_for()
        saved(page)
        return client.record(record).annotations

    page.keyboard.press("b")
    drag((-150, -120), (100, 120))
    (boxed,) = said("Mask from a box")
    assert boxed.prompts[0].box is not None
    page.keyboard.press("c")
    assert len(said("Candidate")) == 1
    page.keyboard.press("x")
    (before,) = said("Mask before")
    assert before.mask == boxed.mask

    page.keyboard.press("Escape")
    page.keyboard.press("p")
    drag((-200, -150), (-150, -150))
    painted = said("Mask painted")[1]
    page.keyboard.press("e")
    drag((-175, -190), (-175, -110))
    erased = said("Erased")[1]
    assert 0 < erased.area < painted.area
    page.keyboard.press("k")
    assert len(said("Split into 2")) == 3
    page.keyboard.press("m")
    merged = said("2 masks merged")
    assert (len(merged), merged[1].mask) == (2, erased.mask)

    page.keyboard.press("Escape")
    page.keyboard.press("o")
    for dx, dy in [(100, 60), (180, 60), (180, 140), (100, 140)]:
        page.mouse.click(x + dx, y + dy)
    page.keyboard.press("Enter")
    drawn = said("Outline drawn")[2]
    width, height = drawn.box[2] - drawn.box[0], drawn.box[3] - drawn.box[1]
    assert drawn.area == pytest.approx(width * height, rel=0.02)
    page.keyboard.press("o")
    drag((180, 140), (220, 180))
    page.keyboard.press("Enter")
    assert said("Outline moved")[2].area > drawn.area

    page.keyboard.press("Shift+F")
    assert said("Mask flagged")[2].review_state == "flagged"
    page.keyboard.press("Delete")
    assert len(said("Mask deleted")) == 2
    page.keyboard.press("Control+z")
    assert len(said("Undone")) == 3


def test_everything_is_found_and_a_click_keeps(page: Page, client: Client) -> None:
    record = upload(page, "astronaut")
    there = len(client.record(record).annotations)
    x, y = middle(page)
    page.keyboard.press("g")
    page.locator("#found").wait_for(timeout=120_000)
    many = until(page, FOUND, lambda count: count > 3)
    page.get_by_label("Predicted IoU").fill("0.97")
    until(page, FOUND, lambda count: count < many)
    page.get_by_label("Predicted IoU").fill("0.8")
    until(page, FOUND, lambda count: count >= many)
    page.mouse.click(x, y)
    page.locator(".foot", has_text="Found mask kept").wait_for()
    saved(page)
    annotations = client.record(record).annotations
    assert len(annotations) == there + 1
    assert annotations[-1].source == "automatic"
    assert annotations[-1].stability_score is not None


def test_the_keyboard_is_enough(page: Page, client: Client) -> None:
    record = upload(page, "rocket")
    there = len(client.record(record).annotations)
    page.locator(".stage").focus()
    for key in ("s", "ArrowUp", "Shift+ArrowUp", "Enter"):
        page.keyboard.press(key)
    page.locator(".foot", has_text="Mask added").wait_for()
    saved(page)
    assert len(client.record(record).annotations) == there + 1
    page.keyboard.press("?")
    words = page.locator("dialog").inner_text()
    assert "Undo" in words
    assert "negative click" in words
    page.keyboard.press("Escape")
    assert page.locator("dialog").count() == 0


def test_edits_wait_while_the_server_is_away(page: Page, client: Client) -> None:
    record = upload(page)
    x, y = middle(page)
    page.keyboard.press("p")
    page.context.set_offline(True)
    page.mouse.move(x - 200, y - 100)
    page.mouse.down()
    page.mouse.move(x - 160, y - 100, steps=4)
    page.mouse.up()
    page.locator(".save-state.offline").wait_for()
    there = client.record(record).annotations
    shown = masks(page).count()
    assert shown == len(there) + 1
    page.context.set_offline(False)
    page.reload()
    until(page, MASKS, lambda count: count == shown)
    saved(page)
    assert len(client.record(record).annotations) == shown


@pytest.mark.parametrize("mine", [True, False])
def test_a_conflict_is_shown_and_nothing_is_overwritten(page: Page, client: Client, mine: bool) -> None:
    record = upload(page)
    x, y = middle(page)
    now = client.record(record)
    other = f"theirs-{mine}"
    theirs = client.predict(record, points=[(20, 20)]).candidates[0].mask
    client.edit(record, expected=now.revision, put=[AnnotationInput(id=other, mask=theirs)])
    page.keyboard.press("p")
    page.mouse.move(x + 100, y + 100)
    page.mouse.down()
    page.mouse.move(x + 140, y + 100, steps=4)
    page.mouse.up()
    page.get_by_role("heading", name="Someone else changed this image").wait_for()
    assert len(client.record(record).annotations) == len(now.annotations) + 1
    page.get_by_role("button", name="Apply mine" if mine else "Take theirs").click()
    saved(page)
    ids = [annotation.id for annotation in client.record(record).annotations]
    assert other in ids
    assert len(ids) == len(now.annotations) + 1 + mine
    assert masks(page).count() == len(ids)


def paint(page: Page, dx: float, dy: float) -> None:
    x, y = middle(page)
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    page.mouse.move(x + dx, y + dy)
    page.mouse.down()
    page.mouse.move(x + dx + 30, y + dy, steps=3)
    page.mouse.up()
    page.locator(".foot", has_text="Mask painted").wait_for()
    saved(page)


def test_the_view_stays_when_a_mask_is_saved(page: Page) -> None:
    upload(page, "rocket")
    before = page.locator(".zoom").inner_text()
    page.locator(".stage").focus()
    page.keyboard.press("+")
    near = page.locator(".zoom").inner_text()
    assert near != before
    paint(page, 50, 50)
    assert page.locator(".zoom").inner_text() == near
    page.keyboard.press("0")
    assert page.locator(".zoom").inner_text() == before


def test_the_history_goes_back_to_any_state(page: Page, client: Client) -> None:
    record = upload(page, "rocket")
    before = client.record(record).annotations
    paint(page, -150, 60)
    one = client.record(record).annotations
    paint(page, -150, 120)
    assert len(client.record(record).annotations) == len(before) + 2
    page.get_by_role("button", name="History").click()
    page.get_by_role("button", name="Go back to this").first.click()
    page.locator(".foot", has_text="Restored").wait_for()
    assert [each.mask for each in client.record(record).annotations] == [each.mask for each in one]
    assert masks(page).count() == len(one)


def test_a_mask_that_was_passed_over_or_flagged_is_not_shown_again(page: Page, client: Client) -> None:
    record = upload(page, "chelsea")
    for dx in (-100, 0, 100):
        paint(page, dx, -100)
    page.keyboard.press("Escape")
    page.keyboard.press("q")
    waiting = [each.id for each in client.record(record).annotations if each.review_state == "unreviewed"]
    for key in ("f", "Space", "r"):
        page.keyboard.press(key)
        saved(page)
    states = {each.id: each.review_state for each in client.record(record).annotations}
    assert [states[each] for each in waiting[:3]] == ["flagged", "unreviewed", "rejected"]
    page.keyboard.press("Control+z")
    saved(page)
    assert {each.id: each.review_state for each in client.record(record).annotations}[waiting[2]] == "unreviewed"


def test_nothing_serious_is_found_by_the_accessibility_checker(page: Page) -> None:
    script = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        pytest.skip("axe-core is not installed: npm ci in web/")
    upload(page)
    for screen in ("Annotate", "Review", "Progress"):
        page.get_by_role("button", name=screen, exact=True).click()
        page.wait_for_timeout(300)
        for theme in ("light", "dark"):
            page.get_by_label("Colours").select_option(theme)
            assert serious(page, script) == [], (screen, theme)
    page.keyboard.press("?")
    assert serious(page, script) == []


def serious(page: Page, script: Path) -> list[str]:
    page.evaluate(script.read_text(encoding="utf-8") + "; null")
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations)")
    return [
        f"{each['id']}: {[node['target'] for node in each['nodes']]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
