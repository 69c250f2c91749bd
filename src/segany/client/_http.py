"""One connection to a server: sent again when it says to wait, failures as segany's own errors."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from segany import errors
from segany.wire import FailureReply, SessionReply

__all__ = ["Connection"]

_T = TypeVar("_T", bound=BaseModel)
_PREFIX = "/api/v1"
_LONGEST_WAIT = 30.0
_BY_CODE: Mapping[str, type[errors.SeganyError]] = {
    "not_found": errors.NotInStoreError,
    "review": errors.ReviewError,
    "job_lost": errors.JobLostError,
    "gone": errors.GoneError,
    "image": errors.ImageError,
    "prompt": errors.PromptError,
    "mask": errors.MaskError,
    "record": errors.RecordError,
    "config": errors.ConfigError,
    "validation": errors.ConfigError,
    **dict.fromkeys(("unauthenticated", "forbidden", "csrf", "origin", "host"), errors.AccessError),
}


class Connection:
    """Requests to one server."""

    def __init__(self, http: httpx2.Client, *, token: str | None, patience_seconds: float) -> None:
        """Use an HTTP client.

        Args:
            http: With the server's base URL.
            token: Of `Authorization: Bearer`, or None.
            patience_seconds: How long one request is sent again while the server is busy or not there.
        """
        self.http = http
        self._patience = patience_seconds
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def sign_in(self, name: str, password: str) -> SessionReply:
        """Begin a session; its cookie and CSRF token go with every request from then on."""
        reply = self.ask(SessionReply, "POST", "/session", {"name": name, "password": password})
        if reply.csrf_token is not None:
            self._headers["X-CSRF-Token"] = reply.csrf_token
        return reply

    def ask(
        self, kind: type[_T], method: str, path: str, body: BaseModel | Mapping[str, Any] | None = None, /, **query: Any
    ) -> _T:
        """The reply to a request.

        Args:
            kind: What comes back.
            method: Of HTTP.
            path: Below the API's prefix.
            body: JSON to send.
            query: Parameters; those that are None are left out.

        Raises:
            SeganyError: As the server says.
        """
        response = self.send(method, path, body, **query)
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise errors.ServiceError(f"{method} {path} was answered by something else than segany: {error}") from error

    def send(
        self, method: str, path: str, body: BaseModel | Mapping[str, Any] | None = None, /, **query: Any
    ) -> httpx2.Response:
        """The answer to a request that succeeded. Raises as `ask`."""
        content = None
        headers = dict(self._headers)
        if body is not None:
            text = body.model_dump_json(exclude_unset=True) if isinstance(body, BaseModel) else json.dumps(body)
            content = text.encode()
            headers["Content-Type"] = "application/json"
        given = {name: value for name, value in query.items() if value is not None}
        url = path if path.startswith("/health") else _PREFIX + path
        return self.patiently(
            lambda: self.http.request(method, url, content=content, headers=headers, params=given),
            # Only these are known to do nothing twice; an edit has a key.
            again=method == "GET" or path.endswith(("/predict", "/edits", "/select", "/embedding", "/everything")),
        )

    def upload(self, path: str, files: Callable[[], list[Any]]) -> httpx2.Response:
        """Send files; what a server has already it does not add twice. Raises as `ask`."""
        url = _PREFIX + path
        return self.patiently(lambda: self.http.post(url, files=files(), headers=self._headers), again=True)

    def patiently(self, send: Callable[[], httpx2.Response], *, again: bool) -> httpx2.Response:
        """Send until it is answered, not only told to wait.

        Args:
            send: Sends it.
            again: Whether it may be sent again after it perhaps arrived.
        """
        until = time.monotonic() + self._patience
        pause = 0.1
        while True:
            try:
                response = send()
            except httpx2.ConnectError as error:
                failure: Exception = errors.ServiceError(f"no server answers at {self.http.base_url}: {error}")
            except httpx2.TransportError as error:
                failure = errors.ServiceError(f"the connection to {self.http.base_url} broke: {error}")
                if not again:
                    raise failure from error
            else:
                if response.is_success:
                    return response
                failure = failure_of(response)
                if response.status_code not in (429, 503):
                    raise failure
                pause = max(pause, min(_seconds(response), _LONGEST_WAIT))
            if time.monotonic() + pause > until:
                raise failure
            time.sleep(pause)
            pause = min(pause * 2, 5.0)

    @contextmanager
    def stream(self, path: str, **query: Any) -> Iterator[httpx2.Response]:
        """An answer that is read as it comes. Raises as `ask`."""
        given = {name: value for name, value in query.items() if value is not None}
        with self.http.stream("GET", _PREFIX + path, params=given, headers=self._headers) as response:
            if not response.is_success:
                response.read()
                raise failure_of(response)
            yield response


def failure_of(response: httpx2.Response) -> errors.SeganyError:
    """The error that an answer tells of."""
    try:
        said = FailureReply.model_validate_json(response.content)
    except ValidationError:
        return errors.ServiceError(f"the server answered {response.status_code}: {response.text[:200]}")
    if said.code == "conflict":
        return errors.ConflictError(said.message, said.current or 0)
    if response.status_code in (429, 503):
        return errors.BusyError(said.message, said.retry_after or _seconds(response))
    return _BY_CODE.get(said.code, errors.ServiceError)(said.message)


def _seconds(response: httpx2.Response) -> float:
    try:
        return float(response.headers.get("Retry-After", "1"))
    except ValueError:
        return 1.0
