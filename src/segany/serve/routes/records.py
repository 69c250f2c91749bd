"""Records: listed, read, edited, undone, reviewed."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from segany.errors import AccessError, ConflictError
from segany.serve._edits import save_edit
from segany.serve._failures import answer_for
from segany.serve._replies import record_reply, revision_reply, summary_reply
from segany.serve.routes._shared import Here, Record, Who, json_reply, new_router
from segany.serve.services import Services
from segany.store import ROLES, StoredRecord
from segany.wire import (
    EditRequest,
    RecordPage,
    RecordReply,
    RestoreRequest,
    ReviewRequest,
    RevisionsReply,
    StateName,
)

__all__ = ["router"]

router = new_router("records")
_MAX_ID = 2**53 - 1
_Split = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Expected = Annotated[int, Query(ge=0, le=_MAX_ID)]


@router.get("/records", response_model=RecordPage)
async def list_records(
    here: Here,
    after: Annotated[int, Query(ge=0, le=_MAX_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    split: _Split = None,
    state: StateName | None = None,
) -> Response:
    """A page of records, in the order in which they came."""
    page = await here.reading.run(here.store.records.page, after=after, limit=limit, split=split, with_state=state)
    following = page[-1].id if len(page) == limit else None
    return json_reply(RecordPage(records=[summary_reply(each) for each in page], next=following))


@router.get("/records/{record_id}", response_model=RecordReply)
async def get_record(
    here: Here, record_id: Record, revision: Annotated[int | None, Query(ge=0, le=_MAX_ID)] = None
) -> Response:
    """A record as it is, or as it was."""

    def read() -> Response:
        return json_reply(record_reply(here.store.records.get(record_id, revision=revision)))

    return await here.reading.run(read)


@router.delete("/records/{record_id}", status_code=204)
async def remove_record(here: Here, who: Who, record_id: Record, expected: _Expected) -> Response:
    """Take a record out of the collection; frozen versions keep it."""

    def remove() -> None:
        here.store.records.remove(record_id, expected=expected, actor=who.name)

    try:
        await here.reading.run(remove)
    except ConflictError as error:
        return await _conflict(here, record_id, error)
    here.images.forget(record_id)
    return Response(status_code=204)


@router.post("/records/{record_id}/edits", response_model=RecordReply)
async def edit(here: Here, who: Who, record_id: Record, asked: EditRequest, partial: bool = False) -> Response:
    """Add, change and remove annotations. Sent again under the same key it changes nothing, and succeeds.

    With `partial` the answer may leave out the annotations that the edit did not touch, and says so.
    """
    put = {each.id for each in asked.put}

    def told() -> tuple[StoredRecord, Response]:
        saved = save_edit(here.store, record_id, asked, who.name)
        return saved.record, json_reply(record_reply(saved.record, put if partial and saved.is_next else None))

    try:
        saved, reply = await here.reading.run(told)
    except ConflictError as error:
        return await _conflict(here, record_id, error)
    here.saw(saved, list(put), asked.remove)
    return reply


@router.get("/records/{record_id}/revisions", response_model=RevisionsReply)
async def revisions(here: Here, record_id: Record) -> Response:
    """What became of a record; `restore` takes the revisions."""

    def read() -> Response:
        here.store.records.get(record_id)
        events = here.store.events.list(kind="record.", record_id=record_id)
        told = [revision_reply(event) for event in events if event.revision is not None]
        return json_reply(RevisionsReply(revisions=told))

    return await here.reading.run(read)


@router.post("/records/{record_id}/restore", response_model=RecordReply)
async def restore(here: Here, who: Who, record_id: Record, asked: RestoreRequest) -> Response:
    """Undo or redo: the annotations become what they were at a revision."""
    records = here.store.records
    return await _written(
        here,
        record_id,
        lambda: records.restore(record_id, asked.revision, expected=asked.expected, actor=who.name, key=asked.key),
    )


@router.post("/records/{record_id}/review", response_model=RecordReply)
async def review(here: Here, who: Who, record_id: Record, asked: ReviewRequest) -> Response:
    """Take steps of review; accepting and rejecting are for reviewers."""
    decides = any(step.action in ("accept", "reject") for step in asked.steps)
    if decides and ROLES.index(who.role) < ROLES.index("reviewer"):
        raise AccessError(f"accepting and rejecting are for the role reviewer; {who.name} is {who.role}.")
    steps = {step.id: step.action for step in asked.steps}
    records = here.store.records
    return await _written(
        here,
        record_id,
        lambda: records.review(
            record_id, steps, expected=asked.expected, actor=who.name, key=asked.key, note=asked.note
        ),
    )


async def _written(here: Services, record_id: int, write: Callable[[], StoredRecord]) -> Response:
    """What was written, or the conflict with the record as it is now."""

    def told() -> tuple[StoredRecord, Response]:
        written = write()
        return written, json_reply(record_reply(written))

    try:
        written, reply = await here.reading.run(told)
    except ConflictError as error:
        return await _conflict(here, record_id, error)
    here.saw(written, [], [])
    return reply


async def _conflict(here: Services, record_id: int, error: ConflictError) -> Response:
    now = await here.reading.run(lambda: record_reply(here.store.records.get(record_id)).model_dump(mode="json"))
    return answer_for(error, record=now)
