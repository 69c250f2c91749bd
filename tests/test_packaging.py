"""What pyproject.toml promises: licences, pins, extras, versions."""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import segany

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
# `all` names the other extras of the project itself; what they need stands under their own names.
OTHERS = [text for texts in EXTRAS.values() for text in texts if Requirement(text).name != PROJECT["name"]]
PINS = {
    canonicalize_name(name): Version(version)
    for name, version in (
        line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line
    )
}


def closure(requirements: list[str]) -> Iterator[str]:
    """The installed distributions that `requirements` bring along on this machine, themselves included."""
    seen: set[tuple[str, str]] = set()
    queue = [(Requirement(text), "") for text in requirements]
    while queue:
        requirement, wanted_by_extra = queue.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": wanted_by_extra}):
            continue
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                queue += [(Requirement(text), extra) for text in metadata.requires(name) or []]
    yield from sorted({name for name, _ in seen})


def licence_of(name: str) -> str:
    about = metadata.metadata(name)
    expressions = about.get_all("License-Expression") or []
    classifiers = [line for line in about.get_all("Classifier") or [] if line.startswith("License ::")]
    # A licence field may hold the whole text; its first line is the name.
    fields = [text.strip().partition("\n")[0] for text in about.get_all("License") or []]
    return "; ".join(expressions or classifiers or fields)


def is_strong_copyleft(licence: str) -> bool:
    """Whether every choice that the licence offers is the GPL or the AGPL (the LGPL is neither)."""

    def strong(term: str) -> bool:
        plain = re.sub(r"LGPL|Lesser General Public|Library or Lesser", "", term, flags=re.IGNORECASE)
        return bool(re.search(r"\bA?GPL|Affero|GNU General Public", plain, re.IGNORECASE))

    return all(strong(choice) for choice in re.split(r"\s+OR\s+|; (?=License ::)", licence))


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("AGPL-3.0-only", True),
        ("MIT AND GPL-2.0-or-later", True),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
        ("License :: OSI Approved :: GNU Affero General Public License v3", True),
        ("GPL-3.0-only OR MIT", False),
        ("LGPL-2.1-or-later", False),
        ("License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", False),
        ("BSD-3-Clause AND 0BSD", False),
    ],
)
def test_the_licence_check_knows_them_apart(licence: str, expected: bool) -> None:
    assert is_strong_copyleft(licence) is expected


def test_no_dependency_forbids_use_in_closed_products() -> None:
    extras = [text for name, texts in EXTRAS.items() if name != "dev" for text in texts if text in OTHERS]
    licences = {name: licence_of(name) for name in closure(PROJECT["dependencies"] + extras)}
    assert {"torch", "numpy", "typing-extensions"} <= licences.keys()
    assert [name for name, licence in licences.items() if not licence] == [], "these state no licence"
    assert {name: licence for name, licence in licences.items() if is_strong_copyleft(licence)} == {}


@pytest.mark.parametrize("text", [*PROJECT["dependencies"], *OTHERS])
def test_the_pins_lie_in_the_ranges(text: str) -> None:
    requirement = Requirement(text)
    pin = PINS.get(canonicalize_name(requirement.name))
    assert pin is not None, f"{requirement.name} has no line in constraints.txt"
    assert requirement.specifier.contains(pin)
    assert requirement.specifier, "a dependency needs a range"


@pytest.mark.skipif(sys.platform != "linux", reason="the pins are taken on Linux")
def test_every_dependency_is_pinned() -> None:
    needed = closure(PROJECT["dependencies"] + OTHERS)
    # torch itself pins its CUDA parts, each to one version.
    assert [name for name in needed if name not in PINS and not name.startswith(("nvidia-", "cuda-", "triton"))] == []


def test_pins_name_no_build_of_one_machine() -> None:
    assert not [name for name, version in PINS.items() if version.local]


def test_an_extra_that_an_error_names_exists() -> None:
    calls = [
        extra
        for path in (ROOT / "src").rglob("*.py")
        for extra in re.findall(r"MissingExtraError\([^)]*?,\s*\"(\w+)\"\s*\)", path.read_text(encoding="utf-8"))
    ]
    assert set(calls) <= EXTRAS.keys()


def test_the_page_for_contributors_lists_the_extras() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    there, _, reserved = page.partition("Reserved, for code that is still to come:")
    assert set(re.findall(r"^\| `(\w+)` \|", there, re.MULTILINE)) == EXTRAS.keys() - {"dev"}
    assert not set(re.findall(r"^\| `(\w+)` \|", reserved, re.MULTILINE)) & EXTRAS.keys()


def test_no_extra_is_empty() -> None:
    assert all(EXTRAS.values())


def test_the_version_is_one() -> None:
    assert metadata.version("segany") == segany.__version__ == PROJECT["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[({re.escape(PROJECT['version'])}|Unreleased)\]", changelog, re.MULTILINE)
