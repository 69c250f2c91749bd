"""Jobs: work for processes and for people, done once, whoever dies meanwhile.

A job waits as `queued`, is claimed under a lease, and is renewed by heartbeats. A worker that dies stops renewing, and
when its lease runs out the job can be claimed again; it goes on from its last checkpoint. Training, engine, server and
cluster share this one table; a person's task is a job, too, whose worker is the person.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, func, insert, or_, select, text, update

from segany.errors import ConfigError, JobCancelledError, JobLostError, NotInStoreError
from segany.store._job import Job, JobState, as_job
from segany.store._rows import checked_text, to_json
from segany.store.database import Database
from segany.store.models import JobRow

__all__ = ["Job", "JobState", "Jobs"]

_SECOND = 1_000_000
_CLAIM_LOCK = 7_366_003


class Jobs:
    """The jobs of one store."""

    def __init__(self, database: Database) -> None:
        """Of a store's database."""
        self._database = database

    def submit(
        self,
        kind: str,
        payload: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        resource: str | None = None,
        priority: float = 0.0,
        max_attempts: int = 3,
        assignee: str | None = None,
        record_id: int | None = None,
    ) -> Job:
        """Queue a job.

        Args:
            kind: What is to be done.
            payload: What with, JSON values.
            key: Submitting again under the same key gives the job that is there.
            resource: See `Job`.
            priority: See `Job`.
            max_attempts: See `Job`.
            assignee: See `Job`.
            record_id: See `Job`.

        Raises:
            ConfigError: `max_attempts` is below 1.
            RecordError: The payload is no JSON.
        """
        if max_attempts < 1:
            raise ConfigError(f"a job needs at least one attempt, got max_attempts={max_attempts}.")
        with self._database.begin() as connection:
            if key is not None:
                self._lock(connection)
                found = connection.execute(select(JobRow).where(JobRow.key == key)).first()
                if found is not None:
                    return as_job(found)
            row = {
                "kind": checked_text(kind, "a job's kind"),
                "key": checked_text(key, "a job's key"),
                "state": "queued",
                "priority": float(priority),
                "resource": checked_text(resource, "a job's resource"),
                "assignee": checked_text(assignee, "a job's assignee"),
                "image_id": record_id,
                "payload": to_json(dict(payload or {}), f"the job {kind}"),
                "attempts": 0,
                "max_attempts": max_attempts,
                "done": 0.0,
                "cancel_requested": False,
                "created_at": self._database.now(connection),
            }
            number = connection.execute(insert(JobRow).values(row).returning(JobRow.id)).scalar_one()
            return as_job(connection.execute(select(JobRow).where(JobRow.id == number)).one())

    def claim(
        self,
        worker: str,
        *,
        kinds: Sequence[str] | None = None,
        lease_seconds: float = 60.0,
        except_records: Sequence[int] = (),
        job_id: int | None = None,
    ) -> Job | None:
        """Take the most urgent job that may be taken, or None.

        Jobs whose lease ran out are taken again, and fail when that was their last attempt.

        Args:
            worker: Who takes it.
            kinds: Only of these.
            lease_seconds: How long it is this worker's without a heartbeat.
            except_records: Not about these records.
            job_id: Only this one.
        """
        with self._database.begin() as connection:
            # Two workers that claim at once would both see a resource free.
            self._lock(connection)
            now = self._database.now(connection)
            self._end_lost(connection, now)
            busy = select(JobRow.resource).where(JobRow.state == "running", JobRow.lease_until >= now)
            free = or_(JobRow.resource.is_(None), JobRow.resource.not_in(busy.where(JobRow.resource.is_not(None))))
            lost = and_(JobRow.state == "running", JobRow.lease_until < now)
            asked = (
                select(JobRow.id)
                .where(
                    or_(JobRow.state == "queued", lost), free, or_(JobRow.assignee.is_(None), JobRow.assignee == worker)
                )
                .order_by(JobRow.priority.desc(), JobRow.id)
                .limit(1)
            )
            if kinds is not None:
                asked = asked.where(JobRow.kind.in_(kinds))
            if job_id is not None:
                asked = asked.where(JobRow.id == job_id)
            if except_records:
                asked = asked.where(or_(JobRow.image_id.is_(None), JobRow.image_id.not_in(except_records)))
            number = connection.execute(asked).scalar_one_or_none()
            if number is None:
                return None
            token = uuid.uuid4().hex
            connection.execute(
                update(JobRow)
                .where(JobRow.id == number)
                .values(
                    state="running",
                    worker=checked_text(worker, "a worker"),
                    token=token,
                    lease_until=now + int(lease_seconds * _SECOND),
                    attempts=JobRow.attempts + 1,
                    started_at=now,
                )
            )
            return as_job(connection.execute(select(JobRow).where(JobRow.id == number)).one(), token)

    def heartbeat(
        self,
        job: Job,
        *,
        lease_seconds: float = 60.0,
        done: float | None = None,
        total: float | None = None,
        message: str | None = None,
        checkpoint: Any = None,
    ) -> None:
        """Renew a lease, and tell how far it is.

        Args:
            job: From `claim`.
            lease_seconds: From now on.
            done: Progress; unchanged when left out, like the rest.
            total: Units in all.
            message: What it is at.
            checkpoint: What to go on from after a crash, JSON values.

        Raises:
            JobLostError: The lease ran out and someone else claimed the job, or it ended.
            JobCancelledError: It was asked to stop; it is still this worker's, to `cancelled` or to finish.
        """
        given: dict[str, Any] = {"done": done, "total": total, "message": message}
        values = {name: value for name, value in given.items() if value is not None}
        if checkpoint is not None:
            values["checkpoint"] = to_json(checkpoint, f"the checkpoint of job {job.id}")
        with self._database.begin() as connection:
            values["lease_until"] = self._database.now(connection) + int(lease_seconds * _SECOND)
            self._update(connection, job, values)
            asked = select(JobRow.cancel_requested).where(JobRow.id == job.id)
            cancel = connection.execute(asked).scalar_one()
        if cancel:
            raise JobCancelledError(f"job {job.id} ({job.kind}) was cancelled.")

    def finish(self, job: Job, result: Any = None) -> None:
        """End a job that did what it should.

        Args:
            job: From `claim`.
            result: JSON values.

        Raises:
            JobLostError: As `heartbeat`.
        """
        self._end(job, "done", result=to_json(result, f"the result of job {job.id}"))

    def fail(self, job: Job, error: str, *, retry: bool = True) -> None:
        """Say that it did not work; it is queued again while attempts are left.

        Args:
            job: From `claim`.
            error: Why, in words.
            retry: Whether another attempt may do better.

        Raises:
            JobLostError: As `heartbeat`.
        """
        if retry and job.attempts < job.max_attempts:
            self._give_back(job, error=_clean(error))
        else:
            self._end(job, "failed", error=_clean(error))

    def release(self, job: Job) -> None:
        """Give a job back undone (skipped, or the worker shuts down); the attempt does not count.

        Raises:
            JobLostError: As `heartbeat`.
        """
        self._give_back(job, attempts=max(job.attempts - 1, 0))

    def cancel(self, job_id: int) -> Job:
        """Ask a job to stop: at once when it waits, at its next heartbeat when it runs; one that ended stays as it is.

        Raises:
            NotInStoreError: There is none.
        """
        self.get(job_id)
        with self._database.begin() as connection:
            now = self._database.now(connection)
            waiting = update(JobRow).where(JobRow.id == job_id, JobRow.state == "queued")
            connection.execute(waiting.values(state="cancelled", finished_at=now, cancel_requested=True))
            running = update(JobRow).where(JobRow.id == job_id, JobRow.state == "running")
            connection.execute(running.values(cancel_requested=True))
        return self.get(job_id)

    def cancelled(self, job: Job) -> None:
        """Say that a running job has stopped as it was asked to. Raises JobLostError as `heartbeat`."""
        self._end(job, "cancelled")

    def get(self, job_id: int) -> Job:
        """One job. Raises NotInStoreError."""
        with self._database.read() as connection:
            row = connection.execute(select(JobRow).where(JobRow.id == job_id)).first()
        if row is None:
            raise NotInStoreError(f"the store has no job {job_id}.")
        return as_job(row)

    def counts(self, kinds: Sequence[str]) -> dict[str, int]:
        """How many jobs of these kinds are in each state; states that none is in are left out.

        Args:
            kinds: Which.
        """
        asked = select(JobRow.state, func.count().label("number")).where(JobRow.kind.in_(kinds)).group_by(JobRow.state)
        with self._database.read() as connection:
            return {row.state: int(row.number) for row in connection.execute(asked)}

    def record_ids(self, kinds: Sequence[str], states: Sequence[JobState]) -> list[int]:
        """Records that jobs of these kinds in these states are about, in order, each once.

        Args:
            kinds: Which.
            states: Which.
        """
        asked = select(JobRow.image_id).where(JobRow.kind.in_(kinds), JobRow.state.in_(states))
        asked = asked.where(JobRow.image_id.is_not(None)).distinct().order_by(JobRow.image_id)
        with self._database.read() as connection:
            return [number for number in connection.execute(asked).scalars() if number is not None]

    def list(
        self,
        *,
        states: Sequence[JobState] | None = None,
        kinds: Sequence[str] | None = None,
        record_id: int | None = None,
        limit: int = 1000,
        newest_first: bool = False,
    ) -> list[Job]:
        """Jobs, the most urgent first.

        Args:
            states: Only in these.
            kinds: Only of these.
            record_id: Only about this record.
            limit: Most jobs.
            newest_first: Those that were submitted last first, however urgent.
        """
        order = (JobRow.id.desc(),) if newest_first else (JobRow.priority.desc(), JobRow.id)
        asked = select(JobRow).order_by(*order).limit(limit)
        if states is not None:
            asked = asked.where(JobRow.state.in_(states))
        if kinds is not None:
            asked = asked.where(JobRow.kind.in_(kinds))
        if record_id is not None:
            asked = asked.where(JobRow.image_id == record_id)
        with self._database.read() as connection:
            return [as_job(row) for row in connection.execute(asked)]

    def _lock(self, connection: Connection) -> None:
        """One claim at a time; SQLite has one writer anyway."""
        if not self._database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CLAIM_LOCK})

    def _end_lost(self, connection: Connection, now: int) -> None:
        """Jobs whose worker died: those that were to stop, and those without another attempt."""
        lost = (JobRow.state == "running", JobRow.lease_until < now)
        stopped = update(JobRow).where(*lost, JobRow.cancel_requested.is_(True))
        connection.execute(stopped.values(state="cancelled", token=None, finished_at=now))
        spent = update(JobRow).where(*lost, JobRow.attempts >= JobRow.max_attempts)
        error = "its worker stopped answering at every attempt"
        connection.execute(spent.values(state="failed", token=None, finished_at=now, error=error))

    def _give_back(self, job: Job, **values: Any) -> None:
        with self._database.begin() as connection:
            asked = select(JobRow.cancel_requested).where(JobRow.id == job.id)
            if connection.execute(asked).scalar_one_or_none():
                values |= {"state": "cancelled", "finished_at": self._database.now(connection)}
            else:
                values["state"] = "queued"
            self._update(connection, job, {**values, "token": None, "lease_until": None})

    def _end(self, job: Job, state: JobState, **values: Any) -> None:
        with self._database.begin() as connection:
            now = self._database.now(connection)
            self._update(connection, job, {**values, "state": state, "token": None, "finished_at": now})

    def _update(self, connection: Connection, job: Job, values: Mapping[str, Any]) -> None:
        mine = update(JobRow).where(JobRow.id == job.id, JobRow.token == job.token, JobRow.state == "running")
        if connection.execute(mine.values(**values)).rowcount != 1:
            raise JobLostError(
                f"job {job.id} ({job.kind}) is no longer {job.worker}'s: its lease ran out and another worker took it, "
                "or it ended. What was done since is not recorded; the other goes on from the last checkpoint."
            )


def _clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")[:10_000]
