"""Splits: train, val and test, such that images that belong together are on one side."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from segany.errors import ConfigError
from segany.store._reading import is_there
from segany.store._rows import checked_text
from segany.store.database import Database, Writing
from segany.store.events import event_row
from segany.store.models import EventRow, ImageRow, SplitRow

__all__ = ["SplitReport", "Splits"]

DEFAULT_FRACTIONS: Mapping[str, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
_MAX_IN = 500


@dataclass(frozen=True)
class SplitReport:
    """What an assignment did.

    Attributes:
        assigned: Split -> records that got it now.
        total: Split -> records that are in it.
        groups: Number of groups that were kept together.
        moved: Records that had to change sides, because images of two splits turned out to belong together.
    """

    assigned: Mapping[str, int]
    total: Mapping[str, int]
    groups: int
    moved: int


class Splits:
    """The splits of one store."""

    def __init__(self, database: Database) -> None:
        """Of a store's database."""
        self._database = database

    def assign(self, fractions: Mapping[str, float] | None = None, *, actor: str, seed: int = 0) -> SplitReport:
        """Give every record that has none a split; those that have one keep it.

        Images of one `group`, and near-duplicates, get one split. Groups are taken in an order that their images'
        names and the seed decide, not the order of adding, and each goes to the split that lacks most. Where images
        of two splits turn out to belong together, because of an image that came later, all of them go to the first
        split of `fractions`: a test set may shrink, but it never leaks.

        Args:
            fractions: Split -> share of the records; 80 % train, 10 % val and 10 % test when left out.
            actor: Who does.
            seed: For another draw.

        Raises:
            ConfigError: The shares are not positive or do not sum to 1.
        """
        shares = dict(DEFAULT_FRACTIONS if fractions is None else fractions)
        _check(shares)
        with self._database.write() as writing:
            groups = _groups(writing.connection)
            now = _present(writing.connection)
            wanted = _wanted(groups, now, shares, seed)
            moved = sum(each in now for each in wanted)
            _write(writing, wanted)
            said = {"shares": shares, "seed": seed, "records": len(wanted), "moved": moved}
            writing.connection.execute(
                insert(EventRow).values(event_row(writing, actor, "splits.assigned", None, said))
            )
        return SplitReport(_counted(wanted.values()), _counted({**now, **wanted}.values()), len(groups), moved)

    def set(self, splits: Mapping[int, str], *, actor: str) -> None:
        """Give records the splits that a data set came with; groups are not looked at.

        Args:
            splits: Record -> split.
            actor: Who does.
        """
        for name in set(splits.values()):
            checked_text(name, "a split's name")
        with self._database.write() as writing:
            now = _present(writing.connection)
            _write(writing, {each: split for each, split in splits.items() if now.get(each) != split})
            said = event_row(writing, actor, "splits.set", None, {"records": len(splits)})
            writing.connection.execute(insert(EventRow).values(said))

    def straddling(self) -> list[tuple[int, ...]]:
        """Groups of records that belong together and are in more than one split; `assign` mends them."""
        with self._database.read() as connection:
            groups, now = _groups(connection), _present(connection)
        ids = [tuple(each for each, _ in members) for members in groups]
        return [members for members in ids if len({now.get(each) for each in members} - {None}) > 1]


def _check(shares: Mapping[str, float]) -> None:
    if not shares or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise ConfigError(f"the shares of the splits must be above 0 and sum to 1, got {dict(shares)}.")
    for name in shares:
        checked_text(name, "a split's name")


def _groups(connection: Connection) -> list[list[tuple[int, bytes]]]:
    """Records that belong together, each with what it is drawn by."""
    asked = select(ImageRow.id, ImageRow.group_name, ImageRow.near_group, ImageRow.origin_key)
    above: dict[object, object] = {}

    def root(node: object) -> object:
        while (parent := above.setdefault(node, node)) != node:
            above[node] = above.get(parent, parent)
            node = parent
        return node

    rows = connection.execute(asked.where(is_there(ImageRow, None)).order_by(ImageRow.id)).all()
    for row in rows:
        if row.group_name is not None:
            above[root(("group", row.group_name))] = root(row.near_group)
    members: dict[object, list[tuple[int, bytes]]] = {}
    for row in rows:
        members.setdefault(root(row.near_group), []).append((row.id, row.origin_key))
    return list(members.values())


def _wanted(
    groups: Sequence[Sequence[tuple[int, bytes]]], now: Mapping[int, str], shares: Mapping[str, float], seed: int
) -> dict[int, str]:
    """Record -> split, of those that get another one."""
    first = next(iter(shares))
    wanted: dict[int, str] = {}
    counts = dict.fromkeys(shares, 0)
    open_groups = []
    for members in groups:
        splits = {now[each] for each, _ in members if each in now}
        if not splits:
            open_groups.append(members)
            continue
        chosen = splits.pop() if len(splits) == 1 else first
        wanted.update({each: chosen for each, _ in members if now.get(each) != chosen})
        counts[chosen] = counts.get(chosen, 0) + len(members)
    total = sum(len(members) for members in groups)
    salt = str(seed).encode()
    open_groups.sort(key=lambda members: hashlib.sha256(salt + min(key for _, key in members)).digest())
    for members in open_groups:
        chosen = max(shares, key=lambda name: shares[name] * total - counts[name])
        wanted.update({each: chosen for each, _ in members})
        counts[chosen] += len(members)
    return wanted


def _present(connection: Connection) -> dict[int, str]:
    rows = connection.execute(select(SplitRow.image_id, SplitRow.split).where(is_there(SplitRow, None)))
    return {row.image_id: row.split for row in rows}


def _write(writing: Writing, splits: Mapping[int, str]) -> None:
    ids = list(splits)
    for start in range(0, len(ids), _MAX_IN):
        live = (SplitRow.image_id.in_(ids[start : start + _MAX_IN]), is_there(SplitRow, None))
        writing.connection.execute(update(SplitRow).where(*live).values(until=writing.revision))
    rows = [
        {"image_id": each, "split": split, "since": writing.revision, "until": None} for each, split in splits.items()
    ]
    writing.insert(SplitRow, rows)


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts
