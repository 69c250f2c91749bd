"""What is killed: one action on a store, run as a program of its own by test_crash.py.

    python victim.py ACTION LOCATION FOLDER [FORMAT]

Prints "ready" when it is about to begin, and a line for whatever it has been told is done.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

from segany.formats import Options, Target, convert, plan_conversion
from segany.schema import Annotation
from segany.store import Store, adding
from segany.store.source import StoreRecords


def add(store: Store, folder: Path) -> None:
    store.add([folder / "photos", folder / "records"], actor="victim")


def freeze(store: Store, folder: Path) -> None:
    for number in range(20):
        store.versions.freeze(f"v{number}", actor="victim")
        print(number, flush=True)


def edit(store: Store, folder: Path) -> None:
    """Twenty edits: each adds one mask, changes the first one and removes what the edit before it added."""
    done = {event.key for event in store.events.list(kind="record.edited")}
    for number in range(20):
        if f"edit-{number}" in done:
            continue
        stored = store.records.get(1)
        first = stored.record.annotations[0].segmentation
        masks = [each.segmentation for each in stored.record.annotations]
        put = [
            Annotation(f"new-{number}", masks[number % len(masks)], annotator="victim"),
            Annotation(1, first, category=f"edit {number}", source="manual"),
        ]
        remove = [f"new-{number - 1}"] if number else []
        store.records.save(1, put=put, remove=remove, expected=stored.revision, actor="victim", key=f"edit-{number}")
        print(number, flush=True)


def convert_all(store: Store, folder: Path, *, to: str) -> None:
    source = StoreRecords(store)
    plan = plan_conversion(source, Options(cast("Target", to), categories=source.categories))
    convert(source, folder.with_name("converted"), plan)
    print("done", flush=True)


if __name__ == "__main__":
    action, location, folder, *rest = sys.argv[1:]
    adding._BATCH_RECORDS = 3
    actions: dict[str, Callable[[Store, Path], None]]
    actions = {"add": add, "freeze": freeze, "edit": edit, "convert": partial(convert_all, to="".join(rest))}
    with Store(location, steps={}) as opened:
        print("ready", flush=True)
        actions[action](opened, Path(folder))
