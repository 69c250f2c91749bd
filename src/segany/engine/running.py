"""Run the engine's jobs in this process: a job that was begun before is gone on with."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from segany.errors import JobCancelledError, StoreError
from segany.store import Job, JobHandler, JobRunner, Store

__all__ = ["run_to_end"]

# Short, so that after a crash the work is soon free for the next process.
_LEASE_SECONDS = 15.0
_WAIT_SECONDS = 0.5
_RESOURCE = "engine"


def run_to_end(
    store: Store,
    kind: str,
    payload: Mapping[str, Any],
    handlers: Mapping[str, JobHandler],
    *,
    watching: Callable[[Job], None] | None = None,
) -> Any:
    """Do a job, whoever began it; one job of the engine runs at a time, in all processes.

    A job of the same kind and payload that waits, or whose process died, is gone on with from its last checkpoint; one
    with another payload is left alone. Ctrl-C gives the job back.

    Args:
        store: Whose job.
        kind: What is to be done.
        payload: What with, JSON values.
        handlers: Kind -> what does it.
        watching: Told of the job while another process has it.

    Returns:
        The job's result.

    Raises:
        StoreError: It failed; the message says why.
        JobCancelledError: It was cancelled.
    """
    # As the store gives it back: tuples are lists there.
    payload = json.loads(json.dumps(dict(payload)))
    open_jobs = store.jobs.list(kinds=[kind], states=["queued", "running"])
    same = [job for job in open_jobs if job.payload == payload]
    wanted = same[0] if same else store.jobs.submit(kind, payload, resource=_RESOURCE)
    runner = JobRunner(store.jobs, handlers, lease_seconds=_LEASE_SECONDS)
    while True:
        now = store.jobs.get(wanted.id)
        if now.state == "done":
            return now.result
        if now.state == "cancelled":
            raise JobCancelledError(f"job {now.id} ({kind}) was cancelled.")
        if now.state == "failed":
            raise StoreError(f"job {now.id} ({kind}) failed: {now.error}")
        if runner.run_one(wanted.id) is None:
            # Another process has it, or has the engine.
            if watching is not None:
                watching(now)
            time.sleep(_WAIT_SECONDS)
