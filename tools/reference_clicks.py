"""Run the clicks protocol on the reference's own predictor, and write a report like any other.

Run by compare_reference_clicks.py in a process of its own, because the reference and its stand-ins for torchvision must
not meet other packages that look for torchvision. Clicks and scores are segany's; the model, its preprocessing, its
prompts and its full-size masks are the reference's.
"""

import argparse
import importlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from segany import weights
from segany.evaluate.items import EvaluationSet
from segany.evaluate.protocols.clicks import Clicks
from segany.evaluate.report import write_report
from segany.evaluate.run import evaluate
from segany.evaluate.segmenter import MaskCrop, Question
from segany.evaluate.subjects import SubjectSpec
from segany.schema import Image


class ReferenceAnswer(NamedTuple):
    """What `SamPredictor.predict` returns: scores [M], masks [M, H, W] bool, logits [M, 256, 256]."""

    scores: NDArray[np.float32]
    masks: NDArray[np.bool_]
    low_res: NDArray[np.float32]

    def crop(self, index: int) -> MaskCrop:
        height, width = self.masks.shape[1:]
        return MaskCrop((0, 0, width, height), self.masks[index])


class Held(NamedTuple):
    """What a `SamPredictor` holds of one image."""

    original_size: tuple[int, int]
    input_size: tuple[int, int]
    features: Any


class ReferenceSegmenter:
    """A `SamPredictor` behind the seam; it can hold one image at a time, so images take turns."""

    def __init__(self, package: str, model_type: str, checkpoint: Path) -> None:
        module = importlib.import_module(package)
        sam = module.sam_model_registry[model_type](checkpoint=str(checkpoint))
        sam.eval()
        self._predictor = module.SamPredictor(sam)
        self._alone = threading.Lock()
        self.name = self.digest = f"{package} {model_type}"
        self.about: Mapping[str, str] = {"model": package, "backend": f"torch {torch.__version__} float32"}

    def prepare(self, image: Image) -> Any:
        with self._alone:
            self._predictor.set_image(image.pixels)
            return Held(*(getattr(self._predictor, name) for name in Held._fields))

    def predict(self, prepared: Any, questions: Sequence[Question]) -> list[ReferenceAnswer]:
        with self._alone:
            # Handed back as it was, instead of embedding the image again for each round of clicks.
            for name, value in prepared._asdict().items():
                setattr(self._predictor, name, value)
            return [self._answer(question) for question in questions]

    def _answer(self, question: Question) -> ReferenceAnswer:
        prompt, previous = question.prompt, question.previous
        fed_back = previous.low_res[question.chosen][None] if isinstance(previous, ReferenceAnswer) else None
        masks, scores, low_res = self._predictor.predict(
            point_coords=prompt.points,
            point_labels=prompt.labels,
            mask_input=fed_back,
            multimask_output=question.multimask,
        )
        return ReferenceAnswer(scores, masks, low_res)


@dataclass(frozen=True)
class ReferenceClicks(Clicks):
    """The protocol with the reference in the model's place; the spec names package, model type and checkpoint."""

    def open_subject(self, spec: SubjectSpec, progress: weights.Progress | None = None) -> Any:
        package, model_type, checkpoint = spec.model.split("|")
        return ReferenceSegmenter(package, model_type, Path(checkpoint))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", action="append", required=True, help="NAME=PATH")
    parser.add_argument("--limit", type=int, required=True)
    parser.add_argument("--counts", required=True, help="numbers of clicks, with commas between them")
    parser.add_argument("--package", required=True)
    parser.add_argument("--model-type", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    protocol = ReferenceClicks(counts=tuple(int(word) for word in arguments.counts.split(",")))
    sets = [
        EvaluationSet(name, Path(path), limit=arguments.limit)
        for name, path in (word.split("=", 1) for word in arguments.data)
    ]
    spec = SubjectSpec("reference", "|".join([arguments.package, arguments.model_type, arguments.checkpoint]))
    evaluation = evaluate(
        protocol,
        sets,
        [spec],
        limit=arguments.limit,
        progress=lambda what, done, total: print(what, done, total, flush=True),
    )
    write_report(evaluation, arguments.out)


if __name__ == "__main__":
    main()
