"""What commands that work on a store have in common."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from segany.store import Store

__all__ = ["ActorOption", "StoreArgument", "actor_of", "opened_store"]

StoreArgument = Annotated[
    str, typer.Argument(metavar="STORE", help="A folder, or postgresql://USER:PASSWORD@HOST/DATABASE.")
]
ActorOption = Annotated[
    str | None, typer.Option("--by", help="Who does this, for the audit log; your user name if left out.")
]


@contextmanager
def opened_store(store: str) -> "Iterator[Store]":
    """Open a store for the length of a block."""
    from segany.engine import open_store

    with open_store(store) as opened:
        yield opened


def actor_of(given: str | None) -> str:
    """Who acts, for the audit log: who was named, or the user of this process."""
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
