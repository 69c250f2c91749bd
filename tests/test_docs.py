"""The documentation runs: code blocks, notebooks, links, and the reference of every command.

Each page is run from top to bottom in a folder of its own that holds `photo.jpg` (600x400, a cup of coffee), with one
Python namespace. Output written in a `console` block must be what comes; `...` stands for anything. A block is left
out only by `<!-- not run: reason -->` in the line above it, or while SEGANY_DATA, which it reads, is not set.
"""

import contextlib
import doctest
import io
import json
import os
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbclient
import nbformat
import pytest
import typer
from PIL import Image

import segany
from segany import settings, weights
from segany.cli.main import app, main
from segany.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))
LANGUAGES = {"python", "console", "text", "json", "toml"}
FENCE = re.compile(
    r"^(?:<!-- not run:(?P<reason>[^\n]*)-->\n+)?(?P<indent> *)```(?P<language>[^\n]*)\n(?P<body>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    body: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"

    @property
    def runs(self) -> bool:
        return self.reason is None and self.language in ("python", "console")

    @property
    def needs_data(self) -> bool:
        return "SEGANY_DATA" in self.body


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text[: match.start("language")].count("\n") + 1, match["language"], match["body"], match["reason"])
        for match in FENCE.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
RUNNING_PAGES = [page for page in PAGES if any(block.runs for block in blocks_of(page))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# What is written


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_of_a_kind_that_is_checked(block: Block) -> None:
    assert block.language in LANGUAGES
    assert block.reason is None or block.reason.strip(), "say why the block is not run"
    if block.language == "python":
        compile(block.body, str(block), "exec")
    elif block.language == "json":
        json.loads(block.body)
    elif block.language == "toml":
        tomllib.loads(block.body)
    elif block.language == "text":
        assert not re.search(r"^\$ ", block.body, re.MULTILINE), "commands belong in a console block"
    elif block.reason is None:
        assert commands_of(block)


def test_the_two_commands_and_the_picture_are_on_the_first_screen() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40])
    for text in ("make demo", "make test", "docs/images/demo.jpg"):
        assert text in first_screen


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path) -> None:
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)\s]+)\)", prose) + re.findall(r"(?:src|href)=\"([^\"]+)\"", prose)
    for link in links:
        if re.match(r"https?://", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leaves the project"
        assert not anchor or anchor in anchors_of(target), f"{link}: no such heading"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, queue = set(), [ROOT / "README.md"]
    while queue:
        page = queue.pop()
        if page in reached or page.suffix != ".md":
            reached.add(page)
            continue
        reached.add(page)
        links = re.findall(r"\]\(([^)\s#]+)[^)\s]*\)", page.read_text(encoding="utf-8"))
        queue += [(page.parent / link).resolve() for link in links if "://" not in link]
    assert [name_of(page) for page in [*PAGES, *NOTEBOOKS] if page not in reached] == []


# The reference of the commands


def command_tree() -> dict[str, set[str]]:
    """Every command by its whole name, the program itself included, with its long options."""
    found: dict[str, set[str]] = {}

    # Typer brings its own copy of click in some versions, so the types of the tree are not named.
    def walk(name: str, command: Any) -> None:
        options = {
            option
            for parameter in command.params
            if parameter.param_type_name == "option" and not parameter.hidden
            for option in (*parameter.opts, *parameter.secondary_opts)
            if option.startswith("--")
        }
        found[name] = options - {"--help", "--install-completion", "--show-completion"}
        for child_name, child in getattr(command, "commands", {}).items():
            if not child.hidden:
                walk(f"{name} {child_name}", child)

    walk("segany", typer.main.get_command(app))
    return found


def reference_sections() -> dict[str, str]:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    parts = re.split(r"^#+ `(segany[\w\- ]*)`\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_command_is_documented_and_every_documented_one_exists() -> None:
    assert sorted(reference_sections()) == sorted(command_tree())


def test_every_option_is_documented_and_every_documented_one_exists() -> None:
    sections, wrong = reference_sections(), {}
    for name, there in command_tree().items():
        # The first cell of a table's row documents; other mentions may be of other commands.
        documented = {
            option
            for cell in re.findall(r"^\| (`-.*?) \|", sections.get(name, ""), re.MULTILINE)
            for option in re.findall(r"--[\w\-]+", cell)
        }
        if there != documented:
            wrong[name] = {"missing": sorted(there - documented), "unknown": sorted(documented - there)}
    assert wrong == {}


def test_every_public_name_is_documented_and_every_documented_one_exists() -> None:
    text = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    documented = re.findall(r"^### `segany\.(\w+)`$", text, re.MULTILINE)
    assert sorted(documented) == sorted(name for name in segany.__all__ if not name.startswith("__"))


def test_the_settings_page_has_the_table_of_the_code() -> None:
    rows = re.findall(r"^\| SEGANY.*$", settings.__doc__ or "", re.MULTILINE)
    text = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert rows
    assert rows == [row.replace("`", "") for row in text.splitlines() if "SEGANY_" in row and row.startswith("|")]


# What runs


def commands_of(block: Block) -> list[tuple[list[str], str]]:
    """The commands of a console block, each with the output written under it."""
    found: list[tuple[list[str], str]] = []
    body = re.sub(r"\\\n\s*(?:> )?", " ", block.body)
    for line in body.splitlines():
        if not line.startswith("$ "):
            assert found, f"{block}: a console block begins with `$ `"
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
            continue
        words = shlex.split(os.path.expandvars(line.removeprefix("$ ")), comments=True, posix=os.name == "posix")
        assert words[0] == "segany", f"{block}: only segany is run; say why this is not: <!-- not run: ... -->"
        assert not {"|", ">", "&&", ";"} & set(words), f"{block}: no shell here; one command a line"
        found.append((words[1:], ""))
    return found


def run_console(block: Block) -> None:
    """In this process: a new one for each command would load torch again, which is most of its time."""
    for arguments, expected in commands_of(block):
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            status = main(arguments)
        shown = f"{block}: segany {shlex.join(arguments)}\n{output.getvalue()}"
        assert status == (1 if expected.startswith("error: ") else 0), shown
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert not expected or doctest.OutputChecker().check_output(expected, output.getvalue(), flags), shown


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a page is run in; relative paths of the tester's own settings keep their meaning."""
    given = Settings.from_environment()
    monkeypatch.setenv("SEGANY_HOME", str(given.home.absolute()))
    if given.data is not None:
        monkeypatch.setenv("SEGANY_DATA", str(given.data.absolute()))
    with Image.open(weights.sample("coffee")) as photo:
        photo.convert("RGB").save(tmp_path / "photo.jpg", quality=95)
    for name, value in {"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", RUNNING_PAGES, ids=name_of)
def test_run_page(page: Path, folder: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    left_out = []
    for block in blocks_of(page):
        if not block.runs:
            continue
        if block.needs_data and "SEGANY_DATA" not in os.environ:
            left_out.append(str(block))
        elif block.language == "console":
            run_console(block)
        else:
            # The blank lines make a traceback name the page's own line.
            exec(compile("\n" * block.line + block.body, str(page), "exec"), namespace)
    if left_out:
        pytest.skip(f"the rest ran; these read SEGANY_DATA, which is not set: {', '.join(left_out)}")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_run_notebook(path: Path, folder: Path) -> None:
    notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "commit notebooks without their outputs"
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute()
