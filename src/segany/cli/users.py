"""`segany users`: who may sign in to a server of a store."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, cast

import typer

from segany.cli._stores import StoreArgument, actor_of
from segany.errors import ConfigError, MissingExtraError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Say who may sign in to a server of a store.")

_Name = Annotated[str, typer.Argument(help="What they sign in as: letters, digits and . _ @ -.")]
_File = Annotated[
    Path | None, typer.Option(help="Read the password from this file's first line instead of asking for it.")
]
_SHORTEST = 10


@app.command()
def add(
    store: StoreArgument,
    name: _Name,
    role: Annotated[
        str, typer.Option(help="annotator; reviewer, who also accepts and rejects; admin, who also adds users.")
    ] = "annotator",
    password_file: _File = None,
) -> int:
    """Add a user; from the first one on, everybody has to sign in."""
    from segany.engine import open_store
    from segany.store import Role
    from segany.wire import NewUserRequest

    with open_store(store) as opened:
        password = _password(password_file)
        try:
            NewUserRequest(name=name, password=password)  # type: ignore[arg-type]  # made a secret there
        except ValueError as error:
            raise ConfigError(f"a user's name has letters, digits and . _ @ -, got {name!r}.") from error
        user = opened.users.add(name, cast(Role, role), _hashed(password), actor=actor_of(None))
    print(f"{user.name} ({user.role}) may sign in; a server that runs already has to be started again")
    return 0


@app.command("list")
def list_users(
    store: StoreArgument, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
) -> int:
    """List the users of a store."""
    from segany.engine import open_store

    with open_store(store) as opened:
        users = opened.users.list()
    if as_json:
        print(json.dumps([asdict(user) for user in users], default=str))
        return 0
    for user in users:
        print(f"{user.name}  {user.role}{'  disabled' if user.disabled else ''}")
    return 0


@app.command()
def change(
    store: StoreArgument,
    name: _Name,
    role: Annotated[str | None, typer.Option(help="annotator, reviewer or admin.")] = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for a new password; ends their sessions.")] = False,
    password_file: _File = None,
    disable: Annotated[bool | None, typer.Option("--disable/--enable", help="Let them in no longer, or again.")] = None,
) -> int:
    """Change a user's role or password, or let them in no longer."""
    from segany.engine import open_store
    from segany.store import Role

    with open_store(store) as opened:
        opened.users.get(name)
        hashed = _hashed(_password(password_file)) if password or password_file is not None else None
        user = opened.users.change(
            name, actor=actor_of(None), role=cast("Role | None", role), password_hash=hashed, disabled=disable
        )
    print(f"{user.name}  {user.role}{'  disabled' if user.disabled else ''}")
    return 0


def _password(file: Path | None) -> str:
    if file is None:
        word: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        try:
            word = file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read a password from {file}: {error}.") from error
    if len(word) < _SHORTEST:
        raise ConfigError(f"a password has at least {_SHORTEST} characters, got {len(word)}.")
    return word


def _hashed(password: str) -> str:
    try:
        from segany.serve.passwords import hash_password
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "segany":
            raise
        raise MissingExtraError("`segany users`", "serve") from error
    return hash_password(password)
