"""Image encoders by precision: seconds and memory to embed a photo, against the reference and against the floor.

    python benchmarks/encoders.py [--reference FOLDER] [--shim FOLDER] [--model vit_b --random] [--precisions ...]

Every precision, and the reference, lives in a process of its own, and they take turns. The floor is the encoder's
operations at the rate that a large product of matrices reaches on the same threads. Writes encoders-MODEL.json and .md
into benchmarks/results. `--random` takes random weights, for models whose weights are not at hand: times are the same.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from side import Side, add_reference, machine, machine_text, reference_of

from segany import Predictor, weights
from segany.files import write_text

RESULTS = Path(__file__).parent / "results"
# The reference's names of models that are called otherwise here.
MODEL_TYPES = {"mobile_sam": "vit_t"}


def main() -> int:
    arguments = parse_arguments()
    on = machine(arguments.threads)
    reference = reference_of(arguments.reference, arguments.shim)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        checkpoint = random_checkpoint(arguments.model, Path(folder)) if arguments.random else None
        checkpoint = checkpoint or weights.path(arguments.model)
        for precision in arguments.precisions:
            # Whatever is made at a precision's first use is made here, and is in nobody's memory.
            Predictor(checkpoint, device="cpu", precision=precision)
        jobs = {precision: ("segany", precision, dict(os.environ)) for precision in arguments.precisions}
        if reference is not None:
            jobs[reference[0]] = (reference[0], "float32", reference[1])
        sides = {
            name: stack.enter_context(start(package, checkpoint, precision, environment, arguments))
            for name, (package, precision, environment) in jobs.items()
        }
        rounds: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(arguments.warm_up + arguments.repeat):
            for name, side in sides.items():
                seconds = side.ask("embed")
                if number >= arguments.warm_up:
                    rounds[name].append(seconds)
        figures = {
            name: {
                "seconds": statistics.median(seconds),
                "peak_bytes": sides[name].ask("memory"),
                "runtime": sides[name].ask("runtime"),
            }
            for name, seconds in rounds.items()
        }
    result = {
        "machine": on,
        "model": arguments.model,
        "random": arguments.random,
        "photo": arguments.photo.name,
        "repetitions": arguments.repeat,
        "reference": None if reference is None else reference[0],
        "figures": figures,
        "floor": floor(arguments.model, arguments.threads),
    }
    page = markdown(result)
    print(page.rstrip())
    write_text(arguments.out / f"encoders-{arguments.model}.json", json.dumps(result, indent=1) + "\n")
    write_text(arguments.out / f"encoders-{arguments.model}.md", page)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_reference(parser)
    parser.add_argument("--model", default="mobile_sam", help="a name of `segany weights list` [mobile_sam]")
    parser.add_argument("--random", action="store_true", help="random weights")
    parser.add_argument("--precisions", nargs="+", default=["float32", "balanced", "bfloat16"], help="of segany")
    parser.add_argument("--photo", type=Path, help="photo; the sample `coffee` when left out")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of each side")
    parser.add_argument("--repeat", type=int, default=9, help="rounds that count")
    parser.add_argument("--warm-up", type=int, default=2, help="rounds before them")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    arguments = parser.parse_args()
    arguments.photo = arguments.photo or weights.sample("coffee")
    return arguments


def random_checkpoint(model: str, folder: Path) -> Path:
    import torch

    from segany.model import CONFIGS, Sam

    torch.manual_seed(0)
    torch.save(Sam(CONFIGS[weights.get(model).architecture or model]).state_dict(), folder / f"{model}.pth")
    return folder / f"{model}.pth"


def start(
    package: str, checkpoint: Path, precision: str, environment: dict[str, str], arguments: argparse.Namespace
) -> Side:
    wanted = {
        "photo": str(arguments.photo.resolve()),
        "checkpoint": str(checkpoint),
        "precision": precision,
        "model_type": MODEL_TYPES.get(arguments.model, arguments.model.removeprefix("sam_")),
        "threads": arguments.threads,
    }
    return Side("encoders_sides.py", [package, json.dumps(wanted)], environment)


def floor(model: str, threads: int) -> dict[str, float]:
    """Operations of the encoder for one image, and what a large product reaches here, a second."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from segany.model import CONFIGS, Sam

    torch.set_num_threads(threads)
    with torch.device("meta"):
        encoder = Sam(CONFIGS[weights.get(model).architecture or model]).eval().image_encoder
        side = CONFIGS[weights.get(model).architecture or model].input_side
        pixels = torch.zeros(1, 3, side, side)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder(pixels)
    rates = {"float32": _rate(torch.float32), "bfloat16": _rate(torch.bfloat16)}
    return {"operations": float(counter.get_total_flops()), **rates}


def _rate(dtype: Any) -> float:
    """Operations a second of a product of matrices, by two libraries, of which one may not suit the CPU."""
    import torch

    one = torch.randn(1024, 1024).to(dtype)
    cells, kernel = one.view(1, 1024, 32, 32), one.view(1024, 1024, 1, 1)
    products: list[Callable[[], Any]] = [lambda: one @ one, lambda: torch.nn.functional.conv2d(cells, kernel)]
    seconds = []
    for _ in range(10):
        for work in products:
            begun = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - begun)
    return 2 * 1024**3 / min(seconds)


def markdown(result: dict[str, Any]) -> str:
    figures, least = result["figures"], result["floor"]
    theirs = figures.get(result["reference"])
    lines = [
        f"# Embedding by {result['model']}",
        "",
        f"{machine_text(result['machine'])}; `{result['photo']}`{', random weights' * result['random']}; medians of "
        f"{result['repetitions']} rounds, the sides taking turns.",
        "",
        "| | embed a photo | ratio | peak memory |",
        "|---|---:|---:|---:|",
    ]
    for name, own in figures.items():
        ratio = "" if theirs is None else f"{theirs['seconds'] / own['seconds']:.1f}x"
        lines.append(
            f"| {name} ({own['runtime']}) | {own['seconds']:.3f} s | {ratio} | {own['peak_bytes'] / 2**20:.0f} MiB |"
        )
    lines += [
        "",
        f"The encoder takes {least['operations'] / 1e9:.0f} billion operations. A product of matrices reaches "
        f"{least['float32'] / 1e9:.0f} billion a second in float32 and {least['bfloat16'] / 1e9:.0f} in bfloat16 on "
        f"these threads, so that the least time is {least['operations'] / least['float32']:.3f} s or "
        f"{least['operations'] / least['bfloat16']:.3f} s.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
