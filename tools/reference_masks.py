"""Find every mask of some photos with a `SamAutomaticMaskGenerator`, whoever wrote it.

Run by compare_reference_automatic.py in a process of its own, because the reference and its stand-ins for torchvision
must not meet other packages that look for torchvision. It needs nothing but NumPy, torch, pycocotools and the package
that is asked.
"""

import argparse
import importlib
import json
import time
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", type=Path, help="JSON file: photos (arrays on disk) and where their answers go")
    parser.add_argument("--package", required=True, help="mobile_sam or segment_anything")
    parser.add_argument("--model-type", required=True, help="key of its sam_model_registry")
    parser.add_argument("--checkpoint", required=True, help="file of weights")
    arguments = parser.parse_args()

    package = importlib.import_module(arguments.package)
    sam = package.sam_model_registry[arguments.model_type](checkpoint=arguments.checkpoint)
    sam.eval()
    for job in json.loads(arguments.jobs.read_text(encoding="utf-8")):
        generator = package.SamAutomaticMaskGenerator(sam, output_mode="coco_rle", **job["settings"])
        started = time.perf_counter()
        masks = generator.generate(np.load(job["pixels"]))
        answer = {
            "photo": job["photo"],
            "settings": job["settings"],
            "seconds": round(time.perf_counter() - started, 2),
            "masks": masks,
        }
        Path(job["out"]).write_text(json.dumps(answer) + "\n", encoding="utf-8")
        print(job["photo"], len(masks), answer["seconds"], flush=True)


if __name__ == "__main__":
    main()
