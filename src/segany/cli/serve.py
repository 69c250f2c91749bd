"""`segany serve`: the annotation page and the HTTP API over a store."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from segany.cli._options import DeviceOption, ModelOption, PrecisionOption, RuntimeOption

__all__ = ["command"]


def command(
    store: Annotated[
        str | None,
        typer.Option(help="A folder, or postgresql://...; made if it is missing. One in SEGANY_HOME if left out."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; any but this machine's needs users.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")] = 8000,
    model: ModelOption = "mobile_sam",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    runtime: RuntimeOption = "auto",
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Another name that browsers call this server by; repeat it.")
    ] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy on this machine passes requests on; users sign in.")
    ] = False,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate, for HTTPS.")] = None,
    private_key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    max_pixels: Annotated[int | None, typer.Option(min=1, help="Largest image, in pixels.")] = None,
    max_body: Annotated[int, typer.Option(min=1, help="Largest request, in MB.")] = 200,
) -> int:
    """Annotate in the browser, and ask over HTTP, until Ctrl-C. On this machine nobody needs an account."""
    from segany.engine import open_store
    from segany.errors import MissingExtraError

    try:
        from segany.serve import ServeSettings, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "segany":
            raise
        raise MissingExtraError("`segany serve`", "serve") from error

    settings = ServeSettings(
        host=host,
        port=port,
        model=model,
        device=device,
        precision=precision,
        runtime=runtime,
        allowed_hosts=tuple(allow_host or ()),
        behind_proxy=behind_proxy,
        certificate=certificate,
        private_key=private_key,
        local_name=_user_name(),
        max_body_bytes=max_body * 1_000_000,
        max_pixels=max_pixels,
    )
    place = _made(store)
    with open_store(place) as opened:

        def say(url: str) -> None:
            print(f"segany serves {opened.location} at {url}", flush=True)
            print("stop it with Ctrl-C", flush=True)

        serve(opened, settings, on_start=say)
    return 0


def _made(given: str | None) -> str:
    from segany.settings import Settings
    from segany.store import create_store

    if given is not None and "://" in given:
        return given
    place = str(Settings.from_environment().home / "store") if given is None else given
    create_store(place)
    return place


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return "local"
