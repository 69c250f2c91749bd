"""What routes have in common: who asks, what of, and the failures that any of them may answer."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from segany.serve.access import PREFIX, Principal
from segany.serve.services import Services
from segany.wire import FailureReply

__all__ = ["FAILURES", "Anyone", "Here", "Job", "Record", "Who", "json_reply", "new_router"]

_WORDS = {
    400: "Not JSON.",
    401: "Not signed in.",
    403: "Not allowed; or another site's page; or without the CSRF token.",
    404: "Not there.",
    409: "Changed meanwhile, or a step that the state does not allow.",
    410: "Forgotten; ask for it anew.",
    413: "Too large.",
    415: "Not of a type that is read.",
    421: "Called by a name that is not the server's.",
    422: "Not as the schema says, or not what can be meant.",
    429: "Too much; Retry-After says how long to wait.",
    503: "Not now; Retry-After says how long to wait.",
}
FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": FailureReply, "description": words} for status, words in _WORDS.items()
}
_MAX_ID = 2**53 - 1


def new_router(tag: str) -> APIRouter:
    """A router of the API.

    Args:
        tag: What its routes are listed under.
    """
    return APIRouter(prefix=PREFIX, tags=[tag], responses=FAILURES)


async def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


async def _principal(request: Request) -> Principal:
    found: Principal = request.scope["segany.principal"]
    return found


async def _anyone(request: Request) -> Principal | None:
    found: Principal | None = request.scope["segany.principal"]
    return found


Here = Annotated[Services, Depends(_services)]
Who = Annotated[Principal, Depends(_principal)]
"""Who asks, where the rule says that somebody must."""
Anyone = Annotated[Principal | None, Depends(_anyone)]
Record = Annotated[int, Path(ge=1, le=_MAX_ID, alias="record_id", description="Number of a record.")]
Job = Annotated[int, Path(ge=1, le=_MAX_ID, alias="job_id", description="Number of a job.")]


def json_reply(reply: BaseModel, status: int = 200) -> Response:
    """Sent as it is: what the server made needs no second check."""
    return Response(reply.model_dump_json(), status, media_type="application/json")
