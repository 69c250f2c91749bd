"""The data engine's course over HTTP."""

from typing import Any

from starlette.testclient import TestClient

from segany.engine.rounds import ROUND
from segany.engine.tasks import OPEN, ask

API = "/api/v1"
VERDICT = {
    "set_name": "target",
    "role": "target",
    "metric": "mIoU@1",
    "incumbent": 0.7,
    "candidate": 0.75,
    "difference": {"mean": 0.05, "low": 0.02, "high": 0.08, "n": 40},
    "passed": True,
}


def test_an_empty_store_has_no_course(client: TestClient) -> None:
    found = client.get(f"{API}/engine").json()
    assert (found["spans"], found["rounds"], found["decisions"], found["tasks"]) == ([], [], [], {})


def test_masks_rounds_and_decisions(server: Any, client: TestClient, make_mask: Any) -> None:
    record = server.upload(client)
    revision = client.get(f"{API}/records/{record}").json()["revision"]
    put = [{"id": "a", "mask": make_mask(), "seconds_spent": 3.5}]
    edit = {"expected": revision, "key": "course-of-things", "put": put}
    assert client.post(f"{API}/records/{record}/edits", json=edit).status_code == 200
    store = server.store
    store.jobs.submit(ROUND, {"version": "v1", "out": "runs"})
    says = {"candidate": "cc", "incumbent": "ii", "says": ["promoted"], "verdicts": [VERDICT]}
    store.events.add("engine.promoted", actor="ann", details=says)
    store.events.add("engine.refused", actor="ann", details={**says, "says": ["refused: mIoU@1 of target"]})
    found = client.get(f"{API}/engine").json()
    (span,) = found["spans"]
    assert (span["sources"], span["seconds"], found["seconds_per_mask"]) == ({"manual": 1}, 3.5, 3.5)
    (learning,) = found["rounds"]
    assert (learning["version"], learning["state"], learning["promoted"]) == ("v1", "queued", None)
    refused, promoted = found["decisions"]
    assert (refused["promoted"], promoted["promoted"], promoted["actor"]) == (False, True, "ann")
    verdict = promoted["verdicts"][0]
    assert (verdict["low"], verdict["high"], verdict["passed"]) == (0.02, 0.08, True)


def test_the_page_takes_the_tasks_that_the_engine_asks(server: Any, client: TestClient) -> None:
    record = server.upload(client)
    ask(server.store, record, stage="manual", priority=1.0, why="first", reasons={}, key="annotate 1")
    task = client.post(f"{API}/tasks/claim", json={}).json()["task"]
    assert (task["job"]["kind"], task["job"]["record_id"]) == (OPEN, record)
    finish = client.post(f"{API}/tasks/{task['job']['id']}/finish", json={"token": task["token"]})
    assert finish.status_code == 204
    assert client.get(f"{API}/engine").json()["tasks"] == {"done": 1}
