"""Users: who may sign in to a server of this store, and the keys that their browsers and programs have.

Passwords and keys come in as hashes; this part never sees them. The hash of a password is for `serve` to make and to
check.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast, get_args

from sqlalchemy import delete, func, insert, select, update

from segany.errors import ConfigError, NotInStoreError
from segany.store._rows import checked_text
from segany.store.database import Database, Writing, to_time
from segany.store.events import event_row
from segany.store.models import AccessKeyRow, EventRow, PersonRow, SecretRow

__all__ = ["ROLES", "AccessKey", "KeyKind", "Role", "User", "Users"]

Role = Literal["annotator", "reviewer", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what those before it may."""

KeyKind = Literal["session", "token"]
_MINUTE = 60_000_000
_SECRET_BYTES = 32


@dataclass(frozen=True)
class User:
    """Who may sign in.

    Attributes:
        name: What they sign in as; the actor of what they do.
        role: What they may do.
        disabled: Whether they may no longer sign in.
        created_at: When they were added.
    """

    name: str
    role: Role
    disabled: bool
    created_at: datetime


@dataclass(frozen=True)
class AccessKey:
    """A browser's session, or a program's token.

    Attributes:
        id: Its number.
        user: Whose.
        kind: Which of the two.
        label: What it is for.
        created_at: When it was given.
        expires_at: When it ends.
        used_at: When it was used last, to the minute, or None.
    """

    id: int
    user: str
    kind: KeyKind
    label: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


class Users:
    """The users of one store."""

    def __init__(self, database: Database) -> None:
        """Of a store's database."""
        self._database = database

    def add(self, name: str, role: Role, password_hash: str, *, actor: str) -> User:
        """Add a user.

        Args:
            name: A new one.
            role: What they may do.
            password_hash: Of their password.
            actor: Who adds them.

        Raises:
            ConfigError: There is one of that name, or no such role.
        """
        _check_role(role)
        with self._database.write() as writing:
            if self._row(writing, name) is not None:
                raise ConfigError(f"there is a user {name!r} already; choose another name, or change that user.")
            values = {"name": checked_text(name, "a user's name"), "role": role, "password": password_hash}
            writing.connection.execute(insert(PersonRow).values(**values, disabled=False, created_at=writing.at))
            self._tell(writing, actor, "user.added", {"name": name, "role": role})
        return self.get(name)

    def get(self, name: str) -> User:
        """A user. Raises NotInStoreError."""
        found = self.with_password(name)
        if found is None:
            raise NotInStoreError(f"the store has no user {name!r}; add one with: segany users add")
        return found[0]

    def with_password(self, name: str) -> tuple[User, str] | None:
        """A user and the hash of their password, or None."""
        with self._database.read() as connection:
            row = connection.execute(select(PersonRow).where(PersonRow.name == name)).first()
        return None if row is None else (_user(row), row.password)

    def list(self) -> Sequence[User]:
        """All users, by name."""
        with self._database.read() as connection:
            return [_user(row) for row in connection.execute(select(PersonRow).order_by(PersonRow.name))]

    def are_there(self) -> bool:
        """Whether anyone may sign in."""
        with self._database.read() as connection:
            return connection.execute(select(PersonRow.name).limit(1)).first() is not None

    def change(
        self,
        name: str,
        *,
        actor: str,
        role: Role | None = None,
        password_hash: str | None = None,
        disabled: bool | None = None,
    ) -> User:
        """Change a user; what is left out stays. A new password, or being disabled, ends their sessions and tokens.

        Args:
            name: Which user.
            actor: Who changes them.
            role: What they may do from now on.
            password_hash: Of their new password.
            disabled: Whether they may no longer sign in.

        Raises:
            NotInStoreError: There is none of that name.
            ConfigError: Nobody would be left who may change users; or there is no such role.
        """
        given: dict[str, Any] = {"role": role, "password": password_hash, "disabled": disabled}
        values = {column: value for column, value in given.items() if value is not None}
        if role is not None:
            _check_role(role)
        with self._database.write() as writing:
            row = self._row(writing, name)
            if row is None:
                raise NotInStoreError(f"the store has no user {name!r}.")
            demoted = role not in (None, "admin") or disabled is True
            if row.role == "admin" and not row.disabled and demoted and self._admins(writing) == 1:
                raise ConfigError(f"{name} is the only admin; make someone else one first.")
            if not values:
                return _user(row)
            writing.connection.execute(update(PersonRow).where(PersonRow.name == name).values(values))
            if password_hash is not None or disabled is True:
                writing.connection.execute(delete(AccessKeyRow).where(AccessKeyRow.person == name))
            told = {column: True if column == "password" else value for column, value in values.items()}
            self._tell(writing, actor, "user.changed", {"name": name, **told})
        return self.get(name)

    def give_key(self, name: str, kind: KeyKind, digest: bytes, *, seconds: float, label: str = "") -> AccessKey:
        """Keep the digest of a key that a user was given; keys that have ended are forgotten.

        Args:
            name: Whose.
            kind: A browser's session, or a program's token.
            digest: Of the key.
            seconds: How long it lasts.
            label: What it is for.

        Raises:
            NotInStoreError: There is none of that name.
        """
        self.get(name)
        with self._database.begin() as connection:
            now = self._database.now(connection)
            connection.execute(delete(AccessKeyRow).where(AccessKeyRow.expires_at < now))
            values = {"person": name, "kind": kind, "label": checked_text(label, "a token's label"), "digest": digest}
            times = {"created_at": now, "expires_at": now + int(seconds * 1_000_000)}
            made = insert(AccessKeyRow).values(**values, **times).returning(AccessKeyRow.id)
            number = connection.execute(made).scalar_one()
            return _key(connection.execute(select(AccessKeyRow).where(AccessKeyRow.id == number)).one())

    def by_key(self, digest: bytes, kind: KeyKind) -> tuple[User, AccessKey] | None:
        """Who has a key; None when it is unknown or has ended, or its user is disabled."""
        with self._database.read() as connection:
            asked = select(AccessKeyRow).where(AccessKeyRow.digest == digest, AccessKeyRow.kind == kind)
            found = connection.execute(asked).first()
            now = self._database.now(connection)
            if found is None or found.expires_at < now:
                return None
            person = connection.execute(select(PersonRow).where(PersonRow.name == found.person)).one()
        if person.disabled:
            return None
        if found.used_at is None or now - found.used_at > _MINUTE:
            with self._database.begin() as connection:
                connection.execute(update(AccessKeyRow).where(AccessKeyRow.id == found.id).values(used_at=now))
        return _user(person), _key(found)

    def keys(self, name: str, kind: KeyKind) -> Sequence[AccessKey]:
        """A user's keys, the newest first."""
        asked = select(AccessKeyRow).where(AccessKeyRow.person == name, AccessKeyRow.kind == kind)
        with self._database.read() as connection:
            return [_key(row) for row in connection.execute(asked.order_by(AccessKeyRow.id.desc()))]

    def take_key(self, name: str, key_id: int) -> None:
        """End a key.

        Args:
            name: Whose.
            key_id: Which.

        Raises:
            NotInStoreError: They have no such key.
        """
        with self._database.begin() as connection:
            taken = delete(AccessKeyRow).where(AccessKeyRow.id == key_id, AccessKeyRow.person == name)
            if connection.execute(taken).rowcount == 0:
                raise NotInStoreError(f"{name} has no token {key_id}.")

    def secret(self, name: str) -> bytes:
        """Random bytes under a name, made when they are first asked for: what servers of this store sign with."""
        asked = select(SecretRow.value).where(SecretRow.name == name)
        with self._database.read() as connection:
            found = connection.execute(asked).scalar_one_or_none()
        if found is None:
            # One writer at a time, on either database; another process may have been quicker.
            with self._database.write() as writing:
                found = writing.connection.execute(asked).scalar_one_or_none()
                if found is None:
                    found = secrets.token_bytes(_SECRET_BYTES)
                    writing.connection.execute(insert(SecretRow).values(name=name, value=found))
        return bytes(found)

    def _row(self, writing: Writing, name: str) -> Any:
        return writing.connection.execute(select(PersonRow).where(PersonRow.name == name)).first()

    def _admins(self, writing: Writing) -> int:
        asked = select(func.count()).where(PersonRow.role == "admin", PersonRow.disabled.is_(False))
        return int(writing.connection.execute(asked).scalar_one())

    def _tell(self, writing: Writing, actor: str, kind: str, details: dict[str, Any]) -> None:
        said = event_row(writing, actor, kind, None, details)
        writing.connection.execute(insert(EventRow).values(said))


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise ConfigError(f"a role must be one of {', '.join(ROLES)}, got {role!r}.")


def _user(row: Any) -> User:
    return User(row.name, cast(Role, row.role), bool(row.disabled), to_time(row.created_at))


def _key(row: Any) -> AccessKey:
    used = None if row.used_at is None else to_time(row.used_at)
    kind = cast(KeyKind, row.kind)
    return AccessKey(row.id, row.person, kind, row.label, to_time(row.created_at), to_time(row.expires_at), used)
