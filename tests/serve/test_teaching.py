"""What is kept teaches the project's chooser, once, and when it was left alone."""

import asyncio
import time
from typing import Any

import pytest

from segany.engine.models import CHOOSER
from segany.masks import RLE
from segany.predict import Predictor
from segany.predict.backends.fake import FakeBackend
from segany.schema import Annotation, Prompt
from segany.serve._images import StoredImage
from segany.serve._pools import WorkPool
from segany.serve._teaching import Teacher

API = "/api/v1"


class Known:
    """Images and embeddings of a store, without a server."""

    def __init__(self, store: Any, predictor: Predictor) -> None:
        self.store, self.predictor = store, predictor

    async def get(self, record: int) -> StoredImage:
        image = self.store.image(record)
        return StoredImage(record, image.info.digest, image.info.size)

    async def embedding(self, image: StoredImage) -> Any:
        return self.predictor.embed(self.store.image(image.record_id))


def mask_at(x: int) -> RLE:
    import numpy as np

    bits = np.zeros((60, 80), dtype=np.bool_)
    bits[20:40, x : x + 20] = True
    return RLE.from_mask(bits)


def kept(name: str, x: int = 20, **other: Any) -> Annotation:
    prompts = other.pop("prompts", (Prompt(points=[[30, 30], [1, 1]], labels=[1, 0]),))
    return Annotation(name, mask_at(x), prompts=prompts, **{"source": "manual", **other})


@pytest.fixture
def teaching(store: Any, folder: Any) -> Any:
    now = [0.0]
    predictor = Predictor(backend=FakeBackend())
    known = Known(store, predictor)
    teacher = Teacher(
        store,
        predictor,
        known,  # type: ignore[arg-type]  # what is used of it
        known,  # type: ignore[arg-type]
        predicting=WorkPool("prompts", 1, 9),
        reading=WorkPool("the store", 1, 9),
        after_seconds=15.0,
        clock=lambda: now[0],
    )
    return teacher, now, store


def learned(store: Any) -> int:
    value = store.collection.value(CHOOSER)
    return 0 if value is None else len(value["surprises"])


def test_a_mask_is_learned_from_once_and_when_it_was_left_alone(teaching: Any) -> None:
    teacher, now, store = teaching

    async def work() -> list[int]:
        counts = []
        teacher.saw(1, [kept("a"), kept("b")], [])
        now[0] = 10.0
        counts.append(await teacher.learn())
        # "a" is corrected, "b" gets a label only: that does not put it off.
        teacher.saw(1, [kept("a", 22), kept("b", category="cup")], [])
        now[0] = 16.0
        counts.append(await teacher.learn())
        now[0] = 26.0
        counts.append(await teacher.learn())
        teacher.saw(1, [kept("a", 30)], [])
        now[0] = 99.0
        counts.append(await teacher.learn())
        return counts

    assert asyncio.run(work()) == [0, 1, 1, 0]
    assert learned(store) == 2


def test_an_image_that_is_gone_takes_no_other_lesson_with_it(teaching: Any) -> None:
    teacher, now, store = teaching
    teacher.saw(1, [kept("a")], [])
    teacher.saw(99, [kept("b")], [])
    teacher.saw(1, [kept("c", 10)], [])
    now[0] = 20.0
    assert asyncio.run(teacher.learn()) == 2
    assert learned(store) == 2


def test_what_did_not_begin_with_a_click_teaches_nothing(teaching: Any) -> None:
    teacher, now, store = teaching

    async def work() -> int:
        boxed = (Prompt(box=[1, 1, 9, 9]),)
        negative = (Prompt(points=[[3, 3]], labels=[0]),)
        found = kept("d", source="automatic")
        teacher.saw(1, [kept("a", prompts=()), kept("b", prompts=boxed), kept("c", prompts=negative), found], [])
        teacher.saw(2, [kept("gone")], [])
        teacher.saw(2, [], ["gone"])
        now[0] = 99.0
        return int(await teacher.learn())

    assert asyncio.run(work()) == 0
    assert learned(store) == 0


def test_a_saved_mask_changes_how_the_next_click_is_ranked(server: Any, make_mask: Any) -> None:
    client = server.start(learn_after_seconds=0.05)
    record = server.upload(client)
    body = {"prompts": [{"points": [[30, 30]]}]}
    asked = client.post(f"{API}/records/{record}/predict", json=body).json()["predictions"][0]["candidates"]
    revision = client.get(f"{API}/records/{record}").json()["revision"]
    words = {"id": "x", "mask": asked[-1]["mask"], "prompts": [{"points": [[30, 30]], "labels": [1]}]}
    edit = {"expected": revision, "key": "a-long-key", "put": [words]}
    answer = client.post(f"{API}/records/{record}/edits", json=edit)
    assert answer.status_code == 200, answer.text
    for _ in range(100):
        if learned(server.store):
            break
        time.sleep(0.05)
    assert learned(server.store) == 1
