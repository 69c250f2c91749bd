"""A job is done once, whoever dies meanwhile."""

import threading
from typing import Any

import pytest

from segany.errors import ConfigError, JobCancelledError, JobLostError, NotInStoreError, RecordError
from segany.store import Job, Store


def claimed(store: Store, worker: str = "w1", **options: Any) -> Job:
    job = store.jobs.claim(worker, **options)
    assert job is not None
    return job


def test_from_submit_to_done(store: Store) -> None:
    submitted = store.jobs.submit("train", {"epochs": 3})
    assert (submitted.state, submitted.payload, submitted.attempts, submitted.token) == (
        "queued",
        {"epochs": 3},
        0,
        None,
    )
    job = claimed(store)
    assert (job.id, job.state, job.worker, job.attempts) == (submitted.id, "running", "w1", 1)
    assert store.jobs.claim("w2") is None
    store.jobs.heartbeat(job, done=1, total=3, message="epoch 1", checkpoint={"epoch": 1})
    seen = store.jobs.get(job.id)
    assert (seen.done, seen.total, seen.message, seen.checkpoint) == (1, 3, "epoch 1", {"epoch": 1})
    store.jobs.finish(job, {"loss": 0.5})
    ended = store.jobs.get(job.id)
    assert (ended.state, ended.result, ended.finished_at is not None) == ("done", {"loss": 0.5}, True)


def test_how_many_there_are_and_what_they_are_about(store: Store, samples: Any) -> None:
    first, second = store.add_records(samples.incoming(2), actor="test").record_ids
    for kind, record in (("a", second), ("a", first), ("a", first), ("b", first), ("a", None)):
        store.jobs.submit(kind, record_id=record)
    store.jobs.finish(claimed(store, kinds=["a"]), {})
    assert store.jobs.counts(["a"]) == {"queued": 3, "done": 1}
    assert store.jobs.counts(["a", "b"]) == {"queued": 4, "done": 1}
    assert store.jobs.counts(["c"]) == {}
    assert store.jobs.record_ids(["a"], ["queued", "done"]) == [first, second]
    assert store.jobs.record_ids(["a"], ["done"]) == [second]
    assert store.jobs.record_ids(["b"], ["done"]) == []


def test_only_a_certain_one_is_claimed(store: Store) -> None:
    first, second = store.jobs.submit("a", priority=5), store.jobs.submit("a")
    assert claimed(store, job_id=second.id).id == second.id
    assert store.jobs.claim("w2", job_id=second.id) is None
    assert claimed(store).id == first.id


def test_the_most_urgent_first(store: Store) -> None:
    for kind, priority in (("a", 0), ("b", 5), ("c", 5), ("d", -1)):
        store.jobs.submit(kind, priority=priority)
    assert [job.kind for job in store.jobs.list(limit=3)] == ["b", "c", "a"]
    assert [job.kind for job in store.jobs.list(limit=2, newest_first=True)] == ["d", "c"]
    assert [claimed(store).kind for _ in range(4)] == ["b", "c", "a", "d"]


def test_a_key_makes_it_once(store: Store) -> None:
    assert store.jobs.submit("a", key="k").id == store.jobs.submit("a", key="k").id
    assert len(store.jobs.list()) == 1


def test_claims_may_be_narrowed(store: Store, samples: Any) -> None:
    one, two = store.add_records(samples.incoming(2), actor="ann").record_ids
    store.jobs.submit("annotate", record_id=one, assignee="bob")
    store.jobs.submit("annotate", record_id=two)
    store.jobs.submit("train")
    assert claimed(store, "ann", kinds=["annotate"]).record_id == two
    assert store.jobs.claim("ann", kinds=["annotate"]) is None
    assert store.jobs.claim("bob", kinds=["annotate"], except_records=[one]) is None
    assert claimed(store, "bob", kinds=["annotate"]).record_id == one
    assert claimed(store, "ann").kind == "train"
    assert [job.record_id for job in store.jobs.list(record_id=one)] == [one]


def test_one_at_a_time_for_a_resource(store: Store) -> None:
    for _ in range(2):
        store.jobs.submit("train", resource="gpu")
    store.jobs.submit("export")
    first = claimed(store)
    assert claimed(store, "w2").kind == "export"
    assert store.jobs.claim("w3") is None
    store.jobs.finish(first)
    assert claimed(store, "w3").resource == "gpu"


def test_a_lost_job_goes_on_elsewhere_from_its_checkpoint(store: Store) -> None:
    store.jobs.submit("train", resource="gpu")
    dead = claimed(store, "dead", lease_seconds=60)
    store.jobs.heartbeat(dead, lease_seconds=-1, checkpoint={"epoch": 2})
    job = claimed(store, "alive")
    assert (job.id, job.attempts, job.checkpoint) == (dead.id, 2, {"epoch": 2})
    for say in (store.jobs.heartbeat, store.jobs.finish, store.jobs.release, store.jobs.cancelled):
        with pytest.raises(JobLostError, match="is no longer dead's: its lease ran out"):
            say(dead)
    store.jobs.finish(job, "once")
    assert store.jobs.get(job.id).result == "once"


def test_it_fails_after_its_last_attempt(store: Store) -> None:
    store.jobs.submit("train", max_attempts=2)
    store.jobs.fail(claimed(store), "no luck")
    again = claimed(store)
    assert (again.attempts, store.jobs.get(again.id).error) == (2, "no luck")
    store.jobs.fail(again, "nor now \0 \ud800")
    assert (store.jobs.get(again.id).state, store.jobs.get(again.id).error) == ("failed", "nor now  ?")
    hopeless = store.jobs.submit("train")
    store.jobs.fail(claimed(store), "bad config", retry=False)
    assert store.jobs.get(hopeless.id).state == "failed"
    lost = store.jobs.submit("train", max_attempts=1)
    claimed(store, lease_seconds=-1)
    assert store.jobs.claim("w2") is None
    assert store.jobs.get(lost.id).error == "its worker stopped answering at every attempt"


def test_giving_back_is_no_attempt(store: Store) -> None:
    store.jobs.submit("annotate", max_attempts=1)
    store.jobs.release(claimed(store, "bob"))
    assert claimed(store, "eve").attempts == 1


def test_cancel(store: Store) -> None:
    waiting = store.jobs.submit("a", priority=-1)
    running = store.jobs.submit("b")
    job = claimed(store)
    assert store.jobs.cancel(waiting.id).state == "cancelled"
    assert store.jobs.cancel(running.id).cancel_requested
    with pytest.raises(JobCancelledError, match=r"job \d+ \(b\) was cancelled"):
        store.jobs.heartbeat(job, checkpoint={"kept": True})
    store.jobs.cancelled(job)
    ended = store.jobs.get(running.id)
    assert (ended.state, ended.checkpoint) == ("cancelled", {"kept": True})
    assert store.jobs.cancel(running.id).state == "cancelled"
    given_back = store.jobs.submit("c")
    job = claimed(store)
    store.jobs.cancel(given_back.id)
    store.jobs.release(job)
    assert store.jobs.get(given_back.id).state == "cancelled"
    dying = store.jobs.submit("d")
    claimed(store, lease_seconds=-1)
    store.jobs.cancel(dying.id)
    assert store.jobs.claim("w") is None
    assert store.jobs.get(dying.id).state == "cancelled"


def test_what_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="at least one attempt"):
        store.jobs.submit("a", max_attempts=0)
    with pytest.raises(RecordError, match="cannot be kept as JSON"):
        store.jobs.submit("a", {"x": object()})
    with pytest.raises(NotInStoreError, match="no job 77"):
        store.jobs.get(77)
    with pytest.raises(NotInStoreError, match="no job 77"):
        store.jobs.cancel(77)


def test_many_workers_take_each_job_once(store: Store) -> None:
    for _ in range(20):
        store.jobs.submit("a")
    taken: list[int] = []

    def work(name: str) -> None:
        while (job := store.jobs.claim(name)) is not None:
            taken.append(job.id)
            store.jobs.finish(job)

    threads = [threading.Thread(target=work, args=(f"w{k}",)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [job.id for job in store.jobs.list(states=["done"])]
    assert len(taken) == 20
