"""Accounts: who asks, from what their browser or program proves itself with."""

import time
from collections import OrderedDict
from http.cookies import SimpleCookie
from typing import NamedTuple

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.datastructures import Headers

from segany.errors import AccessError, ConfigError
from segany.serve._guard import COOKIE
from segany.serve._pools import WorkPool
from segany.serve.access import Principal
from segany.serve.passwords import (
    TOKEN_PREFIX,
    Throttle,
    csrf_token,
    hash_password,
    key_digest,
    new_key,
    password_matches,
)
from segany.serve.settings import ServeSettings
from segany.store import AccessKey, Store, User
from segany.store.users import KeyKind

__all__ = ["Accounts"]

# A sign-out, or a changed password, counts after this long in other processes; in this one at once.
_KNOWN_SECONDS = 5.0
_KNOWN = 2000
_DAY = 86_400.0


class _Known(NamedTuple):
    principal: Principal | None
    until: float


class Accounts:
    """Users of a store, as a server knows them.

    Attributes:
        login_required: Whether there are accounts.
        csrf_secret: What CSRF tokens are made with.
    """

    def __init__(self, store: Store, settings: ServeSettings, pool: WorkPool, hashing: WorkPool) -> None:
        """Look whether there are users.

        Args:
            store: Whose users.
            settings: Where the server listens.
            pool: Threads that read and write the store.
            hashing: Threads that hash passwords, which costs time and memory on purpose.

        Raises:
            ConfigError: Others than this machine could ask, and there are no users.
        """
        self.login_required = store.users.are_there()
        if not self.login_required and not settings.is_local:
            raise ConfigError(
                f"{settings.host} can be reached from other machines, and the store has no users: anyone could change "
                f"it. Add a user with `segany users add {store.location} NAME --role admin`, or serve on 127.0.0.1."
            )
        self._store, self._settings, self._pool, self._hashing = store, settings, pool, hashing
        secret = store.users.secret("serve")
        self.csrf_secret = secret
        self._signer = URLSafeSerializer(secret, salt="segany.session")
        self._throttle = Throttle()
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._local = Principal(settings.local_name, "admin", "local")

    async def identify(self, headers: Headers, cookie: str | None) -> Principal | None:
        """Who asks; None when nobody known does. A token counts before a cookie."""
        if not self.login_required:
            return self._local
        scheme, _, word = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._find(word.strip(), "token")
        if cookie is None:
            return None
        try:
            key = self._signer.loads(cookie)
        except BadSignature:
            return None
        return await self._find(key, "session") if isinstance(key, str) else None

    async def sign_in(self, name: str, password: str, address: str) -> tuple[User, str]:
        """Begin a session, always a new one.

        Returns:
            The user and the session's key.

        Raises:
            AccessError: No such user, another password, or disabled: which of them is not said.
            BusyError: There were too many failures.
        """
        sides = (f"name:{name}", f"address:{address}")
        self._throttle.check(*sides)
        found = await self._pool.run(self._store.users.with_password, name)
        stored = None if found is None or found[0].disabled else found[1]
        # Counted before it is known, so that many tries at once do not all count as the first.
        self._throttle.failed(*sides)
        if not await self._hashing.run(password_matches, password, stored) or found is None:
            raise AccessError("the name or the password is wrong.")
        self._throttle.succeeded(*sides)
        key = new_key()
        seconds = self._settings.session_hours * 3600
        await self._pool.run(self._store.users.give_key, name, "session", key_digest(key), seconds=seconds)
        return found[0], key

    async def sign_out(self, principal: Principal) -> None:
        """End the session that asks; a token stays."""
        if principal.key is None or principal.kind != "session":
            return
        digest = key_digest(principal.key)
        self._known.pop(digest, None)

        def end() -> None:
            found = self._store.users.by_key(digest, "session")
            if found is not None:
                self._store.users.take_key(found[0].name, found[1].id)

        await self._pool.run(end)

    async def new_token(self, name: str, label: str, days: int) -> tuple[AccessKey, str]:
        """A token for a program: what is kept of it, and the word itself."""
        word = new_key(TOKEN_PREFIX)
        give = self._store.users.give_key
        return await self._pool.run(give, name, "token", key_digest(word), seconds=days * _DAY, label=label), word

    async def hashed(self, password: str) -> str:
        """The hash of a new password."""
        return await self._hashing.run(hash_password, password)

    def forget(self) -> None:
        """Look everyone up anew: a user or a token was changed."""
        self._known.clear()

    def csrf(self, principal: Principal | None) -> str | None:
        """The token that the session's page sends with every change."""
        return None if principal is None or principal.key is None else csrf_token(self.csrf_secret, principal.key)

    def cookie(self, key: str | None, *, secure: bool) -> str:
        """The header that keeps a session's key in a browser; None ends it."""
        made: SimpleCookie = SimpleCookie()
        made[COOKIE] = "" if key is None else str(self._signer.dumps(key))
        for name, value in {"path": "/", "httponly": True, "samesite": "Strict"}.items():
            made[COOKIE][name] = value
        made[COOKIE]["max-age"] = 0 if key is None else int(self._settings.session_hours * 3600)
        if secure:
            made[COOKIE]["secure"] = True
        return made[COOKIE].OutputString()

    async def _find(self, key: str, kind: KeyKind) -> Principal | None:
        digest = key_digest(key)
        now = time.monotonic()
        known = self._known.get(digest)
        if known is not None and known.until > now:
            return known.principal
        found = await self._pool.run(self._store.users.by_key, digest, kind)
        session = key if kind == "session" else None
        principal = None if found is None else Principal(found[0].name, found[0].role, kind, session)
        if principal is not None:
            # The unknown are not remembered: anyone could fill the memory with them.
            self._known[digest] = _Known(principal, now + _KNOWN_SECONDS)
            while len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return principal
