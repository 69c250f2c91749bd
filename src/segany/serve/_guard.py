"""Guard: what every request passes before anything of it is read: host, origin, rate, rule, CSRF, size."""

import hmac
import ipaddress
import math
import secrets
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segany.errors import AccessError
from segany.serve._failures import answer_for, failure
from segany.serve._metrics import Metrics
from segany.serve.access import Match, Principal, Rules, may
from segany.serve.passwords import csrf_token
from segany.serve.settings import ServeSettings, is_loopback

__all__ = ["COOKIE", "SECURITY_HEADERS", "Guard", "Identify", "RateLimit"]

COOKIE = "segany_session"
_SAFE = {"GET", "HEAD", "OPTIONS"}
_SOURCES = {
    "default-src": "'self'",
    "script-src": "'self' 'wasm-unsafe-eval'",
    "worker-src": "'self' blob:",
    "img-src": "'self' blob: data:",
    "style-src": "'self'",
    "connect-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "form-action": "'self'",
}
SECURITY_HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _SOURCES.items()),
    # Threads of WebAssembly are only there in a page that is isolated from others.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_REMEMBERED = 10_000

Identify = Callable[[Headers, str | None], Awaitable[Principal | None]]
"""From the headers and the cookie's value to who asks."""


class RateLimit:
    """So many requests a second for each user or address, and a burst of more."""

    def __init__(self, per_second: float, burst: int) -> None:
        """Nobody has asked yet."""
        self._per_second, self._burst = per_second, float(burst)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, who: str) -> float:
        """Count a request. Seconds to wait; 0 to go on."""
        now = time.monotonic()
        left, at = self._left.pop(who, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_second)
        wait = 0.0 if left >= 1 else (1 - left) / self._per_second
        self._left[who] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        return wait


class Guard:
    """ASGI middleware; the principal is left in the scope for the routes."""

    def __init__(
        self, app: ASGIApp, settings: ServeSettings, identify: Identify, csrf_secret: bytes, metrics: Metrics
    ) -> None:
        """Stand before an app.

        Args:
            app: What to guard.
            settings: Limits and names.
            identify: Who asks.
            csrf_secret: What CSRF tokens are made with.
            metrics: Where requests are counted.
        """
        self._app, self._settings, self._identify = app, settings, identify
        self._csrf_secret, self._metrics = csrf_secret, metrics
        self._rules = Rules()
        self._rate = RateLimit(settings.requests_per_second, settings.request_burst)
        own = {settings.host.strip("[]").lower(), "localhost", *(name.lower() for name in settings.allowed_hosts)}
        self._hosts = own if settings.is_local else own | {socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it through, or answer."""
        if scope["type"] != "http":
            # The lifespan; there are no WebSockets.
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive, send, self._settings, self._metrics)
        match = self._rules.match(scope["method"], scope["path"])
        request.route = "none" if match is None else match.template
        try:
            if await self._passes(scope, request, match):
                await self._app(scope, request.receive, request.send)
        except Exception as error:
            if request.begun:
                raise
            await answer_for(error)(scope, receive, request.send)

    async def _passes(self, scope: Scope, request: "_Request", match: Match | None) -> bool:
        """Whether it may go on; otherwise it was answered."""
        headers = Headers(scope=scope)
        method, client = scope["method"], (scope.get("client") or ("unknown", 0))[0]
        if not self._is_own_host(headers.get("host", "")):
            return await self._refuse(request, "host", 421, "host", "this server is not called so; see --allow-host.")
        if self._settings.is_local and ("x-forwarded-for" in headers or "forwarded" in headers):
            why = "a proxy passed this on, but the server was not started with --behind-proxy."
            return await self._refuse(request, "host", 421, "host", why)
        if method not in _SAFE and not _is_own_origin(headers):
            return await self._refuse(request, "origin", 403, "origin", "another site's page asked for this.")
        principal = await self._identify(headers, cookie_parser(headers.get("cookie", "")).get(COOKIE))
        wait = self._rate.wait(client if principal is None or principal.kind == "local" else principal.name)
        if wait > 0:
            self._metrics.refused.labels("rate").inc()
            more = {"retry_after": round(wait, 2)}
            after = {"Retry-After": str(math.ceil(wait))}
            return await request.answer(failure(429, "rate", "too many requests; wait a moment.", after, **more))
        try:
            # Which paths there are is nobody's business either.
            may(principal, (match and match.rule) or "annotator")
        except AccessError as error:
            self._metrics.refused.labels("login").inc()
            if principal is not None:
                return await request.answer(failure(403, "forbidden", str(error)))
            return await request.answer(failure(401, "unauthenticated", str(error), {"WWW-Authenticate": "Bearer"}))
        if match is None:
            return await request.answer(failure(404, "not_found", "there is no such path."))
        if match.rule is None:
            return await request.answer(failure(405, "not_found", f"this path has no method {method}."))
        # Signing in needs none, whoever was signed in before: it begins a session of its own.
        key = principal.key if principal is not None and match.rule != "public" else None
        if key is not None and method not in _SAFE:
            wanted = csrf_token(self._csrf_secret, key)
            if not hmac.compare_digest(headers.get("x-csrf-token", "").encode("utf-8", "replace"), wanted.encode()):
                why = "the header X-CSRF-Token is missing or wrong; GET /api/v1/session tells it."
                return await self._refuse(request, "csrf", 403, "csrf", why)
        try:
            length = int(headers.get("content-length", "0"))
        except ValueError:
            return await request.answer(failure(400, "bad_request", "Content-Length is no number."))
        if length > self._settings.max_body_bytes:
            # What was not read would be taken for the next request.
            close = {"Connection": "close"}
            return await self._refuse(request, "body", 413, "too_large", _too_large(self._settings), close)
        scope["segany.principal"] = principal
        return True

    async def _refuse(
        self,
        request: "_Request",
        reason: str,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
    ) -> bool:
        self._metrics.refused.labels(reason).inc()
        return await request.answer(failure(status, code, message, headers))

    def _is_own_host(self, given: str) -> bool:
        """Names that others' DNS may point here are refused (DNS rebinding); an address cannot be pointed."""
        try:
            name = urlsplit(f"//{given}").hostname or ""
        except ValueError:
            return False
        if name in self._hosts:
            return True
        if self._settings.is_local:
            return is_loopback(name)
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


class _Request:
    """One request: its body counted, its answer given the headers that all have."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: ServeSettings, metrics: Metrics) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._bytes_left, self._settings, self._metrics = settings.max_body_bytes, settings, metrics
        self._since = time.perf_counter()
        self.begun = False
        self.route = "none"

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._bytes_left -= len(message.get("body", b""))
            if self._bytes_left < 0:
                self._metrics.refused.labels("body").inc()
                raise HTTPException(413, _too_large(self._settings), {"Connection": "close"})
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            self._metrics.requests.labels(self._scope["method"][:7], self.route, message["status"]).inc()
            self._metrics.seconds.labels(self.route).observe(time.perf_counter() - self._since)
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
            headers["X-Request-ID"] = secrets.token_hex(8)
        await self._send(message)

    async def answer(self, response: ASGIApp) -> bool:
        await response(self._scope, self._receive, self.send)
        return False


def _too_large(settings: ServeSettings) -> str:
    return f"a request may have {settings.max_body_bytes:,} bytes."


def _is_own_origin(headers: Headers) -> bool:
    """Whether a browser says that the page which asks is this server's; programs say nothing."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
