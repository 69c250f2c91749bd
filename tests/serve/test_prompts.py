"""Prompts over HTTP: the predictor's own answers, one embedding for each image, earlier answers refined."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from segany.predict import Predictor
from segany.predict.backends.base import Features
from segany.predict.backends.fake import FakeBackend
from segany.predict.choose import MaskChooser
from segany.schema import Prompt
from segany.serve.services import CHOOSER
from segany.wire import Mask

API = "/api/v1"


class SlowBackend(FakeBackend):
    """Counts images that it embeds, and takes its time."""

    def __init__(self, seconds: float = 0.2) -> None:
        super().__init__()
        self.seconds, self.encoded = seconds, 0
        self._lock = threading.Lock()

    def encode(self, images: Sequence[Any]) -> list[Features]:
        with self._lock:
            self.encoded += len(images)
        time.sleep(self.seconds)
        return super().encode(images)


def predict(client: TestClient, record: int, *prompts: dict[str, Any], **more: Any) -> Any:
    return client.post(f"{API}/records/{record}/predict", json={"prompts": prompts, **more})


def test_answers_are_the_predictor_s(server: Any, client: TestClient, store: Any) -> None:
    record = server.upload(client)
    prompts: list[dict[str, Any]] = [
        {"points": [[20, 30]]},
        {"box": [5, 5, 40, 50]},
        {"points": [[9, 9], [50, 50]], "labels": [1, 0]},
    ]
    reply = predict(client, record, *prompts).json()
    predictor = Predictor(backend=FakeBackend())
    embedding = predictor.embed(store.image(record))
    given = [Prompt(**prompt) for prompt in prompts]
    expected = predictor.predict_many(embedding, given, chooser=MaskChooser())
    assert [len(each["candidates"]) for each in reply["predictions"]] == [3, 1, 1]
    assert [each["ambiguous"] for each in reply["predictions"]] == [True, False, False]
    for got, wanted in zip(reply["predictions"], expected, strict=True):
        for candidate, index in zip(got["candidates"], wanted.ranking, strict=True):
            rle = wanted.rle(int(index))
            assert candidate["mask"] == Mask.of(rle).model_dump(mode="json")
            assert (candidate["area"], candidate["box"]) == (rle.area, list(rle.box))
            assert candidate["level"] == int(index) + (1 if len(wanted) > 1 else 0)
    assert reply["model_digest"] == predictor.backend.model_digest
    assert reply["milliseconds"].keys() == {"embed", "decode", "masks", "total"}


def test_only_the_best_when_that_is_wanted(server: Any, client: TestClient) -> None:
    record = server.upload(client)
    three = predict(client, record, {"points": [[20, 30]]}).json()["predictions"][0]["candidates"]
    (one,) = predict(client, record, {"points": [[20, 30]]}, alternatives=False).json()["predictions"][0]["candidates"]
    assert one["mask"] == three[0]["mask"]


def test_an_earlier_answer_is_refined(server: Any, client: TestClient, make_photo: Any) -> None:
    record, other = server.upload(client), server.upload(client, make_photo(1), "other.png")
    first = predict(client, record, {"points": [[20, 30]]}).json()["predictions"][0]["candidates"][1]
    more = {"points": [[20, 30], [60, 30]], "labels": [1, 0], "logits": first["logits"]}
    assert len(predict(client, record, more).json()["predictions"][0]["candidates"]) == 1
    for logits, status, code in (
        ("never.0", 410, "gone"),
        (first["logits"].split(".")[0] + ".7", 422, "prompt"),
        (first["logits"].split(".")[0], 422, "prompt"),
    ):
        answer = predict(client, record, {**more, "logits": logits})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    answer = predict(client, other, more)
    assert "is for another image" in answer.json()["message"]


def test_answers_are_forgotten_when_there_are_too_many(server: Any) -> None:
    client = server.start(logits_bytes=1_000_000)
    record = server.upload(client)
    names = [
        predict(client, record, {"points": [[k, 30]]}).json()["predictions"][0]["candidates"][0]["logits"]
        for k in range(8)
    ]
    codes = [
        predict(client, record, {"points": [[5, 5]], "logits": name}).status_code for name in (names[0], names[-1])
    ]
    assert codes == [410, 200]


def test_a_rough_mask(server: Any, client: TestClient, make_mask: Any) -> None:
    record = server.upload(client)
    answer = predict(client, record, {"mask": make_mask(20, 20, 10)})
    assert answer.status_code == 200
    (candidate,) = answer.json()["predictions"][0]["candidates"]
    assert candidate["area"] > 0
    wrong = predict(client, record, {"mask": make_mask(20, 20, 10, width=81)})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "prompt")


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ({}, "prompt"),
        ({"points": [[200, 10]]}, "prompt"),
        ({"points": [[1, 2, 3]]}, "validation"),
        ({"points": []}, "validation"),
        ({"points": [[1, 2]], "labels": [2]}, "validation"),
        ({"points": [[1, 2]], "labels": [1, 1]}, "prompt"),
        ({"labels": [1]}, "prompt"),
        ({"box": [50, 50, 10, 10]}, "prompt"),
        ({"box": [1, 2, 3]}, "validation"),
        ({"points": [[1e300, 1]]}, "validation"),
        ({"url": "http://127.0.0.1/photo.jpg"}, "validation"),
    ],
)
def test_prompts_that_are_refused(server: Any, client: TestClient, prompt: dict[str, Any], code: str) -> None:
    record = server.upload(client)
    answer = predict(client, record, {"points": [[1, 1]]}, prompt)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    if code == "prompt":
        assert answer.json()["message"].startswith("prompt 1: ")


def test_an_image_is_embedded_once(server: Any) -> None:
    backend = SlowBackend()
    client = server.start(backend)
    record = server.upload(client)
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda k: predict(client, record, {"points": [[k, k]]}), range(12)))
    assert {answer.status_code for answer in answers} == {200}
    assert backend.encoded == 1


def test_embeddings_are_asked_for_ahead(server: Any) -> None:
    backend = SlowBackend(0.4)
    client = server.start(backend)
    record = server.upload(client)
    path = f"{API}/records/{record}/embedding"
    assert client.get(path).json()["state"] == "missing"
    begun = client.post(path)
    assert (begun.status_code, begun.json()["state"]) == (202, "running")
    assert begun.json()["frame"] is None
    for _ in range(100):
        if (answer := client.post(path)).status_code == 200:
            break
        time.sleep(0.05)
    assert answer.json()["state"] == "ready"
    assert answer.json()["frame"] == {"original": [60, 80], "model": [768, 1024], "padded": [1024, 1024]}
    assert backend.encoded == 1


def test_a_queue_that_is_full_sends_away(server: Any, make_photo: Any) -> None:
    client = server.start(SlowBackend(0.5), max_waiting_images=2)
    records = [server.upload(client, make_photo(seed), f"{seed}.png") for seed in range(8)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda record: predict(client, record, {"points": [[5, 5]]}), records))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] * 3 + [429] * 5
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert (refused.json()["code"], int(refused.headers["retry-after"]) >= 1) == ("busy", True)
    # It recovers: those who were sent away come again.
    assert {predict(client, record, {"points": [[5, 5]]}).status_code for record in records} == {200}


def test_what_the_store_learned_ranks_the_masks(server: Any, store: Any) -> None:
    client = server.start()
    record = server.upload(client)
    click = {"points": [[40, 30]]}
    assert predict(client, record, click).json()["predictions"][0]["candidates"][0]["level"] == 3
    predictor = Predictor(backend=FakeBackend())
    prompt = Prompt(**click)
    first = predictor.predict(predictor.embed(store.image(record)), prompt)
    chooser = MaskChooser()
    for _ in range(40):
        chooser = chooser.learned(first, prompt, first.rle(0))
    store.collection.set_value(CHOOSER, chooser.to_dict(), actor="test")
    again = server.start()
    assert predict(again, record, click).json()["predictions"][0]["candidates"][0]["level"] == 1
    store.collection.set_value(CHOOSER, {"format": "of tomorrow"}, actor="test")
    assert predict(server.start(), record, click).status_code == 200


def test_images_without_pixels(client: TestClient, store: Any) -> None:
    from segany.geometry import Size
    from segany.schema import ImageInfo, Record
    from segany.store import Incoming

    info = ImageInfo("far", "far.png", Size(10, 10))
    (record,) = store.add_records([Incoming(Record(info), origin="x")], actor="test").record_ids
    for path in ("image", "thumbnail", "embedding"):
        assert client.get(f"{API}/records/{record}/{path}").status_code == 404
    assert predict(client, record, {"points": [[1, 1]]}).json()["code"] == "not_found"
