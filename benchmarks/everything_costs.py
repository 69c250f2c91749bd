"""What the time of finding everything grows with: the image's size, the grid's density, the number of prompts.

    python benchmarks/everything_costs.py [--photo FILE] [--sizes 0.3 1 3 10 30 100] [--grids 8 16 24 32 48 64]
    python benchmarks/everything_costs.py --loop 200

The photo is enlarged to each size, and each size is a process of its own, for its peak memory. With --loop, so many
different images go through one process, whose memory is watched, and one image goes through two processes, whose
answers must be the same to the last bit. Writes everything_costs.json, .md and .png (or everything_loop.*) into
benchmarks/results.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from side import Side, machine, machine_text

from segany import weights
from segany.files import atomic_path, write_text

RESULTS = Path(__file__).parent / "results"
STAGES = ("read", "embed", "click", "select")


def main() -> int:
    arguments = parse_arguments()
    on = machine(arguments.threads)
    # Whatever is made at a model's first use is made here, and is in nobody's memory.
    with start(arguments.photo, 1, arguments) as side:
        side.ask("runtime")
    if arguments.loop:
        return loop(arguments, on)
    with tempfile.TemporaryDirectory() as folder:
        result = {
            "machine": on,
            "photo": arguments.photo.name,
            "grid": arguments.grid,
            "repetitions": arguments.repeat,
            "sizes": [size_cost(size, Path(folder), arguments) for size in arguments.sizes],
            "grids": grid_costs(arguments),
            "prompts": prompt_costs(arguments),
        }
    page = markdown(result)
    print(page)
    write_text(arguments.out / "everything_costs.json", json.dumps(result, indent=1) + "\n")
    write_text(arguments.out / "everything_costs.md", page)
    plot(result, arguments.out / "everything_costs.png")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, help="photo; the sample `coffee` when left out")
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.3, 1, 3, 10, 30, 100], help="megapixels")
    parser.add_argument("--grids", type=int, nargs="+", default=[8, 16, 24, 32, 48, 64], help="clicks along each side")
    parser.add_argument("--prompts", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64, 128], help="prompts at once")
    parser.add_argument("--grid", type=int, default=32, help="clicks along each side where the size varies [32]")
    parser.add_argument("--loop", type=int, default=0, help="instead: so many images through one process")
    parser.add_argument("--precision", default="auto", help="as in segany everything")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads")
    parser.add_argument("--repeat", type=int, default=3, help="runs that count, after one that does not [3]")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    arguments = parser.parse_args()
    arguments.photo = arguments.photo or weights.sample("coffee")
    return arguments


def start(photo: Path, grid: int, arguments: argparse.Namespace) -> Side:
    wanted = {
        "photo": str(photo.resolve()),
        "checkpoint": str(weights.path("mobile_sam")),
        "threads": arguments.threads,
        "points_per_side": grid,
        "precision": arguments.precision,
        "mode": "full",
    }
    return Side("everything_sides.py", ["segany", json.dumps(wanted)], dict(os.environ))


def measured(photo: Path, grid: int, arguments: argparse.Namespace) -> dict[str, float]:
    with start(photo, grid, arguments) as side:
        runs = [side.ask(os.devnull) for _ in range(arguments.repeat + 1)][1:]
        figures = {key: statistics.median(one[key] for one in runs) for key in (*STAGES, "clicks", "masks")}
        return {**figures, "all": sum(figures[stage] for stage in STAGES), "peak_bytes": side.ask("memory")}


def size_cost(megapixels: float, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    with Image.open(arguments.photo) as photo:
        scale = (megapixels * 1e6 / (photo.width * photo.height)) ** 0.5
        size = round(photo.width * scale), round(photo.height * scale)
        file = folder / f"{megapixels:g}.jpg"
        photo.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(file, quality=90)
    print(f"{megapixels:g} Mpx", file=sys.stderr, flush=True)
    cost = measured(file, arguments.grid, arguments)
    file.unlink()
    return {"megapixels": size[0] * size[1] / 1e6, "pixel_bytes": size[0] * size[1] * 3, **cost}


def grid_costs(arguments: argparse.Namespace) -> list[dict[str, float]]:
    costs = []
    for grid in arguments.grids:
        print(f"{grid}x{grid} clicks", file=sys.stderr, flush=True)
        costs.append({"grid": grid, **measured(arguments.photo, grid, arguments)})
    return costs


def prompt_costs(arguments: argparse.Namespace) -> list[dict[str, float]]:
    """Clicks on one embedding, each to its best mask at full size."""
    with start(arguments.photo, 1, arguments) as side:
        return [
            {"prompts": count, "all": statistics.median(side.ask(f"prompts {count}") for _ in range(arguments.repeat))}
            for count in arguments.prompts
        ]


def slope(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Intercept and slope of a straight line, by least squares of relative errors: every size counts alike."""
    if len(x) < 2:
        return y[0], 0.0
    b, a = np.polyfit(x, y, 1, w=1 / np.array(y))
    return float(a), float(b)


def markdown(result: dict[str, Any]) -> str:
    sizes, grids, prompts = result["sizes"], result["grids"], result["prompts"]
    size_fit = slope([one["megapixels"] for one in sizes], [one["all"] for one in sizes])
    grid_fit = slope([one["clicks"] for one in grids], [one["all"] for one in grids])
    prompt_fit = slope([one["prompts"] for one in prompts], [one["all"] for one in prompts])
    memory_fit = slope([one["pixel_bytes"] for one in sizes], [one["peak_bytes"] for one in sizes])
    read_fit = slope([one["megapixels"] for one in sizes], [one["read"] for one in sizes])
    select_fit = slope([one["megapixels"] for one in sizes], [one["select"] for one in sizes])
    grid = f"{result['grid']}x{result['grid']}"
    lines = [
        "# What finding everything costs",
        "",
        f"{machine_text(result['machine'])}; `{result['photo']}`, medians of {result['repetitions']} runs.",
        "",
        f"## The image's size, {grid} clicks",
        "",
        "| Mpx | read | embed | click | select | all, s | masks | peak memory | of it the pixels |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in sizes:
        stages = " | ".join(f"{one[stage]:.3f}" for stage in STAGES)
        lines.append(
            f"| {one['megapixels']:.1f} | {stages} | {one['all']:.2f} | {one['masks']:.0f} | "
            f"{one['peak_bytes'] / 2**20:.0f} MiB | {one['pixel_bytes'] / 2**20:.0f} MiB |"
        )
    lines += [
        "",
        f"{size_fit[0]:.2f} s and {size_fit[1] * 1000:.1f} ms for each Mpx. The model sees every image at one size, so "
        "clicks cost the same whatever the photo's. What grows is proportional to the pixels: reading the file "
        f"({read_fit[1] * 1000:.1f} ms for each Mpx) and enlarging the masks that are kept ({select_fit[1] * 1000:.1f} "
        f"ms). Memory: {memory_fit[0] / 2**20:.0f} MiB and {memory_fit[1]:.1f} times the decoded pixels.",
        "",
        "## The grid's density",
        "",
        "| grid | clicks | embed | click | select | all, s | masks |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in grids:
        stages = " | ".join(f"{one[stage]:.3f}" for stage in STAGES[1:])
        lines.append(f"| {one['grid']} | {one['clicks']:.0f} | {stages} | {one['all']:.2f} | {one['masks']:.0f} |")
    lines += [
        "",
        f"{grid_fit[0]:.2f} s and {grid_fit[1] * 1000:.2f} ms for each click: what an image costs once, and a passage "
        "through the decoder for each click. The number of clicks is the square of the grid's side.",
        "",
        "## Prompts on one embedding, to full-size masks",
        "",
        "| prompts | all, ms | each, ms |",
        "|---:|---:|---:|",
    ]
    for one in prompts:
        lines.append(f"| {one['prompts']} | {one['all'] * 1000:.1f} | {one['all'] / one['prompts'] * 1000:.1f} |")
    lines += [
        "",
        f"{prompt_fit[0] * 1000:.1f} ms and {prompt_fit[1] * 1000:.1f} ms for each prompt: several go through the "
        "decoder side by side, one on each thread, and each mask is enlarged on its own.",
        "",
        "![Costs](everything_costs.png)",
    ]
    return "\n".join(lines) + "\n"


def plot(result: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (first, second, third) = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    sizes, grids, prompts = result["sizes"], result["grids"], result["prompts"]
    for stage in (*STAGES, "all"):
        style = "k-o" if stage == "all" else "-"
        first.plot([one["megapixels"] for one in sizes], [one[stage] for one in sizes], style, label=stage)
        second.plot([one["clicks"] for one in grids], [one[stage] for one in grids], style, label=stage)
    first.set(xscale="log", xlabel="megapixels", ylabel="seconds", title="the image's size")
    second.set(xlabel="clicks", title="the grid's density")
    third.plot([one["prompts"] for one in prompts], [one["all"] for one in prompts], "k-o")
    third.set(xlabel="prompts", title="prompts on one embedding")
    first.legend(fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def loop(arguments: argparse.Namespace, on: dict[str, Any]) -> int:
    """Memory over many images, and the same answer from two processes."""
    with start(arguments.photo, arguments.grid, arguments) as side:
        rounds = side.ask(f"loop {arguments.loop}")
    digests = []
    for _ in range(2):
        with start(arguments.photo, arguments.grid, arguments) as side:
            digests += [side.ask("digest"), side.ask("digest")]
    settled = rounds[len(rounds) // 4 :]
    _, growth = np.polyfit(range(len(settled)), settled, 1)[::-1] if len(settled) > 1 else (0.0, 0.0)
    result = {
        "machine": on,
        "images": arguments.loop,
        "grid": arguments.grid,
        "resident_bytes": rounds,
        "growth_bytes_an_image": float(growth),
        "digests": digests,
    }
    same = len(set(digests)) == 1
    page = (
        "# Many images through one process\n\n"
        f"{machine_text(on)}; {arguments.loop} different images, a grid of {arguments.grid}x{arguments.grid}.\n\n"
        f"Resident memory after the first image {rounds[0] / 2**20:.0f} MiB, after the last {rounds[-1] / 2**20:.0f} "
        f"MiB, at most {max(rounds) / 2**20:.0f} MiB; from the first quarter on it changes by {growth / 2**10:+.1f} "
        f"KiB an image.\n\nThe same photo twice in each of two processes: the answers are "
        f"{'the same to the last bit' if same else 'NOT the same'} ({', '.join(one[:12] for one in digests)}).\n\n"
        "![Resident memory](everything_loop.png)\n"
    )
    print(page)
    write_text(arguments.out / "everything_loop.json", json.dumps(result, indent=1) + "\n")
    write_text(arguments.out / "everything_loop.md", page)
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    axes.plot(range(1, len(rounds) + 1), [one / 2**20 for one in rounds])
    axes.set(xlabel="images", ylabel="resident memory, MiB", ylim=(0, None))
    with atomic_path(arguments.out / "everything_loop.png") as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
