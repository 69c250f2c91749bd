"""What every request passes first: host, origin, rate, size; and the headers of every answer."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from segany.serve._guard import SECURITY_HEADERS, RateLimit
from segany.serve.settings import is_loopback

API = "/api/v1"


@pytest.mark.parametrize("path", ["/", "/health/live", "/api/v1/records", "/api/v1/nothing", "/api/v1/records/99"])
def test_every_answer_has_the_headers(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert len(answer.headers["x-request-id"]) == 16
    assert "server" not in answer.headers


def test_nothing_inline_is_allowed() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "[::", "10.0.0.7", ""]
)
def test_other_names_are_refused(client: TestClient, host: str) -> None:
    answer = client.get(f"{API}/records", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "host")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "[::1]:8000", "LOCALHOST"])
def test_own_names_are_fine(client: TestClient, host: str) -> None:
    assert client.get(f"{API}/records", headers={"Host": host}).status_code == 200


def test_names_that_were_allowed(server: Any, add_user: Any) -> None:
    add_user("ann", "admin")
    client = server.start(host="0.0.0.0", allowed_hosts=("Masks.example",))
    for host, code in {"masks.example": 200, "192.168.7.7:80": 200, "evil.example": 421}.items():
        assert client.get(f"{API}/session", headers={"Host": host}).status_code == code


def test_a_proxy_that_was_not_announced_is_refused(client: TestClient) -> None:
    assert client.get(f"{API}/records", headers={"X-Forwarded-For": "10.0.0.9"}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:81"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_pages_change_nothing(client: TestClient, headers: dict[str, str]) -> None:
    """On a server without accounts, too: any page that its user visits could send this."""
    answer = client.put(f"{API}/categories/cat", json={}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "origin")
    assert client.get(f"{API}/categories").json() == {"categories": []}


def test_the_own_page_may(client: TestClient) -> None:
    headers = {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}
    assert client.put(f"{API}/categories/cat", json={}, headers=headers).status_code == 200


def test_a_form_is_no_request(client: TestClient) -> None:
    text = '{"name": "ann", "password": "x"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = client.post(f"{API}/session", content=text, headers={"Content-Type": kind})
        assert answer.status_code == 422


def test_too_large_is_refused_unread(server: Any) -> None:
    client = server.start(max_body_bytes=2000)
    answer = client.post(f"{API}/records", files={"files": ("a.png", b"x" * 5000)})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")

    def pieces() -> Any:
        for _ in range(50):
            yield b"x" * 100

    headers = {"Content-Type": "application/json"}
    chunked = client.post(f"{API}/records/1/predict", content=pieces(), headers=headers)
    assert (chunked.status_code, chunked.json()["code"]) == (413, "too_large")
    assert client.get(f"{API}/records").status_code == 200


def test_too_many_requests(server: Any) -> None:
    client = server.start(requests_per_second=0.5, request_burst=110)
    answers = [client.get(f"{API}/records") for _ in range(130)]
    codes = {answer.status_code for answer in answers}
    assert codes == {200, 429}
    refused = answers[-1]
    assert (refused.json()["code"], int(refused.headers["retry-after"]) >= 1) == ("rate", True)
    assert 0 < refused.json()["retry_after"] <= 2


def test_the_rate_is_each_one_s_own() -> None:
    limit = RateLimit(1.0, 2)
    assert [limit.wait("ann") > 0 for _ in range(3)] == [False, False, True]
    assert limit.wait("ben") == 0


def test_what_no_json_is(client: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    for content in (b"{", b"\xff\xfe", b'{"prompts": NaN}', b'{"prompts": [{"points": [[NaN, 1]]}]}', b"[" * 3000):
        answer = client.post(f"{API}/records/1/predict", content=content, headers=headers)
        assert answer.status_code in (400, 422), content[:20]
        assert answer.json()["code"] in ("bad_request", "validation")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.1", False),
        ("example.org", False),
    ],
)
def test_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
