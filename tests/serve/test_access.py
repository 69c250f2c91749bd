"""Every route has a rule, and the rule holds for every role."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from segany.errors import AccessError
from segany.serve.access import RULES, Principal, Rule, Rules, may
from segany.serve.app import create_app
from segany.serve.settings import ServeSettings
from segany.store import ROLES, Role

API = "/api/v1"
WHO: tuple[str | None, ...] = (None, *ROLES)


def routes_of(app: Any) -> set[tuple[str, str]]:
    """Method and path of everything that the application answers, however its routers are nested."""
    found = set()
    for route in app.routes:
        assert getattr(route, "path", None), f"{route!r} cannot be read off the list of routes"
        found |= {(method, route.path) for method in route.methods - {"HEAD"}}
    return found


def test_every_route_has_a_rule_and_every_rule_a_route(store: Any) -> None:
    app = create_app(store, ServeSettings())
    assert routes_of(app) == set(RULES)


def test_the_walk_finds_a_route_without_a_rule(store: Any) -> None:
    app = create_app(store, ServeSettings())

    @app.get("/api/v1/forgotten")
    async def forgotten() -> str:
        return "open to all"

    assert routes_of(app) - set(RULES) == {("GET", "/api/v1/forgotten")}
    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert client.get("/api/v1/forgotten").status_code == 404


def filled(path: str) -> str:
    for name in ("record_id", "job_id", "token_id"):
        path = path.replace(f"{{{name}}}", "1")
    return path.replace("{run}", "0a").replace("{name:path}", "cat").replace("{name}", "cat").replace("{path:path}", "")


def test_the_rule_of_every_route_holds_for_every_role(server: Any, add_user: Any) -> None:
    for role in ROLES:
        add_user(f"the-{role}", role)
    client = server.start(request_burst=10_000)
    headers: dict[str | None, dict[str, str]] = {None: {}}
    headers |= {role: {"Authorization": f"Bearer {token_of(server, client, role)}"} for role in ROLES}
    for (method, path), rule in sorted(RULES.items()):
        for who in WHO:
            answer = client.request(method, filled(path), headers=headers[who])
            allowed = rule == "public" or (who is not None and ROLES.index(who) >= ROLES.index(rule))
            if (method, path) == ("POST", f"{API}/session"):
                assert answer.status_code == 422
            elif allowed:
                assert answer.status_code not in (401, 403, 500), (method, path, who, answer.text)
            else:
                assert answer.status_code == (401 if who is None else 403), (method, path, who, answer.text)


def token_of(server: Any, client: TestClient, role: str) -> str:
    csrf = server.sign_in(client, f"the-{role}")
    answer = client.post(f"{API}/tokens", json={"label": "test"}, headers=csrf)
    assert answer.status_code == 201
    client.cookies.clear()
    return str(answer.json()["token"])


def test_without_accounts_this_machine_may_do_all(client: TestClient) -> None:
    assert client.get(f"{API}/users").status_code == 200
    assert client.get(f"{API}/session").json()["user"] == {
        "name": "local",
        "role": "admin",
        "disabled": False,
        "created_at": None,
    }
    answer = client.post(f"{API}/users", json={"name": "ann", "password": "correct horse battery"})
    assert answer.status_code == 403
    assert "segany users add" in answer.json()["message"]


@pytest.mark.parametrize("rule", ["annotator", "reviewer", "admin"])
def test_may(rule: Rule) -> None:
    with pytest.raises(AccessError, match="sign in first"):
        may(None, rule)
    for role in ROLES:
        principal = Principal("ann", role, "token")
        if ROLES.index(role) >= ROLES.index(rule):
            may(principal, rule)
        else:
            with pytest.raises(AccessError, match=f"this is for the role {rule}; ann is {role}"):
                may(principal, rule)


def test_rules_are_found_by_path() -> None:
    rules = Rules()
    assert rules.match("GET", f"{API}/records/7") == (f"{API}/records/{{record_id}}", "annotator")
    assert rules.match("HEAD", f"{API}/records") == (f"{API}/records", "annotator")
    assert rules.match("PUT", f"{API}/records") == (f"{API}/records", None)
    assert rules.match("GET", f"{API}/nothing") is None
    assert rules.match("GET", "/some/view") == ("/{path:path}", "public")


def test_only_reviewers_accept(server: Any, add_user: Any, make_mask: Any) -> None:
    roles: tuple[Role, ...] = ("annotator", "reviewer")
    for role in roles:
        add_user(f"the-{role}", role)
    client = server.start()
    csrf = server.sign_in(client, "the-annotator")
    record = server.upload(client, headers=csrf)
    revision = client.get(f"{API}/records/{record}").json()["revision"]
    edit = {"expected": revision, "key": "edit-0001", "put": [{"id": "a", "mask": make_mask()}]}
    saved = client.post(f"{API}/records/{record}/edits", json=edit, headers=csrf).json()
    assert saved["annotations"][0]["annotator"] == "the-annotator"

    def review(action: str, expected: int, headers: dict[str, str]) -> Any:
        body = {"expected": expected, "steps": [{"id": "a", "action": action}]}
        return client.post(f"{API}/records/{record}/review", json=body, headers=headers)

    refused = review("accept", saved["revision"], csrf)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    flagged = review("flag", saved["revision"], csrf)
    assert flagged.json()["annotations"][0]["review_state"] == "flagged"
    csrf = server.sign_in(client, "the-reviewer")
    accepted = review("accept", flagged.json()["revision"], csrf)
    assert accepted.json()["annotations"][0]["review_state"] == "accepted"
    again = review("accept", accepted.json()["revision"], csrf)
    assert (again.status_code, again.json()["code"]) == (409, "review")
