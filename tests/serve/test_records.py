"""Edits over HTTP: saved once, never over someone else's, undone and redone."""

from typing import Any

import pytest
from starlette.testclient import TestClient

API = "/api/v1"


def get(client: TestClient, record: int, **query: Any) -> Any:
    answer = client.get(f"{API}/records/{record}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def edit(client: TestClient, record: int, expected: int, key: str, put: Any = (), remove: Any = ()) -> Any:
    body = {"expected": expected, "key": key, "put": list(put), "remove": list(remove)}
    return client.post(f"{API}/records/{record}/edits", json=body)


@pytest.fixture
def record(server: Any, client: TestClient) -> int:
    return int(server.upload(client))


def test_an_edit_is_saved_once(client: TestClient, record: int, make_mask: Any) -> None:
    now = get(client, record)["revision"]
    prompts: list[dict[str, Any]] = [{"points": [[12, 12]]}, {"box": [1, 2, 30, 40]}, {"mask": make_mask()}]
    put = [
        {"id": "a", "mask": make_mask(), "category": "cup", "seconds_spent": 3.5, "prompts": prompts},
    ]
    first = edit(client, record, now, "edit-0001", put)
    assert first.status_code == 200
    again = edit(client, record, now, "edit-0001", put)
    assert again.json() == first.json()
    (saved,) = first.json()["annotations"]
    assert saved["mask"] == make_mask()
    assert (saved["box"], saved["area"]) == ([10, 10, 18, 18], 64)
    assert (saved["annotator"], saved["review_state"], saved["source"]) == ("local", "unreviewed", "manual")
    nothing = dict.fromkeys(("points", "labels", "box", "mask", "logits"))
    assert saved["prompts"] == [
        {**nothing, "points": [[12, 12]], "labels": [1]},
        {**nothing, "box": [1, 2, 30, 40]},
        {**nothing, "mask": make_mask()},
    ]
    assert saved["created_at"] is not None


def test_two_editors_conflict(client: TestClient, record: int, make_mask: Any) -> None:
    now = get(client, record)["revision"]
    ann = edit(client, record, now, "of-ann-1", [{"id": "a", "mask": make_mask(1)}])
    ben = edit(client, record, now, "of-ben-1", [{"id": "b", "mask": make_mask(2)}])
    assert (ann.status_code, ben.status_code, ben.json()["code"]) == (200, 409, "conflict")
    assert ben.json()["current"] == ann.json()["revision"]
    assert ben.json()["record"] == ann.json()
    assert get(client, record) == ann.json()
    retried = edit(client, record, ben.json()["current"], "of-ben-2", [{"id": "b", "mask": make_mask(2)}])
    assert [each["id"] for each in retried.json()["annotations"]] == ["a", "b"]


def test_an_answer_may_hold_only_what_was_put(client: TestClient, record: int, make_mask: Any) -> None:
    now = get(client, record)["revision"]
    both = [{"id": "a", "mask": make_mask(1)}, {"id": "b", "mask": make_mask(2)}]
    now = edit(client, record, now, "edit-0001", both).json()["revision"]
    body = {"expected": now, "key": "edit-0002", "put": [{"id": "c", "mask": make_mask(3)}], "remove": ["a"]}
    path = f"{API}/records/{record}/edits?partial=true"
    first = client.post(path, json=body).json()
    assert (first["partial"], [each["id"] for each in first["annotations"]]) == (True, ["c"])
    # What it was made on is not known of one that comes again: others may have been there in between.
    again = client.post(path, json=body).json()
    assert (again["partial"], [each["id"] for each in again["annotations"]]) == (False, ["b", "c"])
    assert again == get(client, record)


def test_what_is_left_out_stays_and_reviewed_masks_are_reviewed_again(
    client: TestClient, record: int, make_mask: Any
) -> None:
    now = get(client, record)["revision"]
    put = {"id": "a", "mask": make_mask(), "category": "cup", "predicted_iou": 0.9, "source": "semi_automatic"}
    first = edit(client, record, now, "edit-0001", [put]).json()
    body = {"expected": first["revision"], "steps": [{"id": "a", "action": "accept"}]}
    accepted = client.post(f"{API}/records/{record}/review", json=body).json()
    same = edit(client, record, accepted["revision"], "edit-0002", [put]).json()
    assert same["annotations"] == accepted["annotations"]
    moved = edit(client, record, same["revision"], "edit-0003", [{"id": "a", "mask": make_mask(20)}]).json()
    (after,) = moved["annotations"]
    assert (after["category"], after["predicted_iou"], after["source"]) == ("cup", 0.9, "semi_automatic")
    assert (after["box"], after["review_state"]) == ([20, 10, 28, 18], "unreviewed")
    assert after["created_at"] == accepted["annotations"][0]["created_at"]
    none = edit(client, record, moved["revision"], "edit-0004", [{"id": "a", "mask": make_mask(20), "category": None}])
    assert none.json()["annotations"][0]["category"] is None


def test_nobody_says_who_they_are_in_an_edit(client: TestClient, record: int, make_mask: Any) -> None:
    now = get(client, record)["revision"]
    for name, value in {"annotator": "eve", "review_state": "accepted", "area": 5, "created_at": None}.items():
        answer = edit(client, record, now, "edit-0001", [{"id": "a", "mask": make_mask(), name: value}])
        assert (answer.status_code, answer.json()["code"]) == (422, "validation")


def test_undo_and_redo(client: TestClient, record: int, make_mask: Any) -> None:
    start = get(client, record)["revision"]
    first = edit(client, record, start, "edit-0001", [{"id": "a", "mask": make_mask(1)}]).json()
    second = edit(client, record, first["revision"], "edit-0002", [{"id": "a", "mask": make_mask(2)}]).json()

    def restore(revision: int, expected: int) -> Any:
        return client.post(f"{API}/records/{record}/restore", json={"revision": revision, "expected": expected}).json()

    undone = restore(first["revision"], second["revision"])
    assert undone["annotations"][0]["mask"] == make_mask(1)
    empty = restore(start, undone["revision"])
    assert empty["annotations"] == []
    redone = restore(second["revision"], empty["revision"])
    assert redone["annotations"] == second["annotations"]
    told = client.get(f"{API}/records/{record}/revisions").json()["revisions"]
    assert [(each["kind"], each["key"]) for each in told] == [
        ("record.added", None),
        ("record.edited", "edit-0001"),
        ("record.edited", "edit-0002"),
        *[("record.restored", None)] * 3,
    ]
    assert (told[1]["added"], told[2]["changed"]) == (["a"], ["a"])
    assert get(client, record, revision=first["revision"])["annotations"] == first["annotations"]


@pytest.mark.parametrize(
    ("put", "code"),
    [
        ({"mask": {"size": [60, 80], "counts": "nonsense\x01"}}, "mask"),
        ({"mask": {"size": [60, 80], "counts": "1"}}, "mask"),
        ({"mask": {"size": [61, 80], "counts": "`[1"}}, "record"),
        ({"mask": {"size": [0, 80], "counts": ""}}, "validation"),
        ({"mask": {"size": [100_001, 1], "counts": ""}}, "validation"),
        ({"id": "a\x00b"}, "validation"),
        ({"id": ""}, "validation"),
        ({"id": 1.5}, "validation"),
        ({"category": "x" * 300}, "validation"),
        ({"seconds_spent": -1}, "validation"),
        ({"source": "magic"}, "validation"),
        ({"prompts": [{"points": [[1, 2]], "labels": [1, 0]}]}, "prompt"),
        ({"prompts": [{"box": [5, 5, 1, 1]}]}, "prompt"),
    ],
)
def test_annotations_that_are_refused(client: TestClient, record: int, make_mask: Any, put: Any, code: str) -> None:
    now = get(client, record)["revision"]
    answer = edit(client, record, now, "edit-0001", [{"id": "a", "mask": make_mask(), **put}])
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert get(client, record)["revision"] == now


def test_scripts_in_names_stay_text(client: TestClient, record: int, make_mask: Any) -> None:
    name = "<img src=x onerror=alert(1)>"
    now = get(client, record)["revision"]
    answer = edit(client, record, now, "edit-0001", [{"id": name, "mask": make_mask(), "category": name}])
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["annotations"][0]["category"] == name


def test_lists_come_in_pages(server: Any, client: TestClient, make_photo: Any) -> None:
    ids = [server.upload(client, make_photo(seed), f"photo-{seed}.png") for seed in range(5)]
    first = client.get(f"{API}/records", params={"limit": 3}).json()
    second = client.get(f"{API}/records", params={"limit": 3, "after": first["next"]}).json()
    assert [each["id"] for each in first["records"] + second["records"]] == ids
    assert second["next"] is None
    assert first["records"][0]["size"] == [60, 80]
    assert client.get(f"{API}/records", params={"state": "accepted"}).json() == {"records": [], "next": None}
    assert client.get(f"{API}/records", params={"state": "odd"}).status_code == 422


def test_a_record_is_removed_with_the_right_revision_only(client: TestClient, record: int) -> None:
    now = get(client, record)["revision"]
    refused = client.delete(f"{API}/records/{record}", params={"expected": now + 7})
    assert (refused.status_code, refused.json()["current"]) == (409, now)
    assert client.delete(f"{API}/records/{record}", params={"expected": now}).status_code == 204
    assert client.get(f"{API}/records/{record}").json()["code"] == "not_found"
    assert client.post(f"{API}/records/{record}/predict", json={"prompts": [{"points": [[1, 1]]}]}).status_code == 404
