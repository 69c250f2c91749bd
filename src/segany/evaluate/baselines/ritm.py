"""RITM: the click segmenter of the click literature (Sofiiuk et al. 2021), HRNet-18 trained on COCO and LVIS."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany import weights
from segany.errors import PromptError
from segany.evaluate.segmenter import MaskAnswer, Question
from segany.predict.backends.openvino_graph import NamedGraph
from segany.schema import POSITIVE, Image

__all__ = ["Ritm"]

_WEIGHTS = "ritm_hrnet18"
# Clicks are discs of this radius, pixels of what the network sees (paper, sec. 3.2).
_RADIUS = 5
_MULTIPLE = 32
# The first click sees the whole image, the next ones a window round the last answer (paper, sec. 3.4: zoom-in).
_FIRST_SIDE = 640
_ZOOM_SIDE = 400
_ZOOM_MARGIN = 1.4
_ZOOM_LEAST = 200
_THRESHOLD = 0.49
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
_UNKNOWN = np.array([np.nan], dtype=np.float32)

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class RitmAnswer(MaskAnswer):
    """An answer with what the next click starts from.

    Attributes:
        probability: [H, W] float32.
    """

    probability: NDArray[np.float32]


class Ritm:
    """RITM in OpenVINO, in float32, mirrored images averaged; answers clicks. See `Segmenter`."""

    name = "ritm"

    def __init__(self) -> None:
        """Load the network, fetching its weights if they are not here yet."""
        entry = weights.get(_WEIGHTS)
        self._network = NamedGraph(weights.path(_WEIGHTS).with_suffix(".pdmodel"))
        self.digest = f"ritm 1 {entry.sha256} openvino {self._network.version}"
        self.about = {"model": "RITM, HRNet-18 OCR-64, COCO and LVIS", "backend": f"openvino {self._network.version}"}

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """The pixels as they are: what the network sees depends on the clicks."""
        return image.pixels

    def predict(self, prepared: Any, questions: Sequence[Question]) -> list[RitmAnswer]:
        """Answer each question by itself."""
        return [self._answer(prepared, question) for question in questions]

    def _answer(self, pixels: NDArray[np.uint8], question: Question) -> RitmAnswer:
        prompt = question.prompt
        if prompt.points is None or prompt.labels is None or prompt.box is not None:
            raise PromptError("RITM answers clicks only; leave the box out.")
        height, width = pixels.shape[:2]
        before, window, side = None, (0, 0, width, height), _FIRST_SIDE
        if isinstance(question.previous, RitmAnswer):
            before, side = question.previous.probability, _ZOOM_SIDE
            window = _zoomed(question.previous.mask, prompt.points)
        probability = np.zeros((height, width), dtype=np.float32)
        x0, y0, x1, y1 = window
        seen = self._look(pixels, before, prompt.points, prompt.labels, window, side)
        probability[y0:y1, x0:x1] = seen
        return RitmAnswer(probability > _THRESHOLD, _UNKNOWN, probability)

    def _look(
        self,
        pixels: NDArray[np.uint8],
        before: NDArray[np.float32] | None,
        points: NDArray[np.float64],
        labels: NDArray[np.int64],
        window: Box,
        side: int,
    ) -> NDArray[np.float32]:
        """Probabilities in a window, [h, w] float32 at original pixels."""
        import cv2

        x0, y0, x1, y1 = window
        scale = side / max(x1 - x0, y1 - y0)
        if before is None:
            scale = min(scale, 1.0)
        w, h = (max(1, round((b - a) * scale / _MULTIPLE)) * _MULTIPLE for a, b in ((x0, x1), (y0, y1)))
        part = np.ascontiguousarray(pixels[y0:y1, x0:x1])
        picture = cv2.resize(part, (w, h), interpolation=cv2.INTER_LINEAR)
        maps = np.zeros((3, h, w), dtype=np.float32)
        if before is not None:
            earlier = np.ascontiguousarray(before[y0:y1, x0:x1])
            maps[0] = cv2.resize(earlier, (w, h), interpolation=cv2.INTER_LINEAR)
        y, x = np.mgrid[:h, :w]
        for (column, row), label in zip((points + 0.5 - (x0, y0)).tolist(), labels.tolist(), strict=True):
            across, down = column / (x1 - x0) * w - 0.5, row / (y1 - y0) * h - 0.5
            near = (x - across) ** 2 + (y - down) ** 2 <= _RADIUS**2
            maps[1 if label == POSITIVE else 2][near] = 1
        scaled = ((picture.astype(np.float32) / 255 - _MEAN) / _STD).transpose(2, 0, 1)
        both = np.stack([scaled, scaled[..., ::-1]]), np.stack([maps, maps[..., ::-1]])
        logits = self._network.run({"image": both[0], "coord_features": both[1]})[0]
        probability = 1 / (1 + np.exp(-logits[:, 0].astype(np.float64)))
        mean = ((probability[0] + probability[1][:, ::-1]) / 2).astype(np.float32)
        return np.asarray(cv2.resize(mean, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR))


def _zoomed(mask: NDArray[np.bool_], points: NDArray[np.float64]) -> Box:
    """A window round a mask and all clicks, with a margin, within the image."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return 0, 0, width, height
    low = np.minimum([columns[0], rows[0]], points.min(axis=0))
    high = np.maximum([columns[-1], rows[-1]], points.max(axis=0)) + 1
    middle, half = (low + high) / 2, np.maximum((high - low) * _ZOOM_MARGIN, _ZOOM_LEAST) / 2
    x0, y0 = np.maximum(np.floor(middle - half), 0).astype(int).tolist()
    x1, y1 = np.minimum(np.ceil(middle + half), [width, height]).astype(int).tolist()
    return x0, y0, x1, y1
