"""Segmenter: whoever answers prompts with masks. Protocols see models, runtimes and baselines through this alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from segany.geometry import Frame, Size
from segany.masks import RLE, LogitWindow
from segany.predict import Predictor
from segany.schema import Image, Prediction, Prompt

__all__ = ["Answer", "MaskAnswer", "MaskCrop", "PredictorSegmenter", "Question", "Segmenter"]


class MaskCrop(NamedTuple):
    """A mask without the background round it.

    Attributes:
        box: XYXY half-open, original pixels; what lies outside is off the object.
        pixels: [h, w] bool, as large as the box.
    """

    box: tuple[int, int, int, int]
    pixels: NDArray[np.bool_]

    @classmethod
    def of(cls, rle: RLE) -> "MaskCrop":
        """Cut a mask down to its own box."""
        x0, y0, x1, y1 = rle.box
        return cls(rle.box, np.ascontiguousarray(rle.to_mask()[y0:y1, x0:x1]))

    def within(self, box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
        """The mask's pixels in another box, [h, w] bool."""
        x0, y0, x1, y1 = box
        pixels = np.zeros((y1 - y0, x1 - x0), dtype=np.bool_)
        left, top, right, bottom = self.box
        a, b, c, d = max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)
        if a < c and b < d:
            pixels[b - y0 : d - y0, a - x0 : c - x0] = self.pixels[b - top : d - top, a - left : c - left]
        return pixels

    def iou(self, other: "MaskCrop") -> float:
        """IoU with another mask of the same image; 0 for two empty ones."""
        x0, y0 = max(self.box[0], other.box[0]), max(self.box[1], other.box[1])
        x1, y1 = min(self.box[2], other.box[2]), min(self.box[3], other.box[3])
        shared = 0
        if x0 < x1 and y0 < y1:
            shared = int(np.count_nonzero(self.within((x0, y0, x1, y1)) & other.within((x0, y0, x1, y1))))
        union = int(np.count_nonzero(self.pixels)) + int(np.count_nonzero(other.pixels)) - shared
        return shared / union if union else 0.0

    def rle(self, size: Size) -> RLE:
        """The whole mask.

        Args:
            size: Of the image.
        """
        return RLE.from_column_strips(size, [self.pixels], self.box)


class Answer(Protocol):
    """Candidate masks for one question, enlarged only when asked for."""

    @property
    def scores(self) -> NDArray[np.float32]:
        """[M] float32: who answered thinks that the IoU with what was meant is this; NaN if it cannot tell."""
        ...

    def crop(self, index: int) -> MaskCrop:
        """One candidate at original pixels."""
        ...


class Question(NamedTuple):
    """One prompt, and what was answered before.

    Attributes:
        prompt: Clicks or a box, original pixels: all clicks so far, the new one last.
        multimask: Whether several candidates are wanted (a model that has but one gives one).
        previous: The answer to the clicks before the last one, of the same segmenter; None for none.
        chosen: Which candidate of `previous` was gone on from.
    """

    prompt: Prompt
    multimask: bool = False
    previous: Answer | None = None
    chosen: int = 0


class Segmenter(Protocol):
    """Answers questions about images; keeps no image.

    Attributes:
        name: In reports.
        digest: Of everything that the answers depend on: parameters, runtime, version, precision.
        about: The same in words for reports: model, runtime, precision.
    """

    @property
    def name(self) -> str:
        """See the class."""
        ...

    @property
    def digest(self) -> str:
        """See the class."""
        ...

    @property
    def about(self) -> Mapping[str, str]:
        """See the class."""
        ...

    def prepare(self, image: Image) -> Any:
        """Do what is done once for an image; the result goes to `predict` and nobody else looks inside."""
        ...

    def predict(self, prepared: Any, questions: Sequence[Question]) -> Sequence[Answer]:
        """Answer questions about one image, in their order; an answer does not depend on its company."""
        ...


@dataclass(frozen=True, eq=False)
class MaskAnswer:
    """An answer of one full-size mask: what baselines give.

    Attributes:
        mask: [H, W] bool, original pixels.
        scores: [1] float32.
    """

    mask: NDArray[np.bool_]
    scores: NDArray[np.float32]

    def crop(self, index: int) -> MaskCrop:
        """See `Answer.crop`."""
        height, width = self.mask.shape
        return MaskCrop((0, 0, width, height), self.mask)


class PredictionAnswer:
    """A `Prediction` as an answer: only the part of a mask that is not background is ever enlarged."""

    def __init__(self, prediction: Prediction) -> None:
        """Wrap a prediction."""
        self.prediction = prediction
        self.scores = prediction.iou_predictions
        self._crops: dict[int, MaskCrop] = {}

    def crop(self, index: int) -> MaskCrop:
        """See `Answer.crop`."""
        if index not in self._crops:
            self._crops[index] = _enlarged(self.prediction.low_res_logits[index], self.prediction.frame)
        return self._crops[index]


class PredictorSegmenter:
    """A `Predictor` behind the seam. See `Segmenter`."""

    def __init__(self, name: str, predictor: Predictor, about: Mapping[str, str] | None = None) -> None:
        """Wrap a predictor.

        Args:
            name: In reports.
            predictor: Who answers.
            about: What reports say beside the backend's own words.
        """
        backend = predictor.backend
        self.name = name
        self.predictor = predictor
        self.digest = f"{backend.model_digest} {backend.key}"
        self.about = {"model": backend.config.name, "backend": backend.key, **(about or {})}

    def prepare(self, image: Image) -> Any:
        """Embed the image."""
        return self.predictor.embed(image)

    def predict(self, prepared: Any, questions: Sequence[Question]) -> list[PredictionAnswer]:
        """Ask all at once; earlier answers go back as low-resolution logits (SAM paper, app. A)."""
        answers: list[PredictionAnswer | None] = [None] * len(questions)
        for multimask in (True, False):
            places = [place for place, question in enumerate(questions) if question.multimask is multimask]
            if not places:
                continue
            prompts = [_with_previous(questions[place]) for place in places]
            predictions = self.predictor.predict_many(prepared, prompts, multimask=multimask)
            for place, prediction in zip(places, predictions, strict=True):
                answers[place] = PredictionAnswer(prediction)
        return [answer for answer in answers if answer is not None]


def _with_previous(question: Question) -> Prompt:
    prompt, previous = question.prompt, question.previous
    if not isinstance(previous, PredictionAnswer):
        return prompt
    logits = previous.prediction.low_res_logits[question.chosen]
    return Prompt(points=prompt.points, labels=prompt.labels, box=prompt.box, mask_logits=logits)


def _enlarged(low_res_logits: NDArray[np.float32], frame: Frame) -> MaskCrop:
    window = LogitWindow.cut(low_res_logits, frame, 0.0)
    x0, y0, x1, y1 = window.box
    pixels = np.empty((y1 - y0, x1 - x0), dtype=np.bool_)
    left = 0
    for strip in window.strips(frame):
        right = left + strip.shape[1]
        np.greater(strip, 0.0, out=pixels[:, left:right])
        left = right
    return MaskCrop(window.box, pixels)
