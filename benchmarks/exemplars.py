"""Exemplars: from 1, 5 and 20 clicked objects of a kind to others of it on other images, against raw crops.

Images are drawn into two halves again and again: exemplars are taken from one, and looked for on each image of the
other that shows their kind. Masks are those of "everything"; `rank_like` is measured beside two other rankings: by the
nearest exemplar's features alone, and by its pixels (crops of 32x32). Sets that name no classes have one kind: whatever
is annotated. "First right" is how often the first proposal is such an object (IoU .5 or more); "found" is the share of
an image's objects that are among its first proposals, as many as there are objects, and ten at least. Means over
classes, with bootstraps over images.

    python benchmarks/exemplars.py --data coco_val80=$SEGANY_DATA/coco_val80 --data trashcan=$SEGANY_DATA/trashcan
"""

import argparse
import json
import shlex
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from class_names import crop
from numpy.typing import NDArray

from segany import Predictor
from segany.engine.exemplars import rank_like
from segany.engine.features import mask_features
from segany.evaluate.intervals import mean_interval
from segany.evaluate.machine import describe_machine
from segany.files import write_text
from segany.formats import Dataset, open_dataset
from segany.masks import RLE, rle_iou_matrix
from segany.predict import EmbeddingCache, ImageEmbedding
from segany.predict.automatic import AutomaticMaskGenerator, GridSettings
from segany.schema import Annotation, Image, Record

RESULTS = Path(__file__).parent / "results"
EXEMPLARS = (1, 5, 20)
METHODS = ("exemplars", "nearest feature", "nearest raw crop")
FIGURES = ("first right", "found")
_LEAST_AREA = 100
_LEAST_FIRST = 10
_RIGHT = 0.5


@dataclass(frozen=True, eq=False)
class Place:
    """An image: its objects, and what "everything" finds.

    Attributes:
        embedding: Of the image.
        masks: Class -> masks of its objects.
        features: Class -> [N, C] features of these.
        crops: Class -> [N, 3072] pixels of these.
        everything: Masks that were found.
        everything_features: [M, C].
        everything_crops: [M, 3072].
    """

    embedding: ImageEmbedding
    masks: dict[str, list[RLE]]
    features: dict[str, NDArray[np.float32]]
    crops: dict[str, NDArray[np.float32]]
    everything: list[Annotation]
    everything_features: NDArray[np.float32]
    everything_crops: NDArray[np.float32]


def look(predictor: Predictor, dataset: Dataset, record: Record, points_per_side: int) -> Place:
    """What is known of an image."""
    image = dataset.open_image(record)
    embedding = predictor.embed(image)
    kinds: dict[str, list[Annotation]] = defaultdict(list)
    for one in record.objects:
        if one.area >= _LEAST_AREA:
            kinds[one.category or "object"].append(one)
    masks = {kind: [one.segmentation for one in there] for kind, there in kinds.items()}
    found = AutomaticMaskGenerator(predictor, GridSettings(points_per_side=points_per_side)).generate(image).annotations
    everything = [one.segmentation for one in found]
    return Place(
        embedding,
        masks,
        {kind: mask_features(embedding, there) for kind, there in masks.items()},
        {kind: crops(image, there) for kind, there in masks.items()},
        list(found),
        mask_features(embedding, everything),
        crops(image, everything),
    )


def crops(image: Image, masks: Sequence[RLE]) -> NDArray[np.float32]:
    """[N, 3072] float32: each mask's box, of mean 0 and length 1."""
    return np.array([crop(image, mask.box) for mask in masks], dtype=np.float32).reshape(len(masks), -1)


def proposals(method: str, known: Sequence[tuple[Place, int]], kind: str, place: Place) -> list[RLE]:
    """Masks that a method proposes, the best first."""
    if method == "exemplars":
        features = np.array([there.features[kind][number] for there, number in known])
        return [one.segmentation for one in rank_like(place.embedding, place.everything, features, least=-1.0)]
    if method == "nearest feature":
        meant = np.array([there.features[kind][number] for there, number in known])
        vectors = place.everything_features
    else:
        meant = np.array([there.crops[kind][number] for there, number in known])
        vectors = place.everything_crops
    if not place.everything:
        return []
    order = np.argsort(-(vectors @ meant.T).max(axis=1), kind="stable")
    return [place.everything[number].segmentation for number in order.tolist()]


def judge(found: Sequence[RLE], truth: Sequence[RLE]) -> tuple[float, float]:
    """Whether the first one is right, and the share of objects among the first ones."""
    first = found[: max(_LEAST_FIRST, len(truth))]
    if not first:
        return 0.0, 0.0
    ious = rle_iou_matrix(first, truth)
    return float(ious[0].max() >= _RIGHT), float((ious.max(axis=0) >= _RIGHT).mean())


def measure(places: Sequence[Place], exemplars: int, draws: int) -> dict[str, Any] | None:
    """Both figures of every method with so many exemplars; None where there are too few objects."""
    rows: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
    kinds, images = list[str](), list[str]()
    least = 2 * max(exemplars, 4)
    counted = {
        kind: sum(len(place.masks.get(kind, [])) for place in places) for place in places for kind in place.masks
    }
    for draw in range(draws):
        rng = np.random.default_rng((draw, exemplars))
        order = rng.permutation(len(places)).tolist()
        half, rest = order[: len(order) // 2], order[len(order) // 2 :]
        for kind in sorted(kind for kind, count in counted.items() if count >= least):
            there = [(places[p], n) for p in sorted(half) for n in range(len(places[p].masks.get(kind, [])))]
            if len(there) < exemplars:
                continue
            known = [there[n] for n in rng.choice(len(there), exemplars, replace=False).tolist()]
            for number in sorted(rest):
                place = places[number]
                if kind not in place.masks:
                    continue
                kinds.append(kind)
                images.append(str(number))
                for method in METHODS:
                    rows[method].append(judge(proposals(method, known, kind, place), place.masks[kind]))
    if not kinds:
        return None
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    share = np.array([len(kinds) / (len(counts) * counts[kind]) for kind in kinds])
    result: dict[str, Any] = {"exemplars": exemplars, "classes": len(counts), "questions": len(kinds)}
    for place_of, figure in enumerate(FIGURES):
        of = {method: share * np.array([row[place_of] for row in rows[method]]) for method in METHODS}
        result[figure] = {method: interval(values, images) for method, values in of.items()}
        result[f"{figure}, exemplars - nearest raw crop"] = interval(of["exemplars"] - of["nearest raw crop"], images)
    return result


def interval(values: NDArray[np.float64], groups: Sequence[str]) -> dict[str, float]:
    found = mean_interval(values, groups)
    return {"mean": found.mean, "low": found.low, "high": found.high}


def table(document: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = ["| set | exemplars | classes | questions | figure | " + " | ".join(METHODS) + " | difference |"]
    lines.append("|---" * 9 + "|")
    for name, rows in document["sets"].items():
        for row in rows:
            for figure in FIGURES:
                cells = [row[figure][method] for method in METHODS]
                cells.append(row[f"{figure}, exemplars - nearest raw crop"])
                said = [f"{100 * c['mean']:.1f} ({100 * c['low']:.1f} to {100 * c['high']:.1f})" for c in cells]
                head = [name, str(row["exemplars"]), str(row["classes"]), str(row["questions"]), figure]
                lines.append(f"| {' | '.join([*head, *said])} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True, help="NAME=PATH of annotated images; repeat it")
    parser.add_argument("--draws", type=int, default=6, help="halves that are drawn")
    parser.add_argument("--points-per-side", type=int, default=16, help='of "everything"')
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    document: dict[str, Any] = {
        "command": shlex.join(["python", "benchmarks/exemplars.py", *sys.argv[1:]]),
        "machine": describe_machine(None),
        "sets": {},
    }
    predictor = Predictor(cache=EmbeddingCache.default())
    for word in given.data:
        name, _, path = word.partition("=")
        dataset = open_dataset(Path(path))
        places = [look(predictor, dataset, record, given.points_per_side) for record in dataset.records()]
        rows = document["sets"][name] = []
        for exemplars in EXEMPLARS:
            row = measure(places, exemplars, given.draws)
            if row is not None:
                rows.append(row)
                print(name, json.dumps(row), flush=True)
    write_text(given.out / "exemplars.json", f"{json.dumps(document, indent=1)}\n")
    write_text(given.out / "exemplars.md", table(document))


if __name__ == "__main__":
    main()
