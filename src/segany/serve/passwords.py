"""Passwords and keys: Argon2 for what people choose, SHA-256 for what is random; and guessing made slow."""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from segany.errors import BusyError

__all__ = ["TOKEN_PREFIX", "Throttle", "csrf_token", "hash_password", "key_digest", "new_key", "password_matches"]

TOKEN_PREFIX = "sgy_"
_FREE_FAILURES = 5
_LONGEST_WAIT = 300.0
_REMEMBERED = 10_000

_hasher = PasswordHasher()
# What the password of a user who is not there is compared with, so that both take as long.
_NOBODY = _hasher.hash(secrets.token_hex())


def hash_password(password: str) -> str:
    """Argon2id with a salt of its own, by the library's parameters (RFC 9106, low memory)."""
    return _hasher.hash(password)


def password_matches(password: str, stored: str | None) -> bool:
    """Whether a password has that hash; of None, False after as long a time."""
    try:
        _hasher.verify(stored or _NOBODY, password)
    except (Argon2Error, InvalidHashError):
        return False
    return stored is not None


def new_key(prefix: str = "") -> str:
    """256 random bits as text."""
    return prefix + secrets.token_urlsafe(32)


def key_digest(key: str) -> bytes:
    """What is kept of a key; as it is random, one round of SHA-256 cannot be searched."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def csrf_token(secret: bytes, key: str) -> str:
    """What a page proves by that it may read what the session's owner reads."""
    return hmac.new(secret, b"csrf:" + key.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


class Throttle:
    """Counts failures by name and by address; after a few each costs twice the wait of the one before."""

    def __init__(self) -> None:
        """Nobody failed yet."""
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def check(self, *sides: str) -> None:
        """Go on only if none of the sides has to wait. Raises BusyError."""
        now = time.monotonic()
        wait = max(self._failures.get(side, (0, 0.0))[1] - now for side in sides)
        if wait > 0:
            raise BusyError(f"too many failed sign-ins; try again in {wait:.0f} s.", wait)

    def failed(self, *sides: str) -> None:
        """Count a failure."""
        now = time.monotonic()
        for side in sides:
            count = self._failures.pop(side, (0, 0.0))[0] + 1
            wait = 0.0 if count <= _FREE_FAILURES else min(2.0 ** (count - _FREE_FAILURES), _LONGEST_WAIT)
            self._failures[side] = (count, now + wait)
        while len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, *sides: str) -> None:
        """Forget the failures."""
        for side in sides:
            self._failures.pop(side, None)
