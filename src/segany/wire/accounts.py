"""Who may do what: sessions, users and tokens."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, SecretStr

from segany.wire.base import Reply, Request, example

__all__ = [
    "LoginRequest",
    "NewTokenReply",
    "NewTokenRequest",
    "NewUserRequest",
    "RoleName",
    "SessionReply",
    "TokenReply",
    "TokensReply",
    "UserChange",
    "UserName",
    "UserReply",
    "UsersReply",
]

RoleName = Literal["annotator", "reviewer", "admin"]
UserName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$")]
# Beyond this Argon2 would be given megabytes to hash by anyone who asks.
_Password = Annotated[SecretStr, Field(min_length=1, max_length=256)]
_NewPassword = Annotated[SecretStr, Field(min_length=10, max_length=256)]
_Label = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]


class UserReply(Reply):
    """A person or a program.

    Attributes:
        name: What they sign in as.
        role: What they may do.
        disabled: Whether they may no longer sign in.
        created_at: When they were added; null for the one user of a server without accounts.
    """

    name: str
    role: RoleName
    disabled: bool = False
    created_at: datetime | None = None


class UsersReply(Reply):
    """All users.

    Attributes:
        users: By name.
    """

    users: list[UserReply]


class SessionReply(Reply):
    """Who asks.

    Attributes:
        user: Or null.
        login_required: Whether this server has accounts.
        csrf_token: What changes made with the session's cookie carry in the header X-CSRF-Token.
        version: Of segany.
    """

    user: UserReply | None
    login_required: bool
    csrf_token: str | None
    version: str


class LoginRequest(Request):
    """Name and password.

    Attributes:
        name: The user's.
        password: The user's.
    """

    model_config = ConfigDict(json_schema_extra=example({"name": "ann", "password": "correct horse battery"}))

    name: Annotated[str, Field(min_length=1, max_length=64)]
    password: _Password


class NewUserRequest(Request):
    """A user to add.

    Attributes:
        name: Letters, digits and . _ @ -.
        role: What they may do.
        password: At least 10 characters.
    """

    model_config = ConfigDict(
        json_schema_extra=example({"name": "ann", "role": "annotator", "password": "correct horse battery"})
    )

    name: UserName
    role: RoleName = "annotator"
    password: _NewPassword


class UserChange(Request):
    """What to change of a user; what is left out stays.

    Attributes:
        role: What they may do.
        password: Ends their sessions and tokens.
        disabled: Ends them, too.
    """

    model_config = ConfigDict(json_schema_extra=example({"role": "reviewer"}))

    role: RoleName | None = None
    password: _NewPassword | None = None
    disabled: bool | None = None


class NewTokenRequest(Request):
    """A token for a program.

    Attributes:
        label: What it is for.
        days: How long it lasts.
    """

    model_config = ConfigDict(json_schema_extra=example({"label": "nightly export", "days": 90}))

    label: _Label
    days: Annotated[int, Field(ge=1, le=3650)] = 90


class TokenReply(Reply):
    """A token; the word itself is told once, when it is made.

    Attributes:
        id: Its number.
        label: What it is for.
        created_at: When it was made.
        expires_at: When it ends.
        last_used_at: To the minute, or null.
    """

    id: int
    label: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewTokenReply(TokenReply):
    """A token that was made now.

    Attributes:
        token: The word for `Authorization: Bearer`; only its hash is kept.
    """

    token: str


class TokensReply(Reply):
    """One's own tokens.

    Attributes:
        tokens: The newest first.
    """

    tokens: list[TokenReply]
