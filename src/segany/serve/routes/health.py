"""Whether it lives, whether it is ready, and what Prometheus reads."""

from fastapi import APIRouter
from starlette.responses import Response

from segany.errors import SeganyError
from segany.serve.routes._shared import Here, json_reply
from segany.wire import HealthReply

__all__ = ["router"]

router = APIRouter(tags=["health"])


@router.get("/health/live", response_model=HealthReply)
async def live() -> Response:
    """Whether the server turns; says nothing of what it needs."""
    return json_reply(HealthReply(status="ok"))


@router.get("/health/ready", response_model=HealthReply, responses={503: {"model": HealthReply}})
async def ready(here: Here) -> Response:
    """Whether requests can be answered now."""
    try:
        await here.reading.run(here.store.users.are_there)
        store = True
    except SeganyError:
        store = False
    parts = {"model": here.is_loaded, "store": store, "serving": not here.stopping.is_set()}
    missing = [name for name, works in parts.items() if not works]
    waiting = {pool.name: pool.waiting for pool in here.pools}
    status = f"not ready: {', '.join(missing)}" if missing else "ok"
    return json_reply(HealthReply(status=status, ready=parts, waiting=waiting), 503 if missing else 200)


@router.get("/metrics", include_in_schema=False)
async def metrics(here: Here) -> Response:
    """In Prometheus' text format."""
    for pool in here.pools:
        here.metrics.waiting.labels(pool.name).set(pool.waiting)
    return Response(here.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
