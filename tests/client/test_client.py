"""The client against a server in this process: every call, and failures as segany's own errors."""

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from segany import errors
from segany.client import Client
from segany.client._http import failure_of
from segany.engine import open_store
from segany.predict import Predictor
from segany.predict.backends.fake import FakeBackend
from segany.serve import ServeSettings, create_app
from segany.serve.passwords import hash_password
from segany.store import Store, create_store
from segany.wire import AnnotationInput, GridWords, Mask, PromptWords, ThresholdWords


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty") / "store"
    create_store(folder)
    return folder


@pytest.fixture
def store(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("SEGANY_HOME", str(tmp_path / "home"))
    shutil.copytree(empty_store, tmp_path / "store")
    with open_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def client(store: Store) -> Iterator[Client]:
    app = create_app(store, ServeSettings(), predictor=Predictor(backend=FakeBackend()))
    with TestClient(app, base_url="http://127.0.0.1") as http:
        yield Client(http=http, patience_seconds=5)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_from_photo_to_export(client: Client, photo: Path, tmp_path: Path) -> None:
    assert client.health().ready["model"]
    (uploaded,) = client.upload(photo).records
    assert not uploaded.known
    assert client.upload([("other.png", photo.read_bytes())]).records[0].known
    assert [each.id for each in client.records()] == [uploaded.id]
    assert client.embed(uploaded.id).state == "ready"
    best = client.predict(uploaded.id, points=[(40, 30)]).candidates[0]
    again = client.predict(uploaded.id, mask=best.mask.rle()).candidates[0]
    assert again.mask.size == (60, 80)
    assert client.suggest_names(uploaded.id, best.mask) == client.suggest_names(uploaded.id, best.mask.rle()) == []
    many = client.predict_many(uploaded.id, [PromptWords(box=(1, 1, 20, 20)), PromptWords(points=[(5, 5)])])
    assert [len(each.candidates) for each in many.predictions] == [1, 3]
    record = client.record(uploaded.id)
    record = client.edit(
        uploaded.id, expected=record.revision, put=[AnnotationInput(id="a", mask=best.mask, category="cup")]
    )
    assert record.annotations[0].mask.rle() == best.mask.rle()
    assert client.suggest_names(uploaded.id, "a") == []
    with pytest.raises(errors.NotInStoreError, match="has no annotation 'b'"):
        client.suggest_names(uploaded.id, "b")
    record = client.review(uploaded.id, {"a": "accept"}, expected=record.revision)
    assert record.annotations[0].review_state == "accepted"
    *_, before, last = client.revisions(uploaded.id)
    undone = client.restore(uploaded.id, before.revision, expected=last.revision)
    assert undone.annotations[0].review_state == "unreviewed"
    job = client.export("coco", tmp_path / "out.zip", images="none")
    assert job.result["masks"] == 1
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert "datasheet.md" in archive.namelist()
    assert client.export_plan("yolo").masks == 1
    assert client.image(uploaded.id) == photo.read_bytes()
    assert client.thumbnail(uploaded.id, 32).startswith(b"\xff\xd8")
    client.remove_record(uploaded.id, expected=undone.revision)
    assert list(client.records()) == []


def test_everything(client: Client, photo: Path) -> None:
    record = client.upload(photo).records[0].id
    run = client.everything(record, GridWords(points_per_side=4))
    low = ThresholdWords(pred_iou_thresh=0.6, stability_score_thresh=0.1)
    told: list[tuple[int, int]] = []
    masks = list(run.masks(low, progress=lambda done, total: told.append((done, total))))
    assert told[-1] == (16, 16)
    assert run.state().state == "done"
    selected = run.select(low, link_parts=True)
    assert [each.mask for each in masks] == [each.mask for each in selected]
    assert masks
    assert any(each.parent_id is not None for each in selected)
    with pytest.raises(errors.ConfigError, match=r"lies below 0\.6, the floor"):
        run.select(ThresholdWords(pred_iou_thresh=0.1))
    with pytest.raises(errors.ServiceError, match=r"lies below 0\.6, the floor"):
        list(run.masks(ThresholdWords(pred_iou_thresh=0.1)))
    assert client.everything(record, GridWords(points_per_side=4)).run == run.run
    run.stop()
    with pytest.raises(errors.GoneError, match="has no run"):
        run.state()


def test_the_collection(client: Client, photo: Path, store: Store) -> None:
    client.put_category("a/b ü", color="#0072b2")
    assert [each.name for each in client.categories()] == ["a/b ü"]
    client.remove_category("a/b ü")
    client.upload(photo)
    assert client.freeze("v1", "first").records == 1
    assert [each.name for each in client.versions()] == ["v1"]
    assert client.stats()["records"] == 1
    assert client.models().current.name == "fake"
    assert [event.kind for event in client.events(kind="version.")] == ["version.frozen"]
    store.jobs.submit("annotate", {"hint": 1}, record_id=1)
    task = client.claim()
    assert task is not None
    assert task.payload == {"hint": 1}
    client.keep(task)
    client.release(task)
    task = client.claim()
    assert task is not None
    client.finish(task, {"masks": 2})
    assert client.job(task.job.id).result == {"masks": 2}
    assert client.claim() is None
    course = client.engine()
    assert (course.tasks, course.spans, course.rounds) == ({"done": 1}, [], [])
    with pytest.raises(errors.JobLostError):
        client.keep(task)


def test_failures_are_segany_s_own(client: Client, photo: Path) -> None:
    record = client.upload(photo).records[0].id
    with pytest.raises(errors.NotInStoreError, match="no record 99"):
        client.record(99)
    with pytest.raises(errors.PromptError, match="outside the image"):
        client.predict(record, points=[(500, 5)])
    with pytest.raises(errors.GoneError):
        client.predict(record, points=[(5, 5)], logits="gone.0")
    with pytest.raises(errors.MaskError):
        client.edit(record, expected=1, put=[AnnotationInput(id=1, mask=Mask(size=(60, 80), counts="1"))])
    with pytest.raises(errors.ConflictError) as conflict:
        client.edit(record, expected=0)
    assert conflict.value.current == client.record(record).revision
    mask = client.predict(record, points=[(5, 5)]).candidates[0].mask
    put = [AnnotationInput(id="a", mask=mask)]
    now = client.edit(record, expected=conflict.value.current, put=put)
    with pytest.raises(errors.ReviewError):
        client.review(record, {"a": "reopen"}, expected=now.revision)
    with pytest.raises(errors.AccessError, match="no accounts"):
        client.add_user("ann", "admin", "correct horse battery")
    with pytest.raises(errors.ImageError, match="cannot read"):
        client.upload("nowhere.png")
    with pytest.raises(errors.ConfigError, match="begins with http"):
        Client("ftp://example.org")


def test_users_and_tokens(store: Store) -> None:
    password = "correct horse battery"
    store.users.add("ann", "admin", hash_password(password), actor="test")
    app = create_app(store, ServeSettings(), predictor=Predictor(backend=FakeBackend()))
    with TestClient(app, base_url="http://127.0.0.1") as http:
        client = Client(http=http, patience_seconds=5)
        with pytest.raises(errors.AccessError, match="sign in first"):
            client.stats()
        client.sign_in("ann", password)
        client.add_user("ben", "annotator", password)
        assert [user.name for user in client.users()] == ["ann", "ben"]
        assert client.change_user("ben", role="reviewer").role == "reviewer"
        made = client.new_token("script", 1)
        http.cookies.clear()
        script = Client(http=http, token=made.token, patience_seconds=5)
        user = script.session().user
        assert user is not None
        assert user.name == "ann"
        assert [token.label for token in script.tokens()] == ["script"]
        script.end_token(made.id)
        with pytest.raises(errors.AccessError):
            script.tokens()


class Scripted(httpx2.MockTransport):
    """A server that says what it is told to, one answer after another."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.requests: list[httpx2.Request] = []
        left = list(answers)

        def answer(request: httpx2.Request) -> httpx2.Response:
            self.requests.append(request)
            said = left.pop(0)
            if isinstance(said, Exception):
                raise said
            return said

        super().__init__(answer)

    def client(self, patience: float = 20.0) -> Client:
        return Client(http=httpx2.Client(transport=self, base_url="http://box"), patience_seconds=patience)


@pytest.fixture
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("segany.client._http.time.sleep", slept.append)
    return slept


BUSY = {"code": "busy", "message": "too much", "retry_after": 3.0}
OK = {"status": "ok", "ready": {}, "waiting": {}}


def test_it_waits_as_it_is_told(no_sleep: list[float]) -> None:
    busy = httpx2.Response(429, json=BUSY, headers={"Retry-After": "3"})
    server = Scripted(httpx2.ConnectError("refused"), busy, httpx2.Response(200, json=OK))
    assert server.client().health().status == "ok"
    assert no_sleep == [0.1, 3.0]


def test_its_patience_ends(no_sleep: list[float]) -> None:
    answers = [httpx2.Response(429, json=BUSY, headers={"Retry-After": "3"}) for _ in range(5)]
    with pytest.raises(errors.BusyError, match="too much") as busy:
        Scripted(*answers).client(patience=0.5).health()
    assert busy.value.retry_after == 3.0
    with pytest.raises(errors.ServiceError, match="no server answers at http://box"):
        Scripted(httpx2.ConnectError("refused")).client(patience=0.0).health()


def test_what_may_have_been_done_is_not_done_again(no_sleep: list[float]) -> None:
    server = Scripted(httpx2.ReadError("broke"))
    with pytest.raises(errors.ServiceError, match="the connection to http://box broke"):
        server.client().freeze("v1")
    assert len(server.requests) == 1


def test_answers_of_something_else() -> None:
    error = failure_of(httpx2.Response(502, text="<html>Bad gateway</html>"))
    assert "answered 502: <html>Bad gateway" in str(error)
    with pytest.raises(errors.ServiceError, match="something else than segany"):
        Scripted(httpx2.Response(200, text="hello")).client().health()


def test_an_edit_keeps_its_key_when_it_is_sent_again(no_sleep: list[float], photo: Path) -> None:
    reply: dict[str, Any] = {
        "id": 1,
        "revision": 2,
        "annotations": [],
        "split": None,
        "has_image": True,
        "altered": False,
        "image": {
            "file_name": "a",
            "size": [1, 1],
            "digest": None,
            "channels": 3,
            "dtype": "uint8",
            "licence": None,
            "group": None,
        },
    }
    server = Scripted(httpx2.ReadError("broke"), httpx2.Response(200, json=reply))
    server.client().edit(1, expected=1)
    first, second = server.requests
    assert first.content == second.content
