"""Compare how much of what people drew segany and the reference implementation find: average recall, class-agnostic.

    python tools/compare_reference_recall.py FOLDER_OF_THE_REFERENCE --data FOLDER... [--cache FOLDER] [--only-cached]

Both look for everything in the same images with the same weights and the reference's defaults. What the reference is
and how its answers are kept: `tools/compare_reference_automatic.py`. Ends with status 1 when segany's recall lies below
the reference's by more than `--margin` points on a data set.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from compare_reference import Photo
from compare_reference_automatic import answer_name, ask_reference

from segany import Predictor, weights
from segany.evaluate.average_recall import AverageRecall
from segany.files import write_text
from segany.formats import open_dataset
from segany.masks import RLE
from segany.predict.automatic import AutomaticMaskGenerator
from segany.schema import Annotation, Image, Record

LIMITS = (1, 10, 100, 1000)


def main() -> int:
    arguments = parse_arguments()
    predictor = Predictor(weights.path("mobile_sam"), precision=arguments.precision)
    generator = AutomaticMaskGenerator(predictor)
    lines = [
        f"MobileSAM, grid of 32x32, all defaults; segany in {arguments.precision}, the reference in float32. Average "
        "recall over IoU .5 to .95, in percent, with so many masks an image: reference / segany.",
        "",
        "| data | images | objects |" + "".join(f" AR@{limit} |" for limit in LIMITS),
        "|---|---:|---:|" + "---:|" * len(LIMITS),
    ]
    worst = 0.0
    for folder in arguments.data:
        theirs, ours = AverageRecall(LIMITS), AverageRecall(LIMITS)
        images = objects = 0
        for truth, image, answer in answered(folder, arguments):
            theirs.update(as_record(answer, image), truth)
            ours.update(generator.generate(image), truth)
            images, objects = images + 1, objects + len(truth.objects)
        if not images:
            raise SystemExit(f"{folder} has no image with a kept answer of the reference; leave out --only-cached.")
        pairs = [(100 * theirs.compute()[limit].all, 100 * ours.compute()[limit].all) for limit in LIMITS]
        worst = max([worst, *(a - b for a, b in pairs)])
        cells = "".join(f" {a:.2f} / {b:.2f} |" for a, b in pairs)
        lines.append(f"| {folder.name} | {images} | {objects} |{cells}")
        print(lines[-1], file=sys.stderr, flush=True)
    page = "\n".join(lines)
    print(page)
    if arguments.markdown:
        write_text(arguments.markdown, page + "\n")
    return int(worst > arguments.margin)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path, help="checkout that holds mobile_sam or segment_anything")
    parser.add_argument("--shim", type=Path, help="folder of stand-ins for torchvision and timm, if they do not import")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="annotated data sets")
    parser.add_argument("--limit", type=int, help="take so many images of each at most")
    parser.add_argument("--cache", type=Path, help="folder that keeps the reference's answers")
    parser.add_argument("--only-cached", action="store_true", help="skip images without a kept answer")
    parser.add_argument("--precision", default="float32", help="of segany")
    parser.add_argument("--margin", type=float, default=0.2, help="most points that segany may lie below")
    parser.add_argument("--markdown", type=Path, help="write the table here")
    return parser.parse_args()


def answered(folder: Path, arguments: argparse.Namespace) -> Iterator[tuple[Record, Image, dict[str, Any]]]:
    """Annotated images of a data set, with what the reference finds in each."""
    package = next(name for name in ("mobile_sam", "segment_anything") if (arguments.reference / name).is_dir())
    paths = [path.resolve() for path in (arguments.shim, arguments.reference) if path]
    checkpoint = weights.path("mobile_sam")
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    data = open_dataset(folder)
    taken = 0
    with tempfile.TemporaryDirectory() as temporary:
        cache = arguments.cache or Path(temporary)
        cache.mkdir(parents=True, exist_ok=True)
        for truth in data.records():
            if taken == arguments.limit:
                return
            image = data.open_image(truth)
            photo = Photo(Path(truth.image.file_name).name, image.pixels)
            file = cache / answer_name(photo, {}, digest)
            if not file.exists():
                if arguments.only_cached:
                    continue
                ask_reference(package, paths, [(photo, file)], {}, ("vit_t", checkpoint))
            taken += 1
            yield truth, image, json.loads(file.read_text(encoding="utf-8"))


def as_record(answer: dict[str, Any], image: Image) -> Record:
    masks = (
        Annotation(
            id=number,
            segmentation=RLE.from_coco(mask["segmentation"]),
            predicted_iou=mask["predicted_iou"],
            stability_score=mask["stability_score"],
        )
        for number, mask in enumerate(answer["masks"])
    )
    return Record(image.info, tuple(masks))


if __name__ == "__main__":
    sys.exit(main())
