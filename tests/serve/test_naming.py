"""Names are learned from what people name, when they pause, and suggested over HTTP."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segany.engine.models import CLASSES, class_names
from segany.errors import BusyError
from segany.geometry import Size
from segany.masks import RLE
from segany.predict import Predictor
from segany.predict.backends.base import Features
from segany.predict.backends.fake import FakeBackend
from segany.schema import Annotation
from segany.serve._images import StoredImage
from segany.serve._naming import Names
from segany.serve._pools import WorkPool
from segany.store import Store

API = "/api/v1"
SIZE = Size(60, 80)


class Quarters:
    """Features of an image: each quarter its own."""

    def to_numpy(self) -> Mapping[str, NDArray[Any]]:
        cells = np.zeros((1, 4, 64, 64), dtype=np.float32)
        # The photos are 80x60; so wide and high is the part of the model's input that they fill.
        cells[0, 0, :24, :32], cells[0, 1, :24, 32:] = 1, 1
        cells[0, 2, 24:, :32], cells[0, 3, 24:, 32:] = 1, 1
        return {"embedding": cells}


class Seeing(FakeBackend):
    """With features that tell quarters apart."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded = 0

    def encode(self, images: Sequence[Any]) -> list[Features]:
        self.encoded += len(images)
        return [Quarters() for _ in images]


def quarter(number: int, side: int = 10) -> RLE:
    bits = np.zeros(SIZE, dtype=np.bool_)
    y, x = (5, 35)[number // 2], (5, 45)[number % 2]
    bits[y : y + side, x : x + side] = True
    return RLE.from_mask(bits)


def words(number: int, side: int = 10) -> dict[str, Any]:
    rle = quarter(number, side)
    return {"size": list(SIZE), "counts": rle.counts.decode()}


def named(name: str | int, number: int, category: str | None, **other: Any) -> Annotation:
    return Annotation(name, quarter(number), category=category, **{"source": "manual", **other})


class Known:
    """Embeddings of a store's images, without a server: those of `there`."""

    def __init__(self, store: Store, predictor: Predictor) -> None:
        self.store, self.predictor = store, predictor
        self.there = {1, 2, 3}
        self.asked: list[int] = []

    def state(self, image: StoredImage) -> Any:
        self.asked.append(image.record_id)
        found = self.predictor.embed(self.store.image(image.record_id)) if image.record_id in self.there else None
        return ("ready" if found else "missing"), 0, found


class Learner:
    """Names over a store of three photos, and a clock that is set by hand."""

    def __init__(self, store: Store, **changes: Any) -> None:
        self.store, self.now = store, 0.0
        self.backend = Seeing()
        self.predictor = Predictor(backend=self.backend)
        self.known = Known(store, self.predictor)
        self.names = Names(
            store,
            self.predictor,
            self.known,  # type: ignore[arg-type]  # what is used of it
            None,
            working=changes.get("working", WorkPool("names", 1, 9)),
            reading=WorkPool("the store", 1, 9),
            after_seconds=3.0,
            clock=lambda: self.now,
        )

    def put(self, record: int, *put: Annotation, remove: Sequence[int | str] = ()) -> None:
        revision = self.store.records.get(record).revision
        self.names.saw(
            self.store.records.save(record, expected=revision, actor="ann", put=list(put), remove=list(remove))
        )

    def best(self, number: int) -> str | None:
        found = self.names.suggest(self.predictor.embed(self.store.image(1)), quarter(number))
        return found[0].name if found else None

    def learn(self) -> Any:
        return asyncio.run(self.names.learn())


@pytest.fixture
def learner(store: Store, folder: Any) -> Learner:
    return Learner(store)


def test_names_are_known_from_the_second_on_and_follow_corrections(learner: Learner) -> None:
    learner.put(1, named("a", 0, "cup"))
    learner.learn()
    assert learner.best(0) is None
    learner.put(1, named("b", 1, "plate"))
    learner.learn()
    assert (learner.best(0), learner.best(1)) == ("cup", "plate")
    learner.put(1, named("a", 0, "mug"))
    learner.put(2, named("c", 3, "fork"))
    learner.learn()
    assert [learner.best(number) for number in (0, 1, 3)] == ["mug", "plate", "fork"]
    learner.put(1, remove=["a", "b"])
    learner.learn()
    assert learner.names.learned is None


def test_what_is_in_doubt_and_what_nobody_saw_teaches_nothing(learner: Learner) -> None:
    learner.put(1, named("a", 0, "cup"), named("b", 1, "plate"), named("c", 2, None))
    learner.put(2, named("d", 2, "guess", source="automatic"), named("e", 3, "wrong", review_state="rejected"))
    learner.put(3, named("f", 3, "spoon", source="automatic", annotator="ann"))
    assert learner.learn().names == ("cup", "plate", "spoon")


def test_only_what_changed_is_read_again_and_nothing_is_embedded(learner: Learner) -> None:
    learner.known.there = {1}
    learner.put(1, named("a", 0, "cup"), named("b", 1, "plate"))
    learner.put(2, named("c", 2, "fork"))
    first = learner.learn()
    assert first.names == ("cup", "plate")
    encoded = learner.backend.encoded
    assert learner.learn() is first
    assert learner.backend.encoded == encoded
    # Now the image was opened, and its embedding is there.
    learner.known.there = {1, 2}
    assert learner.learn().names == ("cup", "fork", "plate")


def test_it_waits_for_a_pause_but_not_for_ever(learner: Learner) -> None:
    due = []
    for now in (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0):
        learner.now = now
        due.append(learner.names._is_due())
        learner.put(1, named("a", int(now) % 4, "cup"))
    assert due == [False] * 8 + [True]
    learner.learn()
    assert not learner.names._is_due()
    learner.put(1, named("b", 1, "plate"))
    learner.now += 2.9
    assert not learner.names._is_due()
    learner.now += 0.2
    assert learner.names._is_due()


def test_what_was_learned_is_kept_now_and_then_and_at_the_end(learner: Learner) -> None:
    learner.put(1, named("a", 0, "cup"), named("b", 1, "plate"))
    learner.learn()
    kept = class_names(learner.store)
    assert kept is not None
    assert kept.names == ("cup", "plate")
    learner.put(1, named("c", 2, "fork"))
    learner.now = 500.0
    learner.learn()
    # Every value stays in the audit log: not with every mask.
    assert len(list(learner.store.events.list(kind="collection.value"))) == 1
    asyncio.run(learner.names.close())
    again = Learner(learner.store)
    asyncio.run(again.names._begin())
    assert again.names.learned is not None
    assert again.names.learned.names == ("cup", "fork", "plate")
    assert not again.names._is_due()


@pytest.mark.parametrize("kept", [{"format": "segany-class-names-0"}, "another encoder"])
def test_what_is_kept_of_another_version_or_encoder_is_learned_anew(learner: Learner, kept: Any) -> None:
    learner.put(1, named("a", 0, "cup"), named("b", 1, "plate"))
    if isinstance(kept, str):
        kept = {**learner.learn().to_dict(), "encoder_digest": "e" * 64}
    learner.store.collection.set_value(CLASSES, kept, actor="ann")
    again = Learner(learner.store)
    asyncio.run(again.names._begin())
    assert again.names.learned is None
    again.now = 4.0
    assert again.names._is_due()
    assert again.learn().names == ("cup", "plate")


def test_who_is_sent_away_comes_again(store: Store, folder: Any) -> None:
    class Full(WorkPool):
        async def run(self, work: Any, *args: Any, **kwargs: Any) -> Any:
            raise BusyError("too much is waiting for names; try again later.", 1.0)

    learner = Learner(store, working=Full("names", 1, 1))
    learner.put(1, named("a", 0, "cup"))
    learner.now = 9.0

    async def work() -> None:
        running = asyncio.create_task(learner.names.run())
        await asyncio.sleep(1.3)
        running.cancel()

    asyncio.run(work())
    assert not learner.names._is_due()
    learner.now = 13.0
    assert learner.names._is_due()


def test_what_was_looked_at_before_a_failure_is_learned_after_it(learner: Learner) -> None:
    learner.put(1, named("a", 0, "cup"), named("b", 1, "plate"))
    learner.learn()
    learner.put(2, named("c", 2, "fork"))
    learner.put(3, named("d", 3, "knife"))
    state = learner.known.state
    learner.known.state = lambda image: state(image) if image.record_id != 2 else 1 / 0  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        learner.learn()
    learner.known.state = state  # type: ignore[method-assign]
    assert learner.learn().names == ("cup", "fork", "knife", "plate")


def test_a_record_that_is_removed_meanwhile_is_passed_over(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    learner.put(1, named("a", 0, "cup"), named("b", 1, "plate"))
    rows = learner.store.records.named(limit=9)
    monkeypatch.setattr(learner.store.records, "named", lambda limit: [(99, 1), *rows])
    assert learner.learn().names == ("cup", "plate")


# Over HTTP


def put(client: Any, record: int, *edits: tuple[str, int, str | None]) -> None:
    revision = client.get(f"{API}/records/{record}").json()["revision"]
    told = [{"id": name, "mask": words(number), "category": category} for name, number, category in edits]
    edit = {"expected": revision, "key": f"edit-{revision}-{edits[0][0]}", "put": told}
    answer = client.post(f"{API}/records/{record}/edits", json=edit)
    assert answer.status_code == 200, answer.text


def suggested(client: Any, record: int, number: int) -> list[dict[str, Any]]:
    answer = client.post(f"{API}/records/{record}/names", json={"mask": words(number, 6)})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["names"])


def until(client: Any, record: int, number: int, name: str) -> list[dict[str, Any]]:
    for _ in range(100):
        found = suggested(client, record, number)
        if found and found[0]["name"] == name:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{name} is not suggested: {found}")


def test_what_was_named_is_suggested_on_the_next_image(server: Any, make_photo: Any) -> None:
    client = server.start(Seeing(), learn_names_after_seconds=0.05)
    one, two = server.upload(client), server.upload(client, make_photo(1), "other.png")
    assert suggested(client, one, 0) == []
    client.post(f"{API}/records/{one}/embedding")
    put(client, one, ("a", 0, "cup"), ("b", 1, "plate"), ("c", 2, "fork"), ("d", 3, "knife"))
    found = until(client, two, 0, "cup")
    assert len(found) == 3
    assert found[0]["confidence"] > found[1]["confidence"] >= found[2]["confidence"] >= 0
    # A restored record and a rejected mask teach, too.
    revision = client.get(f"{API}/records/{one}").json()["revision"]
    put(client, one, ("a", 0, "mug"))
    until(client, two, 0, "mug")
    now = client.get(f"{API}/records/{one}").json()["revision"]
    assert client.post(f"{API}/records/{one}/restore", json={"expected": now, "revision": revision}).status_code == 200
    until(client, two, 0, "cup")
    now = client.get(f"{API}/records/{one}").json()["revision"]
    rejected = {"expected": now, "steps": [{"id": "a", "action": "reject"}]}
    assert client.post(f"{API}/records/{one}/review", json=rejected).status_code == 200
    for _ in range(100):
        if all(each["name"] != "cup" for each in suggested(client, two, 0)):
            return
        time.sleep(0.05)
    raise AssertionError("a rejected mask teaches still")


def test_a_mask_that_is_none_is_refused_and_an_empty_one_has_no_name(server: Any, make_mask: Any) -> None:
    client = server.start(Seeing(), learn_names_after_seconds=0.05)
    record = server.upload(client)
    other = client.post(f"{API}/records/{record}/names", json={"mask": make_mask(width=81)})
    assert (other.status_code, other.json()["code"]) == (422, "mask")
    assert other.json()["message"] == (
        "the mask is 60x81 (height x width) but the image is 60x80 (height x width); send one of the image's size."
    )
    broken = client.post(f"{API}/records/{record}/names", json={"mask": {"size": [60, 80], "counts": "~~"}})
    assert (broken.status_code, broken.json()["code"]) == (422, "mask")
    missing = client.post(f"{API}/records/99/names", json={"mask": make_mask()})
    assert missing.status_code == 404
    client.post(f"{API}/records/{record}/embedding")
    put(client, record, ("a", 0, "cup"), ("b", 1, "plate"))
    until(client, record, 0, "cup")
    by_name = client.post(f"{API}/records/{record}/names", json={"annotation": "b"})
    assert by_name.json()["names"][0]["name"] == "plate"
    for body in ({}, {"annotation": "b", "mask": make_mask()}):
        neither = client.post(f"{API}/records/{record}/names", json=body)
        assert neither.status_code == 422
        assert "name a mask or an annotation, one of the two" in neither.json()["message"]
    absent = client.post(f"{API}/records/{record}/names", json={"annotation": "z"})
    assert (absent.status_code, absent.json()["message"]) == (404, f"record {record} has no annotation 'z'.")
    empty = RLE.from_mask(np.zeros(SIZE, dtype=np.bool_))
    mask = {"size": [60, 80], "counts": empty.counts.decode()}
    assert client.post(f"{API}/records/{record}/names", json={"mask": mask}).json() == {"names": []}


def test_a_model_without_such_features_suggests_nothing(server: Any, make_mask: Any) -> None:
    client = server.start(learn_names_after_seconds=0.05)
    record = server.upload(client)
    client.post(f"{API}/records/{record}/embedding")
    put(client, record, ("a", 0, "cup"), ("b", 1, "plate"))
    time.sleep(0.3)
    assert suggested(client, record, 0) == []
