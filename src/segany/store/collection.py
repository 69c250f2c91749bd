"""What a collection is as a whole: its values, its policy, its categories, its model cards."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from segany.errors import ConfigError, ConflictError, NotInStoreError
from segany.schema import ModelCard, ModelStatus
from segany.store._reading import is_there
from segany.store._rows import checked_text, to_json
from segany.store.database import Database, Writing
from segany.store.events import event_row
from segany.store.ingest import Policy
from segany.store.models import AnnotationRow, CategoryRow, EventRow, ModelCardRow, ValueRow

__all__ = ["CategoryInfo", "Collection", "ModelCards"]


@dataclass(frozen=True)
class CategoryInfo:
    """A class name that the collection knows.

    Attributes:
        name: The name, which annotations carry.
        supercategory: What it is a kind of, or None.
        color: As "#rrggbb", or None.
        position: Where it stands in a list; equal ones by name.
    """

    name: str
    supercategory: str | None = None
    color: str | None = None
    position: int = 0


class Collection:
    """Settings of one store."""

    def __init__(self, database: Database) -> None:
        """Of a store's database."""
        self._database = database

    def value(self, key: str, default: Any = None) -> Any:
        """A value that was kept with the collection, in JSON values.

        Args:
            key: Its name: "engine.chooser".
            default: For one that was never set.
        """
        return self.value_with_revision(key, default)[0]

    def value_with_revision(self, key: str, default: Any = None) -> tuple[Any, int]:
        """A value and the revision that set it, 0 for one that was never set."""
        with self._database.read() as connection:
            row = connection.execute(select(ValueRow).where(ValueRow.key == key)).first()
        return (default, 0) if row is None else (json.loads(row.value), row.revision)

    def set_value(self, key: str, value: Any, *, actor: str, expected: int | None = None) -> int:
        """Keep a value with the collection; the change is an event.

        Args:
            key: Its name; a point separates the part that it belongs to.
            value: JSON values.
            actor: Who sets it.
            expected: Refuse if it was set since this revision (0: if it was ever set).

        Returns:
            The revision of the value.

        Raises:
            ConflictError: It was set meanwhile.
            RecordError: The value is no JSON.
        """
        text = to_json(value, f"the value {key}")
        with self._database.write() as writing:
            found = writing.connection.execute(select(ValueRow).where(ValueRow.key == key)).first()
            revision = 0 if found is None else found.revision
            if expected is not None and expected != revision:
                raise ConflictError(f"the value {key} was set meanwhile; read it, and decide anew.", revision)
            put_value(writing, key, text, is_there=found is not None)
            said = event_row(writing, actor, "collection.value", None, {"key": key, "value": value})
            writing.connection.execute(insert(EventRow).values(said))
            return writing.revision

    @property
    def policy(self) -> Policy:
        """What is asked of every image."""
        return Policy(tuple(self.value("policy", {"steps": []})["steps"]))

    def set_policy(self, policy: Policy, *, actor: str) -> None:
        """Change the policy; images that are in the store already are not looked at again.

        Args:
            policy: The new one.
            actor: Who decides so.

        Raises:
            ConfigError: A step is named twice, or by an empty name.
        """
        if len(set(policy.steps)) < len(policy.steps) or not all(name.strip() for name in policy.steps):
            raise ConfigError(f"a policy names each ingest step once, got {list(policy.steps)}.")
        self.set_value("policy", {"steps": list(policy.steps)}, actor=actor)

    def categories(self) -> list[CategoryInfo]:
        """The class names, in their order."""
        with self._database.read() as connection:
            rows = connection.execute(select(CategoryRow).order_by(CategoryRow.position, CategoryRow.name)).all()
        return [CategoryInfo(row.name, row.supercategory, row.color, row.position) for row in rows]

    def put_category(self, category: CategoryInfo, *, actor: str) -> None:
        """Add a class name, or change what is said of it.

        Args:
            category: Its name decides which.
            actor: Who does.
        """
        if not category.name.strip():
            raise ConfigError("a category needs a name, got an empty one.")
        values = {
            "name": checked_text(category.name, "a category's name"),
            "supercategory": checked_text(category.supercategory, "a supercategory"),
            "color": checked_text(category.color, "a color"),
            "position": category.position,
        }
        with self._database.write() as writing:
            found = writing.connection.execute(select(CategoryRow).where(CategoryRow.name == category.name)).first()
            change = (
                insert(CategoryRow) if found is None else update(CategoryRow).where(CategoryRow.name == category.name)
            )
            writing.connection.execute(change.values(values))
            said = event_row(writing, actor, "collection.category", None, values)
            writing.connection.execute(insert(EventRow).values(said))

    def remove_category(self, name: str, *, actor: str) -> None:
        """Forget a class name that no annotation has.

        Raises:
            ConfigError: Annotations have it; give them another one first.
            NotInStoreError: There is none.
        """
        with self._database.write() as writing:
            used = (
                select(AnnotationRow.id).where(AnnotationRow.category == name, is_there(AnnotationRow, None)).limit(1)
            )
            if writing.connection.execute(used).first() is not None:
                raise ConfigError(f"annotations are of the category {name!r}; give them another one first.")
            deleted = writing.connection.execute(delete(CategoryRow).where(CategoryRow.name == name))
            if deleted.rowcount == 0:
                raise NotInStoreError(f"the collection has no category {name!r}.")
            said = event_row(writing, actor, "collection.category", None, {"removed": name})
            writing.connection.execute(insert(EventRow).values(said))


def put_value(writing: Writing, key: str, text: str, *, is_there: bool) -> None:
    """Write a value's row."""
    values = {"key": checked_text(key, "a value's key"), "value": text, "revision": writing.revision}
    change = update(ValueRow).where(ValueRow.key == key) if is_there else insert(ValueRow)
    writing.connection.execute(change.values(values))


class ModelCards:
    """The model cards of one store."""

    def __init__(self, database: Database) -> None:
        """Of a store's database."""
        self._database = database

    def add(self, card: ModelCard, *, actor: str) -> None:
        """Keep a card; one of the same digest is replaced.

        Args:
            card: The card.
            actor: Who made the model.

        Raises:
            RecordError: Its config or scores are no JSON.
        """
        values = {
            "digest": checked_text(card.digest, "a model's digest"),
            "name": checked_text(card.name, "a model's name"),
            "status": card.status,
            "parent": checked_text(card.parent, "a parent's digest"),
            "trained_on": checked_text(card.trained_on, "trained_on"),
            "licence": checked_text(card.licence, "a licence"),
            "config": to_json(dict(card.config), "a model's config"),
            "scores": to_json(dict(card.scores), "a model's scores"),
        }
        with self._database.write() as writing:
            there = _card_row(writing.connection, card.digest) is not None
            change = update(ModelCardRow).where(ModelCardRow.digest == card.digest) if there else insert(ModelCardRow)
            writing.connection.execute(change.values(**values, at=writing.at))
            said = {"digest": card.digest, "name": card.name, "status": card.status}
            writing.connection.execute(insert(EventRow).values(event_row(writing, actor, "model.added", None, said)))

    def get(self, digest: str) -> ModelCard:
        """A card. Raises NotInStoreError."""
        with self._database.read() as connection:
            row = _card_row(connection, digest)
        if row is None:
            raise NotInStoreError(f"the store has no model {digest!r}.")
        return _card(row)

    def list(self, *, status: ModelStatus | None = None) -> Sequence[ModelCard]:
        """Cards, the newest first.

        Args:
            status: Only of this one.
        """
        asked = select(ModelCardRow).order_by(ModelCardRow.at.desc(), ModelCardRow.digest)
        if status is not None:
            asked = asked.where(ModelCardRow.status == status)
        with self._database.read() as connection:
            return [_card(row) for row in connection.execute(asked)]

    @property
    def promoted(self) -> ModelCard | None:
        """The model in use, or None."""
        cards = self.list(status="promoted")
        return cards[0] if cards else None

    def promote(self, digest: str, *, actor: str, why: Mapping[str, Any]) -> ModelCard:
        """Make a model the one in use; the one before is retired. Also rolls back: promote the former one again.

        Args:
            digest: Of a model whose card is here.
            actor: Who decides.
            why: The decision's grounds, JSON values.

        Raises:
            NotInStoreError: There is no such card.
        """
        with self._database.write() as writing:
            connection = writing.connection
            if _card_row(connection, digest) is None:
                raise NotInStoreError(f"the store has no model {digest!r}.")
            before = (
                connection.execute(select(ModelCardRow.digest).where(ModelCardRow.status == "promoted")).scalars().all()
            )
            connection.execute(
                update(ModelCardRow).where(ModelCardRow.status == "promoted").values(status="retired", at=writing.at)
            )
            chosen = update(ModelCardRow).where(ModelCardRow.digest == digest)
            connection.execute(chosen.values(status="promoted", at=writing.at))
            said = {"digest": digest, "retired": [each for each in before if each != digest], "why": dict(why)}
            connection.execute(insert(EventRow).values(event_row(writing, actor, "model.promoted", None, said)))
        return self.get(digest)


def _card_row(connection: Connection, digest: str) -> Any:
    return connection.execute(select(ModelCardRow).where(ModelCardRow.digest == digest)).first()


def _card(row: Any) -> ModelCard:
    return ModelCard(
        name=row.name,
        digest=row.digest,
        config=json.loads(row.config),
        parent=row.parent,
        trained_on=row.trained_on,
        scores=json.loads(row.scores),
        licence=row.licence,
        status=row.status,
    )
