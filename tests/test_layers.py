"""The layer tables of docs/architecture.md, run against every import of src/segany."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FORBIDDEN_NAMES = {"utils", "util", "common", "core", "helpers", "helper", "misc"}


@dataclass(frozen=True)
class Layers:
    """One table: the rank of each name inside `package`, 0 at the bottom."""

    package: str
    ranks: dict[str, int]
    planned: frozenset[str]

    def part(self, module: str) -> str | None:
        """The name in this table that `module` belongs to, or None when it lies elsewhere."""
        if module == self.package:
            return "__init__"
        if not module.startswith(f"{self.package}."):
            return None
        name = module.removeprefix(f"{self.package}.").split(".")[0]
        return name if name.startswith("__") else name.removeprefix("_")


@dataclass(frozen=True)
class Import:
    """One imported module and where that stands."""

    importer: str
    imported: str
    path: Path
    line: int
    lazy: bool  # inside a function or under TYPE_CHECKING

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}: {self.importer} imports {self.imported}"


def read_tables(page: str) -> list[Layers]:
    tables = []
    for package, body in re.findall(r"<!-- layers: ([\w.]+) -->\n```text\n(.*?)```", page, re.DOTALL):
        rows = [[name.strip() for name in row.split("|")] for row in reversed(body.splitlines())]
        ranks = {name.rstrip("*"): rank for rank, row in enumerate(rows) for name in row}
        planned = frozenset(name.rstrip("*") for row in rows for name in row if name.endswith("*"))
        tables.append(Layers(package, ranks, planned))
    return tables


def read_torch_rule(page: str) -> tuple[list[str], list[str]]:
    """The parts that may import torch when imported, and their modules that may not."""
    rule = page.split("<!-- torch: -->")[1].split("`import segany`")[0]
    exceptions = "".join(re.findall(r"\(but not .*?\)", rule, re.DOTALL))
    banned = [f"segany.{name}" for name in re.findall("`(.*?)`", exceptions)]
    allowed = [f"segany.{name}" for name in re.findall("`(.*?)`", rule.replace(exceptions, ""))]
    return allowed, banned


def module_name(path: Path, source: Path) -> str:
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_type_checking(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in ast.unparse(test)


def imports_of(path: Path, source: Path) -> Iterator[Import]:
    """Every import of a file, wherever it stands; `importlib.import_module("...")` too."""
    importer = module_name(path, source)

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write the whole name"
            # `from a import b` may name a module b or a name in a: both are looked at.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        else:
            names = []
        for name in names:
            yield Import(importer, name, path, getattr(node, "lineno", 0), lazy)
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for field, value in ast.iter_fields(node):
            guarded = isinstance(node, ast.If) and field == "body" and is_type_checking(node.test)
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from walk(child, inside or guarded)

    yield from walk(ast.parse(path.read_text(encoding="utf-8"), str(path)), lazy=False)


def all_imports(source: Path) -> list[Import]:
    return [found for path in sorted(source.rglob("*.py")) for found in imports_of(path, source)]


def imported_part(layers: Layers, imported: str) -> str | None:
    """The part an import reaches: `from segany import x` reaches __init__ unless x is a part."""
    part = layers.part(imported)
    depth = layers.package.count(".") + 1
    if part is not None and part not in layers.ranks and imported.count(".") == depth:
        return "__init__"
    return part


def offences(layers: Layers, imports: list[Import]) -> list[str]:
    found = []
    for one in imports:
        importer, imported = layers.part(one.importer), imported_part(layers, one.imported)
        if importer is None or imported is None or importer == imported:
            continue
        if imported not in layers.ranks or importer not in layers.ranks:
            continue
        if layers.ranks[imported] >= layers.ranks[importer]:
            way = "sideways" if layers.ranks[imported] == layers.ranks[importer] else "up"
            found.append(f"{one} ({way}: {importer} -> {imported})")
    return found


def parts_there(layers: Layers) -> set[str]:
    folder = SOURCE.joinpath(*layers.package.split("."))
    files = {path.stem for path in folder.glob("*.py")}
    return {name.removeprefix("_") if not name.startswith("__") else name for name in files} | {
        path.name for path in folder.iterdir() if path.is_dir() and any(path.rglob("*.py"))
    }


TABLES = read_tables(PAGE)
IMPORTS = all_imports(SOURCE)


@pytest.mark.parametrize("layers", TABLES, ids=lambda layers: layers.package)
def test_imports_go_down(layers: Layers) -> None:
    assert not offences(layers, IMPORTS)


def test_every_part_has_its_line() -> None:
    top = TABLES[0]
    there = parts_there(top)
    assert there - top.ranks.keys() == set(), "these stand in no line of docs/architecture.md"
    assert there & top.planned == set(), "these exist: remove the star in docs/architecture.md"
    assert top.ranks.keys() - top.planned - there == set(), "these are not there: give them a star"


def test_the_parts_of_the_page_are_those_of_the_diagram() -> None:
    top = TABLES[0]
    existing, planned = PAGE.split("## Layers")[0].split("Planned, and not there yet:")
    assert set(re.findall(r"^\| `(\w+)` \|", existing, re.MULTILINE)) == {
        name for name in top.ranks.keys() - top.planned if not name.startswith("__")
    }
    assert set(re.findall(r"^\| `(\w+)` \|", planned, re.MULTILINE)) == top.planned


def test_torch_is_imported_only_where_the_page_says() -> None:
    allowed, banned = read_torch_rule(PAGE)
    assert "segany.model" in allowed
    assert "segany.model.config" in banned

    def plain(module: str) -> str:
        return re.sub(r"\._(?=[a-z])", ".", module)

    def under(module: str, names: list[str]) -> bool:
        return any(f"{plain(module)}.".startswith(f"{plain(name)}.") for name in names)

    eager = [one for one in IMPORTS if one.imported.split(".")[0] in ("torch", "torchvision") and not one.lazy]
    assert not [str(one) for one in eager if not under(one.importer, allowed) or under(one.importer, banned)]


@pytest.mark.parametrize("module", ["segany", "segany.cli.main", "segany.model.config", "segany.deploy"])
def test_start_up_is_light(module: str) -> None:
    heavy = {"torch", "transformers", "matplotlib", "openvino"} | ({"cv2"} if module == "segany" else set())
    code = f"import sys, {module}; print(*sorted({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_no_part_is_named_for_nothing() -> None:
    names = {path: path.stem.strip("_") for path in SOURCE.rglob("*") if path.is_dir() or path.suffix == ".py"}
    assert not [str(path) for path, name in names.items() if name in FORBIDDEN_NAMES]


PACKAGES = sorted(module_name(path, SOURCE) for path in SOURCE.rglob("__init__.py"))


def test_every_folder_is_a_package() -> None:
    folders = {path.parent for path in SOURCE.rglob("*.py")} - {SOURCE}
    assert {".".join(folder.relative_to(SOURCE).parts) for folder in folders} == set(PACKAGES)


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_listed_and_there(name: str) -> None:
    package = importlib.import_module(name)
    assert len(set(package.__all__)) == len(package.__all__)
    assert not [one for one in package.__all__ if not hasattr(package, one)]


class TestTheWalkItself:
    """A test of imports that finds none is worth nothing: show that it finds each kind."""

    layers = Layers(
        "segany", {"errors": 0, "masks": 1, "schema": 2, "weights": 2, "cli": 3, "__init__": 4}, frozenset()
    )

    def found(self, folder: Path, part: str, code: str) -> list[str]:
        path = folder / "segany" / part / "thing.py"
        path.parent.mkdir(parents=True)
        path.write_text(code, encoding="utf-8")
        return offences(self.layers, all_imports(folder))

    @pytest.mark.parametrize(
        "code",
        [
            "import segany.cli.main",
            "from segany.schema import Prompt",
            "from segany import schema",
            "from segany import segment",
            "import segany",
            "def f():\n    from segany.schema.prompt import Prompt",
            "class A:\n    def f(self):\n        import segany.weights as w",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from segany.schema import Prompt",
            "try:\n    import numpy\nexcept ImportError:\n    from segany.cli import main",
            "import importlib\nf = lambda: importlib.import_module('segany.cli.main')",
        ],
    )
    def test_finds_an_upward_import(self, tmp_path: Path, code: str) -> None:
        (offence,) = self.found(tmp_path, "masks", code)
        assert "(up: masks -> " in offence

    def test_finds_a_sideways_import(self, tmp_path: Path) -> None:
        (offence,) = self.found(tmp_path, "schema", "from segany.weights import registry")
        assert (
            offence == "thing.py:1: segany.schema.thing imports segany.weights.registry (sideways: schema -> weights)"
        )

    @pytest.mark.parametrize(
        "code", ["from segany.errors import X", "from segany.schema.other import Y", "import numpy"]
    )
    def test_lets_the_rest_pass(self, tmp_path: Path, code: str) -> None:
        assert self.found(tmp_path, "schema", code) == []

    def test_a_relative_import_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match="relative import"):
            self.found(tmp_path, "masks", "from . import rle")
