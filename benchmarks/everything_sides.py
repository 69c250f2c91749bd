"""One side of benchmarks/everything.py in a process of its own: segany, or the reference, on one photo.

    python everything_sides.py segany|mobile_sam|segment_anything JSON

JSON tells photo, checkpoint, model_type, threads, points_per_side, and for segany mode and precision. Each line FILE
from standard input is a run that writes its masks there; the answer is one line of JSON: seconds by stage. The line
"memory" is answered with the process's peak resident memory in bytes, "runtime" with what computes. The reference's
process never imports segany, and knows float32 only. Segany's also answers "prompts N" with the seconds of N clicks on
one embedding, "loop N" with its resident memory after each of N images, and "digest" with that of its answer.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from side import peak_bytes, serve


class Segany:
    """Ours, as `segany everything` runs it: from the file to a record on disk, without cached embeddings."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        from segany.predict.automatic import EverythingSpec, GridSettings

        self.photo = Path(wanted["photo"])
        self.spec = EverythingSpec(
            model=wanted["checkpoint"],
            device="cpu",
            precision=wanted["precision"],
            mode=wanted["mode"],
            grid=GridSettings(points_per_side=wanted["points_per_side"]),
            use_cache=False,
        ).resolved()
        self.runtime = self.spec.backend_key

    def answer(self, line: str) -> Any:
        word, _, rest = line.partition(" ")
        own: dict[str, Callable[[str], Any]] = {"prompts": self.prompts, "loop": self.loop, "digest": self.digest}
        return own[word](rest) if word in own else self.run(line)

    def prompts(self, count: str) -> float:
        """Seconds of so many clicks on one embedding, each to its best mask."""
        from segany import Predictor, Prompt, open_image

        predictor = Predictor(backend=self.spec.backend())
        embedding = predictor.embed(open_image(self.photo))
        height, width = embedding.frame.original
        clicks = [Prompt(points=[(place * 97.3 % width, place * 61.7 % height)]) for place in range(int(count))]
        # What prompts share is made with the first one.
        predictor.predict(embedding, clicks[0])
        start = time.perf_counter()
        for prediction in predictor.predict_many(embedding, clicks):
            prediction.mask(prediction.best_index)
        return time.perf_counter() - start

    def loop(self, count: str) -> list[int]:
        """Resident memory after each of so many images, of sizes that differ."""
        import numpy as np
        import psutil

        from segany import Predictor, open_image
        from segany.predict.automatic import AutomaticMaskGenerator

        generator = AutomaticMaskGenerator(Predictor(backend=self.spec.backend()), self.spec.clicking)
        pixels = open_image(self.photo).pixels
        height, width = pixels.shape[:2]
        process, resident = psutil.Process(), []
        for number in range(int(count)):
            # Parts of the photo, none like the other.
            y, x = number * 37 % (height // 3), number * 53 % (width // 3)
            part = pixels[y : y + height // 2 + number % 50, x : x + width // 2 + number % 70]
            generator.generate(open_image(np.ascontiguousarray(part)))
            resident.append(process.memory_info().rss)
        return resident

    def digest(self, _: str) -> str:
        """Of boxes, scores and every pixel of every mask."""
        import hashlib

        from segany import Predictor, open_image
        from segany.predict.automatic import AutomaticMaskGenerator

        generator = AutomaticMaskGenerator(Predictor(backend=self.spec.backend()), self.spec.clicking)
        found = hashlib.sha256()
        for one in generator.generate(open_image(self.photo), self.spec.thresholds).annotations:
            found.update(repr((one.box, one.predicted_iou, one.stability_score, one.point_coords)).encode())
            found.update(one.segmentation.counts)
        return found.hexdigest()

    def run(self, out: str) -> dict[str, float]:
        from segany.predict.automatic import Item, Outcome, ResultFolder, run

        outcomes: list[Outcome] = []
        with tempfile.TemporaryDirectory() as folder:
            item = Item("photo", self.photo)
            sink = ResultFolder(Path(folder), self.spec.settings())
            summary = run([item], self.spec, sink, progress=lambda _, __, one: outcomes.extend([one] if one else []))
            if summary.errors:
                raise SystemExit("; ".join(summary.errors.values()))
            if out != os.devnull:
                Path(out).write_bytes(sink.record_path(item).read_bytes())
        (outcome,) = outcomes
        return {**outcome.seconds, "clicks": outcome.clicks, "masks": outcome.masks or 0}


class Reference:
    """The reference's `SamAutomaticMaskGenerator` with a clock on its parts."""

    def __init__(self, package: str, wanted: dict[str, Any]) -> None:
        import importlib

        import torch

        torch.set_num_threads(wanted["threads"])
        module = importlib.import_module(package)
        sam = module.sam_model_registry[wanted["model_type"]](checkpoint=wanted["checkpoint"]).eval()
        self.photo = wanted["photo"]
        self.clicks = wanted["points_per_side"] ** 2
        self.generator = module.SamAutomaticMaskGenerator(
            sam, points_per_side=wanted["points_per_side"], output_mode="coco_rle"
        )
        self.seconds = {"embed": 0.0, "click": 0.0}
        self._count("embed", self.generator.predictor, "set_image")
        self._count("click", sam.prompt_encoder, "forward")
        self._count("click", sam.mask_decoder, "forward")
        self.runtime = f"torch/{torch.__version__}/cpu/float32"

    def _count(self, stage: str, owner: Any, name: str) -> None:
        work: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                self.seconds[stage] += time.perf_counter() - start

        setattr(owner, name, timed)

    def answer(self, out: str) -> dict[str, float]:
        import numpy as np
        from PIL import Image

        self.seconds = dict.fromkeys(self.seconds, 0.0)
        start = time.perf_counter()
        pixels = np.array(Image.open(self.photo).convert("RGB"))
        read = time.perf_counter() - start
        masks = self.generator.generate(pixels)
        found = time.perf_counter() - start - read
        select = found - sum(self.seconds.values())
        start = time.perf_counter()
        Path(out).write_text(json.dumps(masks), encoding="utf-8")
        write = time.perf_counter() - start
        counts = {"clicks": self.clicks, "masks": len(masks)}
        return {"read": read, **self.seconds, "select": select, "write": write, **counts}


def main() -> None:
    package, text = sys.argv[1:]
    wanted: dict[str, Any] = json.loads(text)
    # Read when the runtime is loaded.
    os.environ["OMP_NUM_THREADS"] = str(wanted["threads"])
    if package == "segany":
        os.environ["SEGANY_THREADS"] = str(wanted["threads"])
        import cv2

        cv2.setNumThreads(wanted["threads"])
    side: Segany | Reference = Segany(wanted) if package == "segany" else Reference(package, wanted)
    serve({"memory": peak_bytes, "runtime": lambda: side.runtime}, side.answer)


if __name__ == "__main__":
    main()
