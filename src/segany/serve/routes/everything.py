"""Everything: begun once, streamed as it comes, selected from for free."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Path, Query
from starlette.responses import Response, StreamingResponse

from segany.errors import SeganyError
from segany.predict.automatic import GridSettings, Thresholds
from segany.serve._everything import Run
from segany.serve._replies import annotation_reply, run_reply
from segany.serve.routes._shared import Here, Record, json_reply, new_router
from segany.serve.services import Services
from segany.wire import EverythingReply, EverythingRequest, SelectReply, SelectRequest, ThresholdWords

__all__ = ["router"]

router = new_router("everything")
_RunName = Annotated[str, Path(pattern=r"^[0-9a-f]{1,64}$")]


@router.post("/records/{record_id}/everything", status_code=202, response_model=EverythingReply)
async def begin(here: Here, record_id: Record, asked: EverythingRequest) -> Response:
    """Find every mask. The same image, model and grid give the same run."""
    model = here.model()
    grid = GridSettings(**asked.grid.model_dump())
    return json_reply(run_reply(model.runs.start(await here.images.get(record_id), grid)), 202)


@router.get("/records/{record_id}/everything/{run}", response_model=EverythingReply)
async def state(here: Here, record_id: Record, run: _RunName) -> Response:
    """Where a run stands."""
    return json_reply(run_reply(here.model().runs.get(record_id, run)))


@router.delete("/records/{record_id}/everything/{run}", status_code=204)
async def stop(here: Here, record_id: Record, run: _RunName) -> None:
    """Stop a run and forget it."""
    here.model().runs.stop(record_id, run)


@router.post("/records/{record_id}/everything/{run}/select", response_model=SelectReply)
async def select(here: Here, record_id: Record, run: _RunName, asked: SelectRequest) -> Response:
    """The masks that pass these thresholds, without duplicates."""
    found = here.model().runs.get(record_id, run)
    thresholds = Thresholds(**asked.thresholds.model_dump())

    def choose() -> Response:
        record = found.select(thresholds, link=asked.link_parts)
        return json_reply(SelectReply.model_construct(annotations=[annotation_reply(a) for a in record.annotations]))

    return await here.predicting.run(choose)


@router.get(
    "/records/{record_id}/everything/{run}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "progress, mask, done, error"}},
)
async def events(
    here: Here, record_id: Record, run: _RunName, asked: Annotated[ThresholdWords, Query()]
) -> StreamingResponse:
    """Progress while it runs, then each mask, then the end, as server-sent events."""
    found = here.model().runs.get(record_id, run)
    thresholds = Thresholds(**asked.model_dump())
    return StreamingResponse(_events(here, found, thresholds), media_type="text/event-stream")


async def _events(here: Services, run: Run, thresholds: Thresholds) -> AsyncIterator[bytes]:
    async for clicks, total in here.model().runs.progress(run, here.stopping):
        yield _event("progress", {"done": clicks, "total": total})
    try:
        found = run.found()
        masks, sent = found.iterate(thresholds), 0
        while not here.stopping.is_set():
            some = await here.predicting.run(run.some, masks)
            if not some:
                yield _event("done", {"masks": sent, "complete": found.complete})
                return
            for annotation in some:
                yield b"event: mask\ndata: " + annotation_reply(annotation).model_dump_json().encode() + b"\n\n"
            sent += len(some)
    except SeganyError as error:
        yield _event("error", {"code": type(error).__name__, "message": str(error)})


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
