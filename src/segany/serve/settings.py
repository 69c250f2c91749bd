"""ServeSettings: what a server is told when it starts."""

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from segany.errors import ConfigError
from segany.memory import container_limit

__all__ = ["ServeSettings", "is_loopback"]

_IMAGE_BYTES = 21_000_000
_MEMORY_SHARE = 16
_FEWEST_IMAGES, _MOST_IMAGES = 8, 64
# Where the system does not say how much memory there is.
_USUAL_IMAGES = 24


@dataclass(frozen=True)
class ServeSettings:
    """Address, model and limits of one server.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        model: A name of `segany weights list`, or a checkpoint file.
        device: As `Predictor` takes it.
        precision: As `Predictor` takes it.
        runtime: As `Predictor` takes it.
        allowed_hosts: Further names that the server may be called by.
        behind_proxy: A proxy on this machine passes requests on, and says in headers where they come from.
        certificate: TLS certificate file, or None for plain HTTP.
        private_key: Its key.
        local_name: The actor, while there are no accounts.
        max_body_bytes: Largest request.
        max_pixels: Largest image; None for `Settings.max_pixels`.
        requests_per_second: Of one user or address, on average.
        request_burst: How many of them at once.
        max_waiting: Prompts, and edits, that may wait for a thread.
        max_waiting_images: Images that may wait to be embedded.
        hot_images: Embeddings that are kept in memory, 21 MB each with the default model; when left out, as many as fit
            in a sixteenth of this machine's memory, from 8 to 64.
        logits_bytes: Memory for earlier answers that may be refined.
        learn_after_seconds: When a mask was left alone for so long, what was meant by its first click is learned.
        learn_names_after_seconds: When nothing was named for so long, names are learned anew.
        session_hours: How long a sign-in lasts.
        shutdown_seconds: How long requests may go on after the server was told to stop.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    model: str = "mobile_sam"
    device: str = "auto"
    precision: str = "auto"
    runtime: str = "auto"
    allowed_hosts: tuple[str, ...] = ()
    behind_proxy: bool = False
    certificate: Path | None = None
    private_key: Path | None = None
    local_name: str = "local"
    max_body_bytes: int = 200_000_000
    max_pixels: int | None = None
    requests_per_second: float = 50.0
    request_burst: int = 200
    max_waiting: int = 64
    max_waiting_images: int = 32
    hot_images: int = field(default_factory=lambda: _images_in_memory())
    logits_bytes: int = 200_000_000
    learn_after_seconds: float = 15.0
    learn_names_after_seconds: float = 3.0
    session_hours: float = 12.0
    shutdown_seconds: int = 10

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.port < 65_536:
            raise ConfigError(f"a port is from 0 to 65535, got {self.port}.")
        for name in (
            *("max_body_bytes", "requests_per_second", "request_burst", "max_waiting", "max_waiting_images"),
            *("hot_images", "logits_bytes", "learn_after_seconds", "learn_names_after_seconds"),
            *("session_hours", "shutdown_seconds"),
        ):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}.")
        if (self.certificate is None) != (self.private_key is None):
            raise ConfigError("TLS needs a certificate and its private key: give both, or neither.")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can ask."""
        return is_loopback(self.host) and not self.behind_proxy


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own, and reached from nowhere else."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _images_in_memory() -> int:
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return _USUAL_IMAGES
    limit = container_limit()
    memory = memory if limit is None else min(memory, limit)
    return min(max(memory // _MEMORY_SHARE // _IMAGE_BYTES, _FEWEST_IMAGES), _MOST_IMAGES)
