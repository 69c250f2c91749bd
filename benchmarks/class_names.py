"""Class names from 1, 5 and 20 clicked examples a class: features that are there already, against raw crops.

Images are drawn into two halves again and again: examples are taken from one, named objects from the other. Accuracy is
the mean over classes, and its interval a bootstrap over images. Beside it stands how sure the best names were: a
confidence is worth its name if it is as high as the accuracy.

    python benchmarks/class_names.py --data coco_val80=$SEGANY_DATA/coco_val80
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany import Predictor
from segany.engine.classes import ClassNames
from segany.engine.features import mask_features
from segany.evaluate.intervals import mean_interval
from segany.files import write_text
from segany.formats import open_dataset
from segany.predict import EmbeddingCache
from segany.schema import Image

RESULTS = Path(__file__).parent / "results"
EXAMPLES = (1, 5, 20)
DRAWS = 20
METHODS = ("prototype", "linear", "auto", "nearest feature", "nearest raw crop")
_CROP = 32


class Objects(NamedTuple):
    """Annotated objects of a set."""

    features: NDArray[np.float32]
    crops: NDArray[np.float32]
    names: NDArray[np.str_]
    images: NDArray[np.str_]


def load(path: Path) -> Objects:
    """Features and crops of every object that has a class."""
    dataset = open_dataset(path)
    predictor = Predictor(cache=EmbeddingCache.default())
    features, crops, names, images = [], [], list[str](), list[str]()
    for record in dataset.records():
        named = [one for one in record.objects if one.category is not None and one.area >= 100]
        if not named:
            continue
        image = dataset.open_image(record)
        features.append(mask_features(predictor.embed(image), [one.segmentation for one in named]))
        crops += [crop(image, one.box) for one in named]
        names += [str(one.category) for one in named]
        images += [record.image.file_name] * len(named)
    if not names:
        raise SystemExit(f"{path} names no classes")
    return Objects(np.concatenate(features), np.array(crops), np.array(names), np.array(images))


def crop(image: Image, box: Sequence[float]) -> NDArray[np.float32]:
    """The box, 32x32, mean 0 and length 1."""
    x0, y0, x1, y1 = (int(value) for value in box)
    picture = PillowImage.fromarray(image.pixels[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)])
    pixels = np.asarray(picture.resize((_CROP, _CROP), PillowImage.Resampling.BOX), dtype=np.float32).ravel()
    pixels -= pixels.mean()
    return np.asarray(pixels / max(float(np.linalg.norm(pixels)), 1e-6), dtype=np.float32)


def named(method: str, objects: Objects, known: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.str_]:
    """Names that a method gives."""
    names = objects.names[known]
    if method.startswith("nearest"):
        vectors = objects.features if method.endswith("feature") else objects.crops
        return np.asarray(names[np.argmax(vectors[asked] @ vectors[known].T, axis=1)])
    learned = ClassNames.learn(objects.features[known], names.tolist(), head=method)  # type: ignore[arg-type]
    return np.array([row[0].name for row in learned.suggest(objects.features[asked], 1)])


def measure(objects: Objects, examples: int, least: int) -> dict[str, Any]:
    """Accuracy of every method with so many examples a class."""
    classes = [name for name in np.unique(objects.names) if np.count_nonzero(objects.names == name) >= least]
    right: dict[str, list[float]] = {method: [] for method in METHODS}
    weights, groups, sure = list[float](), list[str](), list[float]()
    used = set[str]()
    for draw in range(DRAWS):
        rng = np.random.default_rng((draw, examples))
        images = np.unique(objects.images)
        half = set(rng.permutation(images)[: len(images) // 2].tolist())
        inside = np.isin(objects.images, list(half))
        known, kept = list[int](), list[str]()
        for name in classes:
            there = np.flatnonzero(inside & (objects.names == name))
            if len(there) >= examples and np.any(~inside & (objects.names == name)):
                known += rng.choice(there, examples, replace=False).tolist()
                kept.append(name)
        asked = np.flatnonzero(~inside & np.isin(objects.names, kept))
        if len(kept) < 2:
            continue
        used |= set(kept)
        counts = {name: np.count_nonzero(objects.names[asked] == name) for name in kept}
        weights += [len(asked) / (len(kept) * counts[name]) for name in objects.names[asked]]
        groups += objects.images[asked].tolist()
        for method in METHODS:
            hit = named(method, objects, np.array(known), asked) == objects.names[asked]
            right[method] += hit.astype(float).tolist()
        learned = ClassNames.learn(objects.features[known], objects.names[known].tolist())
        sure += learned.probabilities(objects.features[asked]).max(axis=1).tolist()
    share = np.array(weights)
    figures = {}
    for method, hits in right.items():
        found = mean_interval(np.array(hits) * share, groups)
        figures[method] = {"mean": found.mean, "low": found.low, "high": found.high}
    paired = mean_interval((np.array(right["auto"]) - np.array(right["nearest raw crop"])) * share, groups)
    return {
        "examples": examples,
        "classes": len(used),
        "accuracy": figures,
        "confidence of auto": mean_interval(np.array(sure) * share, groups).mean,
        "auto - nearest raw crop": {"mean": paired.mean, "low": paired.low, "high": paired.high},
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", action="append", required=True, help="NAME=PATH with class names; repeat it")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    results: dict[str, Any] = {
        "command": shlex.join(["python", "benchmarks/class_names.py", *sys.argv[1:]]),
        "sets": {},
    }
    for word in given.data:
        name, _, path = word.partition("=")
        objects = load(Path(path))
        # The same classes at every number of examples, as far as there are enough objects.
        results["sets"][name] = [measure(objects, examples, 8 if examples < 20 else 40) for examples in EXAMPLES]
        print(name, json.dumps(results["sets"][name]), flush=True)
    write_text(given.out / "class_names.json", f"{json.dumps(results, indent=1)}\n")
    plot(results, given.out / "class_names.png")


def plot(results: dict[str, Any], path: Path) -> None:
    """Accuracy over the number of examples, one panel a set."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(results["sets"]), figsize=(5 * len(results["sets"]), 4), squeeze=False)
    for panel, (name, rows) in zip(panels[0], results["sets"].items(), strict=True):
        for method in METHODS:
            cells = [row["accuracy"][method] for row in rows]
            means = np.array([cell["mean"] for cell in cells])
            ends = np.array([[cell["mean"] - cell["low"], cell["high"] - cell["mean"]] for cell in cells]).T
            panel.errorbar(EXAMPLES, means * 100, ends * 100, marker="o", capsize=3, label=method)
        panel.set_xscale("log", base=2)
        panel.set_xticks(EXAMPLES, [f"{row['examples']}\n({row['classes']} classes)" for row in rows])
        panel.set_title(name)
        panel.set_xlabel("examples a class")
        panel.set_ylabel("accuracy, %, mean of classes")
        panel.set_ylim(0, 100)
        panel.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
