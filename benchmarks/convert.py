"""How many masks a second each format is written and read with, and how much memory that takes.

    SEGANY_DATA=FOLDER python benchmarks/convert.py

Masks are those of annotated data in SEGANY_DATA (label maps of nuclei and of streets, people's regions, COCO's
polygons), and of pictures made as large and as full as SA-1B's. Each format is a process of its own, on one thread, so
that its peak memory is its own; once with every record, once with each of them several times. Images are left out:
copying them is the disk's work. Writes convert.json and convert.md into benchmarks/results.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from side import peak_bytes

from segany.files import write_text
from segany.formats import TARGETS, Category, Options, convert, open_dataset, plan_conversion, sa1b
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, ImageInfo, Parent, Record
from segany.settings import Settings

RESULTS = Path(__file__).parent / "results"
SETS = {"ade20k": 3, "bbbc038": 15, "bsds500": 10, "coco_val80": 60}
SA1B_SIZE, SA1B_MASKS = Size(1500, 2250), 100
TIMES = 20
WANTED = 2_000


class Repeated:
    """Records read once from a folder of SA-1B, several times over, as the frames of one video each time."""

    name = "benchmark"
    metadata_columns: tuple[str, ...] = ()
    categories: tuple[Category, ...] = ()

    def __init__(self, folder: Path, times: int) -> None:
        self._records = [sa1b.read_record(path) for path in sorted(folder.glob("*.json"))]
        self._times = times

    def records(self) -> Iterator[Record]:
        for turn in range(self._times):
            for number, record in enumerate(self._records):
                # Sizes differ, so each is a video of one frame.
                parent = Parent("video", f"{turn}-{number}", 0)
                yield replace(record, image=replace(record.image, file_name=f"{turn}/{number}.jpg", parent=parent))

    def image_file(self, record: Record) -> None:
        return None

    def metadata(self, record: Record) -> dict[str, str]:
        return {}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", nargs=3, metavar=("FORMAT", "FOLDER", "TIMES"), help=argparse.SUPPRESS)
    parser.add_argument("--repeat", type=int, default=3, help="runs of which the median counts [3]")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    arguments = parser.parse_args()
    if arguments.side:
        target, folder, times = arguments.side
        print(json.dumps(side(target, Path(folder), int(times))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        real, made = Path(folder) / "real", Path(folder) / "made"
        counts = {"real": write_real(real), "made": write_made(made)}
        rows = [row for target in TARGETS for row in formats(target, real, arguments.repeat)]
        reading = {
            name: statistics.median(read(path) for _ in range(arguments.repeat))
            for name, path in (("real", real), ("made", made))
        }
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, one thread",
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "masks": counts,
        "sa1b_read_masks_per_second": reading,
        "formats": rows,
    }
    page = markdown(result)
    print(page)
    write_text(arguments.out / "convert.json", json.dumps(result, indent=1) + "\n")
    write_text(arguments.out / "convert.md", page)
    return 0


def write_real(folder: Path) -> int:
    """Masks of annotated data as SA-1B records; how many."""
    data = Settings.from_environment().data
    if data is None:
        raise SystemExit("set SEGANY_DATA to the folder of annotated data")
    masks = 0
    for name, images in SETS.items():
        for number, record in enumerate(islice(open_dataset(data / name).records(), images)):
            sa1b.write_record(record, folder / f"{name}-{number:03d}.json")
            masks += len(record.annotations)
    return masks


def write_made(folder: Path, images: int = 10) -> int:
    """Wavy discs of all sizes, as many on an image as SA-1B has; how many."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: SA1B_SIZE.height, : SA1B_SIZE.width]
    for number in range(images):
        found = []
        for identity in range(SA1B_MASKS):
            centre_y, centre_x = rng.uniform(0, 1, 2) * SA1B_SIZE
            radius = 10 ** rng.uniform(0.7, 2.6)
            waves, phase = rng.integers(3, 30), rng.uniform(0, 6)
            turn = np.arctan2(y - centre_y, x - centre_x)
            mask = np.hypot(y - centre_y, x - centre_x) < radius * (1 + 0.2 * np.sin(waves * turn + phase))
            found.append(Annotation(identity, RLE.from_mask(mask), predicted_iou=0.9, stability_score=0.95))
        record = Record(ImageInfo(number, f"{number}.jpg", SA1B_SIZE), tuple(found))
        sa1b.write_record(record, folder / f"{number}.json")
    return images * SA1B_MASKS


def read(folder: Path) -> float:
    """Masks a second of reading SA-1B records, checks included."""
    masks = 0
    begun = time.process_time()
    for record in open_dataset(folder, require_images=False).records():
        masks += len(record.annotations)
    return masks / (time.process_time() - begun)


def formats(target: str, folder: Path, repeat: int) -> Iterator[dict[str, Any]]:
    runs = [run(target, folder, 1) for _ in range(repeat)]
    large = run(target, folder, TIMES)
    best = {key: statistics.median(one[key] for one in runs) for key in ("write", "plan", "read")}
    yield {
        "format": target,
        "masks": runs[0]["masks"],
        "write_masks_per_second": runs[0]["masks"] / best["write"],
        "plan_masks_per_second": runs[0]["masks"] / best["plan"],
        "read_masks_per_second": runs[0]["read_masks"] / best["read"] if runs[0]["read_masks"] else None,
        "bytes_per_mask": runs[0]["bytes"] / runs[0]["masks"],
        "peak_mib": runs[0]["peak"] / 2**20,
        "peak_mib_of_many": large["peak"] / 2**20,
    }


def run(target: str, folder: Path, times: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", target, str(folder), str(times)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def side(target: Any, folder: Path, times: int) -> dict[str, Any]:
    """One format: seconds of the processor for the plan, for writing and for reading again."""
    source = Repeated(folder, times)
    with tempfile.TemporaryDirectory() as place:
        begun = time.process_time()
        plan = plan_conversion(source, Options(target, "none"))
        planned = time.process_time()
        convert(source, Path(place) / "out", plan)
        written = time.process_time()
        peak = peak_bytes()
        size = sum(path.stat().st_size for path in (Path(place) / "out").rglob("*") if path.is_file())
        # YOLO's files say nothing of the image's size.
        back = (
            [] if target == "yolo" or times > 1 else open_dataset(Path(place) / "out", require_images=False).records()
        )
        masks = sum(len(record.annotations) for record in back)
        return {
            "masks": plan.masks,
            "plan": planned - begun,
            "write": written - planned,
            "read": time.process_time() - written,
            "read_masks": masks,
            "bytes": size,
            "peak": peak,
        }


def markdown(result: dict[str, Any]) -> str:
    reading = result["sa1b_read_masks_per_second"]
    lines = [
        "# Converting data sets",
        "",
        f"{result['machine']}; load {result['load']:.1f}; seconds are those of the processor, medians.",
        "",
        f"Reading SA-1B records: {reading['made']:,.0f} masks/s of 1500x2250 pixels ({SA1B_MASKS} to an image), "
        f"{reading['real']:,.0f} masks/s of annotated data; wanted {WANTED:,}.",
        "",
        f"Writing {result['masks']['real']:,} masks of annotated data, without their images; peak memory of the "
        f"process with these records, and with {TIMES} times as many.",
        "",
        "| format | write, masks/s | count losses, masks/s | read, masks/s | bytes/mask | peak MiB | and with more |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in result["formats"]:
        read_again = row["read_masks_per_second"]
        cells = [
            f"`{row['format']}`",
            *(f"{row[key]:,.0f}" for key in ("write_masks_per_second", "plan_masks_per_second")),
            "-" if read_again is None else f"{read_again:,.0f}",
            *(f"{row[key]:,.0f}" for key in ("bytes_per_mask", "peak_mib", "peak_mib_of_many")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
