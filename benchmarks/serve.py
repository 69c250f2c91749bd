"""The server under people's load: one who clicks, fifty who annotate, and ten times too much.

    python benchmarks/serve.py --folder FOLDER [--prepare | --soak MINUTES] [--annotators N] [--seconds S]

`--prepare` makes a store of photos in FOLDER and embeds them; without it the store is served, and asked by clients on
the same machine. Writes benchmarks/results/serve.json and serve.md. `--soak` lets the annotators go on, tells the
server's memory each minute, adds it to these files, and fails when it grew or a request was refused.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
from PIL import Image
from side import machine, machine_text

from segany import weights
from segany.engine import open_store
from segany.files import write_text
from segany.predict import EmbeddingCache, Predictor
from segany.serve.passwords import key_digest, new_key
from segany.store import Incoming, create_store

RESULTS = Path(__file__).parent / "results"
API = "/api/v1"
WIDTH, HEIGHT = 1280, 853
THINK_SECONDS = (0.8, 3.0)
# Within which all annotators open their images.
ARRIVAL_SECONDS = 3.0
# As the page does while an image is made ready.
POLL_SECONDS = 0.25
SOAK_MINUTE = 60.0


@dataclass
class Tally:
    """What came back: seconds of answers that were wanted, and how many of each status."""

    seconds: list[float] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    edits: list[float] = field(default_factory=list)
    sent_bytes: list[int] = field(default_factory=list)

    def shares(self, values: list[float]) -> dict[str, float]:
        ordered = sorted(values)
        at = {name: ordered[min(len(ordered) - 1, int(len(ordered) * q))] for name, q in (("p50", 0.5), ("p95", 0.95))}
        return {**{name: round(1e3 * value, 2) for name, value in at.items()}, "n": len(ordered)}


def prepare(folder: Path, people: int) -> None:
    """A store with a photo and a token for each person."""
    store_folder = folder / "store"
    shutil.rmtree(store_folder, ignore_errors=True)
    create_store(store_folder)
    samples = [Image.open(weights.sample(name)).convert("RGB") for name in ("coffee", "astronaut", "chelsea", "rocket")]
    photos = []
    for number in range(people):
        photo = samples[number % 4].resize((WIDTH + 100, HEIGHT + 100), Image.Resampling.BICUBIC)
        x, y = number % 100, 2 * number % 100
        path = folder / f"photo-{number}.jpg"
        photo.crop((x, y, x + WIDTH, y + HEIGHT)).save(path, quality=90)
        photos.append(path)
    tokens = []
    with open_store(store_folder) as store:
        store.add_records([Incoming(image=path) for path in photos], actor="benchmark")
        store.users.add("admin", "admin", "no password", actor="benchmark")
        for number in range(people):
            name, key = f"person-{number}", new_key("sgy_")
            store.users.add(name, "annotator", "no password", actor="benchmark")
            store.users.give_key(name, "token", key_digest(key), seconds=30 * 86_400)
            tokens.append(key)
        predictor = Predictor(cache=EmbeddingCache.default())
        for number, record in enumerate(store.records.ids()):
            predictor.embed(store.image(record))
            print(f"embedded {number + 1} of {people}", end="\r")
    write_text(folder / "tokens.json", json.dumps(tokens))


class Server:
    """`segany serve` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "segany", "serve", "--store", str(folder / "store"), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[-1]
        self._about = psutil.Process(self.process.pid)

    def memory(self) -> float:
        """MiB that only this process has."""
        return float(self._about.memory_full_info().uss / 2**20)

    def stop(self) -> float:
        """Seconds that an orderly end took."""
        begin = time.perf_counter()
        self.process.terminate()
        self.process.wait(60)
        return time.perf_counter() - begin


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def click(rng: random.Random) -> dict[str, Any]:
    return {"prompts": [{"points": [[rng.randrange(WIDTH), rng.randrange(HEIGHT)]]}]}


async def one_person(http: httpx2.AsyncClient, token: str, count: int) -> dict[str, Any]:
    """One who clicks without pause, on one image."""
    rng, headers = random.Random(0), bearer(token)
    await ready(http, headers, 1)
    tallies = {name: Tally() for name in ("a click, three masks", "a click, the best mask", "a second click", "a box")}
    for number in range(count + 10):
        body = click(rng)
        x, y = body["prompts"][0]["points"][0]
        first = await timed(http, 1, body, headers, tallies["a click, three masks"])
        await timed(http, 1, {**body, "alternatives": False}, headers, tallies["a click, the best mask"])
        logits = first["predictions"][0]["candidates"][0]["logits"]
        more = {"points": [[x, y], [(x + 40) % WIDTH, y]], "labels": [1, 0], "logits": logits}
        await timed(http, 1, {"prompts": [more]}, headers, tallies["a second click"])
        box = [max(0, x - 90), max(0, y - 90), min(WIDTH, x + 90), min(HEIGHT, y + 90)]
        await timed(http, 1, {"prompts": [{"box": box}]}, headers, tallies["a box"])
        if number == 9:
            for tally in tallies.values():
                tally.seconds.clear()
                tally.sent_bytes.clear()
    return {
        name: {**tally.shares(tally.seconds), "bytes": round(statistics.median(tally.sent_bytes))}
        for name, tally in tallies.items()
    }


async def timed(http: httpx2.AsyncClient, record: int, body: Any, headers: dict[str, str], tally: Tally) -> Any:
    begin = time.perf_counter()
    answer = await http.post(f"{API}/records/{record}/predict", json=body, headers=headers)
    tally.codes[answer.status_code] += 1
    if answer.status_code == 200:
        tally.seconds.append(time.perf_counter() - begin)
        tally.sent_bytes.append(answer.num_bytes_downloaded)
    return answer.json()


async def ready(http: httpx2.AsyncClient, headers: dict[str, str], record: int) -> None:
    while (await http.post(f"{API}/records/{record}/embedding", headers=headers)).status_code != 200:
        await asyncio.sleep(POLL_SECONDS)


async def annotate(http: httpx2.AsyncClient, record: int, token: str, until: float, tally: Tally) -> None:
    """One person on one image: a click, often a second one, a mask saved, with time to think between."""
    rng, headers = random.Random(record), bearer(token)
    await asyncio.sleep(rng.uniform(0, ARRIVAL_SECONDS))
    await ready(http, headers, record)
    revision = (await http.get(f"{API}/records/{record}", headers=headers)).json()["revision"]
    while time.monotonic() < until:
        body = click(rng)
        answer = await timed(http, record, body, headers, tally)
        await asyncio.sleep(rng.uniform(*THINK_SECONDS))
        best = answer["predictions"][0]["candidates"][0]
        if rng.random() < 0.6:
            x, y = body["prompts"][0]["points"][0]
            more = {"points": [[x, y], [(x + 50) % WIDTH, y]], "labels": [1, 0], "logits": best["logits"]}
            answer = await timed(http, record, {"prompts": [more]}, headers, tally)
            best = answer["predictions"][0]["candidates"][0]
            await asyncio.sleep(rng.uniform(*THINK_SECONDS))
        begin = time.perf_counter()
        put = [{"id": uuid.uuid4().hex, "mask": best["mask"], "category": "thing"}]
        edit = {"expected": revision, "key": uuid.uuid4().hex, "put": put}
        saved = await http.post(f"{API}/records/{record}/edits", json=edit, headers=headers)
        tally.codes[saved.status_code] += 1
        tally.edits.append(time.perf_counter() - begin)
        revision = saved.json()["revision"]
        await asyncio.sleep(rng.uniform(*THINK_SECONDS))


async def overload(http: httpx2.AsyncClient, tokens: list[str], offered: float, seconds: float) -> Tally:
    """So many clicks a second, whether or not earlier ones were answered."""
    tally, rng, tasks = Tally(), random.Random(1), set()
    begin, sent = time.monotonic(), 0
    while (now := time.monotonic() - begin) < seconds:
        for _ in range(int(now * offered) - sent):
            sent += 1
            number = rng.randrange(len(tokens))
            asked = timed(http, number + 1, click(rng), bearer(tokens[number]), tally)
            task = asyncio.create_task(asked)
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.sleep(0.01)
    await asyncio.gather(*tasks, return_exceptions=True)
    return tally


async def recovery(http: httpx2.AsyncClient, tokens: list[str], limit: float) -> float:
    """Seconds until ten clicks in a row are answered as quickly as before."""
    begin, rng, good = time.monotonic(), random.Random(2), 0
    while good < 10 and time.monotonic() - begin < 60:
        tally = Tally()
        await timed(http, 1, click(rng), bearer(tokens[0]), tally)
        good = good + 1 if tally.seconds and tally.seconds[0] < limit else 0
    return time.monotonic() - begin


async def soak(server: Server, tokens: list[str], people: int, minutes: int) -> dict[str, Any]:
    """Annotators for so long, and the server's memory after each minute."""
    limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=200)
    async with httpx2.AsyncClient(base_url=server.url, timeout=60, limits=limits) as http:
        while (await http.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.1)
        tally, until = Tally(), time.monotonic() + minutes * SOAK_MINUTE
        memory: list[int] = []

        async def watch() -> None:
            while len(memory) < minutes:
                await asyncio.sleep(SOAK_MINUTE)
                memory.append(round(server.memory()))
                print(f"minute {len(memory)}: {memory[-1]} MiB, {len(tally.seconds)} clicks", flush=True)

        await asyncio.gather(watch(), *(annotate(http, k + 1, tokens[k], until, tally) for k in range(people)))
    return {
        "minutes": minutes,
        "people": people,
        "predict": tally.shares(tally.seconds),
        "edit": tally.shares(tally.edits),
        "statuses": dict(sorted(tally.codes.items())),
        "memory MiB": memory,
    }


def grew(memory: list[int]) -> bool:
    """Whether it is more at the end than after the first quarter, when everybody has begun, by more than 5 %."""
    return memory[-1] > 1.05 * memory[len(memory) // 4]


async def measure(server: Server, tokens: list[str], people: int, seconds: float) -> dict[str, Any]:
    limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=200)
    async with httpx2.AsyncClient(base_url=server.url, timeout=60, limits=limits) as http:
        while (await http.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.1)
        found: dict[str, Any] = {"one person": await one_person(http, tokens[0], 100)}
        memory = [server.memory()]
        tally, until = Tally(), time.monotonic() + seconds
        await asyncio.gather(*(annotate(http, k + 1, tokens[k], until, tally) for k in range(people)))
        memory.append(server.memory())
        found["annotators"] = {
            "people": people,
            "seconds": seconds,
            "predict": tally.shares(tally.seconds),
            "edit": tally.shares(tally.edits),
            "statuses": dict(sorted(tally.codes.items())),
            "requests a second": round(sum(tally.codes.values()) / seconds, 1),
        }
        usual = len(tally.seconds) / seconds
        flood = await overload(http, tokens, 10 * usual, 10.0)
        memory.append(server.memory())
        limit = 3 * found["one person"]["a click, three masks"]["p95"] / 1e3
        found["overload"] = {
            "offered a second": round(10 * usual, 1),
            "answered a second": round(flood.codes[200] / 10.0, 1),
            "predict": flood.shares(flood.seconds),
            "statuses": dict(sorted(flood.codes.items())),
            "recovered after seconds": round(await recovery(http, tokens, limit), 2),
        }
        memory.append(server.memory())
        found["memory MiB"] = dict(
            zip(("begin", "annotators", "overload", "recovered"), map(round, memory), strict=True)
        )
    return found


def page(found: dict[str, Any], on: dict[str, Any]) -> str:
    lines = ["# The server under load", "", f"{machine_text(on)}; clients and server on the same machine.", ""]
    lines += ["| one person, embedding there | p50 | p95 | bytes |", "|---|---:|---:|---:|"]
    for name, row in found["one person"].items():
        lines.append(f"| {name} | {row['p50']:.1f} ms | {row['p95']:.1f} ms | {row['bytes']:,} |")
    people, flood = found["annotators"], found["overload"]
    lines += ["", f"All annotators open their images within {ARRIVAL_SECONDS:g} s."]
    lines += ["", "| many | |", "|---|---:|"]
    lines += [
        f"| annotators, {THINK_SECONDS[0]} to {THINK_SECONDS[1]} s to think | {people['people']} |",
        f"| requests a second | {people['requests a second']} |",
        f"| predict, p50 and p95 | {people['predict']['p50']:.1f} and {people['predict']['p95']:.1f} ms |",
        f"| save, p50 and p95 | {people['edit']['p50']:.1f} and {people['edit']['p95']:.1f} ms |",
        f"| statuses | {people['statuses']} |",
        f"| overload: offered, answered a second | {flood['offered a second']}, {flood['answered a second']} |",
        f"| overload: predict, p50 and p95 | {flood['predict']['p50']:.1f} and {flood['predict']['p95']:.1f} ms |",
        f"| overload: statuses | {flood['statuses']} |",
        f"| recovered after | {flood['recovered after seconds']} s |",
        f"| memory, begin to end | {', '.join(f'{k} {v} MiB' for k, v in found['memory MiB'].items())} |",
        f"| orderly end | {found['stop seconds']} s |",
    ]
    if "soak" in found:
        long = found["soak"]
        lines += ["", f"| {long['people']} annotators for {long['minutes']} minutes | |", "|---|---:|"]
        lines += [
            f"| predict, p50 and p95 | {long['predict']['p50']:.1f} and {long['predict']['p95']:.1f} ms |",
            f"| save, p50 and p95 | {long['edit']['p50']:.1f} and {long['edit']['p95']:.1f} ms |",
            f"| statuses | {long['statuses']} |",
            f"| memory after each minute, MiB | {', '.join(map(str, long['memory MiB']))} |",
        ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--soak", type=int, default=0, metavar="MINUTES")
    parser.add_argument("--annotators", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.prepare:
        prepare(arguments.folder, arguments.annotators)
        return 0
    tokens = json.loads((arguments.folder / "tokens.json").read_text(encoding="utf-8"))
    on = machine(os.cpu_count() or 1)
    server = Server(arguments.folder)
    try:
        if arguments.soak:
            found = asyncio.run(soak(server, tokens, arguments.annotators, arguments.soak))
        else:
            found = asyncio.run(measure(server, tokens, arguments.annotators, arguments.seconds))
    finally:
        stopped = server.stop()
    kept = arguments.out / "serve.json"
    if arguments.soak:
        found = {**json.loads(kept.read_text(encoding="utf-8")), "soak": found}
    else:
        found = {"machine": on, **found, "stop seconds": round(stopped, 2)}
    write_text(kept, json.dumps(found, indent=2) + "\n")
    text = page(found, found["machine"])
    write_text(arguments.out / "serve.md", text)
    print(text)
    if arguments.soak:
        long = found["soak"]
        return 1 if grew(long["memory MiB"]) or long["statuses"].keys() != {200} else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
