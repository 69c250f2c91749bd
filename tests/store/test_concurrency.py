"""Several processes and threads write at once."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from segany.errors import ConflictError
from segany.store import Store

ADDER = """
import sys
from segany.store import Store, adding
adding._BATCH_RECORDS = 2
with Store(sys.argv[1], steps={}) as store:
    store.add(sys.argv[2:], actor="adder")
"""


def test_processes_that_add_the_same_and_other_photos(
    store: Store, location: str, samples: Any, tmp_path: Path
) -> None:
    for seed in range(18):
        samples.photo(tmp_path / f"in{seed % 3}" / f"{seed}.png", seed)
    # Each folder is added by two processes.
    parts = [(0, 1), (1, 2), (2, 0)]
    commands = [
        [sys.executable, "-c", ADDER, location, *(str(tmp_path / f"in{part}") for part in pair)] for pair in parts
    ]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    assert len(store.records.ids(has_pixels=True)) == 18 == len(store.records.ids())
    assert len(list(store.events.list(kind="record.added"))) == 18
    assert not store.check().findings


def test_threads_that_edit_one_record(store: Store, samples: Any) -> None:
    """Everyone's edit is there in the end, because whoever was second was told."""
    (record_id,) = store.add_records(samples.incoming(1), actor="ann").record_ids
    conflicts = []

    def work(name: str) -> None:
        for number in range(5):
            while True:
                stored = store.records.get(record_id)
                put = [samples.annotation(f"{name}-{number}", number)]
                try:
                    store.records.save(record_id, put=put, expected=stored.revision, actor=name)
                    break
                except ConflictError:
                    conflicts.append(name)

    threads = [threading.Thread(target=work, args=(f"t{k}",)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {each.id for each in store.records.get(record_id).record.annotations}
    assert found == {1, 2} | {f"t{k}-{number}" for k in range(4) for number in range(5)}
    assert not store.check().findings


def test_freezing_while_others_write(store: Store, samples: Any) -> None:
    ids = store.add_records(samples.incoming(6), actor="ann").record_ids
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            stored = store.records.get(ids[number % 6])
            put = [samples.annotation("x", number)]
            store.records.save(stored.id, put=put, expected=stored.revision, actor="writer")

    thread = threading.Thread(target=work)
    thread.start()
    for number in range(5):
        store.versions.freeze(f"v{number}", actor="ann")
    stop.set()
    thread.join()
    for number in range(5):
        store.versions.verify(f"v{number}")
    assert not store.check().findings
