"""The store at 1,000, 10,000 and 100,000 records: how fast it takes them in, how large it is, how fast it answers.

    python benchmarks/store.py [--records 1000 10000 100000] [--masks 5] [--postgres URL] [--note TEXT]

Masks are synthetic outlines on images of 1500x2250 pixels, as large as those of SA-1B; they take the way that any
import takes. Each size goes on from the one before, in one process, whose memory is told. A run measures SQLite, or,
given the URL of an empty database, PostgreSQL, and keeps the other's figures of the run before. Writes
benchmarks/results/store.json, store.md and store.png.
"""

import argparse
import gc
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from side import machine, machine_text, peak_bytes

from segany.engine import open_store
from segany.files import atomic_path, write_text
from segany.formats import sa1b
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, ImageInfo, Record
from segany.store import Incoming, Store, create_store

RESULTS = Path(__file__).parent / "results"
SIZE = Size(1500, 2250)
POOL = 400
ROUNDS = 7
SA1B_FILES, SA1B_MASKS = 100, 100
MS = ("get one record", "page of 50", "page with a flagged mask", "records of a split", "events of one record")


def outlines(rng: np.random.Generator) -> list[RLE]:
    """Wavy discs of 15 to 300 pixels' radius."""
    made = []
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    for _ in range(POOL):
        radius = np.exp(rng.uniform(np.log(15), np.log(300)))
        radii = radius * (1 + 0.25 * np.sin(angles * rng.integers(2, 6)) + 0.1 * rng.normal(size=60))
        x, y = rng.uniform(100, SIZE.width - 100), rng.uniform(100, SIZE.height - 100)
        points = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1)
        mask = np.zeros(SIZE, dtype=np.uint8)
        cv2.fillPoly(mask, [points.astype(np.int32)], 1)
        made.append(RLE.from_mask(mask.astype(np.bool_)))
    return made


def annotation(rng: np.random.Generator, pool: list[RLE], identity: int) -> Annotation:
    return Annotation(
        identity,
        pool[int(rng.integers(len(pool)))],
        predicted_iou=float(rng.uniform(0.88, 1)),
        stability_score=float(rng.uniform(0.95, 1)),
        point_coords=((float(rng.uniform(0, SIZE.width)), float(rng.uniform(0, SIZE.height))),),
        crop_box=(0.0, 0.0, float(SIZE.width), float(SIZE.height)),
    )


def records(pool: list[RLE], first: int, last: int, masks: int) -> Iterator[Incoming]:
    rng = np.random.default_rng(first)
    for number in range(first, last):
        annotations = tuple(annotation(rng, pool, number * masks + k) for k in range(masks))
        yield Incoming(Record(ImageInfo(number, f"sa_{number}.jpg", SIZE), annotations), origin="synthetic")


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def median_ms(work: Callable[[], Any]) -> float:
    return 1000 * statistics.median(seconds(work) for _ in range(ROUNDS))


def database_bytes(store: Store) -> int:
    folder = store.location.folder
    if folder is not None:
        return sum(path.stat().st_size for path in folder.glob("store.sqlite*"))
    with store._database.read() as connection:
        return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())


def measure_size(store: Store, pool: list[RLE], size: int, before: int, masks: int) -> dict[str, Any]:
    took = seconds(lambda: store.add_records(records(pool, before, size, masks), actor="bench", keep_ids=False))
    gc.collect()
    peaks = {"add": peak_bytes()}
    row: dict[str, Any] = {
        "records": size,
        "masks": size * masks,
        "records/s": (size - before) / took,
        "masks/s": (size - before) * masks / took,
        "MB": database_bytes(store) / 1e6,
        "bytes per mask": database_bytes(store) / (size * masks),
    }
    row["freeze s"] = seconds(lambda: store.versions.freeze(f"v{size}", actor="bench"))
    peaks["freeze"] = peak_bytes()
    middle = store.records.page(after=size // 2, limit=1)[0].id
    for record_id in range(middle, middle + 100):
        stored = store.records.get(record_id)
        first = stored.record.annotations[0]
        if first.review_state == "unreviewed":
            steps: dict[int | str, Any] = {first.id: "flag"}
            store.records.review(record_id, steps, expected=stored.revision, actor="bench")
    stored = store.records.get(middle)
    row["edit ms"] = median_ms(lambda: edit(store, middle, pool))
    row["diff of 100 s"] = seconds(lambda: store.versions.diff(f"v{size}"))
    row["split s"] = seconds(lambda: store.splits.assign(actor="bench"))
    peaks["split"] = peak_bytes()
    for name, ask in zip(
        MS,
        (
            lambda: store.records.get(middle),
            lambda: store.records.page(after=size // 2),
            lambda: store.records.page(with_state="flagged"),
            lambda: store.records.ids(split="test"),
            lambda: list(store.events.list(record_id=middle)),
        ),
        strict=True,
    ):
        row[f"{name} ms"] = median_ms(ask)
    row["stats s"] = seconds(store.stats)
    gc.collect()
    row["resident MB"] = psutil.Process().memory_info().rss / 1e6
    peaks["stats"] = peak_bytes()
    row.update({f"peak MB after {name}": peak / 1e6 for name, peak in peaks.items()})
    return row


def edit(store: Store, record_id: int, pool: list[RLE]) -> None:
    stored = store.records.get(record_id)
    put = [Annotation("bench", pool[stored.revision % len(pool)], source="manual", annotator="bench")]
    store.records.save(record_id, put=put, expected=stored.revision, actor="bench")


def measure_sa1b(location: str, pool: list[RLE], folder: Path) -> float:
    """Masks a second, from the JSON files of SA-1B to the database."""
    rng = np.random.default_rng(1)
    for number in range(SA1B_FILES):
        annotations = tuple(annotation(rng, pool, 10**9 + number * SA1B_MASKS + k) for k in range(SA1B_MASKS))
        record = Record(ImageInfo(10**9 + number, f"files_{number}.jpg", SIZE), annotations)
        sa1b.write_record(record, folder / f"files_{number}.json")
    with open_store(location) as store:
        took = seconds(lambda: store.add(folder, actor="bench", keep_ids=False))
    return SA1B_FILES * SA1B_MASKS / took


def measure(location: str, sizes: list[int], masks: int, pool: list[RLE], scratch: Path) -> dict[str, Any]:
    rows = []
    with open_store(location) as store:
        before = 0
        for size in sizes:
            rows.append(measure_size(store, pool, size, before, masks))
            print(json.dumps(rows[-1]), flush=True)
            before = size
    files = scratch / "sa1b"
    files.mkdir()
    found = {"sizes": rows, "SA-1B masks/s": measure_sa1b(location, pool, files)}
    shutil.rmtree(files)
    return found


def table(results: dict[str, Any]) -> str:
    lines = ["# The store at scale", ""]
    for name, found in results.items():
        rows = found["sizes"]
        lines += [f"## {name}", "", f"{machine_text(found['machine'])}; {found['masks']} masks a record.", ""]
        lines += [f"SA-1B files are imported at {found['SA-1B masks/s']:,.0f} masks/s.", ""]
        lines += [
            "| | " + " | ".join(f"{row['records']:,} records" for row in rows) + " |",
            "|---|" + "---:|" * len(rows),
        ]
        for key in rows[0]:
            if key != "records":
                values = " | ".join(f"{row[key]:,.0f}" if row[key] >= 100 else f"{row[key]:.3g}" for row in rows)
                lines.append(f"| {key} | {values} |")
        lines.append("")
    return "\n".join(lines)


def plot(results: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 8), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    wanted = (
        ("records/s", "import, records/s"),
        ("MB", "database, MB"),
        ("freeze s", "freeze, s"),
        ("diff of 100 s", "diff with 100 changes, s"),
        ("resident MB", "memory of the process, MB"),
    )
    # What grows with the records is a straight line.
    growing = ("MB", "freeze s", "diff of 100 s")
    for panel, (key, title) in zip(panels, wanted, strict=False):
        for name, found in results.items():
            panel.plot(
                [row["records"] for row in found["sizes"]], [row[key] for row in found["sizes"]], "o-", label=name
            )
        panel.set(title=title, xscale="log", xlabel="records")
        if key in growing:
            panel.set(yscale="log")
        else:
            panel.set(ylim=(0, None))
    for number, key in enumerate((*(f"{each} ms" for each in MS), "edit ms")):
        color = f"C{number}"
        for (name, found), style in zip(results.items(), ("o-", "s--", "^:"), strict=False):
            times = [row[key] for row in found["sizes"]]
            label = f"{key[:-3]} ({name})"
            panels[5].plot([row["records"] for row in found["sizes"]], times, style, color=color, label=label)
    panels[5].set(title="answers, ms", xscale="log", yscale="log", xlabel="records")
    panels[0].legend()
    panels[5].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--masks", type=int, default=5)
    parser.add_argument("--postgres", help="URL of an empty database")
    parser.add_argument("--note", help="what is particular; such a run stands beside those without a note")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cv2.setNumThreads(1)
    pool = outlines(np.random.default_rng(0))
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    name = ("PostgreSQL" if arguments.postgres else "SQLite") + (f", {arguments.note}" if arguments.note else "")
    with tempfile.TemporaryDirectory(prefix="segany-bench-") as folder:
        location = arguments.postgres or str(Path(folder) / "store")
        create_store(location, images=str(Path(folder) / "images"))
        found = measure(location, sorted(arguments.records), arguments.masks, pool, Path(folder))
    record = RESULTS / "store.json"
    results = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    results[name] = {"machine": {**machine(1), "load": load}, "masks": arguments.masks, **found}
    write_text(record, f"{json.dumps(results, indent=1)}\n")
    write_text(RESULTS / "store.md", table(results))
    plot(results, RESULTS / "store.png")
    print(table(results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
