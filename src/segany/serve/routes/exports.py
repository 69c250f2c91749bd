"""Exports: what would be lost, the job that writes one, and its file."""

from starlette.responses import FileResponse, Response

from segany.errors import AccessError, NotInStoreError
from segany.serve._exports import EXPORT
from segany.serve._replies import job_reply
from segany.serve.routes._shared import Here, Job, Who, json_reply, new_router
from segany.wire import ExportPlanReply, ExportRequest, JobReply, LossReply

__all__ = ["router"]

router = new_router("exports")


@router.post("/exports/plan", response_model=ExportPlanReply)
async def plan(here: Here, asked: ExportRequest) -> Response:
    """What an export would hold, and what the format would lose."""
    # Not behind runs of everything, which may take minutes.
    made, complete = await here.planning.run(here.exports.plan, asked)
    losses = [LossReply(what=str(loss)) for loss in made.losses]
    return json_reply(ExportPlanReply(records=made.records, masks=made.masks, losses=losses, complete=complete))


@router.post("/exports", status_code=202)
async def export(here: Here, who: Who, asked: ExportRequest) -> JobReply:
    """Have an export written; the job's result tells what was lost."""
    return job_reply(await here.reading.run(here.exports.submit, asked, who.name))


@router.get(
    "/exports/{job_id}/file",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}, "description": "The data set."}},
)
async def file(here: Here, who: Who, job_id: Job) -> FileResponse:
    """The data set as a zip file."""
    job = await here.reading.run(here.store.jobs.get, job_id)
    if job.kind != EXPORT or job.state != "done":
        raise NotInStoreError(f"job {job_id} ({job.kind}, {job.state}) has no file.")
    if who.role == "annotator" and job.payload.get("by") != who.name:
        raise AccessError("this is another user's export; reviewers may have it.")
    path = await here.reading.run(here.exports.file, job_id)
    name = f"{job.payload.get('format', 'export')}-{job_id}.zip"
    return FileResponse(path, media_type="application/zip", filename=name)
