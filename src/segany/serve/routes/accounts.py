"""Sessions, tokens and users."""

from importlib.metadata import version
from typing import Annotated

from fastapi import Path, Request
from starlette.responses import Response

from segany.errors import AccessError
from segany.serve._failures import failure
from segany.serve._replies import token_reply, user_reply
from segany.serve.access import Principal
from segany.serve.routes._shared import Anyone, Here, Who, json_reply, new_router
from segany.serve.services import Services
from segany.wire import (
    LoginRequest,
    NewTokenReply,
    NewTokenRequest,
    NewUserRequest,
    SessionReply,
    TokensReply,
    UserChange,
    UserReply,
    UsersReply,
)

__all__ = ["router"]

router = new_router("accounts")
_TokenId = Annotated[int, Path(ge=1, le=2**53 - 1)]
_UserName = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]


@router.get("/session")
async def get_session(here: Here, who: Anyone) -> SessionReply:
    """Who asks, and the CSRF token of their session."""
    return _session(here, who)


@router.post("/session", response_model=SessionReply)
async def sign_in(here: Here, request: Request, login: LoginRequest) -> Response:
    """Begin a session; its key comes as a cookie that scripts cannot read."""
    address = request.client.host if request.client is not None else "unknown"
    try:
        user, key = await here.accounts.sign_in(login.name, login.password.get_secret_value(), address)
    except AccessError as error:
        return failure(401, "unauthenticated", str(error))
    answer = json_reply(_session(here, Principal(user.name, user.role, "session", key)))
    secure = request.url.scheme == "https"
    answer.headers["Set-Cookie"] = here.accounts.cookie(key, secure=secure)
    return answer


@router.delete("/session", status_code=204)
async def sign_out(here: Here, request: Request, who: Who) -> Response:
    """End the session."""
    await here.accounts.sign_out(who)
    gone = here.accounts.cookie(None, secure=request.url.scheme == "https")
    return Response(status_code=204, headers={"Set-Cookie": gone})


@router.get("/tokens")
async def list_tokens(here: Here, who: Who) -> TokensReply:
    """One's own tokens."""
    keys = await here.reading.run(here.store.users.keys, who.name, "token")
    return TokensReply(tokens=[token_reply(key) for key in keys])


@router.post("/tokens", status_code=201)
async def new_token(here: Here, who: Who, asked: NewTokenRequest) -> NewTokenReply:
    """A token for a program; the word is told only now."""
    key, word = await here.accounts.new_token(who.name, asked.label, asked.days)
    return NewTokenReply(**token_reply(key).model_dump(), token=word)


@router.delete("/tokens/{token_id}", status_code=204)
async def end_token(here: Here, who: Who, token_id: _TokenId) -> None:
    """End one of one's own tokens."""
    await here.reading.run(here.store.users.take_key, who.name, token_id)
    here.accounts.forget()


@router.get("/users")
async def list_users(here: Here) -> UsersReply:
    """All users."""
    users = await here.reading.run(here.store.users.list)
    return UsersReply(users=[user_reply(user) for user in users])


@router.post("/users", status_code=201)
async def add_user(here: Here, who: Who, asked: NewUserRequest) -> UserReply:
    """Add a user. The first one is added with `segany users add`: from then on people sign in."""
    if not here.accounts.login_required:
        raise AccessError("this server has no accounts; add the first user with `segany users add`, and restart it.")
    hashed = await here.accounts.hashed(asked.password.get_secret_value())
    user = await here.reading.run(here.store.users.add, asked.name, asked.role, hashed, actor=who.name)
    return user_reply(user)


@router.patch("/users/{name}")
async def change_user(here: Here, who: Who, name: _UserName, change: UserChange) -> UserReply:
    """Change a user's role or password, or let them in no longer."""
    hashed = None if change.password is None else await here.accounts.hashed(change.password.get_secret_value())

    def make() -> UserReply:
        users = here.store.users
        changed = users.change(name, actor=who.name, role=change.role, password_hash=hashed, disabled=change.disabled)
        return user_reply(changed)

    reply = await here.reading.run(make)
    here.accounts.forget()
    return reply


def _session(here: Services, who: Principal | None) -> SessionReply:
    return SessionReply(
        user=None if who is None else UserReply(name=who.name, role=who.role),
        login_required=here.accounts.login_required,
        csrf_token=here.accounts.csrf(who),
        version=version("segany"),
    )
