"""Embed a photo and predict masks: segany against the reference, same photo, same weights, same run.

    python benchmarks/predict.py --reference FOLDER [--shim FOLDER] [--photo FILE]

Each side lives in a process of its own and they take turns, so that a busy moment of the machine falls on both;
medians are given. Writes benchmarks/results/predict.json and predict.md. Without --reference only segany is timed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from side import Side, add_reference, machine, machine_text, reference_of

from segany import weights
from segany.files import write_text

RESULTS = Path(__file__).parent / "results"

STAGES = (
    "decode the file",
    "preprocess",
    "encoder",
    "embed an array",
    "prompt and decoder, 3 masks",
    "enlarge 3 masks",
    "click to 3 masks",
    "click to the best mask",
    "click with logits to 1 mask",
    "box to 1 mask",
)
MEMORY = "peak memory"
IMPORT, HELP = "import the package", "segany --help"
FIRST, FIRST_CACHED = "process start to first mask", "the same, embedding cached"

OUR_FIRST = """
import sys
from segany import Predictor, Prompt
predictor = Predictor(sys.argv[2], device="cpu", precision=sys.argv[3])
mask = predictor.predict(predictor.embed(sys.argv[1]), Prompt(points=[(10, 10)])).best().to_mask()
"""
OUR_FIRST_CACHED = """
import sys, segany
photo, model, precision = sys.argv[1:]
mask = segany.segment(photo, points=[(10, 10)], model=model, device="cpu", precision=precision).best().to_mask()
"""
THEIR_FIRST = """
import sys, numpy as np
from PIL import Image
from {package} import SamPredictor, sam_model_registry
predictor = SamPredictor(sam_model_registry["{model_type}"](checkpoint=sys.argv[2]).eval())
predictor.set_image(np.array(Image.open(sys.argv[1]).convert("RGB")))
masks, scores, _ = predictor.predict(np.array([[10, 10]]), np.array([1]))
mask = masks[scores.argmax()]
"""


def start(package: str, arguments: argparse.Namespace, environment: dict[str, str]) -> Side:
    words = [package, str(arguments.photo), str(arguments.checkpoint), arguments.model_type]
    return Side("predict_sides.py", [*words, str(arguments.threads), arguments.precision], environment)


def medians(side: Side) -> dict[str, float]:
    return {stage: statistics.median(one[stage] for one in side.rounds) for stage in STAGES}


def main() -> int:
    arguments = parse_arguments()
    on = machine(arguments.threads)
    reference = reference_of(arguments.reference, arguments.shim)
    package = None if reference is None else reference[0]
    environments = {"segany": dict(os.environ), **({} if reference is None else dict([reference]))}

    figures: dict[str, dict[str, float]] = {}
    runtimes: dict[str, str] = {}
    with ExitStack() as stack:
        sides = {name: stack.enter_context(start(name, arguments, env)) for name, env in environments.items()}
        for number in range(arguments.warm_up + arguments.repeat):
            for side in sides.values():
                seconds = side.ask("round")
                if number >= arguments.warm_up:
                    side.rounds.append(seconds)
        for name, side in sides.items():
            figures[name] = {**medians(side), MEMORY: side.ask("memory")}
            runtimes[name] = side.ask("runtime")
    starts = {} if arguments.no_starts else cold_starts(package, arguments, environments)
    for name, cold in starts.items():
        figures[name] |= cold

    result = {
        "machine": on,
        "photo": arguments.photo.name,
        "weights": arguments.checkpoint.name,
        "repetitions": arguments.repeat,
        "reference": package,
        "runtimes": runtimes,
        "figures": figures,
    }
    page = markdown(result)
    print(page)
    write_text(arguments.out / "predict.json", json.dumps(result, indent=1) + "\n")
    write_text(arguments.out / "predict.md", page)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_reference(parser)
    parser.add_argument("--photo", type=Path, help="photo; the sample `coffee` when left out")
    parser.add_argument("--checkpoint", type=Path, help="file of weights; MobileSAM's when left out")
    parser.add_argument("--model-type", default="vit_t", help="key of the reference's sam_model_registry")
    parser.add_argument("--precision", default="auto", help="of segany; the reference computes in float32")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of each side")
    parser.add_argument("--repeat", type=int, default=9, help="rounds that count")
    parser.add_argument("--warm-up", type=int, default=2, help="rounds before them")
    parser.add_argument("--no-starts", action="store_true", help="leave out the times of whole processes")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for predict.json and predict.md")
    arguments = parser.parse_args()
    arguments.photo = arguments.photo or weights.sample("coffee")
    arguments.checkpoint = arguments.checkpoint or weights.path("mobile_sam")
    return arguments


def cold_starts(
    package: str | None, arguments: argparse.Namespace, environments: dict[str, dict[str, str]]
) -> dict[str, dict[str, float]]:
    """Seconds of whole processes, the sides taking turns; file caches of the system are warm."""
    photo, checkpoint = str(arguments.photo), str(arguments.checkpoint)
    python = [sys.executable, "-W", "ignore"]
    import_only = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    with tempfile.TemporaryDirectory() as folder:
        threads = {"OMP_NUM_THREADS": str(arguments.threads)}
        ours = environments["segany"] | threads | {"SEGANY_CACHE": folder}
        jobs: list[tuple[str, str, list[str], dict[str, str]]] = [
            ("segany", IMPORT, [*python, "-c", import_only.format("segany")], ours),
            ("segany", HELP, [*python, "-m", "segany", "--help"], ours),
            ("segany", FIRST, [*python, "-c", OUR_FIRST, photo, checkpoint, arguments.precision], ours),
            ("segany", FIRST_CACHED, [*python, "-c", OUR_FIRST_CACHED, photo, checkpoint, arguments.precision], ours),
        ]
        if package is not None:
            theirs = environments[package] | threads
            script = THEIR_FIRST.format(package=package, model_type=arguments.model_type)
            jobs += [
                (package, IMPORT, [*python, "-c", import_only.format(package)], theirs),
                (package, FIRST, [*python, "-c", script, photo, checkpoint], theirs),
            ]
        seconds: dict[str, dict[str, list[float]]] = {}
        for number in range(arguments.repeat + 1):
            for side, what, command, environment in jobs:
                start = time.perf_counter()
                done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                taken = float(done.stdout) if what == IMPORT else time.perf_counter() - start
                if number:
                    seconds.setdefault(side, {}).setdefault(what, []).append(taken)
    return {side: {what: statistics.median(all_) for what, all_ in table.items()} for side, table in seconds.items()}


def markdown(result: dict[str, Any]) -> str:
    figures, package = result["figures"], result["reference"]
    lines = [
        "# Embedding and predicting",
        "",
        f"{machine_text(result['machine'])}; `{result['weights']}`, `{result['photo']}`; "
        f"{computing(result['runtimes'])}; medians of {result['repetitions']} rounds, the sides taking turns.",
        "",
    ]
    if package is None:
        lines += ["Only segany was timed: no --reference was given.", "", "| | segany |", "|---|---:|"]
    else:
        lines += [f"| | segany | `{package}` | ratio |", "|---|---:|---:|---:|"]
    for what in (*STAGES, MEMORY, IMPORT, FIRST, FIRST_CACHED, HELP):
        if what not in figures["segany"]:
            continue
        ours = figures["segany"][what]
        cells = [shown(what, ours)]
        if package is not None:
            theirs = figures[package].get(what)
            cells += ["", ""] if theirs is None else [shown(what, theirs), f"{theirs / ours:.1f}x"]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def computing(runtimes: dict[str, str]) -> str:
    return ", ".join(f"{side} on {runtime}" for side, runtime in runtimes.items())


def shown(what: str, value: float) -> str:
    return f"{value / 2**20:.0f} MiB" if what == MEMORY else f"{value * 1000:.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
