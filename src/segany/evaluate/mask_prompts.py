"""Do rough masks help? The answer to a rough mask, against the mask itself and what people try instead.

Run it: `python -m segany.evaluate.mask_prompts --help`.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segany import files
from segany.errors import ConfigError
from segany.evaluate.intervals import Interval, mean_interval
from segany.evaluate.objects import TrueObject, coco_objects, stratified
from segany.evaluate.roughening import ROUGHENINGS, Roughening, rough_mask
from segany.geometry import Frame
from segany.masks import deepest_point, mask_box, mask_iou
from segany.predict import Predictor
from segany.schema import Prompt
from segany.settings import Settings

__all__ = ["CONSTANTS", "METHODS", "MaskPromptScores", "constant_logits", "measure", "table"]

# One cell of a mask at 1/8 resolution: what is smaller cannot be drawn at all.
MIN_AREA = 64
# What users try: the mask as two constants. 10 and 20 are the values most often suggested.
CONSTANTS = {"constant 10": 10.0, "constant 20": 20.0}
METHODS = ("the mask itself", *CONSTANTS, "its box", "segany")


@dataclass(frozen=True, eq=False)
class MaskPromptScores:
    """IoU with the truth of every answer.

    Attributes:
        iou: [C, R, M, N] float64: without and with a click, `ROUGHENINGS`, `METHODS`, objects.
        images: N names: the image of each object.
        model: Name of the model.
    """

    iou: NDArray[np.float64]
    images: tuple[str, ...]
    model: str

    def mean(self, click: bool, kind: Roughening, method: str) -> Interval:
        """Mean IoU of one method."""
        return mean_interval(self._values(click, kind, method), self.images)

    def gain(self, click: bool, kind: Roughening, over: str) -> Interval:
        """Paired gain of segany over another method."""
        return mean_interval(self._values(click, kind, "segany") - self._values(click, kind, over), self.images)

    def _values(self, click: bool, kind: Roughening, method: str) -> NDArray[np.float64]:
        values: NDArray[np.float64] = self.iou[int(click), ROUGHENINGS.index(kind), METHODS.index(method)]
        return values


def constant_logits(mask: NDArray[np.bool_], frame: Frame, side: int, amplitude: float) -> NDArray[np.float32]:
    """The mask as two constants on the model's grid: what people try who have no better way.

    Args:
        mask: [H', W'] bool, spanning the image.
        frame: How the image lies in the model's input.
        side: s of the low-resolution logits.
        amplitude: On the mask; its negative elsewhere.

    Returns:
        [s, s] float32.
    """
    centres = (np.arange(side) + 0.5) * max(frame.padded) / side
    rows = centres[centres < frame.model.height] * mask.shape[0] / frame.model.height
    columns = centres[centres < frame.model.width] * mask.shape[1] / frame.model.width
    logits = np.full((side, side), -amplitude, dtype=np.float32)
    inside = mask[np.ix_(rows.astype(np.int64), columns.astype(np.int64))]
    logits[: len(rows), : len(columns)][inside] = amplitude
    return logits


def measure(
    predictor: Predictor,
    objects: Sequence[TrueObject],
    *,
    by: float = 0.05,
    progress: Callable[[int, int], None] | None = None,
) -> MaskPromptScores:
    """Prompt with each object's rough masks, alone and together with a click, and compare the answers with the truth.

    The click is the deepest point of the true mask (SAM paper, app. D.1). Every answer is one mask from one call.

    Args:
        predictor: Whose answers.
        objects: At least one; those of a group share their image.
        by: As in `rough_mask`.
        progress: Called with the images done and in all.
    """
    iou = np.empty((2, len(ROUGHENINGS), len(METHODS), len(objects)))
    groups = [o.group for o in objects]
    images = sorted(set(groups))
    for done, image in enumerate(images):
        places = [place for place, group in enumerate(groups) if group == image]
        embedding = predictor.embed(objects[places[0]].image)
        for place in places:
            true = objects[place].mask.to_mask()
            rough = [rough_mask(true, kind, by=by, direction=place % 8) for kind in ROUGHENINGS]
            prompts = _prompts(objects[place], rough, embedding.frame, predictor.backend.config.low_res_side)
            predictions = predictor.predict_many(embedding, prompts, multimask=False)
            answers = [float(mask_iou(prediction.mask(0), true)) for prediction in predictions]
            iou[:, :, 0, place] = [float(mask_iou(_at_size_of(true, mask), true)) for mask in rough]
            iou[:, :, 1:, place] = np.reshape(answers, (*iou.shape[:2], -1))
        if progress is not None:
            progress(done + 1, len(images))
    return MaskPromptScores(iou, tuple(groups), predictor.backend.config.name)


def _prompts(o: TrueObject, rough_masks: Sequence[NDArray[np.bool_]], frame: Frame, side: int) -> list[Prompt]:
    """In the order of the axes of `MaskPromptScores.iou`."""
    true = o.mask.to_mask()
    deepest = deepest_point(true)
    if deepest is None:
        raise ConfigError(f"object {o.id} of {o.group} has an empty mask; leave it out.")
    prompts = []
    for points in (None, [[deepest.x, deepest.y]]):
        for rough in rough_masks:
            for amplitude in CONSTANTS.values():
                logits = constant_logits(rough, frame, side, amplitude)
                prompts.append(Prompt(points=points, mask_logits=logits))
            per_cell = np.array(true.shape[::-1] * 2) / np.array(rough.shape[::-1] * 2)
            prompts.append(Prompt(points=points, box=np.array(mask_box(rough)) * per_cell))
            prompts.append(Prompt(points=points, mask=rough))
    return prompts


def _at_size_of(true: NDArray[np.bool_], rough: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The rough mask enlarged to the true one's size, each pixel as the cell that its centre lies in."""
    if rough.shape == true.shape:
        return rough
    rows, columns = (
        ((np.arange(side) + 0.5) * cells / side).astype(np.int64)
        for side, cells in zip(true.shape, rough.shape, strict=True)
    )
    return rough[np.ix_(rows, columns)]


def table(scores: MaskPromptScores) -> str:
    """The result as Markdown: mean IoU in points with 95 % intervals, and segany's paired gains."""
    head = ["prompt", *("1/8 resolution", "eroded", "dilated", "shifted")]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for click in (False, True):
        for method in METHODS:
            if click and method == METHODS[0]:
                continue
            name = f"{method} + click" if click else method
            lines.append(_row(name, [scores.mean(click, kind, method).points() for kind in ROUGHENINGS]))
        for other in METHODS[:-1]:
            name = f"gain over {other}" + (" + click" if click and other != METHODS[0] else "")
            gains = [scores.gain(click, kind, other) for kind in ROUGHENINGS]
            lines.append(_row(name + (", click" if click and other == METHODS[0] else ""), [g.points() for g in gains]))
    return "\n".join(lines) + "\n"


def _row(name: str, cells: list[str]) -> str:
    return f"| {' | '.join([name, *cells])} |"


def as_json(scores: MaskPromptScores) -> str:
    """The result as a JSON document: means, gains, intervals and n, unrounded."""
    answers = [
        {
            "click": click,
            "roughening": kind,
            "method": method,
            "iou": asdict(scores.mean(click, kind, method)),
            "gain_of_segany": asdict(scores.gain(click, kind, method)),
        }
        for click in (False, True)
        for kind in ROUGHENINGS
        for method in METHODS
    ]
    return json.dumps({"model": scores.model, "n": len(scores.images), "answers": answers}, indent=1) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure on a COCO set, print the table, and write the figures if asked."""
    parser = argparse.ArgumentParser(prog="python -m segany.evaluate.mask_prompts", description=main.__doc__)
    parser.add_argument("--data", type=Path, help="folder with instances.json and images/ [SEGANY_DATA/coco_val80]")
    parser.add_argument("--model", default="mobile_sam", help="name or checkpoint [%(default)s]")
    parser.add_argument("--precision", default="float32", help="as in segany segment [%(default)s]")
    parser.add_argument("--objects", type=int, default=200, help="how many, spread over the sizes [%(default)s]")
    parser.add_argument("--by", type=float, default=0.05, help="how far outlines move, in diameters [%(default)s]")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    options = parser.parse_args(arguments)
    folder = options.data
    if folder is None:
        data = Settings.from_environment().data
        if data is None:
            parser.error("name the data: --data FOLDER, or set SEGANY_DATA to the folder that holds coco_val80.")
        folder = data / "coco_val80"
    objects = stratified(coco_objects(folder), options.objects, MIN_AREA)
    predictor = Predictor(options.model, precision=options.precision)
    scores = measure(predictor, objects, by=options.by, progress=_show)
    print(table(scores))
    if options.json is not None:
        files.write_text(options.json, as_json(scores))


def _show(done: int, total: int) -> None:
    print(f"\r{done} of {total} images", end="" if done < total else "\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
