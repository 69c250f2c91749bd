"""Answer prompts with a `SamPredictor`, whoever wrote it: the reference's, or segany.compat's.

Run by compare_reference.py in a process of its own, because the reference and its stand-ins for torchvision must not
meet other packages that look for torchvision. It needs nothing but NumPy, torch and the package that is asked.
"""

import argparse
import importlib
import json
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", type=Path, help="JSON file: photos (arrays on disk) and their prompts")
    parser.add_argument("out", type=Path, help="folder for the answers, one .npz for each photo")
    parser.add_argument("--package", required=True, help="mobile_sam, segment_anything or segany.compat")
    parser.add_argument("--model-type", required=True, help="key of its sam_model_registry")
    parser.add_argument("--checkpoint", required=True, help="file of weights")
    arguments = parser.parse_args()

    package = importlib.import_module(arguments.package)
    sam = package.sam_model_registry[arguments.model_type](checkpoint=arguments.checkpoint)
    sam.eval()
    predictor = package.SamPredictor(sam)
    for job in json.loads(arguments.jobs.read_text(encoding="utf-8")):
        predictor.set_image(np.load(job["pixels"]))
        answers = {}
        best: dict[str, np.ndarray] = {}
        for place, case in enumerate(job["cases"]):
            masks, scores, low_res = predictor.predict(
                point_coords=None if case["points"] is None else np.array(case["points"], dtype=np.float64),
                point_labels=None if case["labels"] is None else np.array(case["labels"]),
                box=None if case["box"] is None else np.array(case["box"], dtype=np.float64),
                mask_input=None if case["feed"] is None else best[case["feed"]],
                multimask_output=case["multimask"],
            )
            best[case["name"]] = low_res[np.argmax(scores)][None]
            answers[f"{place}/scores"] = scores
            answers[f"{place}/low_res"] = low_res
            answers[f"{place}/masks"] = np.packbits(masks, axis=-1)
        np.savez(arguments.out / f"{job['photo']}.npz", **answers)
        print(job["photo"], flush=True)


if __name__ == "__main__":
    main()
