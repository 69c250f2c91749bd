"""`segany engine jobs`: what runs, what was stopped, and how to end it."""

import json
from typing import Annotated, Any

import typer

from segany.cli._options import JsonOption
from segany.cli._stores import StoreArgument, opened_store

__all__ = ["jobs"]

_WORDS = {"queued": "waits", "running": "runs", "done": "done", "failed": "failed", "cancelled": "cancelled"}


def jobs(
    store: StoreArgument,
    cancel: Annotated[
        int | None, typer.Option(help="End this job: at once if it waits, at its next step if it runs.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most lines.")] = 20,
    as_json: JsonOption = False,
) -> int:
    """List stages, rounds of learning and searches, the newest first; one that waits was stopped.

    The command that began a job goes on with it.
    """
    from segany.engine.alike import LIKE
    from segany.engine.rounds import ROUND
    from segany.engine.stages import STAGE
    from segany.errors import NotInStoreError

    with opened_store(store) as opened:
        if cancel is not None:
            if opened.jobs.get(cancel).kind not in (STAGE, ROUND, LIKE):
                raise NotInStoreError(f"job {cancel} is none of the engine's; list them: segany engine jobs {store}")
            opened.jobs.cancel(cancel)
        found = opened.jobs.list(kinds=[STAGE, ROUND, LIKE], limit=limit, newest_first=True)
    rows: list[dict[str, Any]] = [
        {
            "job": job.id,
            "kind": job.kind,
            "state": job.state,
            "done": job.done,
            "total": job.total,
            "message": job.message,
            "error": job.error,
            "payload": job.payload,
        }
        for job in found
    ]
    if as_json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        what = row["payload"].get("stage") or row["payload"].get("version") or f"record {row['payload'].get('record')}"
        far = f", {row['done']:g} of {row['total']:g}" if row["total"] else ""
        says = f": {row['error'] or row['message']}" if row["error"] or row["message"] else ""
        print(f"{row['job']}  {row['kind']} {what}  {_WORDS[row['state']]}{far}{says}")
    if not rows:
        print("there are none")
    return 0
