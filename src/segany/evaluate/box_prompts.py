"""Boxes as prompts: how close the answer to a true mask's box comes to the mask, model beside model.

Run it: `python -m segany.evaluate.box_prompts --help`.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segany import files
from segany.evaluate.intervals import Interval, mean_interval
from segany.evaluate.objects import TrueObject, mask_folder_objects, volume_objects
from segany.geometry import box_area
from segany.masks import mask_iou
from segany.predict import Predictor
from segany.schema import Prompt
from segany.settings import Settings

__all__ = ["MEDICAL_SETS", "filled_boxes", "gain", "measure"]

# Smaller objects are a few pixels of a slice that is itself 35 by 50.
_MIN_AREA = 64
_SLICES = 3

# Where the sets of the medical table come from: the folder's name, and who reads it.
MEDICAL_SETS: Mapping[str, Callable[[Path], list[TrueObject]]] = {
    "hc18": mask_folder_objects,
    "msd_hippocampus": lambda folder: volume_objects(folder, _SLICES, _MIN_AREA),
}


def measure(predictor: Predictor, objects: Sequence[TrueObject]) -> NDArray[np.float64]:
    """IoU of the single mask answered to each object's own box, the tight box of its true mask.

    Args:
        predictor: Whose answers.
        objects: Each is embedded on its own.

    Returns:
        [N] float64.
    """
    scores = np.empty(len(objects))
    for place, o in enumerate(objects):
        prediction = predictor.predict(predictor.embed(o.image), Prompt(box=o.mask.box), multimask=False)
        scores[place] = float(mask_iou(prediction.mask(0), o.mask.to_mask()))
    return scores


def filled_boxes(objects: Sequence[TrueObject]) -> NDArray[np.float64]:
    """IoU of each object with its own box filled: what is to be had without a model, [N] float64."""
    boxes = np.array([o.mask.box for o in objects])
    return np.asarray(np.array([o.mask.area for o in objects]) / box_area(boxes), dtype=np.float64)


def gain(one: NDArray[np.float64], other: NDArray[np.float64], objects: Sequence[TrueObject]) -> Interval:
    """Paired mean of `one` less `other`, with its interval over groups."""
    return mean_interval(one - other, [o.group for o in objects])


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare models on ultrasound heads and on slices of the hippocampus, and print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m segany.evaluate.box_prompts", description=main.__doc__)
    parser.add_argument("--data", type=Path, help="folder that holds hc18 and msd_hippocampus [SEGANY_DATA]")
    parser.add_argument("--models", nargs=2, default=["lite_medsam", "mobile_sam"], help="[%(default)s]")
    parser.add_argument("--precision", default="float32", help="as in segany segment [%(default)s]")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    options = parser.parse_args(arguments)
    data = options.data or Settings.from_environment().data
    if data is None:
        parser.error("name the data: --data FOLDER, or set SEGANY_DATA.")
    predictors = [Predictor(name, precision=options.precision) for name in options.models]
    print(f"| set | n | the box itself | {options.models[0]} | {options.models[1]} | gain |\n|---|---|---|---|---|---|")
    results = {}
    for name, read in MEDICAL_SETS.items():
        print(name, file=sys.stderr, flush=True)
        objects = read(data / name)
        groups = [o.group for o in objects]
        scores = [measure(predictor, objects) for predictor in predictors]
        means = [mean_interval(values, groups) for values in scores]
        difference = gain(scores[0], scores[1], objects)
        box = mean_interval(filled_boxes(objects), groups)
        cells = [interval.points() for interval in (box, *means, difference)]
        print(f"| {name} | {len(objects)} | {' | '.join(cells)} |", flush=True)
        results[name] = {
            "box": asdict(box),
            "models": dict(zip(options.models, map(asdict, means), strict=True)),
            "gain": asdict(difference),
            "groups": len(set(groups)),
        }
    if options.json is not None:
        files.write_text(options.json, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
