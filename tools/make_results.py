"""Measure what docs/results.md shows, and write that page.

    SEGANY_DATA=FOLDER python tools/make_results.py [TABLE...] [--render] [--fresh]

Each table is one `segany evaluate`; its figures land in benchmarks/results/evaluate.json, from which the page is
written. Without names all tables are measured anew; with `--render` nothing is, and only the page is written.
"""

import argparse
import hashlib
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segany.cli.main import main as segany
from segany.evaluate.report.markdown import machine_line, markdown_table
from segany.evaluate.report.tables import Table, cell, published_table
from segany.files import write_text
from segany.settings import Settings

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "evaluate.json"
REFERENCE = ROOT / "benchmarks" / "results" / "reference_clicks.json"
PAGE = ROOT / "docs" / "results.md"

# Where each set comes from. What is measured is a part of it: the digest says which.
ORIGINS = {
    "ade20k": "ADE20K, three street scenes at full resolution",
    "bbbc038": "nuclei, Data Science Bowl 2018, BBBC038v1 (CC0)",
    "bsds500": "BSDS500, Berkeley",
    "coco_val80": "COCO val2017, 80 images that show all classes (annotations CC BY 4.0)",
    "cvppp_a1": "Arabidopsis leaves, CVPPP 2017 A1 (a part of PPDLS)",
    "davis2016": "DAVIS 2016, four sequences",
    "grabcut": "GrabCut, all 50 images",
    "trashcan": "TrashCan 1.0, underwater",
    "voc2007": "PASCAL VOC 2007, segmentation",
}
# In float32, with the number of threads that the page names: then one machine gives the same figures again.
EXACT = ("--precision", "float32", "--threads", "2")


@dataclass(frozen=True)
class Measurement:
    """One table of the page.

    Attributes:
        title: Its heading.
        text: What to know before reading it.
        protocol: Which protocol.
        sets: Folders of SEGANY_DATA.
        options: Further words of the command.
        metrics: Which metrics are shown; all where empty.
    """

    title: str
    text: str
    protocol: str
    sets: Sequence[str]
    options: Sequence[str] = EXACT
    metrics: Sequence[str] = ()

    def command(self, data: str, out: str) -> list[str]:
        """Words of the command, for sets in `data`."""
        words = ["evaluate", self.protocol]
        for name in self.sets:
            words += ["--data", f"{name}={data}/{name}"]
        return [*words, *self.options, "--out", out]


MEASUREMENTS = {
    "clicks": Measurement(
        "Clicks",
        "mIoU after so many simulated clicks, MobileSAM, at most 400 objects of each set, those that seed 0 draws.",
        "clicks",
        ("bbbc038", "cvppp_a1", "trashcan", "coco_val80", "voc2007", "grabcut"),
        ("--limit", "400", *EXACT),
    ),
    "noc": Measurement(
        "Number of clicks",
        "Clicks until the mask is good, MobileSAM, all objects, by RITM's rule.",
        "noc",
        ("grabcut",),
        metrics=(
            *("NoC@80", "NoC@85", "NoC@90", "failures@80", "failures@85", "failures@90"),
            *("mIoU@1", "mIoU@2", "mIoU@3", "mIoU@5", "mIoU@10", "mIoU@20"),
        ),
    ),
    "boxes": Measurement(
        "Boxes",
        "The mask of an object's own box, MobileSAM, all objects. Box source: the tight boxes of the true masks; "
        "jittered: the same, moved as in training.",
        "boxes",
        ("coco_val80",),
    ),
    "everything": Measurement(
        "Everything",
        "All masks of an image, MobileSAM, 32 x 32 clicks and the default thresholds, 30 images of each set, those "
        "that seed 0 draws; classes are not looked at.",
        "everything",
        ("bbbc038", "cvppp_a1", "coco_val80"),
        ("--limit", "30", *EXACT),
        metrics=(
            *("AR@1000", "AR@100", "AR@10", "AR@1", "AR@1000 small", "AR@1000 medium", "AR@1000 large", "AP", "AP50"),
            *("pixels covered", "object pixels covered", "masks an image", "duplicates"),
        ),
    ),
    "hierarchy": Measurement(
        "Parts and wholes",
        "All masks of three large street scenes and of 20 COCO images, those that seed 0 draws, MobileSAM, each linked "
        "to the smallest one that holds 90 % of it, against annotated objects. Neither set has annotated parts, so "
        "where an object lies inside another one it stands for a part of it; the street scenes have no such pair.",
        "hierarchy",
        ("ade20k", "coco_val80"),
        ("--limit", "20", *EXACT),
        metrics=(
            *("parts inside their whole's object", "parts inside one object", "part's share inside its whole"),
            *("objects found", "objects found as wholes", "objects found as parts", "objects found as subparts"),
            *("annotated parts linked", "annotated parts", "masks that are parts", "deepest level"),
        ),
    ),
    "edges": Measurement(
        "Edges",
        "BSDS500, 50 images, each against all of its annotators: edges from MobileSAM's masks of 16 x 16 clicks, and "
        "OpenCV's Canny by the same command.",
        "edges",
        ("bsds500",),
        ("--model", "mobile_sam", "--model", "canny", *EXACT),
    ),
    "video": Measurement(
        "Video, frame by frame",
        "DAVIS 2016, four sequences; one click in every frame, which is what tracking has to beat. No figure of a "
        "video model.",
        "video",
        ("davis2016",),
    ),
    "baselines": Measurement(
        "Methods without a foundation model",
        "The same clicks to MobileSAM, RITM, GrabCut and Otsu's threshold with watershed; 20 objects of each set.",
        "clicks",
        ("bbbc038", "cvppp_a1", "coco_val80"),
        (
            *("--set", "counts=1,3", "--model", "mobile_sam", "--model", "ritm", "--model", "grabcut"),
            *("--model", "otsu", "--limit", "20", *EXACT),
        ),
        metrics=("mIoU@1", "mIoU@3", "made worse by a click"),
    ),
}


def measure(name: str, fresh: bool) -> dict[str, Any]:
    """Run one command and keep what the page needs of its report."""
    data = Settings.from_environment().data
    if data is None:
        sys.exit("set SEGANY_DATA to the folder that holds the sets.")
    measurement = MEASUREMENTS[name]
    with tempfile.TemporaryDirectory() as folder:
        words = [*measurement.command(str(data), folder), *(["--fresh"] if fresh else [])]
        if status := segany(words):
            sys.exit(status)
        text = (Path(folder) / "report.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text.replace(json.dumps(str(data))[1:-1], "$SEGANY_DATA"))
    # The report's own command has this machine's folders in it.
    document["command"] = shown_command(measurement)
    return document


def shown_command(measurement: Measurement) -> str:
    words = shlex.join(["segany", *measurement.command("DATA", "out")])
    return words.replace("=DATA/", "=$SEGANY_DATA/")


def page(documents: Mapping[str, Mapping[str, Any]]) -> str:
    """The page from all documents."""
    parts = [
        "# Results",
        "Measured by `segany evaluate`; this page is written by `make results`. Intervals are 95 % bootstraps over "
        "images. Shares are in percent; ↓: less is better. The sets are parts of public ones, so published figures are "
        "a guide.",
    ]
    for name, measurement in MEASUREMENTS.items():
        if name in documents:
            parts += section(measurement, documents[name])
    if REFERENCE.is_file():
        parts += reference_section(json.loads(REFERENCE.read_text(encoding="utf-8")))
    parts += ["## Data", data_table(documents)]
    parts += [
        "The digest is over the image files, what people drew in them, and which objects were drawn for the sample. "
        "The names of the images are in `benchmarks/results/evaluate.json`, with all figures unrounded."
    ]
    return "\n\n".join(parts) + "\n"


def section(measurement: Measurement, document: Mapping[str, Any]) -> list[str]:
    columns = [(result["set"], result["metrics"]) for result in document["results"]]
    columns += [("mean of sets", mean["metrics"]) for mean in document["means"]]
    several = len({result["model"] for result in document["results"]}) > 1
    if several:
        columns = [(f"{result['model']}, {result['set']}", result["metrics"]) for result in document["results"]]
    rows = [
        [
            metric + (" ↓" if about["lower_is_better"] else ""),
            *(cell(metrics.get(metric), about["unit"]) for _, metrics in columns),
        ]
        for metric, about in document["metrics"].items()
        if not measurement.metrics or metric in measurement.metrics
    ]
    rows.append(["n", *(str(result["rows"]) for result in document["results"])])
    rows[-1] += [""] * (len(columns) + 1 - len(rows[-1]))
    command = document["command"].replace(" --", " \\\n    --")
    parts = [
        f"## {measurement.title}",
        measurement.text,
        f"<!-- not run: it takes minutes; make results runs it -->\n```console\n$ {command}\n```",
        markdown_table(Table("", ["", *(name for name, _ in columns)], rows)),
    ]
    if document["published"]:
        parts.append(markdown_table(published_table(document)))
    return [*parts, f"{machine_line({**document, 'peak_memory_bytes': None})}"]


def reference_section(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ours beside the reference's, as tools/compare_reference_clicks.py found it."""
    cells = [
        [
            row["set"],
            str(row["objects"]),
            row["precision"],
            row["figure"],
            f"{row['reference']:.2f}",
            f"{row['segany']:.2f}",
            f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})",
        ]
        for row in rows
    ]
    head = ["set", "objects", "precision", "figure", "reference", "segany", "difference, points"]
    return [
        "## Beside the reference implementation",
        "mIoU after simulated clicks of MobileSAM's own code and of segany, with the same weights on the same objects; "
        "each side clicks where its own answer is wrong. At most 150 objects of each set, those that seed 0 draws. The "
        "difference is paired, object by object, and its interval is a bootstrap over images. In float32 it is at most "
        f"{_furthest(rows, 'float32'):.3f} points (goal: 0.1), in the default precision "
        f"{_furthest(rows, 'default'):.3f} (goal: 0.3).",
        "<!-- not run: it takes the reference's code, and a quarter of an hour -->\n```console\n"
        "$ python tools/compare_reference_clicks.py FOLDER_OF_THE_REFERENCE --limit 150 \\\n    "
        + " \\\n    ".join(f"--data {name}=$SEGANY_DATA/{name}" for name in dict.fromkeys(row["set"] for row in rows))
        + "\n```",
        markdown_table(Table("", head, cells)),
    ]


def _furthest(rows: Sequence[Mapping[str, Any]], precision: str) -> float:
    return float(max(abs(row["difference"]) for row in rows if row["precision"] == precision))


def data_table(documents: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, measurement in MEASUREMENTS.items():
        for one in documents.get(name, {}).get("sets", ()):
            ids = hashlib.sha256("\n".join(one["image_ids"]).encode()).hexdigest()[:16]
            counts = [str(one["images"]), str(one["objects"])]
            rows.append([measurement.title, one["name"], ORIGINS[one["name"]], *counts, one["digest"][:16], ids])
    head = ["table", "set", "origin", "images", "objects", "digest", "digest of image names"]
    return markdown_table(Table("", head, rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", help=f"which to measure: {', '.join(MEASUREMENTS)} [all]")
    parser.add_argument("--render", action="store_true", help="only write the page")
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured before")
    arguments = parser.parse_args()
    if unknown := set(arguments.tables) - MEASUREMENTS.keys():
        parser.error(f"no table is named {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}.")
    documents = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
    for name in () if arguments.render else arguments.tables or MEASUREMENTS:
        documents[name] = measure(name, arguments.fresh)
        ordered = {known: documents[known] for known in MEASUREMENTS if known in documents}
        write_text(FIGURES, json.dumps(ordered, indent=1) + "\n")
    write_text(PAGE, page(documents))
    print(f"wrote {PAGE.relative_to(ROOT).as_posix()}{os.linesep}")


if __name__ == "__main__":
    main()
