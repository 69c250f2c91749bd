"""Jobs of the server, and tasks of people: the same table, claimed under leases."""

from dataclasses import replace
from typing import Annotated

from fastapi import Query

from segany.engine.tasks import OPEN
from segany.errors import JobLostError
from segany.serve._replies import job_reply
from segany.serve.routes._shared import Here, Job, Who, new_router
from segany.store import Job as StoreJob
from segany.store import Store
from segany.wire import ClaimReply, ClaimRequest, JobReply, JobsReply, JobStateName, TaskFinish, TaskHold, TaskReply

__all__ = ["router"]

router = new_router("jobs")
# A blind task is answered without the masks that are there, which the page shows: `segany engine` asks those.
_ASKED = (OPEN, "annotate")
_TASKS = {"annotator": _ASKED, "reviewer": (*_ASKED, "review"), "admin": (*_ASKED, "review")}
_LEASE_SECONDS = 300.0


@router.get("/jobs")
async def list_jobs(
    here: Here,
    state: JobStateName | None = None,
    kind: Annotated[str | None, Query(max_length=100, pattern=r"^[\w.]+$")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> JobsReply:
    """Jobs, the most urgent first."""
    states, kinds = None if state is None else [state], None if kind is None else [kind]
    found = await here.reading.run(here.store.jobs.list, states=states, kinds=kinds, limit=limit)
    return JobsReply(jobs=[job_reply(job) for job in found])


@router.get("/jobs/{job_id}")
async def get_job(here: Here, job_id: Job) -> JobReply:
    """One job."""
    return job_reply(await here.reading.run(here.store.jobs.get, job_id))


@router.post("/jobs/{job_id}/cancel")
async def cancel(here: Here, job_id: Job) -> JobReply:
    """Ask a job to stop."""
    return job_reply(await here.reading.run(here.store.jobs.cancel, job_id))


@router.post("/tasks/claim")
async def claim(here: Here, who: Who, asked: ClaimRequest) -> ClaimReply:
    """The next piece of work for a person, theirs until they finish or the lease runs out."""
    found = await here.reading.run(
        here.store.jobs.claim,
        who.name,
        kinds=_TASKS[who.role],
        lease_seconds=_LEASE_SECONDS,
        except_records=asked.skip_records,
    )
    if found is None or found.token is None:
        return ClaimReply(task=None)
    task = TaskReply(job=job_reply(found), payload=found.payload, token=found.token, lease_seconds=_LEASE_SECONDS)
    return ClaimReply(task=task)


@router.post("/tasks/{job_id}/heartbeat", status_code=204)
async def heartbeat(here: Here, who: Who, job_id: Job, hold: TaskHold) -> None:
    """Keep a task."""
    await here.reading.run(
        lambda: here.store.jobs.heartbeat(_held(here.store, job_id, hold, who.name), lease_seconds=_LEASE_SECONDS)
    )


@router.post("/tasks/{job_id}/finish", status_code=204)
async def finish(here: Here, who: Who, job_id: Job, hold: TaskFinish) -> None:
    """End a task that is done."""
    await here.reading.run(lambda: here.store.jobs.finish(_held(here.store, job_id, hold, who.name), hold.result))


@router.post("/tasks/{job_id}/release", status_code=204)
async def release(here: Here, who: Who, job_id: Job, hold: TaskHold) -> None:
    """Give a task back undone."""
    await here.reading.run(lambda: here.store.jobs.release(_held(here.store, job_id, hold, who.name)))


def _held(store: Store, job_id: int, hold: TaskHold, worker: str) -> StoreJob:
    job = store.jobs.get(job_id)
    if job.worker != worker:
        raise JobLostError(f"task {job_id} is not {worker}'s; claim one.")
    return replace(job, token=hold.token)
