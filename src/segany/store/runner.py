"""JobRunner: claims jobs and runs them, renewing their leases from a thread of its own."""

import os
import socket
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from segany.errors import JobCancelledError, JobLostError, StoreError
from segany.store.jobs import Job, Jobs

__all__ = ["JobContext", "JobHandler", "JobRunner"]


class JobContext:
    """What a handler does its work with.

    Attributes:
        job: The job; its `checkpoint` is what an earlier attempt left.
    """

    def __init__(self, jobs: Jobs, job: Job, lease_seconds: float) -> None:
        """Of a claimed job."""
        self.job = job
        self._jobs, self._lease_seconds = jobs, lease_seconds
        self._stop: StoreError | None = None

    def check(self) -> None:
        """Go on only if the job is still to be done; call it between pieces of work.

        Raises:
            JobCancelledError: It was asked to stop.
            JobLostError: It is another worker's.
        """
        if self._stop is not None:
            raise self._stop

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Tell how far it is. Raises as `check`."""
        self._beat(done=done, total=total, message=message)

    def checkpoint(self, value: Any, *, done: float | None = None, total: float | None = None) -> None:
        """Keep what another attempt goes on from, in JSON values, after it has been made safe itself.

        Raises:
            JobCancelledError: It was asked to stop; the checkpoint is kept.
            JobLostError: It is another worker's.
        """
        self._beat(checkpoint=value, done=done, total=total)

    def renew(self) -> None:
        """Renew the lease; the runner does so by itself."""
        self._beat()

    def _beat(self, **values: Any) -> None:
        self.check()
        try:
            self._jobs.heartbeat(self.job, lease_seconds=self._lease_seconds, **values)
        except (JobCancelledError, JobLostError) as error:
            self._stop = error
            raise


JobHandler = Callable[[JobContext], Any]
"""Does the work of one job; what it returns, in JSON values, is the result."""


class JobRunner:
    """Runs jobs of the kinds that it has handlers for, one at a time; start several for more."""

    def __init__(
        self,
        jobs: Jobs,
        handlers: Mapping[str, JobHandler],
        *,
        worker: str | None = None,
        lease_seconds: float = 60.0,
    ) -> None:
        """Set up.

        Args:
            jobs: Of a store.
            handlers: Kind of job -> what does it.
            worker: Name of this worker; host, process and a random word when left out.
            lease_seconds: After this time without a sign of life the job is another worker's. Renewed at a third of it.
        """
        self._jobs, self._handlers, self._lease_seconds = jobs, dict(handlers), lease_seconds
        self.worker = worker or f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

    def run_one(self, job_id: int | None = None) -> Job | None:
        """Claim one job and run it to its end.

        An exception of the handler makes the job fail, or wait for another attempt; it does not reach the caller.
        KeyboardInterrupt and SystemExit give the job back and do.

        Args:
            job_id: Only this one.

        Returns:
            The job as it ended, or None when there was nothing to do.
        """
        job = self._jobs.claim(
            self.worker, kinds=list(self._handlers), lease_seconds=self._lease_seconds, job_id=job_id
        )
        if job is None:
            return None
        context = JobContext(self._jobs, job, self._lease_seconds)
        finished = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(context, finished), daemon=True)
        renewing.start()
        try:
            self._run(job, context)
        finally:
            finished.set()
            renewing.join()
        return self._jobs.get(job.id)

    def run(self, stop: threading.Event, *, idle_seconds: float = 1.0) -> None:
        """Run jobs until told to stop.

        Args:
            stop: Set by whoever ends this; a job that runs is finished first.
            idle_seconds: How long to wait when there is nothing to do.
        """
        while not stop.is_set():
            if self.run_one() is None:
                stop.wait(idle_seconds)

    def _run(self, job: Job, context: JobContext) -> None:
        try:
            try:
                if job.cancel_requested:
                    raise JobCancelledError(f"job {job.id} was cancelled.")
                result = self._handlers[job.kind](context)
                self._jobs.finish(job, result)
            except JobCancelledError:
                self._jobs.cancelled(job)
            except JobLostError:
                raise
            except Exception as error:
                self._jobs.fail(job, f"{type(error).__name__}: {error}")
            except BaseException:
                self._jobs.release(job)
                raise
        except JobLostError:
            # Another worker has it; what this one would say no longer counts.
            return

    def _renew(self, context: JobContext, finished: threading.Event) -> None:
        while not finished.wait(self._lease_seconds / 3):
            try:
                context.renew()
            except (JobCancelledError, JobLostError):
                return
            except (StoreError, OSError):
                # The database may answer again before the lease runs out.
                continue
