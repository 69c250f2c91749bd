"""A large model on a GPU: segany in bfloat16 against the reference in float32, same random weights, same run.

    python benchmarks/gpu.py --reference FOLDER [--shim FOLDER] [--data FOLDER] [--compile]

Encodes batches and finds everything with ViT-H at random weights: images a second, peak memory of the device, how far
the encoder's features are from float32, and how far from the floor that operations and bytes set. What bfloat16 costs
in masks is measured with real weights: MobileSAM through the same code and precision on annotated objects (--data: a
COCO folder), and ViT-H's decoder on its two published embeddings. Writes gpu.json and gpu.md into benchmarks/results.
`--device cpu --tiny` tries the whole path on a model of toy size.
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

import numpy as np
import torch
from side import Side, add_reference, machine, machine_text, reference_of

from segany import Predictor, weights
from segany.evaluate import coco_objects, stratified
from segany.evaluate.box_prompts import gain, measure
from segany.evaluate.half_precision import published_features_agreement
from segany.files import write_text
from segany.model import CONFIGS, ModelConfig, PreprocessConfig, Sam, ViTConfig, save_sam

RESULTS = Path(__file__).parent / "results"
TINY = ModelConfig("tiny", ViTConfig(32, 2, 2, (1,), pretrain_side=128), PreprocessConfig(input_side=128))


def main() -> int:
    arguments = parse_arguments()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA GPU here; run it where one is, or try it with --device cpu --tiny.", file=sys.stderr)
        return 2
    reference = reference_of(arguments.reference, arguments.shim)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = random_checkpoint(arguments, Path(folder))
        figures = {"segany": side_figures("segany", dict(os.environ), checkpoints, arguments, Path(folder))}
        if reference is not None:
            package, environment = reference
            figures[package] = side_figures(package, environment, checkpoints, arguments, Path(folder))
        error = feature_error(checkpoints, arguments, Path(folder))
    result = {
        "machine": machine(arguments.threads),
        "device": torch.cuda.get_device_name() if arguments.device.startswith("cuda") else arguments.device,
        "model": arguments.model,
        "batch": arguments.batch,
        "compiled": arguments.compile,
        "reference": None if reference is None else reference[0],
        "figures": figures,
        "feature_error": error,
        "masks": masks_lost(arguments),
    }
    page = markdown(result)
    print(page.rstrip())
    write_text(arguments.out / "gpu.json", json.dumps(result, indent=1) + "\n")
    write_text(arguments.out / "gpu.md", page)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_reference(parser)
    parser.add_argument("--device", default="cuda", help="[cuda]")
    parser.add_argument("--model", default="vit_h", help="a config's name, which is also the reference's [vit_h]")
    parser.add_argument("--tiny", action="store_true", help="a model of toy size, to try the path")
    parser.add_argument("--batch", type=int, default=8, help="images at once [8]")
    parser.add_argument("--points-per-side", type=int, default=32, help="of finding everything [32]")
    parser.add_argument("--compile", action="store_true", help="compile segany's encoder")
    parser.add_argument("--data", type=Path, help="COCO folder: what bfloat16 costs MobileSAM on its objects")
    parser.add_argument("--objects", type=int, default=400, help="how many of them, spread over the sizes [400]")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads, on a CPU")
    parser.add_argument("--repeat", type=int, default=10, help="batches that count, after three that do not [10]")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for gpu.json and gpu.md")
    arguments = parser.parse_args()
    if arguments.tiny:
        arguments.model, arguments.points_per_side, arguments.repeat = "tiny", 2, 1
    return arguments


def random_checkpoint(arguments: argparse.Namespace, folder: Path) -> dict[str, str]:
    """Random weights as segany and as the reference read them."""
    torch.manual_seed(0)
    model = Sam(TINY if arguments.tiny else CONFIGS[arguments.model])
    save_sam(model, folder / "random.safetensors")
    torch.save(model.state_dict(), folder / "random.pth")
    return {"segany": str(folder / "random.safetensors"), "reference": str(folder / "random.pth")}


def start(
    package: str, environment: dict[str, str], precision: str, checkpoints: dict[str, str], arguments: Any
) -> Side:
    wanted = {
        "device": arguments.device,
        "precision": precision,
        "config": arguments.model,
        "model_type": arguments.model,
        "checkpoint": checkpoints["segany" if package == "segany" else "reference"],
        "batch": arguments.batch,
        "compile": arguments.compile,
        "points_per_side": arguments.points_per_side,
        "threads": arguments.threads,
    }
    return Side("gpu_sides.py", [package, json.dumps(wanted)], environment)


def side_figures(
    package: str, environment: dict[str, str], checkpoints: dict[str, str], arguments: argparse.Namespace, folder: Path
) -> dict[str, float]:
    precision = "bfloat16" if package == "segany" else "float32"
    photo = folder / "photo.npy"
    np.save(photo, np.random.default_rng(0).integers(0, 256, (96, 128, 3) if arguments.tiny else (1200, 1800, 3), "u1"))
    with start(package, environment, precision, checkpoints, arguments) as side:
        side.ask("memory")
        for _ in range(3):
            side.ask("embed")
        seconds = statistics.median(side.ask("embed") for _ in range(arguments.repeat))
        figures = {"images_a_second": arguments.batch / seconds, "peak_bytes": side.ask("memory")}
        runs = [side.ask(f"everything {photo}") for _ in range(2 if package == "segany" else 1)]
        figures |= {"everything": runs[-1], "everything_peak_bytes": side.ask("memory")}
        if package == "segany":
            floor = side.ask("floor")
            least = floor["operations"] / floor["operations_a_second"], floor["bytes"] / floor["bytes_a_second"]
            figures |= {**floor, "floor": max(least), "floor_share": max(least) / seconds}
        return figures


def feature_error(checkpoints: dict[str, str], arguments: argparse.Namespace, folder: Path) -> float:
    """Norm of the difference between the encoder's features in bfloat16 and in float32, over that of the latter."""
    features = []
    for precision in ("bfloat16", "float32"):
        file = folder / f"{precision}.npy"
        with start("segany", dict(os.environ), precision, checkpoints, arguments) as side:
            side.ask(f"features {file}")
        features.append(np.load(file))
    return float(np.linalg.norm(features[0] - features[1]) / np.linalg.norm(features[1]))


def masks_lost(arguments: argparse.Namespace) -> dict[str, Any]:
    lost: dict[str, Any] = {}
    if arguments.tiny:
        return lost
    lost["published features"] = published_features_agreement(arguments.device)
    if arguments.data is not None:
        objects = stratified(coco_objects(arguments.data), arguments.objects)
        scores = {
            precision: measure(Predictor(device=arguments.device, precision=precision, runtime="torch"), objects)
            for precision in ("bfloat16", "float32")
        }
        lost["miou"] = {precision: float(values.mean()) for precision, values in scores.items()}
        lost["change"] = asdict(gain(scores["bfloat16"], scores["float32"], objects))
        lost["weights"] = weights.DEFAULT_MODEL
    return lost


def markdown(result: dict[str, Any]) -> str:
    figures, package = result["figures"], result["reference"]
    ours, theirs = figures["segany"], figures.get(package)
    lines = [
        "# A large model on a GPU",
        "",
        f"{result['device']}; {machine_text(result['machine'])}; torch {result['machine']['torch']}. "
        f"`{result['model']}` at random weights, batches of {result['batch']}; segany in bfloat16"
        f"{', compiled' * result['compiled']}, the reference in float32.",
        "",
        "| | segany |" if package is None else f"| | segany | `{package}` | ratio |",
        "|---|---:|" if package is None else "|---|---:|---:|---:|",
    ]
    rows = (
        ("encoder, images a second", "images_a_second", 1, "{:.2f}", False),
        ("encoder, peak memory, MiB", "peak_bytes", 2**20, "{:.0f}", True),
        ("everything in a photo, s", "everything", 1, "{:.2f}", True),
        ("everything, peak memory, MiB", "everything_peak_bytes", 2**20, "{:.0f}", True),
    )
    for label, key, unit, form, less_is_better in rows:
        cells = [form.format(ours[key] / unit)]
        if theirs is not None:
            ratio = theirs[key] / ours[key] if less_is_better else ours[key] / theirs[key]
            cells += [form.format(theirs[key] / unit), f"{ratio:.1f}x"]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    lines += [
        "",
        f"The encoder's features differ from float32 by {result['feature_error']:.2%}.",
        "",
        f"Floor of a batch: {ours['operations'] / 1e12:.3g} TFLOP at {ours['operations_a_second'] / 1e12:.3g} TFLOP/s "
        f"and {ours['bytes'] / 1e9:.3g} GB at {ours['bytes_a_second'] / 1e9:.3g} GB/s, as a large product and a large "
        f"copy reach them here, take {ours['floor'] * 1000:.3g} ms: {ours['floor_share']:.0%} of the time taken.",
    ]
    masks = result["masks"]
    if "change" in masks:
        change = masks["change"]
        lines += [
            "",
            f"MobileSAM through the same code, boxes to masks, {change['n']} objects: mIoU "
            f"{masks['miou']['float32']:.4f} in float32, {masks['miou']['bfloat16']:.4f} in bfloat16; paired, "
            f"{change['mean'] * 100:+.2f} points ({change['low'] * 100:+.2f} to {change['high'] * 100:+.2f}).",
        ]
    for name, one in masks.get("published features", {}).items():
        lines += [
            "",
            f"ViT-H's decoder on `{name}`, {one['clicks']} clicks: mean mask IoU of bfloat16 with float32 "
            f"{one['mask_iou']:.4f}, of float32 with the published decoder {one['published_iou']:.4f}.",
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
