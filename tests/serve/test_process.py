"""A real server in a process of its own: killed while people edit, ended in order, swamped."""

import random
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from segany.client import Client
from segany.engine import open_store
from segany.errors import ConflictError, SeganyError
from segany.masks import RLE
from segany.wire import AnnotationInput, Mask

KILLS = 4
SOAK_KILLS = 50


def mask(number: int) -> Mask:
    bits = np.zeros((60, 80), dtype=np.bool_)
    bits[number % 50 : number % 50 + 8, number % 70 : number % 70 + 8] = True
    return Mask.of(RLE.from_mask(bits))


class Editor:
    """A person who saves masks, sends again what was not answered, and knows what was."""

    def __init__(self, record: int) -> None:
        self.record, self.saved = record, []  # type: int, list[str]
        self._key = self._name = ""

    def work(self, url: str, stop: threading.Event) -> None:
        with Client(url, timeout_seconds=5, patience_seconds=0.01) as client:
            while not stop.is_set():
                try:
                    self._one(client)
                except ConflictError:
                    raise
                except SeganyError:
                    time.sleep(0.01)

    def _one(self, client: Client) -> None:
        revision = client.record(self.record).revision
        if not self._key:
            self._key, self._name = uuid.uuid4().hex, f"mask-{len(self.saved)}"
        put = [AnnotationInput(id=self._name, mask=mask(len(self.saved)))]
        client.edit(self.record, expected=revision, put=put, key=self._key)
        self.saved.append(self._name)
        self._key = ""


def kill_while_editing(process: Any, folder: Path, kills: int) -> None:
    editors = [Editor(record) for record in (1, 2, 3)]
    rng = random.Random(0)
    for _ in range(kills):
        server, stop = process(folder), threading.Event()
        with ThreadPoolExecutor(3) as threads:
            working = [threads.submit(editor.work, server.url, stop) for editor in editors]
            time.sleep(rng.uniform(0.2, 0.8))
            server.kill()
            stop.set()
        for each in working:
            each.result()
    with open_store(folder) as store:
        assert not store.check().findings
        for editor in editors:
            ids = [each.id for each in store.records.get(editor.record).record.annotations]
            assert len(set(ids)) == len(ids)
            # All that was answered, and at most the one that was on its way.
            assert ids[: len(editor.saved)] == editor.saved
            assert len(ids) - len(editor.saved) in (0, 1)
            keys = [event.key for event in store.events.list(kind="record.edited", record_id=editor.record)]
            assert len(set(keys)) == len(keys) == len(ids)
    assert sum(len(editor.saved) for editor in editors) > kills


def test_what_was_saved_outlives_kills(process: Any, folder: Path) -> None:
    kill_while_editing(process, folder, KILLS)


@pytest.mark.soak
def test_what_was_saved_outlives_many_kills(process: Any, folder: Path) -> None:
    kill_while_editing(process, folder, SOAK_KILLS)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to handle")
def test_an_orderly_end_finishes_what_runs_and_gives_jobs_back(process: Any, folder: Path) -> None:
    server = process(folder, 1.0)
    with ThreadPoolExecutor(1) as threads, Client(server.url, patience_seconds=10) as client:
        client.health()
        asked = threads.submit(client.predict, 1, points=[(5, 5)])
        time.sleep(0.4)
        status, out = server.end()
        assert asked.result().candidates
    assert (status in (0, -signal.SIGTERM), "ended" in out or status != 0) == (True, True)
    with open_store(folder) as store:
        assert store.jobs.list(states=["running"]) == []


def test_too_much_is_sent_away_and_the_rest_is_answered(process: Any, folder: Path) -> None:
    server = process(folder)
    codes: Counter[int] = Counter()

    def flood(seed: int) -> None:
        rng = random.Random(seed)
        with httpx2.Client(base_url=server.url, timeout=30) as http:
            for _ in range(25):
                body = {"prompts": [{"points": [[rng.randrange(80), rng.randrange(60)]]}]}
                answer = http.post("/api/v1/records/1/predict", json=body)
                codes[answer.status_code] += 1
                assert answer.status_code == 200 or int(answer.headers["Retry-After"]) >= 1

    try:
        with Client(server.url) as client:
            client.health()
            client.predict(1, points=[(5, 5)])
            with ThreadPoolExecutor(16) as threads:
                list(threads.map(flood, range(16)))
            assert codes.keys() == {200, 429}
            # It recovers: the client waits as long as it was told.
            begin = time.monotonic()
            assert client.predict(1, points=[(5, 5)]).candidates
            assert time.monotonic() - begin < 10
    finally:
        server.kill()


def test_an_address_that_is_taken(process: Any, folder: Path) -> None:
    from segany.errors import OutputError
    from segany.serve import ServeSettings, serve

    server = process(folder)
    port = int(server.url.rpartition(":")[2])
    try:
        with open_store(folder) as store, pytest.raises(OutputError, match=f"cannot listen on 127.0.0.1:{port}"):
            serve(store, ServeSettings(port=port))
    finally:
        server.kill()
