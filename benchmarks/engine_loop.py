r"""The data engine's loop with a simulated annotator: what a mask costs in each round, with retraining and without.

    python benchmarks/engine_loop.py --data bbbc038=$SEGANY_DATA/bbbc038 --data cvppp_a1=$SEGANY_DATA/cvppp_a1 \
        --guard grabcut=$SEGANY_DATA/grabcut --work loop [--retrain]

The images are dealt out to rounds; each round sees images that no round saw before, and a quarter is held back to judge
models by. The first round is assisted-manual: everything is drawn, ranked by predicted IoU alone. The others are
semi-automatic, with the project's chooser. With --retrain, each round but the last ends by tuning the mask decoder on
what was accepted so far, and the gate decides. With --manual every round is as the first: what the same images cost
without the loop; with --manual --chooser, what the chooser saves on them as it learns. A run that was stopped goes on:
rounds that were done are read from the folder. --plot draws what the folder's runs came to, and writes the result.
"""

import argparse
import hashlib
import json
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from segany import Predictor
from segany.engine import open_store
from segany.engine.annotator import Annotator, Costs
from segany.engine.models import confidence, model_in_use
from segany.engine.reviews import learn_confidence
from segany.engine.rounds import ROUND, LearningRound, round_handler
from segany.engine.running import run_to_end
from segany.engine.simulation import simulate_round
from segany.engine.stages import StageSettings
from segany.evaluate.machine import describe_machine
from segany.files import write_text
from segany.formats import open_dataset, sa1b
from segany.masks import RLE
from segany.predict import EmbeddingCache
from segany.schema import Record
from segany.store import Incoming, Store, create_store

RESULTS = Path(__file__).parent / "results"
MOST_OBJECTS = 80
COLOURS = {
    "drawn-by-hand": "tab:gray",
    "drawn-by-hand, chooser": "tab:green",
    "as-published": "tab:blue",
    "retrained": "tab:orange",
}
HELD_BACK = 4


def deal(words: list[str], images: int, rounds: int) -> tuple[list[list[tuple[Any, Record]]], list[tuple[Any, Record]]]:
    """Images of every round, of all sets alike, and those that are held back; by a digest of their names."""
    parts: list[list[tuple[Any, Record]]] = [[] for _ in range(rounds)]
    held: list[tuple[Any, Record]] = []
    for word in words:
        dataset = open_dataset(Path(word.partition("=")[2]))
        found = [record for record in dataset.records() if 0 < len(record.objects) <= MOST_OBJECTS]
        found.sort(key=lambda record: hashlib.sha256(record.image.file_name.encode()).digest())
        behind = len(found) // HELD_BACK
        held += [(dataset, record) for record in found[:behind]]
        mine = found[behind:][: images // len(words) * rounds]
        for place, record in enumerate(mine):
            parts[place * rounds // len(mine)].append((dataset, record))
    return parts, held


def write_held(held: list[tuple[Any, Record]], folder: Path) -> None:
    """The held-back images as SA-1B records."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (dataset, record) in enumerate(held):
        path = dataset.image_path(record)
        name = f"{number}{path.suffix}"
        (folder / name).write_bytes(path.read_bytes())
        sa1b.write_record(replace(record, image=replace(record.image, file_name=name)), folder / f"{number}.json")


def fill(store: Store, parts: list[list[tuple[Any, Record]]]) -> tuple[list[list[int]], dict[int, list[RLE]]]:
    """The rounds' images without their masks; gives the records of each round, and the truth."""
    numbers: list[list[int]] = []
    truths: dict[int, list[RLE]] = {}
    for part in parts:
        mine = []
        for dataset, record in part:
            added = store.add_records([Incoming(image=dataset.image_path(record), origin="loop")], actor="loop")
            number = added.record_ids[0]
            truths[number] = [one.segmentation for one in record.objects]
            mine.append(number)
        numbers.append(mine)
    return numbers, truths


def learn(store: Store, predictor: Predictor, rounds: list[dict[str, Any]], given: argparse.Namespace) -> None:
    """Learn which of the model's masks are accepted; a promotion has done so from the same images."""
    known = confidence(store)
    promoted = bool(rounds) and bool((rounds[-1]["learning"] or {}).get("promoted"))
    if not promoted or known is None or known.model_digest != predictor.backend.model_digest:
        grid = given.points_per_side
        learn_confidence(store, predictor, actor="loop", precision=given.precision, points_per_side=grid)


def run(given: argparse.Namespace) -> None:
    """Do the rounds that are not done yet."""
    parts, held = deal(given.data, given.images, given.rounds)
    choosing = given.chooser or not given.manual
    by_hand = "drawn-by-hand, chooser" if choosing else "drawn-by-hand"
    work = given.work / (by_hand if given.manual else "retrained" if given.retrain else "as-published")
    create_store(work / "store")
    if not (work / "held").exists():
        write_held(held, work / "held")
    out = work / "rounds.json"
    rounds: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8")) if out.exists() else []
    with open_store(work / "store") as store:
        numbers, truths = fill(store, parts)
        for place in range(len(rounds), min(given.rounds, len(rounds) + given.at_most)):
            started = time.perf_counter()
            predictor = Predictor(model_in_use(store), cache=EmbeddingCache.default())
            if not given.manual:
                learn(store, predictor, rounds, given)
            stage = StageSettings(
                "assisted-manual" if place == 0 or given.manual else "semi-automatic",
                points_per_side=given.points_per_side,
                records=tuple(numbers[place]),
            )
            # Without the loop there is no round that the chooser sits out.
            mine = choosing and (place > 0 or given.manual)
            figures = simulate_round(store, truths, stage, predictor, Annotator(), choosing=mine)
            entry = {**figures.to_dict(), "model": predictor.backend.model_digest[:12], "learning": None}
            if given.retrain and place < given.rounds - 1:
                guards = dict(word.split("=", 1) for word in given.guard)
                wanted = LearningRound(
                    f"round-{place}",
                    str(work / "runs"),
                    target=str(work / "held"),
                    guards=guards,
                    limit=given.limit,
                    margin=given.margin,
                    train=json.loads(given.train),
                    keep=tuple(given.keep),
                )
                handlers = {ROUND: round_handler(store, actor="loop")}
                entry["learning"] = run_to_end(store, ROUND, vars(wanted), handlers)
            entry["machine_seconds"] = time.perf_counter() - started
            rounds.append(entry)
            write_text(out, f"{json.dumps(rounds, indent=1)}\n")
            print(place, json.dumps({k: v for k, v in entry.items() if k != "learning"}), flush=True)
            if entry["learning"]:
                print("\n".join(entry["learning"]["says"]), flush=True)


def report(given: argparse.Namespace) -> None:
    """Write what the runs in the folder came to, and draw it."""
    runs = {}
    for name in COLOURS:
        path = given.work / name / "rounds.json"
        if path.exists():
            runs[name] = json.loads(path.read_text(encoding="utf-8"))
    command = shlex.join(["python", "benchmarks/engine_loop.py", *sys.argv[1:]])
    for rounds in runs.values():
        for entry in rounds:
            for factor in (0.5, 1.0, 1.5):
                cost = Costs().scaled(factor)
                entry[f"seconds_per_mask x{factor:g}"] = cost.seconds(entry["steps"]) / max(entry["masks"], 1)
            # Each cost by itself half as much and half as much again: what the ratio of rounds depends on.
            for name in ("click", "inspect", "polygon"):
                for factor in (0.5, 1.5):
                    cost = replace(Costs(), **{name: getattr(Costs(), name) * factor})
                    entry[f"seconds_per_mask {name} x{factor:g}"] = cost.seconds(entry["steps"]) / max(
                        entry["masks"], 1
                    )
    document = {"command": command, "costs": vars(Costs()), "machine": describe_machine(None), "runs": runs}
    write_text(given.out / "engine_loop.json", f"{json.dumps(document, indent=1)}\n")
    plot(runs, given.out / "engine_loop.png")


def plot(runs: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Four panels over the rounds."""
    import matplotlib.pyplot as plt

    panels_of = (
        ("seconds_per_mask", "a person's seconds for a mask"),
        ("share_automatic", "masks that nobody looked at, share"),
        ("iou", "mean IoU with the truth"),
        ("found", "objects found (solid), masks that are one (dashed)"),
    )
    figure, panels = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    for (key, title), panel in zip(panels_of, panels.ravel(), strict=True):
        for name, rounds in runs.items():
            color = COLOURS[name]
            places = range(1, len(rounds) + 1)
            panel.plot(places, [entry[key] for entry in rounds], marker="o", color=color, label=name)
            if key == "seconds_per_mask" and name in ("as-published", "retrained"):
                # From half of all costs to half as much again.
                low = [min(v for k, v in entry.items() if k.startswith("seconds_per_mask ")) for entry in rounds]
                high = [max(v for k, v in entry.items() if k.startswith("seconds_per_mask ")) for entry in rounds]
                panel.fill_between(places, low, high, color=color, alpha=0.15)
            if key == "found":
                panel.plot(places, [entry["precise"] for entry in rounds], marker="o", ls="--", color=color)
            panel.set_xticks(list(places))
        panel.set_title(title)
        panel.set_xlabel("round")
        panel.set_ylim(0, 1.05 if key in ("iou", "found") else None)
        panel.spines[["top", "right"]].set_visible(False)
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run rounds, or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True, help="NAME=PATH of annotated images; repeat it")
    parser.add_argument("--guard", action="append", default=[], help="NAME=PATH that must not get worse; repeat it")
    parser.add_argument("--keep", action="append", default=[], help="photos whose answers should stay; repeat it")
    parser.add_argument("--work", type=Path, required=True, help="folder for stores and checkpoints")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-most", type=int, default=99, help="rounds in this call; the next call goes on")
    parser.add_argument("--images", type=int, default=8, help="images a round")
    parser.add_argument("--points-per-side", type=int, default=32)
    parser.add_argument("--precision", type=float, default=0.9, help="share of good masks among the automatic ones")
    parser.add_argument("--limit", type=int, default=150, help="objects of each set that judges a model")
    parser.add_argument("--margin", type=float, default=0.01, help="what a guard may lose, by its interval's lower end")
    parser.add_argument("--retrain", action="store_true")
    parser.add_argument(
        "--manual", action="store_true", help="every round as the first: what the same images cost then"
    )
    parser.add_argument("--chooser", action="store_true", help="with --manual: the chooser learns and ranks")
    parser.add_argument("--train", default="{}", help="settings of training, as JSON")
    parser.add_argument("--plot", action="store_true", help="only report")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    report(given) if given.plot else run(given)


if __name__ == "__main__":
    main()
