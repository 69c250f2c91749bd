"""What a client asks of the collection as a whole: categories, versions, jobs, exports, users."""

import os
import time
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import quote

from segany.client._http import Connection
from segany.errors import JobCancelledError, ServiceError
from segany.files import write_bytes
from segany.wire import (
    CategoriesReply,
    CategoryReply,
    CategoryRequest,
    ClaimReply,
    ClaimRequest,
    EngineReply,
    EventPage,
    EventReply,
    ExportPlanReply,
    ExportRequest,
    FormatName,
    FreezeRequest,
    JobReply,
    JobsReply,
    JobStateName,
    ModelsReply,
    NewTokenReply,
    NewTokenRequest,
    NewUserRequest,
    RoleName,
    SessionReply,
    TaskReply,
    TokenReply,
    TokensReply,
    UserReply,
    UsersReply,
    VersionReply,
    VersionsReply,
)

__all__ = ["CollectionCalls"]

_POLL_SECONDS = 0.3


class CollectionCalls:
    """The part of `Client` that is not about one record."""

    _connection: Connection

    def session(self) -> SessionReply:
        """Who this client is to the server."""
        return self._connection.ask(SessionReply, "GET", "/session")

    def categories(self) -> list[CategoryReply]:
        """All class names, in their order."""
        return self._connection.ask(CategoriesReply, "GET", "/categories").categories

    def put_category(
        self, name: str, *, supercategory: str | None = None, color: str | None = None, position: int = 0
    ) -> CategoryReply:
        """Add a class name, or change what is said of it.

        Args:
            name: Which.
            supercategory: What it is a kind of.
            color: As #rrggbb.
            position: Where it stands in a list.
        """
        asked = CategoryRequest(supercategory=supercategory, color=color, position=position)
        return self._connection.ask(CategoryReply, "PUT", f"/categories/{quote(name, safe='')}", asked)

    def remove_category(self, name: str) -> None:
        """Forget a class name that no annotation has."""
        self._connection.send("DELETE", f"/categories/{quote(name, safe='')}")

    def stats(self) -> dict[str, Any]:
        """Numbers of the collection."""
        found: dict[str, Any] = self._connection.send("GET", "/stats").json()
        return found

    def events(self, *, kind: str | None = None, record_id: int | None = None, after: int = 0) -> Iterator[EventReply]:
        """The audit log, in the order it was written.

        Args:
            kind: Only of this kind; "record." means all that begin so.
            record_id: Only of this record.
            after: Only with an id above this.
        """
        following: int | None = after
        while following is not None:
            page = self._connection.ask(EventPage, "GET", "/events", after=following, kind=kind, record=record_id)
            yield from page.events
            following = page.next

    def versions(self) -> list[VersionReply]:
        """Frozen versions, the newest first."""
        return self._connection.ask(VersionsReply, "GET", "/versions").versions

    def freeze(self, name: str, message: str = "") -> VersionReply:
        """Give the present content a name under which it stays as it is.

        Args:
            name: A new one.
            message: What it is for.
        """
        return self._connection.ask(VersionReply, "POST", "/versions", FreezeRequest(name=name, message=message))

    def models(self) -> ModelsReply:
        """The model that answers, and those of the store."""
        return self._connection.ask(ModelsReply, "GET", "/models")

    def engine(self) -> EngineReply:
        """The data engine's course: masks over time, rounds of learning, decisions on models, tasks of people."""
        return self._connection.ask(EngineReply, "GET", "/engine")

    def jobs(self, *, state: JobStateName | None = None, kind: str | None = None) -> list[JobReply]:
        """Jobs, the most urgent first.

        Args:
            state: Only in this one.
            kind: Only of this one.
        """
        return self._connection.ask(JobsReply, "GET", "/jobs", state=state, kind=kind).jobs

    def job(self, job_id: int) -> JobReply:
        """One job."""
        return self._connection.ask(JobReply, "GET", f"/jobs/{job_id}")

    def cancel(self, job_id: int) -> JobReply:
        """Ask a job to stop."""
        return self._connection.ask(JobReply, "POST", f"/jobs/{job_id}/cancel")

    def wait(self, job_id: int, *, max_seconds: float = 3600.0) -> JobReply:
        """A job when it is done.

        Args:
            job_id: Which.
            max_seconds: How long to wait.

        Raises:
            ServiceError: It failed, or is not done by then.
            JobCancelledError: It was cancelled.
        """
        until = time.monotonic() + max_seconds
        while time.monotonic() < until:
            job = self.job(job_id)
            if job.state == "done":
                return job
            if job.state == "failed":
                raise ServiceError(f"job {job_id} ({job.kind}) failed: {job.error}")
            if job.state == "cancelled":
                raise JobCancelledError(f"job {job_id} ({job.kind}) was cancelled.")
            time.sleep(_POLL_SECONDS)
        raise ServiceError(f"job {job_id} is not done after {max_seconds:g} s; it goes on.")

    def export_plan(self, format: FormatName, *, version: str = "live", split: str | None = None) -> ExportPlanReply:
        """What an export would hold, and what the format would lose; as `export`."""
        return self._connection.ask(
            ExportPlanReply, "POST", "/exports/plan", ExportRequest(format=format, version=version, split=split)
        )

    def export(
        self,
        format: FormatName,
        target: str | os.PathLike[str],
        *,
        version: str = "live",
        split: str | None = None,
        images: Literal["copy", "none"] = "copy",
        max_seconds: float = 3600.0,
    ) -> JobReply:
        """Have the collection written in another format, and keep it as a zip file.

        Args:
            format: How it is written.
            target: The zip file.
            version: A frozen version, or "live".
            split: Only the records of this split.
            images: Whether images come along.
            max_seconds: How long to wait.

        Returns:
            The job; its result tells what was lost.

        Raises:
            ServiceError: It failed.
            OutputError: The file cannot be written.
        """
        asked = ExportRequest(format=format, version=version, split=split, images=images)
        begun = self._connection.ask(JobReply, "POST", "/exports", asked)
        done = self.wait(begun.id, max_seconds=max_seconds)
        write_bytes(target, self._connection.send("GET", f"/exports/{done.id}/file").content)
        return done

    def claim(self, skip_records: list[int] | None = None) -> TaskReply | None:
        """The next piece of a person's work, or None.

        Args:
            skip_records: Not about these.
        """
        asked = ClaimRequest(skip_records=skip_records or [])
        return self._connection.ask(ClaimReply, "POST", "/tasks/claim", asked).task

    def keep(self, task: TaskReply) -> None:
        """Keep a task for another while. Raises JobLostError when it is someone else's by now."""
        self._connection.send("POST", f"/tasks/{task.job.id}/heartbeat", {"token": task.token})

    def finish(self, task: TaskReply, result: dict[str, Any] | None = None) -> None:
        """End a task that is done. Raises as `keep`."""
        self._connection.send("POST", f"/tasks/{task.job.id}/finish", {"token": task.token, "result": result})

    def release(self, task: TaskReply) -> None:
        """Give a task back undone. Raises as `keep`."""
        self._connection.send("POST", f"/tasks/{task.job.id}/release", {"token": task.token})

    def users(self) -> list[UserReply]:
        """All users."""
        return self._connection.ask(UsersReply, "GET", "/users").users

    def add_user(self, name: str, role: RoleName, password: str) -> UserReply:
        """Add a user.

        Args:
            name: A new one.
            role: What they may do.
            password: At least 10 characters.
        """
        NewUserRequest(name=name, role=role, password=password)  # type: ignore[arg-type]  # made a secret there
        return self._connection.ask(UserReply, "POST", "/users", {"name": name, "role": role, "password": password})

    def change_user(
        self, name: str, *, role: RoleName | None = None, password: str | None = None, disabled: bool | None = None
    ) -> UserReply:
        """Change a user; what is left out stays.

        Args:
            name: Which.
            role: What they may do.
            password: Ends their sessions and tokens.
            disabled: Ends them, too.
        """
        given = {"role": role, "password": password, "disabled": disabled}
        body = {key: value for key, value in given.items() if value is not None}
        return self._connection.ask(UserReply, "PATCH", f"/users/{quote(name, safe='')}", body)

    def tokens(self) -> list[TokenReply]:
        """One's own tokens, the newest first."""
        return self._connection.ask(TokensReply, "GET", "/tokens").tokens

    def new_token(self, label: str, days: int = 90) -> NewTokenReply:
        """A token for a program; its word is told only now.

        Args:
            label: What it is for.
            days: How long it lasts.
        """
        return self._connection.ask(NewTokenReply, "POST", "/tokens", NewTokenRequest(label=label, days=days))

    def end_token(self, token_id: int) -> None:
        """End one of one's own tokens."""
        self._connection.send("DELETE", f"/tokens/{token_id}")
