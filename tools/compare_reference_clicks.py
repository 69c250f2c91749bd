"""Compare mIoU after 1, 3 and 5 clicks with the reference implementation's, on the same objects.

    python tools/compare_reference_clicks.py FOLDER_OF_THE_REFERENCE --data NAME=PATH [--shim FOLDER] [--limit N]

The reference is a checkout that holds the package `mobile_sam` or `segment_anything`; it runs in a process of its own
(reference_clicks.py) on the same weights. Each side clicks where its own answer is wrong. Compared are segany in
float32 and in the default precision; the three reports are kept in --out. Ends with status 1 when a figure is further
from the reference's than 0.1 point in float32, or 0.3 in the default precision.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from segany import weights
from segany.cli.main import main as segany
from segany.evaluate.compare import Comparison, compare_reports
from segany.files import write_text

COUNTS = (1, 3, 5)
# Points of mIoU, by precision.
TOLERANCES = {"float32": 0.1, "auto": 0.3}


def run_reference(arguments: argparse.Namespace, out: Path) -> None:
    package = next(name for name in ("mobile_sam", "segment_anything") if (arguments.reference / name).is_dir())
    paths = [path for path in (arguments.shim, arguments.reference) if path is not None]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(path.absolute()) for path in paths)}
    words = [sys.executable, str(Path(__file__).with_name("reference_clicks.py")), "--limit", str(arguments.limit)]
    words += ["--counts", ",".join(map(str, COUNTS)), "--package", package, "--model-type", arguments.model_type]
    words += ["--checkpoint", str(weights.path(arguments.model)), "--out", str(out)]
    for word in arguments.data:
        words += ["--data", word]
    subprocess.run(words, env=environment, check=True)


def run_segany(arguments: argparse.Namespace, precision: str, out: Path) -> None:
    words = [
        "evaluate",
        "clicks",
        "--model",
        arguments.model,
        "--precision",
        precision,
        "--limit",
        str(arguments.limit),
    ]
    words += ["--set", f"counts={','.join(map(str, COUNTS))}", "--fresh", "--out", str(out)]
    for word in arguments.data:
        words += ["--data", word]
    if status := segany(words):
        sys.exit(status)


def differences(comparison: Comparison, precision: str) -> list[dict[str, Any]]:
    """The mIoUs of both sides, in percent."""
    rows = []
    for one in comparison.differences:
        if one.metric in {f"mIoU@{count}" for count in COUNTS}:
            points, low, high = (
                100 * value for value in (one.difference.mean, one.difference.low, one.difference.high)
            )
            rows.append(
                {
                    "set": one.set_name,
                    "objects": one.difference.n,
                    "precision": "default" if precision == "auto" else precision,
                    "figure": one.metric,
                    "reference": 100 * one.first,
                    "segany": 100 * one.second,
                    "difference": points,
                    "low": low,
                    "high": high,
                    "within": abs(points) <= TOLERANCES[precision],
                }
            )
    return rows


def shown(row: dict[str, Any]) -> str:
    """A row of the Markdown table."""
    interval = f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
    figures = f"{row['reference']:.2f} | {row['segany']:.2f} | {interval}"
    return f"| {row['set']} | {row['objects']} | {row['precision']} | {row['figure']} | {figures} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path, help="checkout of the reference implementation")
    parser.add_argument("--data", action="append", required=True, help="NAME=PATH of annotated images; repeat it")
    parser.add_argument("--shim", type=Path, help="stand-ins for packages that the reference imports")
    parser.add_argument("--limit", type=int, default=150, help="objects of each set [%(default)s]")
    parser.add_argument("--model", default="mobile_sam", help="weights of both sides [%(default)s]")
    parser.add_argument("--model-type", default="vit_t", help="key of the reference's registry [%(default)s]")
    parser.add_argument("--out", type=Path, default=Path("out/reference_clicks"), help="reports [%(default)s]")
    parser.add_argument("--reuse", action="store_true", help="take reports that are in --out already")
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    for name in ("reference", *TOLERANCES):
        out = arguments.out / name
        if arguments.reuse and (out / "report.json").is_file():
            continue
        if name == "reference":
            run_reference(arguments, out)
        else:
            run_segany(arguments, name, out)
    rows: list[dict[str, Any]] = []
    for precision in TOLERANCES:
        comparison = compare_reports(arguments.out / "reference", arguments.out / precision)
        rows += differences(comparison, precision)
    print(f"| set | objects | precision | figure | reference | segany | difference |\n|{'---|' * 7}")
    print("\n".join(shown(row) for row in rows))
    if arguments.json is not None:
        write_text(arguments.json, json.dumps(rows, indent=1) + "\n")
    return 0 if all(row["within"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
