"""Compare segany's answers with those of the reference implementation, prompt by prompt.

    python tools/compare_reference.py FOLDER_OF_THE_REFERENCE [--shim FOLDER] [--photos FOLDER]

The reference is a checkout that holds the package `mobile_sam` or `segment_anything`. It runs in a process of its own
on the same pixels, the same weights and the same prompts (parity_cases.py); logits that are fed back are each side's
own. Compared are `segany.Predictor` in torch and in the runtime that is this machine's default, the drop-in
`segany.compat.SamPredictor` and, as a yardstick, the reference with itself on another number of threads. Ends with
status 1 when segany exceeds a tolerance.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from parity_cases import Case, cases_for

from segany import Predictor, Prompt, open_image, weights
from segany.files import write_text
from segany.masks.rle import RLE
from segany.model.checkpoint import load_sam
from segany.predict.backends.torch import TorchBackend

SCORE_TOLERANCE = 1e-4
LOGIT_TOLERANCE = 1e-3
# Pixels of one prompt's masks that rounding may turn: those whose logit is within 1e-4 of zero.
PIXEL_TOLERANCE = 10
SAMPLES = ("coffee", "astronaut", "chelsea", "rocket")
SUFFIXES = (".jpg", ".jpeg", ".png")
# Every 64th logit of the 256 x 256, off the border: 16 numbers stand for a mask.
SAMPLED = slice(32, None, 64)


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture as both sides get it: [H, W, 3] uint8 RGB."""

    name: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Answer:
    """Scores [M], low-resolution logits [M, 256, 256] and masks [M, H, W] for one prompt."""

    scores: NDArray[np.float32]
    low_res: NDArray[np.float32]
    masks: NDArray[np.bool_]


@dataclass(frozen=True)
class Difference:
    """How far one answer is from the reference's.

    Attributes:
        photo: Name of the photo.
        case: Name of the prompt.
        kind: Kind of the prompt.
        masks: Number of masks.
        score: Largest difference of a predicted IoU.
        logit: Largest difference of a low-resolution logit.
        pixels: Pixels that differ, over all masks at the photo's size.
    """

    photo: str
    case: str
    kind: str
    masks: int
    score: float
    logit: float
    pixels: int

    @property
    def exceeds(self) -> bool:
        """Whether a tolerance is exceeded."""
        return self.score > SCORE_TOLERANCE or self.logit > LOGIT_TOLERANCE or self.pixels > PIXEL_TOLERANCE


Answers = dict[tuple[str, str], Answer]

PAGE = """# Parity with the reference

Each prompt of `tools/parity_cases.py` was put to the reference implementation and to segany, on the same pixels and
with the same weights; logits that are fed back are each side's own. This page is written by:

<!-- not run: the reference's checkout is given by hand -->
```console
$ python tools/compare_reference.py REFERENCE --shim SHIM --photos PHOTOS --threads 1 \\
    --page docs/parity.md --golden tests/golden/predict
```

{machine}

Tolerances: scores {score:g}, low-resolution logits {logit:g}, {pixel} pixels for one prompt's masks. Enlarging adds no
difference: given the same logits, not one pixel differs. What is left is rounding inside the model, where the same
sums are taken in another order; it turns pixels whose logit is all but zero. The last table shows what the reference
itself makes of another order.

{tables}
"""


def main() -> int:
    arguments = parse_arguments()
    photos = list(distinct(read_photos(arguments.photos)))
    checkpoint = Path(arguments.checkpoint) if arguments.checkpoint else weights.path("mobile_sam")
    found = [name for name in ("mobile_sam", "segment_anything") if (arguments.reference / name).is_dir()]
    if not found:
        raise SystemExit(f"{arguments.reference} holds neither mobile_sam nor segment_anything; give the checkout.")

    paths = [path for path in (arguments.shim, arguments.reference) if path is not None]
    threads = arguments.threads

    def ask(package: str, paths: list[Path], threads: int) -> Answers:
        return ask_predictor(package, paths, photos, arguments.model_type, checkpoint, threads)

    reference = ask(found[0], paths, threads)
    torch.set_num_threads(threads)
    plain = Predictor(backend=TorchBackend(load_sam(checkpoint), device="cpu", precision="float32"))
    sides = {
        "`segany.Predictor`, torch": ask_segany(plain, photos),
        "`segany.compat.SamPredictor`": ask("segany.compat", [], threads),
    }
    usual = Predictor(checkpoint, device="cpu", precision="float32")
    if usual.backend.key != plain.backend.key:
        sides[f"`segany.Predictor`, {usual.backend.key.partition('/')[0]}"] = ask_segany(usual, photos)
    differences = {name: list(compare(photos, reference, answers)) for name, answers in sides.items()}
    other = 1 if threads > 1 else 2
    again = list(compare(photos, reference, ask(found[0], paths, other)))
    tables = {**differences, f"For comparison: the reference with itself, threads {threads} and {other}": again}
    page = PAGE.format(
        machine=machine(found[0], checkpoint, threads),
        tables="\n\n".join(report(name, rows) for name, rows in tables.items()),
        score=SCORE_TOLERANCE,
        logit=LOGIT_TOLERANCE,
        pixel=PIXEL_TOLERANCE,
    )
    print(page)
    if arguments.json:
        rows = {name: [asdict(row) for row in found_rows] for name, found_rows in tables.items()}
        write_text(arguments.json, json.dumps(rows, indent=1) + "\n")
    if arguments.page:
        write_text(arguments.page, page)
    if arguments.golden:
        for photo in photos:
            write_text(arguments.golden / f"{Path(photo.name).stem}.json", golden(photo, reference))
    return int(any(row.exceeds for found_rows in differences.values() for row in found_rows))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path, help="checkout that holds mobile_sam or segment_anything")
    parser.add_argument("--shim", type=Path, help="folder of stand-ins for torchvision and timm, if they do not import")
    parser.add_argument("--photos", type=Path, help="folder of further photos")
    parser.add_argument("--checkpoint", help="file of weights; MobileSAM's when left out")
    parser.add_argument("--model-type", default="vit_t", help="key of the reference's sam_model_registry")
    parser.add_argument("--json", type=Path, help="write every difference here")
    parser.add_argument("--page", type=Path, help="write the page of results here")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of every side")
    parser.add_argument("--golden", type=Path, help="write the reference's answers into this folder")
    return parser.parse_args()


def read_photos(folder: Path | None) -> Iterator[Photo]:
    """The sample photos, then those of the folder."""
    files = [weights.sample(name) for name in SAMPLES]
    if folder is not None:
        files += sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    for file in files:
        yield Photo(file.name, open_image(file).pixels)


def distinct(photos: Iterable[Photo]) -> Iterator[Photo]:
    """Drop a photo that came before under another name."""
    seen = set()
    for photo in photos:
        if (pixels := photo.pixels.tobytes()) not in seen:
            seen.add(pixels)
            yield photo


def cases(photo: Photo) -> list[Case]:
    return cases_for(photo.name, *photo.pixels.shape[:2])


def ask_predictor(
    package: str, paths: list[Path], photos: list[Photo], model_type: str, checkpoint: Path, threads: int
) -> Answers:
    """The answers of a package's `SamPredictor`, from a process of its own."""
    script = Path(__file__).with_name("reference_answers.py")
    search = os.pathsep.join(str(path.resolve()) for path in paths)
    environment = os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for place, photo in enumerate(photos):
            pixels = Path(folder) / f"{place}.npy"
            np.save(pixels, photo.pixels)
            prompts = [case.to_dict() for case in cases(photo)]
            jobs.append({"photo": photo.name, "pixels": str(pixels), "cases": prompts})
        listing = Path(folder) / "jobs.json"
        listing.write_text(json.dumps(jobs), encoding="utf-8")
        command = [sys.executable, "-W", "ignore", str(script), str(listing), folder]
        command += ["--package", package, "--model-type", model_type, "--checkpoint", str(checkpoint)]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        answers = {}
        for photo in photos:
            with np.load(Path(folder) / f"{photo.name}.npz") as arrays:
                for place, case in enumerate(cases(photo)):
                    packed = arrays[f"{place}/masks"]
                    masks = np.unpackbits(packed, axis=-1, count=photo.pixels.shape[1]).astype(bool)
                    answer = Answer(arrays[f"{place}/scores"], arrays[f"{place}/low_res"], masks)
                    answers[photo.name, case.name] = answer
    return answers


def ask_segany(predictor: Predictor, photos: list[Photo]) -> Answers:
    """The answers of a `segany.Predictor`."""
    answers = {}
    for photo in photos:
        embedding = predictor.embed(photo.pixels)
        best: dict[str, NDArray[np.float32]] = {}
        for case in cases(photo):
            logits = None if case.feed is None else best[case.feed]
            prompt = Prompt(points=case.points, labels=case.labels, box=case.box, mask_logits=logits)
            prediction = predictor.predict(embedding, prompt, multimask=case.multimask)
            best[case.name] = prediction.low_res_logits[prediction.best_index]
            answers[photo.name, case.name] = Answer(
                prediction.iou_predictions, prediction.low_res_logits, prediction.masks()
            )
    return answers


def compare(photos: list[Photo], reference: Answers, ours: Answers) -> Iterator[Difference]:
    for photo in photos:
        for case in cases(photo):
            wanted, got = reference[photo.name, case.name], ours[photo.name, case.name]
            yield Difference(
                photo=photo.name,
                case=case.name,
                kind=case.kind,
                masks=len(wanted.scores),
                score=float(np.abs(wanted.scores - got.scores).max()),
                logit=float(np.abs(wanted.low_res - got.low_res).max()),
                pixels=int(np.count_nonzero(wanted.masks != got.masks)),
            )


def report(side: str, rows: list[Difference]) -> str:
    """Tables by photo and by kind of prompt."""

    def table(head: str, key: Callable[[Difference], str]) -> list[str]:
        lines = [
            f"| {head} | prompts | masks | largest score difference | largest logit difference | differing pixels |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        groups = {key(row): [one for one in rows if key(one) == key(row)] for row in rows} | {"**all**": rows}
        for name, group in groups.items():
            score, logit = max(row.score for row in group), max(row.logit for row in group)
            masks, pixels = sum(row.masks for row in group), sum(row.pixels for row in group)
            lines.append(f"| {name} | {len(group)} | {masks} | {score:.1e} | {logit:.1e} | {pixels} |")
        return lines

    by_photo, by_kind = table("photo", lambda row: row.photo), table("prompt", lambda row: row.kind)
    return "\n".join([f"## {side}", "", *by_photo, "", *by_kind])


def machine(package: str, checkpoint: Path, threads: int) -> str:
    return (
        f"Reference: the package `{package}`; weights `{checkpoint.name}`, float32. Machine: {cpu_name()}, "
        f"{platform.system()}, torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}), "
        f"threads: {threads}."
    )


def cpu_name() -> str:
    """The processor's name, as far as the system tells it."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def golden(photo: Photo, reference: Answers) -> str:
    """What a test needs of the reference's answers: scores, some logits, areas, and the best mask."""

    def entry(case: Case) -> dict[str, Any]:
        answer = reference[photo.name, case.name]
        best = int(answer.scores.argmax())
        return {
            **case.to_dict(),
            "scores": [round(float(score), 6) for score in answer.scores],
            "logits": [[round(float(value), 4) for value in mask[SAMPLED, SAMPLED].ravel()] for mask in answer.low_res],
            "areas": [int(np.count_nonzero(mask)) for mask in answer.masks],
            "best": best,
            "best_mask": RLE.from_mask(answer.masks[best]).to_coco(),
        }

    lines = ",\n".join("  " + json.dumps(entry(case)) for case in cases(photo))
    return f'{{"photo": {json.dumps(photo.name)},\n "cases": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    sys.exit(main())
