"""Time the clicks protocol on an annotated set, nothing embedded before; say how much memory it holds on the way.

    python benchmarks/clicks.py --data FOLDER [--limit N] [--precision NAME...]

Each precision runs in a process of its own, with an empty embedding cache and no rows from earlier runs; graphs are
converted before. Writes benchmarks/results/clicks.json and clicks.md; a precision that is left out keeps its row.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from side import machine, machine_text, peak_bytes

from segany.files import write_text
from segany.predict.backends._openvino_runtime import available_threads

RESULTS = Path(__file__).parent / "results"
# Images after which memory is read.
_EVERY = 10


def measure(data: Path, limit: int, precision: str) -> dict[str, Any]:
    """One run of this process: seconds, objects, images, and memory held after every so many images."""
    started = time.perf_counter()
    from segany.evaluate.items import EvaluationSet
    from segany.evaluate.protocols import Clicks
    from segany.evaluate.run import evaluate
    from segany.evaluate.subjects import SubjectSpec

    peaks: list[tuple[int, int]] = []

    def watch(_: str, done: int, total: int) -> None:
        if done and (done % _EVERY == 0 or done == total):
            peaks.append((done, peak_bytes()))

    sets = [EvaluationSet("data", data, limit=limit)]
    spec = SubjectSpec.parse("mobile_sam", precision=precision)
    evaluation = evaluate(Clicks(), sets, [spec], limit=limit, progress=watch)
    (result,) = evaluation.results
    return {
        "precision": precision,
        "backend": evaluation.models[0].about["backend"],
        "seconds": time.perf_counter() - started,
        "images": len(evaluation.sets[0].image_ids),
        "objects": result.scores().rows,
        "stages": dict(next(iter(evaluation.seconds.values()))),
        "miou": {name: figure.mean for name, figure in result.scores().metrics.items() if name.startswith("mIoU")},
        "peaks": peaks,
    }


def in_own_process(arguments: argparse.Namespace, precision: str) -> dict[str, Any]:
    words = [sys.executable, __file__, "--data", str(arguments.data), "--precision", precision, "--here", "--limit"]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SEGANY_CACHE": folder}
        # One object first: graphs are converted once in the life of an installation.
        subprocess.run([*words, "1"], env=environment, check=True, capture_output=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SEGANY_CACHE": folder}
        done = subprocess.run([*words, str(arguments.limit)], env=environment, check=True, capture_output=True)
    return dict(json.loads(done.stdout))


def page(document: dict[str, Any]) -> str:
    runs = document["runs"].values()
    lines = [
        "# The clicks protocol",
        "",
        f"{document['machine']}; {document['objects']} objects of `{document['data']}`, 9 clicks each, from the start "
        "of Python to the figures, no embedding cached. Made by `benchmarks/clicks.py`.",
        "",
        "| precision | seconds | images | mIoU@1 | mIoU@5 | peak memory after 10 images | after 40 | at the end |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for run in runs:
        peaks = {int(done): int(peak) for done, peak in run["peaks"]}
        held = (f"{peaks[each] / 2**20:.0f} MiB" if each in peaks else "" for each in (10, 40, max(peaks)))
        miou = (f"{100 * run['miou'][name]:.1f}" for name in ("mIoU@1", "mIoU@5"))
        cells = [f"`{run['precision']}`", f"{run['seconds']:.1f}", str(run["images"]), *miou, *held]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="an annotated set")
    parser.add_argument("--limit", type=int, default=400, help="objects [%(default)s]")
    parser.add_argument("--precision", action="append", help="repeat it [auto, balanced and bfloat16]")
    parser.add_argument("--here", action="store_true", help="run in this process, print JSON and write nothing")
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measure(arguments.data, arguments.limit, arguments.precision[0])))
        return
    path = RESULTS / "clicks.json"
    about = {
        "machine": machine_text(machine(available_threads())),
        "data": arguments.data.name,
        "objects": arguments.limit,
    }
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    runs = known.get("runs", {}) if all(known.get(key) == about[key] for key in ("data", "objects")) else {}
    for precision in arguments.precision or ["auto", "balanced", "bfloat16"]:
        runs[precision] = in_own_process(arguments, precision)
        document = {**about, "runs": runs}
        write_text(path, json.dumps(document, indent=1) + "\n")
        write_text(RESULTS / "clicks.md", page(document))
    print((RESULTS / "clicks.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
