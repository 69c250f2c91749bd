"""The runner does what is queued, keeps leases alive, and lets go of what is no longer its own."""

import threading
import time
from typing import Any

import pytest

from segany.store import JobContext, JobRunner, Store


def test_it_runs_what_it_has_a_handler_for(store: Store) -> None:
    store.jobs.submit("double", {"x": 4})
    store.jobs.submit("other")

    def double(context: JobContext) -> Any:
        context.progress(1, 2, "halfway")
        return context.job.payload["x"] * 2

    runner = JobRunner(store.jobs, {"double": double})
    job = runner.run_one()
    assert job is not None
    assert (job.state, job.result, job.worker, job.message) == ("done", 8, runner.worker, "halfway")
    assert runner.run_one() is None


def test_an_exception_fails_the_job_and_not_the_runner(store: Store) -> None:
    store.jobs.submit("bad", max_attempts=2)

    def bad(context: JobContext) -> None:
        context.checkpoint({"attempt": context.job.attempts})
        raise ValueError("no such thing")

    runner = JobRunner(store.jobs, {"bad": bad})
    first = runner.run_one()
    assert first is not None
    assert (first.state, first.error, first.checkpoint) == ("queued", "ValueError: no such thing", {"attempt": 1})
    second = runner.run_one()
    assert second is not None
    assert second.state == "failed"


def test_a_result_that_is_no_json_fails_the_job(store: Store) -> None:
    store.jobs.submit("bad", max_attempts=1)
    job = JobRunner(store.jobs, {"bad": lambda _: object()}).run_one()
    assert job is not None
    assert (job.state, "cannot be kept as JSON" in (job.error or "")) == ("failed", True)


def test_the_lease_is_kept_while_it_works(store: Store) -> None:
    store.jobs.submit("slow")

    def slow(_: JobContext) -> str:
        time.sleep(1.0)
        assert store.jobs.claim("thief") is None
        return "mine"

    job = JobRunner(store.jobs, {"slow": slow}, lease_seconds=0.6).run_one()
    assert job is not None
    assert job.result == "mine"


def test_cancelling_reaches_the_handler(store: Store) -> None:
    submitted = store.jobs.submit("long")
    begun = threading.Event()

    def long(context: JobContext) -> None:
        begun.set()
        for step in range(10_000):
            context.checkpoint({"step": step})
            time.sleep(0.001)

    runner = JobRunner(store.jobs, {"long": long})
    thread = threading.Thread(target=runner.run_one)
    thread.start()
    begun.wait()
    store.jobs.cancel(submitted.id)
    thread.join()
    ended = store.jobs.get(submitted.id)
    assert ended.state == "cancelled"
    assert ended.checkpoint["step"] < 9999


def test_a_job_that_was_taken_over_is_let_go(store: Store) -> None:
    submitted = store.jobs.submit("slow")
    other: list[Any] = []

    def slow(context: JobContext) -> str:
        # As if this machine had slept: the lease is over, and someone else claims.
        store.jobs.heartbeat(context.job, lease_seconds=-1)
        other.append(store.jobs.claim("other"))
        return "too late"

    JobRunner(store.jobs, {"slow": slow}).run_one()
    assert store.jobs.get(submitted.id).worker == "other"
    store.jobs.finish(other[0], "right")
    assert store.jobs.get(submitted.id).result == "right"


def test_ctrl_c_gives_the_job_back(store: Store) -> None:
    submitted = store.jobs.submit("a")

    def interrupted(_: JobContext) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        JobRunner(store.jobs, {"a": interrupted}).run_one()
    again = store.jobs.get(submitted.id)
    assert (again.state, again.attempts) == ("queued", 0)


def test_run_until_stopped(store: Store) -> None:
    for _ in range(3):
        store.jobs.submit("a")
    stop = threading.Event()
    done = []

    def work(context: JobContext) -> None:
        done.append(context.job.id)
        if len(done) == 3:
            stop.set()

    JobRunner(store.jobs, {"a": work}).run(stop, idle_seconds=0.01)
    assert len(done) == 3
