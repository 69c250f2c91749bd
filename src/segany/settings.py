"""Typed settings; the only reader of the environment.

| variable | meaning | default |
|---|---|---|
| SEGANY_HOME | folder of weights, samples and caches | the platform's user cache |
| SEGANY_DATA | folder of annotated data for tests and documented commands | none |
| SEGANY_THREADS | threads for computing | the runtime's choice |
| SEGANY_MAX_PIXELS | largest image read whole, in pixels | 200,000,000 |
| SEGANY_CACHE | folder of cached embeddings | embeddings in SEGANY_HOME |
| SEGANY_CACHE_BYTES | most bytes of cached embeddings | 4,000,000,000 |
| SEGANY_OFFLINE | 1: never use the network | 0 |
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from segany.errors import ConfigError

__all__ = ["DEFAULT_CACHE_BYTES", "DEFAULT_MAX_PIXELS", "Settings", "child_environment", "limit_threads", "share_cores"]

DEFAULT_MAX_PIXELS = 200_000_000
DEFAULT_CACHE_BYTES = 4_000_000_000


@dataclass(frozen=True)
class Settings:
    """What the environment says, read once at the edge.

    Attributes:
        home: Folder of weights, samples and caches; need not exist yet.
        data: Folder of annotated data, or None.
        threads: Threads for computing, or None for the runtime's choice.
        max_pixels: Largest image (height x width) that is read whole, in pixels.
        cache: Folder of cached embeddings, or None for `embeddings` in `home`.
        cache_bytes: Most bytes of cached embeddings.
        offline: Never use the network.
    """

    home: Path
    data: Path | None = None
    threads: int | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS
    cache: Path | None = None
    cache_bytes: int = DEFAULT_CACHE_BYTES
    offline: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read the SEGANY_* variables; unset and empty ones take their default.

        Args:
            environment: The variables, or None for the process's own.

        Raises:
            ConfigError: A variable of that prefix is unknown or its value cannot be read.
        """
        given = os.environ if environment is None else environment
        values = {key: value for key, value in given.items() if key.startswith("SEGANY_") and value}
        names = ("HOME", "DATA", "THREADS", "MAX_PIXELS", "CACHE", "CACHE_BYTES", "OFFLINE")
        known = {f"SEGANY_{name}" for name in names}
        if unknown := sorted(values.keys() - known):
            raise ConfigError(f"unknown environment variable {unknown[0]}; segany reads {', '.join(sorted(known))}.")
        threads = values.get("SEGANY_THREADS")
        return cls(
            home=Path(values["SEGANY_HOME"]).expanduser()
            if "SEGANY_HOME" in values
            else user_cache_path("segany", appauthor=False),
            data=Path(values["SEGANY_DATA"]).expanduser() if "SEGANY_DATA" in values else None,
            threads=None if threads is None else _positive("SEGANY_THREADS", threads),
            max_pixels=_positive("SEGANY_MAX_PIXELS", values.get("SEGANY_MAX_PIXELS", str(DEFAULT_MAX_PIXELS))),
            cache=Path(values["SEGANY_CACHE"]).expanduser() if "SEGANY_CACHE" in values else None,
            cache_bytes=_positive("SEGANY_CACHE_BYTES", values.get("SEGANY_CACHE_BYTES", str(DEFAULT_CACHE_BYTES))),
            offline=_flag("SEGANY_OFFLINE", values.get("SEGANY_OFFLINE", "0")),
        )


def child_environment(threads: int) -> dict[str, str]:
    """The environment for a process that is to compute on so many threads.

    Args:
        threads: At least 1.
    """
    return {**os.environ, "SEGANY_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}


def limit_threads(threads: int) -> None:
    """Have what this process loads from now on compute on so many threads, as SEGANY_THREADS would have.

    Args:
        threads: At least 1.
    """
    os.environ.update(child_environment(threads))


def share_cores() -> None:
    """Have threads of what this process loads from now on sleep while they wait for each other, unless told otherwise.

    OpenMP's spin by default. Alone on a machine that gains nothing that could be measured; beside one other busy
    process on two cores it made small products of torch three times as slow.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _positive(name: str, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ConfigError(f"{name} must be a whole number of at least 1, got {text!r}; correct or unset it.")
    return number


def _flag(name: str, text: str) -> bool:
    flags = {"0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}
    if text.lower() not in flags:
        raise ConfigError(f"{name} must be 0 or 1, got {text!r}; correct or unset it.")
    return flags[text.lower()]
