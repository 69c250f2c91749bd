"""Compare segany's automatic masks with those of the reference implementation, photo by photo.

    python tools/compare_reference_automatic.py FOLDER_OF_THE_REFERENCE [--shim FOLDER] --photos FILE_OR_FOLDER...

The reference is a checkout that holds the package `mobile_sam` or `segment_anything`. It runs in a process of its own
on the same pixels and weights, at float32, and takes minutes for a photo: `--cache FOLDER` keeps its answers, under a
digest of pixels, settings and weights. Ends with status 1 when the share of masks found is below `--goal`.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from compare_reference import SUFFIXES, Photo, distinct

from segany import Predictor, open_image, weights
from segany.files import write_text
from segany.masks import RLE
from segany.predict.agreement import MaskAgreement, mask_agreement, pooled_agreement
from segany.predict.automatic import AutomaticMaskGenerator, GridSettings, Thresholds
from segany.schema import Annotation, Record

THRESHOLDS = (
    "pred_iou_thresh",
    "stability_score_thresh",
    "box_nms_thresh",
    "crop_nms_thresh",
    "min_mask_region_area",
)


@dataclass(frozen=True, eq=False)
class Row:
    """One photo: agreement (A is the reference, B is segany) and seconds of each."""

    photo: str
    agreement: MaskAgreement
    reference_seconds: float
    seconds: float


def main() -> int:
    arguments = parse_arguments()
    settings: dict[str, Any] = json.loads(arguments.settings)
    photos = list(distinct(read_photos(arguments.photos)))[: arguments.limit]
    checkpoint = Path(arguments.checkpoint) if arguments.checkpoint else weights.path("mobile_sam")
    found = [name for name in ("mobile_sam", "segment_anything") if (arguments.reference / name).is_dir()]
    if not found:
        raise SystemExit(f"{arguments.reference} holds neither mobile_sam nor segment_anything; give the checkout.")
    paths = [path.resolve() for path in (arguments.shim, arguments.reference) if path]
    with tempfile.TemporaryDirectory() as folder:
        cache = arguments.cache or Path(folder)
        cache.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        files = [cache / answer_name(photo, settings, digest) for photo in photos]
        missing = [(photo, file) for photo, file in zip(photos, files, strict=True) if not file.exists()]
        if arguments.only_cached:
            photos = [photo for photo, file in zip(photos, files, strict=True) if file.exists()]
            files = [file for file in files if file.exists()]
        elif missing:
            ask_reference(found[0], paths, missing, settings, (arguments.model_type, checkpoint))
        reference = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    rows = list(compare(photos, reference, settings, checkpoint, arguments))
    page = report(rows, found[0], settings, arguments)
    print(page)
    if arguments.markdown:
        write_text(arguments.markdown, page + "\n")
    if arguments.json:
        write_text(arguments.json, json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    shares = total(rows)
    return int(min(shares.share_a, shares.share_b) < arguments.goal)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path, help="checkout that holds mobile_sam or segment_anything")
    parser.add_argument("--shim", type=Path, help="folder of stand-ins for torchvision and timm, if they do not import")
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="photos, or folders of them")
    parser.add_argument("--limit", type=int, help="take so many photos at most")
    parser.add_argument("--cache", type=Path, help="folder that keeps the reference's answers")
    parser.add_argument("--only-cached", action="store_true", help="skip photos without a kept answer")
    parser.add_argument("--settings", default="{}", help="JSON: arguments of the generator beside its defaults")
    parser.add_argument("--checkpoint", help="file of weights; MobileSAM's when left out")
    parser.add_argument("--model-type", default="vit_t", help="key of the reference's sam_model_registry")
    parser.add_argument("--device", default="cpu", help="of segany")
    parser.add_argument("--precision", default="float32", help="of segany")
    parser.add_argument("--min-iou", type=float, default=0.9, help="from which IoU on a mask counts as found")
    parser.add_argument("--goal", type=float, default=0.995, help="least share of masks found, both ways")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--markdown", type=Path, help="write the table here")
    return parser.parse_args()


def read_photos(places: Sequence[Path]) -> Iterator[Photo]:
    for place in places:
        files = sorted(place.iterdir()) if place.is_dir() else [place]
        for file in files:
            if file.suffix.lower() in SUFFIXES:
                yield Photo(file.name, open_image(file).pixels)


def answer_name(photo: Photo, settings: dict[str, Any], checkpoint_digest: str) -> str:
    """File name that carries what the answer was made from."""
    made_from = hashlib.sha256(photo.pixels.tobytes())
    made_from.update(json.dumps([photo.pixels.shape, settings, checkpoint_digest], sort_keys=True).encode())
    return f"{photo.name}.{made_from.hexdigest()[:16]}.json"


def ask_reference(
    package: str,
    paths: list[Path],
    missing: list[tuple[Photo, Path]],
    settings: dict[str, Any],
    model: tuple[str, Path],
) -> None:
    """The answers of a package's `SamAutomaticMaskGenerator`, from a process of its own, into their files."""
    script = Path(__file__).with_name("reference_masks.py")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for place, (photo, file) in enumerate(missing):
            pixels = Path(folder) / f"{place}.npy"
            np.save(pixels, photo.pixels)
            # Few prompts at once: the same answer in a quarter of the memory.
            own = {"points_per_batch": 16, **settings}
            jobs.append({"photo": photo.name, "pixels": str(pixels), "out": str(file), "settings": own})
        listing = Path(folder) / "jobs.json"
        listing.write_text(json.dumps(jobs), encoding="utf-8")
        command = [sys.executable, "-W", "ignore", str(script), str(listing), "--package", package]
        command += ["--model-type", model[0], "--checkpoint", str(model[1])]
        subprocess.run(command, env=environment, check=True)


def compare(
    photos: list[Photo],
    reference: list[dict[str, Any]],
    settings: dict[str, Any],
    checkpoint: Path,
    arguments: argparse.Namespace,
) -> Iterator[Row]:
    predictor = Predictor(checkpoint, device=arguments.device, precision=arguments.precision)
    thresholds = Thresholds(**{name: value for name, value in settings.items() if name in THRESHOLDS})
    grid = GridSettings(**{name: value for name, value in settings.items() if name not in THRESHOLDS})
    generator = AutomaticMaskGenerator(predictor, grid)
    for photo, answer in zip(photos, reference, strict=True):
        image = open_image(photo.pixels)
        started = time.perf_counter()
        ours = generator.generate(image, thresholds)
        seconds = time.perf_counter() - started
        theirs = Record(
            image.info,
            tuple(
                Annotation(id=number, segmentation=RLE.from_coco(mask["segmentation"]))
                for number, mask in enumerate(answer["masks"])
            ),
        )
        row = Row(photo.name, mask_agreement(theirs, ours, arguments.min_iou), answer["seconds"], seconds)
        print(line(row.photo, row.agreement, row.reference_seconds, row.seconds), file=sys.stderr, flush=True)
        yield row


def total(rows: list[Row]) -> MaskAgreement:
    return pooled_agreement([row.agreement for row in rows])


def line(name: str, one: MaskAgreement, reference_seconds: float, seconds: float) -> str:
    return (
        f"| {name} | {one.masks_a} | {one.masks_b} | {one.share_a:.2%} | {one.share_b:.2%} | {one.best_iou_a:.5f} | "
        f"{one.best_iou_b:.5f} | {reference_seconds:.1f} | {seconds:.1f} |"
    )


def report(rows: list[Row], package: str, settings: dict[str, Any], arguments: argparse.Namespace) -> str:
    head = [
        f"Reference: `{package}`, float32; segany: {arguments.device}, {arguments.precision}; settings beside the "
        f"defaults: {settings or 'none'}; found: IoU of at least {arguments.min_iou:g}.",
        "",
        "| photo | masks of the reference | masks of segany | reference's found | segany's found | mean best IoU "
        "| the other way round | seconds, reference | seconds, segany |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines = [line(row.photo, row.agreement, row.reference_seconds, row.seconds) for row in rows]
    seconds = sum(row.reference_seconds for row in rows), sum(row.seconds for row in rows)
    return "\n".join([*head, *lines, line("**all**", total(rows), *seconds)])


if __name__ == "__main__":
    sys.exit(main())
