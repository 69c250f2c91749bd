"""What tuning gains, forgets and costs: runs of `segany train`, measured by `segany evaluate clicks` on other images.

    python benchmarks/training.py --data bbbc038 --runs decoder --out out

A set is split by image: two thirds teach, the rest is measured, together with the guards: sets that taught nothing.
Settings were chosen on a part of the images that teach (seed 6 of the split; --seed for another one). The tuned model
and the published one are clicked on the same objects; differences are paired, with 95 % bootstrap
intervals over images. An interrupted call is repeated: runs and measurements go on where they were.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from segany.evaluate.machine import describe_machine
from segany.settings import Settings

RESULTS = Path(__file__).parent / "results"
GUARDS = ("grabcut", "coco_val80", "cvppp_a1")
# Photos on which answers should stay: of sets that are neither taught nor measured.
KEEP = ("voc2007/images", "photos", "plates/eu", "plates/us")
THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
SHORT = {
    "clicks": 2,
    "repeats": 0,
    "lone_share": 0.5,
    "box_share": 0.15,
    "min_cells": 1,
    "objects_per_image": 6,
    "images_per_step": 1,
    "count_power": 1.0,
    "views": 2,
    "keep_clicks": 4,
    "keep_every": 1,
    "keep_weight": 2.0,
    "keep_score_weight": 5.0,
    "learning_rate": 3e-4,
    "blend": 0.4,
    "refit_objects": 400,
    "val_share": 0.1,
    "val_objects": 40,
    "schedule": "cosine",
    "precision": "bfloat16",
    "save_every": 10,
}
RUNS: dict[str, dict[str, Any]] = {
    "scores": {"tune": "scores", "steps": 40},
    "decoder": {"tune": "decoder", "steps": 250},
    "lora": {"tune": "lora", "steps": 150, "with_decoder": False},
    "lora and decoder": {"tune": "lora", "steps": 150},
}
COSTS: dict[str, dict[str, Any]] = {
    "scores": {"tune": "scores"},
    "decoder": {"tune": "decoder"},
    "lora": {"tune": "lora", "with_decoder": False},
    "lora and decoder": {"tune": "lora"},
    "full": {"tune": "full"},
    "full, activations kept": {"tune": "full", "checkpoint_activations": False},
}


def split(source: Path, target: Path, seed: int) -> dict[str, int]:
    """Copy a set of images/ and labels/ into train/ and test/, by a digest of each image's name."""
    images = sorted(
        (source / "images").iterdir(), key=lambda path: hashlib.sha256(f"{seed} {path.stem}".encode()).digest()
    )
    border = len(images) * 2 // 3
    for name, members in (("train", images[:border]), ("test", images[border:])):
        for kind in ("images", "labels"):
            (target / name / kind).mkdir(parents=True, exist_ok=True)
            for image in members:
                file = next((source / kind).glob(f"{image.stem}.*"))
                shutil.copy(file, target / name / kind / file.name)
    return {"train": border, "test": len(images) - border}


def segany(*words: str) -> tuple[dict[str, Any], int]:
    """Run a command; its document, and its peak memory in bytes."""
    command = [sys.executable, "-W", "ignore", "-m", "segany", *words, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    # Peak memory comes in units of 1024 bytes on Linux.
    return json.loads(output), usage.ru_maxrss * 1024


def tune(name: str, folder: Path, out: Path, data: Path, steps: int | None) -> dict[str, Any]:
    """Train, or read what a call before left."""
    settings = {**SHORT, **RUNS[name]}
    tuning = settings.pop("tune")
    settings["steps"] = steps or settings["steps"]
    settings["val_every"] = settings["steps"]
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={str(value).lower()}")]
    known = out / "cost.json"
    document, memory = segany(
        "train",
        "--data",
        f"taught={folder / 'train'}",
        "--tune",
        tuning,
        *(word for folder in KEEP for word in ("--keep", str(data / folder))),
        "--threads",
        str(THREADS),
        *words,
        "--out",
        str(out / "run"),
    )
    if not known.is_file():
        known.write_text(json.dumps({"memory_bytes": memory, "threads": THREADS}), encoding="utf-8")
    return {**document, **json.loads(known.read_text(encoding="utf-8")), "settings": settings}


def cost(name: str, folder: Path, out: Path) -> dict[str, Any]:
    """What a step of a strategy takes: the second of two, and the peak of memory."""
    settings = {**SHORT, **COSTS[name], "steps": 2, "val_share": 0.0, "keep_weight": 0.0, "views": 1}
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={str(value).lower()}")]
    shutil.rmtree(out, ignore_errors=True)
    data = ("--data", f"taught={folder / 'train'}", "--threads", str(THREADS))
    _, memory = segany("train", *data, *words, "--out", str(out))
    lines = (out / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return {"seconds_per_step": json.loads(lines[-1])["seconds"], "memory_bytes": memory, "settings": settings}


def measure(model: str, folder: Path, out: Path, data: Path, limit: int, rest: int) -> list[dict[str, Any]]:
    """Paired differences of the tuned model from the published one."""
    guards = {name: data / name for name in GUARDS if name != folder.name}
    differences = []
    for report, sets, most in (("rest", {"rest": folder / "test"}, rest), ("guards", guards, limit)):
        words = [word for name, path in sets.items() for word in ("--data", f"{name}={path}")]
        words += ["--model", "mobile_sam", "--model", model, "--limit", str(most), "--set", "counts=1,5"]
        segany("evaluate", "clicks", *words, "--threads", str(THREADS), "--out", str(out / report))
        both = (str(out / report), str(out / report))
        compared, _ = segany("compare", *both, "--first-model", "mobile_sam", "--second-model", model)
        differences += [one for one in compared["differences"] if one["metric"] in ("mIoU@1", "mIoU@5", "oracle@1")]
    return differences


def table(document: dict[str, Any]) -> str:
    lines = []
    if "costs" in document:
        lines += ["## A step", "", "| strategy | seconds | GB |", "|---|---|---|"]
        for name, one in document["costs"].items():
            lines.append(f"| {name} | {one['seconds_per_step']:.1f} | {one['memory_bytes'] / 1e9:.1f} |")
        lines.append("")
    for set_name, entry in document["sets"].items():
        lines += [
            f"## {set_name}",
            "",
            "| run | minutes | processor minutes | GB | set | n | mIoU@1 | change | mIoU@5 | change |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for run_name, run in entry["runs"].items():
            found = {(one["set"], one["metric"]): one for one in run["differences"]}
            for number, where in enumerate(dict.fromkeys(one["set"] for one in run["differences"])):
                cells = []
                for metric in ("mIoU@1", "mIoU@5"):
                    one = found[where, metric]
                    change = f"{100 * one['difference']:+.1f} ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"
                    cells += [f"{100 * one['first']:.1f} → {100 * one['second']:.1f}", change]
                minutes = [f"{run[key] / 60:.1f}" for key in ("seconds", "processor_seconds")]
                head = [run_name, *minutes, f"{run['memory_bytes'] / 1e9:.1f}"] if number == 0 else [""] * 4
                lines.append(f"| {' | '.join((*head, where, str(found[where, 'mIoU@1']['n']), *cells))} |")
        lines.append("")
    return "\n".join(lines)


def draw(document: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    bars = [
        (f"{run}, on {'its rest' if where == 'rest' else where}" if number else f"{name}: {run}, on its rest", found)
        for name, entry in document["sets"].items()
        for run, made in entry["runs"].items()
        for number, where in enumerate(dict.fromkeys(one["set"] for one in made["differences"]))
        for found in [{one["metric"]: one for one in made["differences"] if one["set"] == where}]
    ]
    figure = Figure(figsize=(9, 1 + 0.27 * len(bars)), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, metric in zip(axes, ("mIoU@1", "mIoU@5"), strict=True):
        for place, (_, found) in enumerate(bars):
            one = found[metric]
            ends = [[100 * (one["difference"] - one["low"])], [100 * (one["high"] - one["difference"])]]
            color = "C0" if one["set"] == "rest" else "0.45"
            axis.errorbar([100 * one["difference"]], [place], xerr=ends, fmt="o", color=color, capsize=3)
        axis.axvline(0, color="0.6", linewidth=0.8)
        axis.axvline(-1, color="C3", linewidth=0.8, linestyle=":")
        axis.set(title=f"change of {metric}, points")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(bars)), [name for name, _ in bars], fontsize=8)
    axes[0].invert_yaxis()
    figure.savefig(path, dpi=120)


def write(document: dict[str, Any]) -> None:
    document["machine"] = describe_machine(THREADS)
    (RESULTS / "training.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "training.md").write_text(table(document), encoding="utf-8")
    if any(entry["runs"] for entry in document["sets"].values()):
        draw(document, RESULTS / "training.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="bbbc038", help="sets of SEGANY_DATA that teach, with commas")
    parser.add_argument("--runs", default="decoder", help=f"of {', '.join(RUNS)}; with commas")
    parser.add_argument("--limit", type=int, default=200, help="objects of each guard")
    parser.add_argument("--rest", type=int, default=100_000, help="objects of the images that do not teach: all")
    parser.add_argument("--seed", type=int, default=6, help="of the split")
    parser.add_argument("--steps", type=int, help="other than the run's own")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and reports")
    parser.add_argument("--costs", action="store_true", help="only measure what a step of each strategy takes")
    parser.add_argument("--only-train", action="store_true", help="measure later")
    given = parser.parse_args()
    data = Settings.from_environment().data
    if data is None:
        raise SystemExit("set SEGANY_DATA to the folder of annotated data")
    results = RESULTS / "training.json"
    document = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else {"sets": {}}
    for set_name in given.data.split(","):
        folder = given.out / set_name
        images = split(data / set_name, folder, given.seed)
        if given.costs:
            for name in COSTS:
                document.setdefault("costs", {})[name] = cost(name, folder, folder / "cost")
                write(document)
            continue
        entry = document["sets"].setdefault(set_name, {"images": images, "runs": {}})
        for name in given.runs.split(","):
            out = folder / name.replace(" ", "_")
            out.mkdir(parents=True, exist_ok=True)
            trained = tune(name, folder, out, data, given.steps)
            if given.only_train:
                continue
            differences = measure(trained["model"], folder, out, data, given.limit, given.rest)
            kept = ("seconds", "processor_seconds", "memory_bytes", "threads", "settings", "before", "best", "steps")
            entry["runs"][name] = {
                **{key: trained[key] for key in kept},
                "differences": differences,
                "limit": given.limit,
                "rest": given.rest,
            }
            write(document)


if __name__ == "__main__":
    main()
