"""The registry's entries: what a file is, what it must hash to and where it can be had."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Any, TypeVar
from urllib.parse import urlsplit

from segany.errors import ConfigError, UnknownWeightsError

__all__ = ["KINDS", "Entry", "PackageSource", "Registry", "Source", "UrlSource", "load_registry", "parse_registry"]

KINDS = ("model", "sample", "detector", "classifier", "features", "tracker", "saliency", "edges", "reference")
LICENCE_SOURCES = ("package", "upstream")

_T = TypeVar("_T")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class PackageSource:
    """A file inside a package that the package index publishes.

    Attributes:
        project: The project's name on the index.
        version: The release.
        file: The exact wheel (`.whl`) or source archive (`.tar.gz`).
        sha256: Digest of that archive, lower-case hexadecimal.
        member: The file's full name inside the archive, with forward slashes.
    """

    project: str
    version: str
    file: str
    sha256: str
    member: str

    def __post_init__(self) -> None:
        if not self.file.endswith((".whl", ".zip", ".tar.gz")):
            raise ConfigError(f"a package file must end in .whl, .zip or .tar.gz, got {self.file!r}.")
        _check_sha256(self.file, self.sha256)

    @property
    def label(self) -> str:
        """How a message names this source; never an address, which could hold a password."""
        return f"package {self.project} {self.version}"

    @property
    def description(self) -> str:
        """Where a person finds the file."""
        return f"{self.member} in {self.file} of the package index"


@dataclass(frozen=True)
class UrlSource:
    """The file itself at its publisher's address.

    Attributes:
        url: The address; https, or http for a loopback server.
    """

    url: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme != "https" and (parts.scheme, parts.hostname) != ("http", "127.0.0.1"):
            raise ConfigError(f"a publisher's address must start with https://, got {self.url!r}.")

    @property
    def label(self) -> str:
        """How a message names this source."""
        return self.url

    @property
    def description(self) -> str:
        """Where a person finds the file."""
        return f"at {self.url}"


Source = PackageSource | UrlSource


@dataclass(frozen=True)
class Entry:
    """One file that segany knows how to get and how to check.

    Attributes:
        name: The name it is asked for by.
        kind: One of `KINDS`.
        file_name: Its name in the cache.
        sha256: Digest of the file, lower-case hexadecimal.
        size: Length of the file in bytes.
        licence: SPDX identifier or expression.
        licence_source: "package" if the package that carries the file states the licence (or the publisher, for a
            file that no package carries), "upstream" if only the original project does and the package is silent.
        description: One line: what it is.
        paper: Address of the paper, or None.
        architecture: Name of the model configuration that reads it, or None.
        aliases: Other names it may be asked for by.
        companions: Names of the entries whose files must lie beside this one.
        sources: Where it can be had, tried in order; empty when it must be put in place by hand.
    """

    name: str
    kind: str
    file_name: str
    sha256: str
    size: int
    licence: str
    licence_source: str
    description: str
    paper: str | None = None
    architecture: str | None = None
    aliases: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"{self.name}: kind must be one of {', '.join(KINDS)}, got {self.kind!r}.")
        if self.licence_source not in LICENCE_SOURCES:
            raise ConfigError(f"{self.name}: licence_source must be package or upstream, got {self.licence_source!r}.")
        if not _FILE_NAME.fullmatch(self.file_name):
            raise ConfigError(f"{self.name}: file_name must be a plain file name, got {self.file_name!r}.")
        if self.size < 1:
            raise ConfigError(f"{self.name}: size must be at least 1 byte, got {self.size}.")
        _check_sha256(self.name, self.sha256)

    @property
    def folder(self) -> str:
        """Name of the folder in the cache: "samples" for photos, "weights" for the rest."""
        return "samples" if self.kind == "sample" else "weights"


class Registry:
    """Entries by name, in the order of the file."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        """Index the entries.

        Raises:
            ConfigError: Two entries share a name, an alias or a file, or a companion is missing.
        """
        self.entries = entries
        self._by_name: dict[str, Entry] = {}
        for entry in entries:
            for name in (entry.name, *entry.aliases):
                if name in self._by_name:
                    raise ConfigError(f"the registry has two entries named {name!r}.")
                self._by_name[name] = entry
        places = [(entry.folder, entry.file_name) for entry in entries]
        if len(set(places)) != len(places):
            raise ConfigError("two entries of the registry share a file name.")
        for entry in entries:
            if missing := [name for name in entry.companions if name not in self._by_name]:
                raise ConfigError(f"{entry.name}: companion {missing[0]!r} is no entry of the registry.")

    def get(self, name: str) -> Entry:
        """Find an entry by its name or an alias.

        Raises:
            UnknownWeightsError: No entry has that name; the message gives the nearest ones.
        """
        try:
            return self._by_name[name]
        except KeyError:
            near = difflib.get_close_matches(name.lower(), self._by_name, n=3, cutoff=0.6)
            hint = f"did you mean {', '.join(near)}?" if near else "see: segany weights list."
            raise UnknownWeightsError(f"no weights are named {name!r}; {hint}") from None


@cache
def load_registry() -> Registry:
    """Read the registry that comes with the package."""
    return parse_registry(resources.files("segany.weights").joinpath("registry.toml").read_text(encoding="utf-8"))


def parse_registry(text: str) -> Registry:
    """Read a registry.

    Args:
        text: TOML, one table per entry; `sources` is a list of tables, each with the keys of one kind of source.

    Raises:
        ConfigError: A key is unknown or missing, or a value is not valid.
    """
    return Registry(tuple(_entry(name, table) for name, table in tomllib.loads(text).items()))


def _entry(name: str, table: Mapping[str, Any]) -> Entry:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    values["sources"] = tuple(_source(name, source) for source in values.get("sources", ()))
    return _build(Entry, name, {"name": name, **values})


def _source(name: str, table: Mapping[str, Any]) -> Source:
    if "url" in table:
        return _build(UrlSource, name, table)
    source = _build(PackageSource, name, table)
    if ".." in PurePosixPath(source.member).parts or source.member.startswith("/"):
        raise ConfigError(f"{name}: member must be a name inside the archive, got {source.member!r}.")
    return source


def _build(kind: type[_T], name: str, values: Mapping[str, Any]) -> _T:
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := values.keys() - known.keys():
        raise ConfigError(f"{name}: unknown key {min(unknown)!r}; known are {', '.join(known)}.")
    if missing := [key for key, field in known.items() if field.default is MISSING and key not in values]:
        raise ConfigError(f"{name}: key {missing[0]!r} is missing.")
    return kind(**values)


def _check_sha256(name: str, sha256: str) -> None:
    if not _SHA256.fullmatch(sha256):
        raise ConfigError(f"{name}: sha256 must be 64 lower-case hexadecimal digits, got {sha256!r}.")
