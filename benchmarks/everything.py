"""Find everything in photos: segany against the reference, same photos, same weights, same run.

    python benchmarks/everything.py --reference FOLDER [--shim FOLDER] [--photos FILE...] [--modes full adaptive]

Each side of each photo is a process of its own, so that its peak memory is its own. Segany runs several times and its
median counts; the reference, which takes minutes, runs once. Writes everything.json, everything.md and everything.png
into benchmarks/results. Without --reference only segany is timed. `everything_costs.py` shows what the time grows with.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from side import Side, add_reference, machine, machine_text, reference_of

from segany import Predictor, open_image, weights
from segany.files import atomic_path, write_text
from segany.formats import sa1b
from segany.masks import RLE
from segany.predict.agreement import MaskAgreement, mask_agreement, pooled_agreement
from segany.schema import Annotation, Record

RESULTS = Path(__file__).parent / "results"
STAGES = {
    "read": "read the file",
    "embed": "embed",
    "click": "prompts and decoder",
    "select": "filter, enlarge, encode",
}
# Shown beside them and not counted: segany writes a picture to look at too, the reference only what it found.
WRITE = "write"
MEMORY = "peak memory"
MIN_IOU = 0.9


def main() -> int:
    arguments = parse_arguments()
    reference = reference_of(arguments.reference, arguments.shim)
    on = machine(arguments.threads)
    # Whatever is made at a model's first use is made here, and is in nobody's memory.
    Predictor(arguments.checkpoint, device="cpu", precision=arguments.precision)
    rows = []
    for photo in arguments.photos:
        rows.append(one_photo(photo, arguments, reference))
        print(f"{photo.name}: {shown_row(rows[-1])}", file=sys.stderr, flush=True)
    result = {
        "machine": on,
        "weights": arguments.checkpoint.name,
        "points_per_side": arguments.points_per_side,
        "repetitions": arguments.repeat,
        "reference": None if reference is None else reference[0],
        "min_iou": MIN_IOU,
        "runtimes": rows[0]["runtimes"],
        "photos": rows,
        "agreement": pooled(rows),
    }
    page = markdown(result)
    print(page)
    write_text(arguments.out / "everything.json", json.dumps(result, indent=1) + "\n")
    write_text(arguments.out / "everything.md", page)
    plot(result, arguments.out / "everything.png")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_reference(parser)
    parser.add_argument("--photos", type=Path, nargs="+", help="photos; all samples when left out")
    parser.add_argument("--modes", nargs="+", default=["full", "adaptive"], help="of segany [full adaptive]")
    parser.add_argument("--points-per-side", type=int, default=32, help="clicks along each side [32]")
    parser.add_argument("--precision", default="auto", help="of segany; the reference computes in float32")
    parser.add_argument("--checkpoint", type=Path, help="file of weights; MobileSAM's when left out")
    parser.add_argument("--model-type", default="vit_t", help="key of the reference's sam_model_registry")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of each side")
    parser.add_argument("--repeat", type=int, default=5, help="runs of segany that count, after one that does not [5]")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    arguments = parser.parse_args()
    arguments.photos = arguments.photos or [weights.sample(entry.name) for entry in weights.entries("sample")]
    arguments.checkpoint = arguments.checkpoint or weights.path("mobile_sam")
    return arguments


def one_photo(
    photo: Path, arguments: argparse.Namespace, reference: tuple[str, dict[str, str]] | None
) -> dict[str, Any]:
    """Every side on one photo: seconds by stage, masks, memory and how far the masks agree."""
    image = open_image(photo)
    figures: dict[str, dict[str, float]] = {}
    runtimes: dict[str, str] = {}
    records: dict[str, Record] = {}
    with tempfile.TemporaryDirectory() as folder:
        for mode in arguments.modes:
            name = f"segany {mode}"
            out = Path(folder) / f"{mode}.json"
            figures[name], runtimes[name] = measure("segany", dict(os.environ), photo, out, arguments, mode)
            records[name] = sa1b.read_record(out)
        if reference is not None:
            package, environment = reference
            out = Path(folder) / "reference.json"
            figures[package], runtimes[package] = measure(package, environment, photo, out, arguments)
            found = json.loads(out.read_text(encoding="utf-8"))
            masks = [Annotation(id=k, segmentation=RLE.from_coco(one["segmentation"])) for k, one in enumerate(found)]
            records[package] = Record(image.info, tuple(masks))
    return {
        "photo": photo.name,
        "size": list(image.size),
        "figures": figures,
        "runtimes": runtimes,
        "agreement": {name: asdict(one) for name, one in agreements(records, arguments.modes).items()},
    }


def measure(
    package: str,
    environment: dict[str, str],
    photo: Path,
    out: Path,
    arguments: argparse.Namespace,
    mode: str | None = None,
) -> tuple[dict[str, float], str]:
    """Medians of one side in a process of its own, and what computed."""
    wanted = {
        "photo": str(photo.resolve()),
        "checkpoint": str(arguments.checkpoint.resolve()),
        "model_type": arguments.model_type,
        "threads": arguments.threads,
        "points_per_side": arguments.points_per_side,
        "precision": arguments.precision,
        "mode": mode,
    }
    with Side("everything_sides.py", [package, json.dumps(wanted)], environment) as side:
        runs = [side.ask(str(out)) for _ in range(1 if mode is None else arguments.repeat + 1)]
        runs = runs[1:] or runs
        figures = {key: statistics.median(one[key] for one in runs) for key in runs[0]}
        figures["total"] = statistics.median(sum(one[stage] for stage in STAGES) for one in runs)
        figures[MEMORY] = side.ask("memory")
        return figures, side.ask("runtime")


def agreements(records: dict[str, Record], modes: list[str]) -> dict[str, MaskAgreement]:
    """The first record named (A) against the second (B)."""
    pairs = [(package, f"segany {mode}") for package in records if not package.startswith("segany") for mode in modes]
    if {"full", "adaptive"} <= set(modes):
        pairs.append(("segany full", "segany adaptive"))
    return {f"{a} | {b}": mask_agreement(records[a], records[b], MIN_IOU) for a, b in pairs}


def pooled(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Every mask of all photos counted once."""
    names = rows[0]["agreement"]
    return {name: asdict(pooled_agreement([MaskAgreement(**row["agreement"][name]) for row in rows])) for name in names}


def shown_row(row: dict[str, Any]) -> str:
    return ", ".join(f"{name} {own['total']:.2f} s, {own['masks']:.0f} masks" for name, own in row["figures"].items())


def markdown(result: dict[str, Any]) -> str:
    runtimes = ", ".join(f"{side} on {runtime}" for side, runtime in result["runtimes"].items())
    clicks = result["points_per_side"]
    lines = [
        "# Everything in a photo",
        "",
        f"{machine_text(result['machine'])}; `{result['weights']}`, a grid of {clicks}x{clicks}; {runtimes}. Seconds: "
        f"medians of {result['repetitions']} runs of segany after one that does not count, one run of the reference; "
        "from the photo's file to encoded masks, the model loaded before. Writing is not in the sum: segany draws an "
        "overlay too. Each line is a process of its own.",
        "",
        f"| photo | side | {' | '.join(STAGES.values())} | all | ratio | {WRITE} | masks | {MEMORY} |",
        "|---|---|" + "---:|" * (len(STAGES) + 5),
    ]
    for row in result["photos"]:
        height, width = row["size"]
        for name, own in row["figures"].items():
            theirs = row["figures"].get(result["reference"])
            ratio = "" if theirs is None else f"{theirs['total'] / own['total']:.1f}x"
            stages = " | ".join(f"{own[stage]:.3f}" for stage in STAGES)
            lines.append(
                f"| {row['photo']}, {width}x{height} | {name} | {stages} | {own['total']:.2f} | {ratio} | "
                f"{own[WRITE]:.3f} | {own['masks']:.0f} | {own[MEMORY] / 2**20:.0f} MiB |"
            )
    if result["agreement"]:
        lines += [
            "",
            f"Masks that have one of the other side's at an IoU of at least {result['min_iou']:g}, over all photos:",
            "",
            "| A | B | masks of A | of B | A's found in B | B's found in A | mean best IoU, A | B |",
            "|---|---|---:|---:|---:|---:|---:|---:|",
        ]
    for name, values in result["agreement"].items():
        a, b = name.split(" | ")
        one = MaskAgreement(**values)
        lines.append(
            f"| {a} | {b} | {one.masks_a} | {one.masks_b} | {one.share_a:.2%} | {one.share_b:.2%} | "
            f"{one.best_iou_a:.4f} | {one.best_iou_b:.4f} |"
        )
    return "\n".join([*lines, "", "![Seconds by stage](everything.png)"]) + "\n"


def plot(result: dict[str, Any], path: Path) -> None:
    """Seconds by stage, a bar for each photo and side, on a logarithmic axis: the sides differ by two digits."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    bars = [
        (f"{row['photo']}\n{name}", own)
        for row in reversed(result["photos"])
        for name, own in reversed(row["figures"].items())
    ]
    figure, axes = plt.subplots(figsize=(9, 1 + 0.5 * len(bars)), layout="constrained")
    height = 0.8 / len(STAGES)
    for place, (stage, label) in enumerate(STAGES.items()):
        # Side by side: stacked bars cannot be read on a logarithmic axis.
        offsets = [row + 0.4 - (place + 0.5) * height for row in range(len(bars))]
        axes.barh(offsets, [max(own[stage], 1e-3) for _, own in bars], height=height, label=label)
    for row, (_, own) in enumerate(bars):
        axes.text(own["total"] * 1.1, row, f"{own['total']:.2f} s", va="center", fontsize=8)
    axes.set_xscale("log")
    axes.set_xlabel("seconds (the figure at the right: all stages)")
    axes.set_yticks(range(len(bars)), [label for label, _ in bars], fontsize=8)
    axes.legend(fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
