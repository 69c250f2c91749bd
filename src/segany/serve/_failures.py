"""What went wrong, as an answer: one place that knows which error is which status."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from segany import errors

__all__ = ["add_handlers", "answer_for", "failure"]

_log = logging.getLogger("segany.serve")

# The first that fits counts: what is special stands before what is general.
_STATUS: tuple[tuple[type[Exception], int, str], ...] = (
    (errors.ConflictError, 409, "conflict"),
    (errors.NotInStoreError, 404, "not_found"),
    (errors.ReviewError, 409, "review"),
    (errors.JobLostError, 409, "job_lost"),
    (errors.JobCancelledError, 409, "job_lost"),
    (errors.PolicyError, 503, "unavailable"),
    (errors.BusyError, 429, "busy"),
    (errors.GoneError, 410, "gone"),
    (errors.AccessError, 403, "forbidden"),
    (errors.ImageError, 422, "image"),
    (errors.PromptError, 422, "prompt"),
    (errors.MaskError, 422, "mask"),
    (errors.RecordError, 422, "record"),
    (errors.InputError, 422, "config"),
    (errors.MissingExtraError, 501, "missing_extra"),
    (errors.OutputError, 503, "unavailable"),
    (errors.StoreError, 503, "unavailable"),
    (errors.WeightsError, 503, "unavailable"),
    (errors.EmbeddingError, 503, "unavailable"),
)
_HTTP = {404: "not_found", 405: "not_found", 400: "bad_request", 413: "too_large", 415: "unsupported"}


def failure(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """A failure as JSON; see `segany.wire.FailureReply`."""
    return JSONResponse({"code": code, "message": message, **more}, status, headers=dict(headers or {}))


def answer_for(error: Exception, **more: Any) -> Response:
    """What to answer to an error; one that nobody foresaw is logged, and not told."""
    for kind, status, code in _STATUS:
        if not isinstance(error, kind):
            continue
        headers = {}
        if isinstance(error, errors.BusyError) or status == 503:
            seconds = error.retry_after if isinstance(error, errors.BusyError) else 2.0
            headers["Retry-After"] = str(max(1, math.ceil(seconds)))
            more["retry_after"] = round(seconds, 2)
        if isinstance(error, errors.ConflictError):
            more["current"] = error.current
        if status == 503:
            _log.error("%s: %s", type(error).__name__, error)
        return failure(status, code, _plain(str(error)), headers, **more)
    _log.error("an error that nobody foresaw", exc_info=error)
    return failure(500, "internal", "the server failed; its log says why.")


def add_handlers(app: FastAPI) -> None:
    """Answer every error in one form."""

    async def of_segany(_: Request, error: Exception) -> Response:
        return answer_for(error)

    async def of_validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # Without the input: it may be large, or text that cannot be sent back.
        details = [
            {"where": [_plain(str(part)) for part in each["loc"]], "what": _plain(str(each["msg"]))}
            for each in error.errors()[:20]
        ]
        if any(each["type"] == "json_invalid" for each in error.errors()):
            return failure(400, "bad_request", "the body is no JSON.", details=details)
        first = f": {'.'.join(details[0]['where'])}: {details[0]['what']}" if details else ""
        return failure(422, "validation", f"the request is not as the schema says{first}", details=details)

    async def of_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = _HTTP.get(error.status_code, "bad_request")
        return failure(error.status_code, code, _plain(str(error.detail)), error.headers)

    app.add_exception_handler(errors.SeganyError, of_segany)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(HTTPException, of_http)


def _plain(text: str) -> str:
    """Without what JSON in UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")[:2000]
