"""Values, categories and model cards."""

from typing import Any

import pytest

from segany.errors import ConfigError, ConflictError, NotInStoreError, RecordError
from segany.schema import ModelCard
from segany.store import CategoryInfo, Store


def test_values(store: Store) -> None:
    assert store.collection.value("engine.chooser", {"off": True}) == {"off": True}
    revision = store.collection.set_value("engine.chooser", {"bias": [0.1, 0.2]}, actor="ann", expected=0)
    assert store.collection.value_with_revision("engine.chooser") == ({"bias": [0.1, 0.2]}, revision)
    later = store.collection.set_value("engine.chooser", None, actor="ann", expected=revision)
    with pytest.raises(ConflictError, match=r"the value engine\.chooser was set meanwhile") as error:
        store.collection.set_value("engine.chooser", 1, actor="bob", expected=revision)
    assert error.value.current == later
    with pytest.raises(RecordError, match="cannot be kept as JSON"):
        store.collection.set_value("x", object(), actor="ann")


def test_categories_come_with_annotations(store: Store, samples: Any) -> None:
    (record_id,) = store.add_records(samples.incoming(1), actor="ann").record_ids
    stored = store.records.get(record_id)
    store.collection.put_category(CategoryInfo("leaf", "plant", "#00ff00", 2), actor="ann")
    store.collection.put_category(CategoryInfo("root", position=1), actor="ann")
    store.collection.put_category(CategoryInfo("leaf", "plant", "#00aa00", 2), actor="ann")
    assert store.collection.categories() == [
        CategoryInfo("root", position=1),
        CategoryInfo("leaf", "plant", "#00aa00", 2),
    ]
    put = [samples.annotation(1, category="leaf")]
    store.records.save(record_id, put=put, expected=stored.revision, actor="ann")
    with pytest.raises(ConfigError, match="annotations are of the category 'leaf'"):
        store.collection.remove_category("leaf", actor="ann")
    store.collection.remove_category("root", actor="ann")
    with pytest.raises(NotInStoreError, match="no category 'root'"):
        store.collection.remove_category("root", actor="ann")
    with pytest.raises(ConfigError, match="a category needs a name"):
        store.collection.put_category(CategoryInfo(" "), actor="ann")


def test_cards_promotion_and_rolling_back(store: Store) -> None:
    assert store.models.promoted is None
    first = ModelCard(
        "a", "d1", {"encoder": "tiny"}, trained_on="v1", scores={"clicks.miou": 0.5}, licence="Apache-2.0"
    )
    second = ModelCard("b", "d2", {}, parent="d1")
    for card in (first, second):
        store.models.add(card, actor="ann")
    assert store.models.get("d1") == first
    store.models.promote("d1", actor="engine", why={"first": True})
    store.models.promote("d2", actor="engine", why={"gain": [0.01, 0.05]})
    assert (store.models.get("d1").status, store.models.get("d2").status) == ("retired", "promoted")
    back = store.models.promote("d1", actor="ann", why={"rolled back": "d2 misses roots"})
    assert back == store.models.promoted
    assert [card.digest for card in store.models.list(status="retired")] == ["d2"]
    assert len(store.models.list()) == 2
    promotions = [(event.actor, event.details["digest"]) for event in store.events.list(kind="model.promoted")]
    assert promotions == [("engine", "d1"), ("engine", "d2"), ("ann", "d1")]
    for work in (lambda: store.models.get("d9"), lambda: store.models.promote("d9", actor="ann", why={})):
        with pytest.raises(NotInStoreError, match="no model 'd9'"):
            work()
