"""serve: a store behind uvicorn, until it is told to stop."""

import logging
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn

from segany.errors import OutputError
from segany.memory import keep_memory
from segany.serve.app import create_app
from segany.serve.settings import ServeSettings
from segany.store import Store

__all__ = ["serve"]

# Connections that the system keeps waiting while the loop is at something else.
_BACKLOG = 512
_KEEP_ALIVE_SECONDS = 30
# Five times as often as usual: of a request's ten short turns in the event loop, each waits for a thread that computes.
_SWITCH_SECONDS = 0.001


class _Server(uvicorn.Server):
    """Tells the application that it stops before it waits for the requests that are under way."""

    def __init__(self, config: uvicorn.Config, tell: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = tell

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._tell()
        super().handle_exit(sig, frame)


def serve(store: Store, settings: ServeSettings, *, on_start: Callable[[str], None] | None = None) -> None:
    """Serve a store until Ctrl-C or SIGTERM; then requests under way are finished, and jobs given back.

    Args:
        store: An open store; closed by whoever opened it.
        settings: Of the server.
        on_start: Called with the server's URL when it listens.

    Raises:
        ConfigError: Others than this machine could ask, and the store has no users.
        OutputError: The address cannot be listened on.
    """
    keep_memory()
    sys.setswitchinterval(_SWITCH_SECONDS)
    app = create_app(store, settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        backlog=_BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=settings.behind_proxy,
        forwarded_allow_ips="127.0.0.1,::1" if settings.behind_proxy else None,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        ssl_certfile=None if settings.certificate is None else str(settings.certificate),
        ssl_keyfile=None if settings.private_key is None else str(settings.private_key),
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    server = _Server(config, app.state.services.stopping.set)
    scheme = "http" if settings.certificate is None else "https"
    listening = _listening(settings)
    with listening:
        port = listening.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        if on_start is not None:
            on_start(f"{scheme}://{host}:{port}")
        server.run(sockets=[listening])


def _listening(settings: ServeSettings) -> socket.socket:
    host = settings.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Every address of this machine means those of both kinds.
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        made = socket.create_server((host, settings.port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        raise OutputError(
            f"cannot listen on {settings.host}:{settings.port}; another program does, or it is not this machine's "
            "address. Choose another with --port or --host."
        ) from error
    # asyncio turns off Nagle's delay only where a socket says that it is TCP, and this one says 0: without this, each
    # answer waits 40 ms for the client's acknowledgement.
    return socket.socket(made.family, made.type, socket.IPPROTO_TCP, fileno=made.detach())
