"""No path into the store goes round the ingest steps."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segany.errors import ConfigError, PolicyError
from segany.schema import Image
from segany.sources import open_image
from segany.store import Decision, Incoming, Policy, Store, create_store
from segany.store.ingest import apply_steps


class Step:
    """Does what it is told, and remembers what it saw."""

    def __init__(self, name: str, decide: Any) -> None:
        self.name, self._decide, self.seen = name, decide, []  # type: ignore[var-annotated]  # any images

    def apply(self, image: Image) -> Decision:
        self.seen.append(image)
        decision: Decision = self._decide(image)
        return decision


def blur(image: Image) -> Decision:
    pixels = image.pixels.copy()
    pixels[:4, :4] = 0
    return Decision("altered", replace(image, pixels=pixels), {"boxes": [[0, 0, 4, 4]]})


def refuse(image: Image) -> Decision:
    return Decision("refused", details={"reason": "unsafe"})


def keep(image: Image) -> Decision:
    return Decision("kept")


def opened(tmp_path: Path, open_at: Any, steps: list[Step], policy: tuple[str, ...]) -> Store:
    create_store(tmp_path / "store")
    store: Store = open_at(tmp_path / "store", {step.name: step for step in steps})
    store.collection.set_policy(Policy(policy), actor="owner")
    return store


def test_steps_run_in_the_policys_order(tmp_path: Path, open_at: Any, samples: Any) -> None:
    steps = [Step("look", keep), Step("blur", blur), Step("unused", refuse)]
    store = opened(tmp_path, open_at, steps, ("blur", "look"))
    photo = samples.photo(tmp_path / "a.png", 1)
    (record_id,) = store.add(photo, actor="ann").record_ids
    assert steps[2].seen == []
    assert (steps[0].seen[0].pixels[:4, :4] == 0).all()
    stored = store.records.get(record_id)
    assert stored.altered
    pixels = store.image(record_id).pixels
    assert (pixels[:4, :4] == 0).all()
    assert np.array_equal(pixels[4:], samples.pixels(1)[4:])
    # Both digests: the file as it came, which is not kept, and the pixels that are.
    original = open_image(photo).info
    assert stored.record.image.source_digest == original.source_digest
    assert stored.record.image.digest != original.digest
    assert photo.read_bytes() not in [path.read_bytes() for path in (tmp_path / "store").rglob("*.png")]
    decisions = [(event.kind, event.details["verdict"]) for event in store.events.list(kind="ingest.")]
    assert decisions == [("ingest.blur", "altered"), ("ingest.look", "kept")]
    assert store.add(photo, actor="ann").known == 1
    assert not store.check().findings


def test_every_way_in(tmp_path: Path, open_at: Any, samples: Any) -> None:
    step = Step("blur", blur)
    store = opened(tmp_path, open_at, [step], ("blur",))
    image = open_image(samples.photo(tmp_path / "a.png", 1))
    photo = samples.photo(tmp_path / "photo-2.png", 2)
    ways = [
        Incoming(image=image),
        Incoming(samples.record(2), photo),
        Incoming(samples.record(3), lambda: open_image(samples.pixels(3))),
        Incoming(samples.record(4)),
    ]
    report = store.add_records(ways, actor="ann")
    assert (report.records, report.altered, report.without_pixels) == (4, 3, 1)
    assert len(step.seen) == 3


def test_refused_images_stay_out(tmp_path: Path, open_at: Any, samples: Any) -> None:
    store = opened(tmp_path, open_at, [Step("safe", refuse)], ("safe",))
    report = store.add(samples.photo(tmp_path / "a.png", 1), actor="ann")
    assert (report.records, report.refused) == (0, 1)
    assert not list((tmp_path / "store").rglob("*.png"))
    (event,) = store.events.list(kind="ingest.safe")
    assert event.details["details"] == {"reason": "unsafe"}


def test_a_step_that_nobody_supplies_stops_everything(tmp_path: Path, open_at: Any, samples: Any) -> None:
    store = opened(tmp_path, open_at, [Step("look", keep)], ("look", "privacy"))
    photo, message = samples.photo(tmp_path / "a.png", 1), r"asks for the ingest step 'privacy', .* \(supplied: look\)"
    with pytest.raises(PolicyError, match=message):
        store.add(photo, actor="ann")
    with pytest.raises(PolicyError, match=message):
        store.add_records([Incoming(samples.record(1))], actor="ann")
    assert store.records.ids() == []


def test_the_policy_is_in_the_database(tmp_path: Path, open_at: Any) -> None:
    opened(tmp_path, open_at, [], ("privacy",)).close()
    again = open_at(tmp_path / "store")
    assert again.collection.policy == Policy(("privacy",))
    (event,) = again.events.list(kind="collection.value")
    assert (event.actor, event.details["value"]) == ("owner", {"steps": ["privacy"]})


def test_a_step_must_keep_the_size(samples: Any) -> None:
    def crop(image: Image) -> Decision:
        return Decision("altered", open_image(image.pixels[:5]))

    with pytest.raises(PolicyError, match=r"the ingest step 'crop' made 5x32 .* of 24x32"):
        apply_steps(open_image(samples.pixels(1)), [Step("crop", crop)])


def test_decisions_that_are_none(samples: Any) -> None:
    with pytest.raises(ConfigError, match="exactly when it altered it"):
        Decision("altered")
    with pytest.raises(ConfigError, match="exactly when it altered it"):
        Decision("kept", open_image(samples.pixels(1)))
    with pytest.raises(ConfigError, match="must be kept, altered or refused, got 'maybe'"):
        Decision("maybe")  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("steps", [("a", "a"), ("",)])
def test_policies_that_are_none(embedded: Store, steps: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="names each ingest step once"):
        embedded.collection.set_policy(Policy(steps), actor="ann")
