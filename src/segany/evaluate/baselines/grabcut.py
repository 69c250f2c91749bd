"""GrabCut: graph cuts between two colour models (Rother et al. 2004), from a box or from clicks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.errors import PromptError
from segany.evaluate.baselines._shrunk import Shrunk, shrink
from segany.evaluate.segmenter import MaskAnswer, Question
from segany.schema import POSITIVE, Image, Prompt

__all__ = ["GrabCut"]

_LONG_SIDE = 320
_ROUNDS = 5
# What a click is certain of, and how far from the first clicks the object is guessed to reach, in shares of the
# working diagonal.
_CERTAIN = 0.01
_GUESS = 0.15
_UNKNOWN = np.array([np.nan], dtype=np.float32)


class GrabCut:
    """OpenCV's GrabCut on images of at most 320 pixels; see `Segmenter`.

    A box says what is certainly background. Clicks say what is certain near them; the first ones guess a disc, later
    ones start from the last answer.
    """

    name = "grabcut"

    def __init__(self) -> None:
        """Take OpenCV."""
        import cv2

        self.digest = f"grabcut 1 opencv {cv2.__version__} {_LONG_SIDE} {_ROUNDS} {_CERTAIN} {_GUESS}"
        self.about = {"method": f"GrabCut, OpenCV {cv2.__version__}", "working size": f"{_LONG_SIDE} px"}

    def prepare(self, image: Image) -> Shrunk:
        """Shrink the image."""
        return shrink(image, _LONG_SIDE)

    def predict(self, prepared: Any, questions: Sequence[Question]) -> list[MaskAnswer]:
        """Answer each question by itself."""
        return [MaskAnswer(prepared.enlarge(_cut(prepared, question)), _UNKNOWN) for question in questions]


def _cut(image: Shrunk, question: Question) -> NDArray[np.bool_]:
    import cv2

    known = _known(image, question)
    if not (known % 2 == 0).any() or not (known % 2 == 1).any():
        # One of the two models would have no pixel to learn from.
        return np.asarray(known % 2 == 1)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    pixels, whole = np.ascontiguousarray(image.pixels[..., ::-1]), (0, 0, 0, 0)
    cv2.grabCut(pixels, known, whole, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.asarray(known % 2 == 1)


def _known(image: Shrunk, question: Question) -> NDArray[np.uint8]:
    """[h, w] uint8: certain or probable, object or background, as `cv2.grabCut` has them."""
    import cv2

    prompt = question.prompt
    height, width = image.pixels.shape[:2]
    if prompt.points is None and prompt.box is None:
        raise PromptError("GrabCut answers clicks and boxes, got a mask alone.")
    likely = _likely(image, question)
    known = np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    if prompt.box is not None:
        x0, y0, x1, y1 = (prompt.box.reshape(2, 2) * image.scale).ravel().tolist()
        outside = np.ones((height, width), dtype=np.bool_)
        outside[int(y0) : max(int(np.ceil(y1)), int(y0) + 1), int(x0) : max(int(np.ceil(x1)), int(x0) + 1)] = False
        known[outside] = cv2.GC_BGD
    if prompt.points is not None and prompt.labels is not None:
        radius = max(1, round(_CERTAIN * float(np.hypot(height, width))))
        for (x, y), label in zip(image.clicks(prompt.points).tolist(), prompt.labels.tolist(), strict=True):
            cv2.circle(known, (x, y), radius, cv2.GC_FGD if label == POSITIVE else cv2.GC_BGD, -1)
    return known


def _likely(image: Shrunk, question: Question) -> NDArray[np.bool_]:
    """What is probably the object, before any colour is looked at."""
    import cv2

    prompt = question.prompt
    shape = image.pixels.shape[:2]
    if isinstance(question.previous, MaskAnswer):
        return image.reduce(question.previous.mask)
    if prompt.box is not None:
        return np.ones(shape, dtype=np.bool_)
    likely = np.zeros(shape, dtype=np.uint8)
    radius = max(2, round(_GUESS * float(np.hypot(*shape))))
    for x, y in image.clicks(_positive(prompt)).tolist():
        cv2.circle(likely, (x, y), radius, 1, -1)
    return likely.astype(np.bool_)


def _positive(prompt: Prompt) -> NDArray[np.float64]:
    if prompt.points is None or prompt.labels is None:
        return np.empty((0, 2))
    return np.asarray(prompt.points[prompt.labels == POSITIVE])
