"""Compare mIoU after 1, 3 and 5 clicks with the reference implementation's, on the same objects.

    python tools/compare_reference_clicks.py FOLDER_OF_THE_REFERENCE --data NAME=PATH [--shim FOLDER] [--limit N]

The reference is a checkout that holds the package `mobile_sam` or `segment_anything`; it runs in a process of its own
(reference_clicks.py) on the same weights. Each side clicks where its own answer is wrong. Compared are segany in
float32 and in the default precision; the three reports are kept in --out. Ends with status 1 when a figure is further
from the reference's than 0.1 point in float32, or 0.3 in the default precision.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from segany import weights
from segany.cli.main import main as segany
from segany.evaluate.compare import Comparison, compare_reports

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


def print_differences(comparison: Comparison, precision: str) -> bool:
    """Whether all figures are within the tolerance."""
    fine = True
    for one in comparison.differences:
        if one.metric not in {f"mIoU@{count}" for count in COUNTS}:
            continue
        points = one.difference.mean * 100
        within = abs(points) <= TOLERANCES[precision]
        fine &= within
        low, high = one.difference.low * 100, one.difference.high * 100
        print(
            f"| {one.set_name} | {one.difference.n} | {precision} | {one.metric} | {one.first * 100:.2f} | "
            f"{one.second * 100:.2f} | {points:+.3f} ({low:+.3f} to {high:+.3f}) | {'yes' if within else 'NO'} |"
        )
    return fine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path, help="checkout of the reference implementation")
    parser.add_argument("--data", action="append", required=True, help="NAME=PATH of annotated images; repeat it")
    parser.add_argument("--shim", type=Path, help="stand-ins for packages that the reference imports")
    parser.add_argument("--limit", type=int, default=150, help="objects of each set [%(default)s]")
    parser.add_argument("--model", default="mobile_sam", help="weights of both sides [%(default)s]")
    parser.add_argument("--model-type", default="vit_t", help="key of the reference's registry [%(default)s]")
    parser.add_argument("--out", type=Path, default=Path("out/reference_clicks"), help="reports [%(default)s]")
    parser.add_argument("--reuse", action="store_true", help="take the reference's report of an earlier run in --out")
    arguments = parser.parse_args()
    if not arguments.reuse:
        run_reference(arguments, arguments.out / "reference")
    fine = True
    for precision in TOLERANCES:
        run_segany(arguments, precision, arguments.out / precision)
    print(f"| set | objects | precision | figure | reference | segany | difference | within |\n|{'---|' * 8}")
    for precision in TOLERANCES:
        comparison = compare_reports(arguments.out / "reference", arguments.out / precision)
        fine &= print_differences(comparison, precision)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
