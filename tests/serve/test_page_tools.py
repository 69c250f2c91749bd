"""Every tool and hotkey of the page in headless Chromium, against a server whose model answers with discs."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from segany.client import Client
from segany.engine import open_store
from segany.engine.tasks import ask
from segany.serve.passwords import hash_password
from segany.store import create_store

Page = Any

WEB = Path(__file__).parents[2] / "web"
WIDTH, HEIGHT = 320, 240
KILLS, SOAK_KILLS = 2, 50
IMAGES, SOAK_IMAGES = 260, 10_000
MOST_ROWS = 40


@pytest.fixture
def show(browser: Any) -> Iterator[Callable[[str], Page]]:
    """Opens pages; what they complain of fails the test."""
    problems: list[str] = []
    contexts = []

    def opened(url: str, **how: Any) -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 800}, **how)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"{url}/?decode=server")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def filled(folder: Path, make_photo: Any, count: int, width: int = WIDTH, height: int = HEIGHT) -> Path:
    """A store of so many photos, which nobody has open."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    names = [photos / f"photo-{number:05d}.png" for number in range(count)]
    for number, name in enumerate(names):
        name.write_bytes(make_photo(number, width, height))
    create_store(folder / "store")
    with open_store(folder / "store") as store:
        store.add(names, actor="test")
    return folder / "store"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, chromium: str, make_photo: Any) -> Path:
    return filled(tmp_path_factory.mktemp("tools"), make_photo, 12)


@pytest.fixture(scope="module")
def url(process: Any, store: Path) -> Iterator[str]:
    server = process(store)
    yield server.url
    server.kill()


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Client]:
    with Client(url) as opened:
        yield opened


class Screen:
    """One image on a page."""

    def __init__(self, page: Page, client: Client, record: int) -> None:
        self.page, self.client, self.record = page, client, record
        page.get_by_title(f"photo-{record - 1:05d}.png").click()
        page.locator(".file-name", has_text=f"photo-{record - 1:05d}.png").wait_for()
        page.locator(".stage[data-embedding=ready]").wait_for()
        box = page.locator(".stage").bounding_box()
        self.x, self.y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.locator(".stage").focus()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def click(self, dx: float, dy: float, key: str | None = None, button: str = "left") -> None:
        if key:
            self.page.keyboard.down(key)
        self.page.mouse.click(self.x + dx, self.y + dy, button=button)
        if key:
            self.page.keyboard.up(key)

    def drag(self, *ends: tuple[float, float]) -> None:
        self.page.mouse.move(self.x + ends[0][0], self.y + ends[0][1])
        self.page.mouse.down()
        for dx, dy in ends[1:]:
            self.page.mouse.move(self.x + dx, self.y + dy, steps=4)
        self.page.mouse.up()

    def said(self, words: str) -> list[Any]:
        """Wait for the words and for the server; the masks as it has them."""
        self.page.locator(".foot [role=status]", has_text=words).wait_for()
        self.page.locator(".save-state.saved[data-waiting='0']").wait_for()
        return self.client.record(self.record).annotations

    def square(self, dx: float, dy: float, side: float = 60) -> Any:
        """Draw a square outline; the mask."""
        self.press("Escape", "o")
        for x, y in ((0, 0), (side, 0), (side, side), (0, side)):
            self.click(dx + x, dy + y)
        self.press("Enter")
        return self.said("Outline drawn")[-1]

    def chosen(self) -> int:
        return int(self.page.locator(".mask.chosen").count())


@pytest.fixture
def screen(show: Callable[[str], Page], url: str, client: Client) -> Callable[[int], Screen]:
    return lambda record: Screen(show(url), client, record)


def test_a_further_click_with_shift(screen: Callable[[int], Screen]) -> None:
    on = screen(1)
    on.click(0, 0)
    (first,) = on.said("Mask added")
    on.click(120, 60, "Shift")
    (more,) = on.said("Added a click")
    assert (more.id, more.prompts[0].labels) == (first.id, [1, 1])
    assert more.mask != first.mask
    on.click(-120, 60, button="right")
    assert on.said("Added a negative click")[0].prompts[0].labels == [1, 1, 0]
    on.press("x")
    assert on.said("Mask before")[0].mask == more.mask


def test_whole_part_or_subpart_is_previewed(screen: Callable[[int], Screen]) -> None:
    on = screen(2)
    on.page.mouse.move(on.x - 3, on.y)
    on.page.mouse.move(on.x, on.y)
    hovers = "performance.getEntriesByName('segany.hover').length"
    for _ in range(200):
        if on.page.evaluate(hovers):
            break
        on.page.wait_for_timeout(50)
    shown = on.page.evaluate(hovers)
    on.press("w")
    for _ in range(200):
        if on.page.evaluate(hovers) > shown:
            break
        on.page.wait_for_timeout(50)
    on.page.mouse.click(on.x, on.y)
    (kept,) = on.said("Mask added")
    (point,) = kept.prompts[0].points or []
    candidates = on.client.predict(2, points=[(int(point[0]), int(point[1]))]).candidates
    assert kept.mask == candidates[1].mask
    on.press("c")
    assert on.said("Candidate")[0].mask != kept.mask


def test_holes_are_made_and_filled(screen: Callable[[int], Screen]) -> None:
    on = screen(3)
    whole = on.square(-100, -100, 200)
    on.press("e")
    for key in ("[", "[", "["):
        on.press(key)
    size = on.page.get_by_label("Size").input_value()
    on.press("]")
    assert float(on.page.get_by_label("Size").input_value()) > float(size)
    on.drag((-10, 0), (10, 0))
    (holed,) = on.said("Erased")
    assert 0 < holed.area < whole.area
    assert holed.box == whole.box
    on.press("j")
    (filled_again,) = on.said("Holes filled")
    assert filled_again.mask == whole.mask
    on.press("j")
    on.page.locator(".foot", has_text="There are no holes").wait_for()
    on.press("p")
    on.drag((140, 0), (160, 0))
    (painted,) = on.said("Painted")
    assert painted.area > whole.area


def test_a_corner_is_taken_out(screen: Callable[[int], Screen]) -> None:
    on = screen(4)
    square = on.square(-60, -60, 120)
    on.press("o")
    on.click(60, 60, button="right")
    on.press("Enter")
    (triangle,) = on.said("Outline moved")
    assert triangle.area == pytest.approx(square.area / 2, rel=0.05)


def test_masks_are_copied_to_the_next_image(screen: Callable[[int], Screen]) -> None:
    on = screen(5)
    square = on.square(-40, -40)
    on.press("d")
    on.page.locator(".foot", has_text="Copied to photo-00005.png").wait_for()
    on.page.locator(".save-state.saved[data-waiting='0']").wait_for()
    (copied,) = on.client.record(6).annotations
    assert copied.mask == square.mask
    assert copied.id != square.id


def test_several_are_selected_with_control(screen: Callable[[int], Screen]) -> None:
    on = screen(7)
    one, two = on.square(-120, -60), on.square(60, -60)
    on.press("Escape", "Escape", "s")
    assert on.chosen() == 0
    on.click(-90, -30, "Control")
    on.click(90, -30, "Control")
    assert on.chosen() == 2
    on.press("m")
    (merged,) = on.said("2 masks merged")
    assert merged.area == one.area + two.area
    on.press("k")
    assert len(on.said("Split into 2")) == 2
    on.press("Control+a")
    assert on.chosen() == 2
    on.press("n", "Shift+N")
    assert on.chosen() == 1
    on.press("Control+a", "Backspace")
    assert on.said("2 masks deleted") == []
    on.press("Control+z")
    assert len(on.said("Undone")) == 2
    on.press("Control+Shift+Z")
    assert on.said("Redone") == []


def test_everything_is_kept_at_once(screen: Callable[[int], Screen]) -> None:
    on = screen(8)
    on.press("g")
    on.page.locator("#found", has_text="found").wait_for()
    on.page.get_by_label("Stability").fill("0.5")
    for _ in range(200):
        count = int(on.page.locator("#found").inner_text().split()[0])
        if count:
            break
        on.page.wait_for_timeout(50)
    on.press("Control+k")
    kept = on.said("found masks kept")
    assert {each.source for each in kept} == {"automatic"}
    assert 0 < len(kept) <= count


def test_labels_by_number_and_the_view(screen: Callable[[int], Screen]) -> None:
    on = screen(9)
    on.square(-100, -60, 40)
    on.press("l")
    on.page.keyboard.type("leaf")
    on.press("Enter")
    assert on.said("Label")[-1].category == "leaf"
    other = on.square(60, -60, 40)
    on.press("1")
    on.page.locator(".chip.chosen", has_text="leaf").wait_for()
    zoom = on.page.locator(".zoom")
    whole = zoom.inner_text()
    on.press("z")
    assert zoom.inner_text() != whole
    on.press("0")
    assert zoom.inner_text() == whole
    on.press("-")
    assert zoom.inner_text() != whole
    on.press("=", "0", "h")
    before = on.page.locator(".stage canvas").first.screenshot()
    on.drag((0, 0), (80, 40))
    assert on.page.locator(".stage canvas").first.screenshot() != before
    on.press("0", "v")
    hidden = on.page.locator(".stage").screenshot()
    on.press("v")
    assert on.page.locator(".stage").screenshot() != hidden
    on.press("s")
    assert on.client.record(9).annotations[-1].id == other.id


def painted(number: int, width: int, height: int) -> bytes:
    """Red, green and blue thirds, each in stripes of its own."""
    import io

    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(number).integers(0, 60, (height, width, 3), dtype=np.uint8)
    for channel in range(3):
        pixels[:, channel * width // 3 : (channel + 1) * width // 3, channel] += 180
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def test_names_are_suggested_from_the_second_on(show: Callable[[str], Page], process: Any, tmp_path: Path) -> None:
    server = process(filled(tmp_path, painted, 2))
    try:
        with Client(server.url) as client:
            on = Screen(show(server.url), client, 1)
            likely = on.page.locator(".suggested .chip")
            for dx, label in ((-190, "poppy"), (-30, "leaf")):
                on.square(dx, -40)
                on.press("l")
                on.page.keyboard.type(label)
                on.press("Enter")
                on.said(f"Labelled {label}")
            # A label that a person gave to this very mask is nobody's business.
            assert likely.count() == 0
            on = Screen(on.page, client, 2)
            # It has the label of those before it, and what it looks like is said beside it.
            assert on.square(-190, 20).category == "leaf"
            likely.filter(has_text="poppy").first.wait_for()
            on.page.get_by_role("button", name=re.compile(r"^poppy \d+ %$")).wait_for()
            assert "Suggested label: poppy" in on.page.locator(".suggested [role=status]").inner_text()
            on.press("y")
            assert on.said("Labelled poppy")[-1].category == "poppy"
            assert likely.count() == 0
            on.press("y")
            on.page.locator(".foot", has_text="No label is suggested").wait_for()
            on.press("Control+z")
            assert on.said("Undone: Labelled poppy")[-1].category == "leaf"
            # Without a label for what follows, masks have none until one is given.
            on.press("Escape", "Escape", "s")
            on.page.locator(".chips .chip.chosen", has_text="leaf").click()
            assert on.square(20, -80).category is None
            likely.filter(has_text="leaf").first.click()
            assert on.said("Labelled leaf")[-1].category == "leaf"
            on.page.context.set_offline(True)
            on.press("Escape", "o")
            for x, y in ((-190, -100), (-130, -100), (-130, -60)):
                on.click(x, y)
            on.press("Enter")
            on.page.locator(".save-state.offline").wait_for()
            assert likely.count() == 0
            on.page.context.set_offline(False)
            likely.filter(has_text="poppy").first.wait_for()
    finally:
        server.kill()


def test_images_tasks_and_review_by_keys(screen: Callable[[int], Screen], store: Path) -> None:
    with open_store(store) as opened:
        for record in (11, 12):
            ask(opened, record, stage="manual", priority=20.0 - record, key=f"annotate {record}")
    on = screen(10)
    on.square(-30, -30)
    name = on.page.locator(".file-name")
    for key, expected in ((".", "00010"), (",", "00009"), ("PageDown", "00010"), ("PageUp", "00009")):
        on.press(key)
        name.filter(has_text=f"photo-{expected}.png").wait_for()
    on.press("t")
    name.filter(has_text="photo-00010.png").wait_for()
    on.page.get_by_role("button", name="Done, next").wait_for()
    on.press("Shift+S")
    name.filter(has_text="photo-00011.png").wait_for()
    on.press("t")
    on.page.get_by_role("button", name="Next task").wait_for()
    with open_store(store) as opened:
        states = {job.record_id: job.state for job in opened.jobs.list(kinds=["engine.annotate"])}
    assert states == {11: "queued", 12: "done"}

    on = Screen(on.page, on.client, 10)
    on.press("q")
    on.page.locator(".verdict").wait_for()
    on.press("a")
    on.page.locator(".save-state.saved[data-waiting='0']").wait_for()
    assert on.client.record(10).annotations[0].review_state == "accepted"
    on.press("n", "u")
    on.page.locator(".save-state.saved[data-waiting='0']").wait_for()
    assert on.client.record(10).annotations[0].review_state == "unreviewed"
    on.press("?")
    on.page.locator("dialog").wait_for()
    on.press("?")
    on.page.locator("dialog").wait_for(state="detached")


def test_every_hotkey_is_pressed_by_some_test() -> None:
    table = (WEB / "src" / "work" / "hotkeys.ts").read_text(encoding="utf-8")
    keys = [key for line in re.findall(r"\{ keys: \[(.*?)\], words", table) for key in re.findall(r'"([^"]+)"', line)]
    assert len(keys) > 50
    tests = "".join(path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("test_page*.py")))
    pressed = {key.lower().replace("control", "ctrl") for key in re.findall(r'"([^"\s]{1,16})"', tests)}
    # Of nine keys for nine labels one stands for all; the crosshair's keys have names of their own.
    passed_over = {*"23456789", "arrows"}
    assert [key for key in keys if key.lower() not in pressed | passed_over] == []


def test_signing_in_and_out(show: Callable[[str], Page], process: Any, make_photo: Any, tmp_path: Path) -> None:
    folder = filled(tmp_path, make_photo, 1)
    with open_store(folder) as opened:
        opened.users.add("anna", "annotator", hash_password("correct horse battery"), actor="test")
    server = process(folder)
    try:
        page = show(server.url)
        page.get_by_label("Name").fill("anna")
        page.get_by_label("Password").fill("wrong horse battery")
        page.get_by_role("button", name="Sign in").click()
        page.locator(".sign-in .bad", has_text="the password is wrong").wait_for()
        page.get_by_label("Password").fill("correct horse battery")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_title("photo-00000.png").click()
        page.locator(".stage[data-embedding=ready]").wait_for()
        page.get_by_role("button", name="Sign out anna").click()
        page.get_by_label("Password").wait_for()
        page.reload()
        page.get_by_label("Password").wait_for()
    finally:
        server.kill()


def killed_while_editing(show: Callable[[str], Page], process: Any, store: Path, kills: int) -> None:
    server = process(store)
    port = int(server.url.rpartition(":")[2])
    page = show(server.url)
    with Client(server.url) as client:
        on = Screen(page, client, 1)
    on.press("p")
    made = 0
    for number in range(kills):
        for part in range(3):
            if part == 1:
                server.kill()
            on.press("Escape")
            on.drag((-200 + 8 * number, 60 * part - 60), (-196 + 8 * number, 60 * part - 60))
            made += 1
        server = process(store, port=port)
        page.locator(".save-state.saved[data-waiting='0']").wait_for(timeout=30_000)
    server.kill()
    with open_store(store) as opened:
        assert not opened.check().findings
        ids = [each.id for each in opened.records.get(1).record.annotations]
        keys = [event.key for event in opened.events.list(kind="record.edited", record_id=1)]
    assert (len(ids), len(set(ids)), len(set(keys))) == (made, made, made)


def test_the_page_recovers_when_the_server_is_killed(
    show: Callable[[str], Page], process: Any, make_photo: Any, tmp_path: Path
) -> None:
    killed_while_editing(show, process, filled(tmp_path, make_photo, 1), KILLS)


@pytest.mark.soak
def test_the_page_recovers_from_many_kills(
    show: Callable[[str], Page], process: Any, make_photo: Any, tmp_path: Path
) -> None:
    killed_while_editing(show, process, filled(tmp_path, make_photo, 1), SOAK_KILLS)


def scrolled(show: Callable[[str], Page], process: Any, store: Path, count: int) -> None:
    server = process(store)
    try:
        page = show(server.url)
        rows = page.locator(".images-list li")
        page.locator(".row-name", has_text="photo-00000.png").wait_for()
        page.locator(".stage[data-embedding=ready]").wait_for()
        # More is loaded, and the list stays where it was scrolled to.
        page.evaluate("document.querySelector('.images-list').scrollTop = 6900")
        page.locator(".row-name", has_text="photo-00100.png").wait_for()
        page.wait_for_timeout(300)
        assert page.evaluate("document.querySelector('.images-list').scrollTop") > 6000
        last = page.locator(".row-name", has_text=f"photo-{count - 1:05d}.png")
        for _ in range(count):
            page.evaluate("document.querySelector('.images-list').scrollTop = 1e9")
            page.wait_for_timeout(20)
            assert rows.count() <= MOST_ROWS
            if last.count():
                break
        last.click()
        page.locator(".file-name", has_text=f"photo-{count - 1:05d}.png").wait_for()
        page.locator(".stage[data-embedding=ready]").wait_for()
        page.evaluate("document.querySelector('.images-list').scrollTop = 0")
        page.locator(".row-name", has_text="photo-00000.png").wait_for()
    finally:
        server.kill()


def test_a_long_list_shows_only_what_is_seen(
    show: Callable[[str], Page], process: Any, make_photo: Any, tmp_path: Path
) -> None:
    scrolled(show, process, filled(tmp_path, make_photo, IMAGES, 16, 12), IMAGES)


@pytest.mark.soak
def test_ten_thousand_images_are_listed(
    show: Callable[[str], Page], process: Any, make_photo: Any, tmp_path: Path
) -> None:
    scrolled(show, process, filled(tmp_path, make_photo, SOAK_IMAGES, 16, 12), SOAK_IMAGES)


def test_the_engines_course_is_drawn(show: Callable[[str], Page], url: str, client: Client, store: Path) -> None:
    with open_store(store) as opened:
        verdict = {
            "set_name": "target",
            "role": "target",
            "metric": "mIoU@1",
            "incumbent": 0.70,
            "candidate": 0.75,
            "difference": {"mean": 0.05, "low": 0.02, "high": 0.08, "n": 40},
            "passed": True,
        }
        said = {"candidate": "c" * 40, "incumbent": "i" * 40, "says": ["promoted"], "verdicts": [verdict]}
        opened.events.add("engine.promoted", actor="anna", details=said)
    on = Screen(show(url), client, 12)
    on.square(0, 0)
    on.page.get_by_role("button", name="Progress", exact=True).click()
    chart = on.page.locator("figure", has_text="New masks")
    chart.locator("rect").first.wait_for(state="attached")
    chart.locator("summary").click()
    assert "by hand" in chart.get_by_role("table").inner_text()
    decision = on.page.locator(".decision")
    assert "promoted" in decision.inner_text()
    assert decision.get_by_role("img").get_attribute("aria-label") == "difference 2.0 to 8.0"
