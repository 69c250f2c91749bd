"""Plans of exports: bounded, and not behind anything else."""

import time
from typing import Any

from segany.serve._exports import Exports
from segany.wire import ExportRequest

API = "/api/v1"


def test_a_plan_looks_only_at_what_there_is_time_for(store: Any, folder: Any, tmp_path: Any) -> None:
    made = Exports(store, tmp_path, None)  # type: ignore[arg-type]  # nothing stops here
    asked = ExportRequest(format="sav")
    plan, complete = made.plan(asked)
    assert (plan.records, complete) == (3, True)
    plan, complete = made.plan(asked, seconds=-1.0)
    assert (plan.records, complete) == (0, False)


def test_a_plan_does_not_wait_for_everything(client: Any, server: Any) -> None:
    record = server.upload(client)
    grid = {"points_per_side": 64, "crop_n_layers": 2}
    run = client.post(f"{API}/records/{record}/everything", json={"grid": grid}).json()["run"]
    begin = time.monotonic()
    answer = client.post(f"{API}/exports/plan", json={"format": "sav"})
    assert (answer.status_code, answer.json()["complete"]) == (200, True)
    state = client.get(f"{API}/records/{record}/everything/{run}").json()["state"]
    # Had it waited, the run were over.
    assert state in ("queued", "running"), time.monotonic() - begin
    client.delete(f"{API}/records/{record}/everything/{run}")
