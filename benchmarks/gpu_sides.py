"""One side of benchmarks/gpu.py in a process of its own: segany, or the reference.

    python gpu_sides.py segany|mobile_sam|segment_anything JSON

JSON tells device, precision ("float32" or "bfloat16"), config, model_type, checkpoint, batch, compile, threads and
points_per_side. Lines from standard input, each answered with one line of JSON: "embed" with seconds for a batch of
random images, "features FILE" with nothing after the encoder's output for a fixed batch is saved there, "everything
FILE" with seconds for a photo, "memory" with the largest amount of the device's memory in use since the last time it
was asked, "floor" with operations and bytes of a batch. The reference's process never imports segany.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from side import peak_bytes, serve


class Side:
    """What both sides share: a batch on the device, a clock and the memory's high-water mark."""

    encoder: Any
    side: int

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.device = torch.device(wanted["device"])
        self.dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted["precision"]]
        self.wanted = wanted
        if self.device.type == "cpu":
            torch.set_num_threads(wanted["threads"])

    def pixels(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randn(self.wanted["batch"], 3, self.side, self.side, generator=generator)
        return pixels.to(self.device, self.dtype)

    @torch.inference_mode()
    def embed(self) -> float:
        pixels = self.pixels()
        self.wait()
        start = time.perf_counter()
        self.encoder(pixels)
        self.wait()
        return time.perf_counter() - start

    @torch.inference_mode()
    def features(self, file: str) -> None:
        np.save(file, self.encoder(self.pixels()).float().cpu().numpy())

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def memory(self) -> int:
        if self.device.type != "cuda":
            return peak_bytes()
        peak = torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        return peak

    def answer(self, line: str) -> Any:
        word, _, rest = line.partition(" ")
        return getattr(self, word)(*([rest] if rest else []))


class Segany(Side):
    def __init__(self, wanted: dict[str, Any]) -> None:
        super().__init__(wanted)
        from segany import Predictor
        from segany.model import CONFIGS, load_sam
        from segany.predict.automatic import AutomaticMaskGenerator, GridSettings
        from segany.predict.backends.torch import TorchBackend

        config = CONFIGS.get(wanted["config"])
        backend = TorchBackend(load_sam(wanted["checkpoint"], config), wanted["device"], wanted["precision"])
        self.side = backend.config.input_side
        # The same checkpoint again, so that the encoder is timed alone and by no private name.
        model = load_sam(wanted["checkpoint"], config).eval().requires_grad_(False)
        self.encoder = model.to(self.device, self.dtype).fuse().image_encoder
        if wanted["compile"]:
            self.encoder = torch.compile(self.encoder)
        # Random weights predict IoUs that mean nothing, so that every mask is kept.
        self.generator = AutomaticMaskGenerator(
            Predictor(backend=backend), GridSettings(points_per_side=wanted["points_per_side"], floor=0.0)
        )

    def everything(self, file: str) -> float:
        from segany.predict.automatic import Thresholds

        pixels = np.load(file)
        self.wait()
        start = time.perf_counter()
        self.generator.generate(pixels, Thresholds(pred_iou_thresh=0.0))
        self.wait()
        return time.perf_counter() - start

    @torch.inference_mode()
    def floor(self) -> dict[str, float]:
        """Operations of a batch, its least traffic, and what the device does of both."""
        from torch.utils.flop_counter import FlopCounterMode

        pixels = self.pixels()
        encoder = getattr(self.encoder, "_orig_mod", self.encoder)
        with FlopCounterMode(display=False) as counter:
            features = encoder(pixels)
        parameters = sum(one.numel() * one.element_size() for one in encoder.parameters())
        size = 8192 if self.device.type == "cuda" else 256
        one = torch.randn(size, size, device=self.device, dtype=self.dtype)
        product = self._best(lambda: one @ one)
        copy = self._best(lambda: one.clone())
        return {
            "operations": float(counter.get_total_flops()),
            "bytes": float(parameters + sum(t.numel() * t.element_size() for t in (pixels, features))),
            "operations_a_second": 2 * size**3 / product,
            "bytes_a_second": 2 * one.numel() * one.element_size() / copy,
        }

    def _best(self, work: Any) -> float:
        seconds = []
        for _ in range(10):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            seconds.append(time.perf_counter() - start)
        return min(seconds)


class Reference(Side):
    def __init__(self, package: str, wanted: dict[str, Any]) -> None:
        super().__init__(wanted)
        import importlib

        module = importlib.import_module(package)
        sam = module.sam_model_registry[wanted["model_type"]](checkpoint=wanted["checkpoint"]).eval().to(self.device)
        self.side = sam.image_encoder.img_size
        self.encoder = sam.image_encoder
        self.generator = module.SamAutomaticMaskGenerator(
            sam, points_per_side=wanted["points_per_side"], pred_iou_thresh=0.0, output_mode="coco_rle"
        )

    def everything(self, file: str) -> float:
        pixels = np.load(file)
        self.wait()
        start = time.perf_counter()
        self.generator.generate(pixels)
        self.wait()
        return time.perf_counter() - start


def main() -> None:
    package, text = sys.argv[1:]
    wanted: dict[str, Any] = json.loads(text)
    side: Side = Segany(wanted) if package == "segany" else Reference(package, wanted)
    serve({}, side.answer)


if __name__ == "__main__":
    main()
