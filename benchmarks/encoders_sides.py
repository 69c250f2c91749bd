"""One side of benchmarks/encoders.py in a process of its own: segany in one precision, or the reference.

    python encoders_sides.py segany|mobile_sam|segment_anything JSON

JSON tells photo, checkpoint, precision, model_type and threads. Lines from standard input, each answered with one line
of JSON: "embed" with the seconds from pixels to an embedding, "memory" with the process's peak resident memory in
bytes, "runtime" with what computes. The reference's process never imports segany.
"""

import json
import os
import sys
import time
from typing import Any

import numpy as np
from PIL import Image
from side import peak_bytes, serve


class Segany:
    def __init__(self, wanted: dict[str, Any]) -> None:
        os.environ["SEGANY_THREADS"] = str(wanted["threads"])
        from segany import Predictor, open_image

        self.predictor = Predictor(wanted["checkpoint"], device="cpu", precision=wanted["precision"])
        self.image = open_image(wanted["photo"])
        self.runtime = self.predictor.backend.key

    def embed(self) -> float:
        start = time.perf_counter()
        self.predictor.embed(self.image)
        return time.perf_counter() - start


class Reference:
    def __init__(self, package: str, wanted: dict[str, Any]) -> None:
        import importlib

        import torch

        torch.set_num_threads(wanted["threads"])
        module = importlib.import_module(package)
        sam = module.sam_model_registry[wanted["model_type"]](checkpoint=wanted["checkpoint"]).eval()
        self.predictor = module.SamPredictor(sam)
        self.image = np.array(Image.open(wanted["photo"]).convert("RGB"))
        self.runtime = f"torch/{torch.__version__}/cpu/float32"

    def embed(self) -> float:
        start = time.perf_counter()
        self.predictor.set_image(self.image)
        return time.perf_counter() - start


def main() -> None:
    package, text = sys.argv[1:]
    wanted: dict[str, Any] = json.loads(text)
    os.environ["OMP_NUM_THREADS"] = str(wanted["threads"])
    side: Segany | Reference = Segany(wanted) if package == "segany" else Reference(package, wanted)
    answers = {"memory": peak_bytes, "runtime": lambda: side.runtime, "embed": side.embed}
    serve(answers, lambda line: f"what is {line}?")


if __name__ == "__main__":
    main()
