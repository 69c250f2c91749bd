"""What a database says when it cannot go on, as errors that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from segany.errors import OutputError, StoreError

__all__ = ["explained"]

# (words of the database's message, what it means, what to do); the first that fits is taken
_NOT_WRITTEN = (
    ("disk is full", "no space left on the disk", "free some space"),
    ("no space left", "no space left on the disk", "free some space"),
    ("could not extend file", "no space left on the disk", "free some space"),
    ("53100", "no space left on the disk", "free some space"),
    ("disk i/o error", "the disk refused to write", "check its space, its limits and its health"),
    ("file too large", "a file may not grow further", "raise the limit on file sizes"),
    ("readonly database", "it may only be read", "check who owns the folder and its files"),
    ("25006", "it may only be read", "connect to the primary server, or as another user"),
    ("permission denied", "this user may not do that", "check the database user's rights"),
    ("unable to open database file", "its file cannot be opened", "check that the folder is there and may be written"),
)
_NOT_USABLE = (
    ("database is locked", "another process has been writing for a minute", "try again when it is done"),
    ("file is not a database", "store.sqlite is no database", "restore it from a backup"),
    ("malformed", "its database is damaged", "restore it from a backup"),
    ("can't create a connection", "the server does not answer", "check its address and that it runs"),
    ("connection refused", "the server does not answer", "check its address and that it runs"),
    ("network error", "the connection to the server was lost", "try again"),
    ("password authentication failed", "the server refuses the password", "check user and password in the URL"),
    ("3d000", "there is no such database on the server", "make it first: createdb NAME"),
    ("28000", "the server refuses this user", "check user and password in the URL"),
)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what the database raises into OutputError (could not be written) or StoreError.

    Args:
        name: What to call the store, without a password.
    """
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        said = f"{error.orig if isinstance(error, DBAPIError) else error}"
        text = said.lower()
        for words, meaning, advice in _NOT_WRITTEN:
            if words in text:
                raise OutputError(
                    f"cannot write to the store {name}: {meaning}. Nothing was left half-written; {advice}, "
                    "then run it again."
                ) from error
        for words, meaning, advice in _NOT_USABLE:
            if words in text:
                raise StoreError(f"cannot use the store {name}: {meaning}; {advice}.") from error
        raise StoreError(f"the database of the store {name} refused: {said:.300}") from error
    except SQLAlchemyError as error:
        raise StoreError(f"the database of the store {name} refused: {error!s:.300}") from error
