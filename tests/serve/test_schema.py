"""The OpenAPI schema, and requests made from it: whatever is sent, the server does not fail."""

import time
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from starlette.testclient import TestClient

from segany.client import Client

API = "/api/v1"
EXAMPLES = 4
SOAK_EXAMPLES = 200


def test_every_operation_says_what_it_may_answer(client: TestClient) -> None:
    schema = client.get(f"{API}/openapi.json").json()
    operations = [one for path in schema["paths"].values() for one in path.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    for one in operations:
        assert one["summary"]
        if one["tags"] != ["health"]:
            assert {"401", "403", "429", "503"} <= one["responses"].keys(), one["operationId"]


def test_every_request_has_an_example(client: TestClient) -> None:
    schema = client.get(f"{API}/openapi.json").json()
    named = {
        content["schema"]["$ref"].rpartition("/")[2]
        for path in schema["paths"].values()
        for one in path.values()
        for content in one.get("requestBody", {}).get("content", {}).values()
        if "$ref" in content["schema"]
    }
    without = [name for name in named if "examples" not in schema["components"]["schemas"][name]]
    assert [name for name in without if not name.startswith("Body_")] == []


def ask_of(operation: Any, record: int, examples: int) -> set[int]:
    """Ask as the schema says, and with what it does not know; the statuses that came."""
    statuses: set[int] = set()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        if case.path_parameters and "record_id" in case.path_parameters:
            # Of a record that is there, so that more than its absence is looked at.
            case.path_parameters["record_id"] = record
        answer = case.call(timeout=60)
        while answer.status_code == 429:
            time.sleep(float(answer.headers["retry-after"][0]))
            answer = case.call(timeout=60)
        statuses.add(answer.status_code)
        assert answer.status_code < 500, (case.method, case.formatted_path, case.body, answer.text)

    ask()
    return statuses


def ask_everything(server: Any, examples: int) -> None:
    try:
        with Client(server.url) as client:
            client.health()
        schema = schemathesis.openapi.from_url(f"{server.url}{API}/openapi.json")
        asked = {}
        for found in schema.get_all_operations():
            operation: Any = found.ok()  # type: ignore[union-attr]  # an error in the schema ends the test here
            if operation.path.endswith("/events") and "run" in operation.path:
                continue
            asked[operation.label] = ask_of(operation, 1, examples)
        assert len(asked) > 40
        assert any(200 in statuses for statuses in asked.values())
    finally:
        server.kill()


def test_nothing_that_is_sent_makes_it_fail(process: Any, folder: Path) -> None:
    ask_everything(process(folder), EXAMPLES)


@pytest.mark.soak
def test_nothing_that_is_sent_for_long_makes_it_fail(process: Any, folder: Path) -> None:
    ask_everything(process(folder), SOAK_EXAMPLES)
