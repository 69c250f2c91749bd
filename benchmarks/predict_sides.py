"""One side of benchmarks/predict.py in a process of its own: segany, or the reference.

    python predict_sides.py segany|mobile_sam|segment_anything PHOTO CHECKPOINT MODEL_TYPE THREADS PRECISION

Reads one line from standard input for each round and answers with one line of JSON: seconds by stage. The line
"memory" is answered with the process's peak resident memory in bytes, "runtime" with what computes. The reference's
process never imports segany, and knows float32 only.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from side import peak_bytes, serve

T = TypeVar("T")


class Watch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, stage: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = work()
        self.seconds[stage] = time.perf_counter() - start
        return result


class Segany:
    """Ours, through its public calls."""

    def __init__(self, photo: Path, checkpoint: Path, precision: str) -> None:
        from segany import Predictor

        self.photo = photo
        self.predictor = Predictor(checkpoint, precision=precision, device="cpu")
        self.runtime = self.predictor.backend.key

    def round(self) -> dict[str, float]:
        from segany import Prompt, open_image
        from segany.model import normalize_image, resize_image

        watch = Watch()
        preprocess = self.predictor.backend.config.preprocess
        image = watch.time("decode the file", lambda: open_image(self.photo))
        watch.time("preprocess", lambda: normalize_image(resize_image(image.pixels, preprocess)[0], preprocess))
        embedding = watch.time("embed an array", lambda: self.predictor.embed(image))
        watch.seconds["encoder"] = watch.seconds["embed an array"] - watch.seconds["preprocess"]
        height, width = image.size
        click = Prompt(points=[[width / 2, height / 2]])
        predict = self.predictor.predict
        three = watch.time("prompt and decoder, 3 masks", lambda: predict(embedding, click, multimask=True))
        watch.time("enlarge 3 masks", three.masks)
        watch.time("click to 3 masks", lambda: predict(embedding, click, multimask=True).masks())
        watch.time("click to the best mask", lambda: best(predict(embedding, click, multimask=True)))
        again = Prompt(points=click.points, mask_logits=three.low_res_logits[three.best_index])
        watch.time("click with logits to 1 mask", lambda: predict(embedding, again, multimask=False).masks())
        box = Prompt(box=[width / 4, height / 4, width * 3 / 4, height * 3 / 4])
        watch.time("box to 1 mask", lambda: predict(embedding, box, multimask=False).masks())
        return watch.seconds


def best(prediction: Any) -> Any:
    return prediction.mask(prediction.best_index)


class Reference:
    """The reference's `SamPredictor`, with its parts called as `predict` calls them to time each."""

    def __init__(self, package: str, photo: Path, checkpoint: Path, model_type: str) -> None:
        import importlib

        module = importlib.import_module(package)
        self.runtime = f"torch/{torch.__version__}/cpu/float32"
        self.photo = photo
        self.predictor = module.SamPredictor(module.sam_model_registry[model_type](checkpoint=str(checkpoint)).eval())

    @torch.no_grad()
    def round(self) -> dict[str, float]:
        watch, predictor = Watch(), self.predictor
        sam = predictor.model
        image = watch.time("decode the file", lambda: np.array(Image.open(self.photo).convert("RGB")))

        def preprocess() -> torch.Tensor:
            resized = torch.as_tensor(predictor.transform.apply_image(image)).permute(2, 0, 1).contiguous()[None]
            processed: torch.Tensor = sam.preprocess(resized)
            return processed

        watch.time("preprocess", preprocess)
        watch.time("embed an array", lambda: predictor.set_image(image))
        watch.seconds["encoder"] = watch.seconds["embed an array"] - watch.seconds["preprocess"]
        height, width = image.shape[:2]
        point, label = np.array([[width / 2, height / 2]]), np.array([1])

        def decode() -> Any:
            coords = torch.as_tensor(predictor.transform.apply_coords(point, (height, width)), dtype=torch.float)[None]
            sparse, dense = sam.prompt_encoder(points=(coords, torch.tensor([[1]])), boxes=None, masks=None)
            return sam.mask_decoder(
                image_embeddings=predictor.features,
                image_pe=sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
            )

        def enlarge() -> Any:
            masks = sam.postprocess_masks(low_res, predictor.input_size, predictor.original_size)
            return (masks > sam.mask_threshold).numpy()

        def click(multimask: bool, logits: Any = None) -> Any:
            return predictor.predict(point, label, mask_input=logits, multimask_output=multimask)

        low_res, scores = watch.time("prompt and decoder, 3 masks", decode)
        watch.time("enlarge 3 masks", enlarge)
        watch.time("click to 3 masks", lambda: click(True))
        watch.time("click to the best mask", lambda: chosen(*click(True)[:2]))
        fed = low_res[0, scores[0].argmax()][None].numpy()
        watch.time("click with logits to 1 mask", lambda: click(False, fed))
        box = np.array([width / 4, height / 4, width * 3 / 4, height * 3 / 4])
        watch.time("box to 1 mask", lambda: predictor.predict(box=box, multimask_output=False))
        return watch.seconds


def chosen(masks: Any, scores: Any) -> Any:
    return masks[scores.argmax()]


def main() -> None:
    package, photo, checkpoint, model_type, threads, precision = sys.argv[1:]
    torch.set_num_threads(int(threads))
    side: Segany | Reference
    if package == "segany":
        side = Segany(Path(photo), Path(checkpoint), precision)
    else:
        side = Reference(package, Path(photo), Path(checkpoint), model_type)
    serve({"memory": peak_bytes, "runtime": lambda: side.runtime}, lambda _: side.round())


if __name__ == "__main__":
    main()
