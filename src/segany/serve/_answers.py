"""Prompts to answers, in a worker's thread; and earlier answers, remembered so that they can be refined."""

import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segany.errors import GoneError, PromptError
from segany.predict import ImageEmbedding, Predictor
from segany.predict.choose import MaskChooser
from segany.schema import Prediction, Prompt
from segany.serve._images import StoredImage
from segany.wire import CandidateReply, Mask, PredictionReply, PredictReply, PredictRequest, PromptWords

__all__ = ["Answers", "FirstAnswer", "schema_prompt"]

_ID_BYTES = 9


@dataclass(frozen=True, eq=False)
class FirstAnswer:
    """An answer as it is remembered.

    Attributes:
        digest: Of the image.
        prompt: What was asked.
        prediction: What came; its logits in float16.
    """

    digest: str
    prompt: Prompt
    prediction: Prediction


class Answers:
    """Answers prompts, and remembers the answers for a while, the longest unused forgotten first. Threads share it."""

    def __init__(self, predictor: Predictor, max_bytes: int) -> None:
        """Remember nothing yet.

        Args:
            predictor: Who answers.
            max_bytes: Memory for logits.
        """
        self._predictor, self._max_bytes = predictor, max_bytes
        self._kept: OrderedDict[str, FirstAnswer] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        # The masks of one answer side by side; prompts that come at once share the threads.
        self._drawing = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="segany-drawing")

    def answer(
        self,
        image: StoredImage,
        embedding: ImageEmbedding,
        asked: PredictRequest,
        chooser: MaskChooser | None,
        embed_milliseconds: float,
    ) -> bytes:
        """Answer, as JSON.

        Args:
            image: What the prompts are for.
            embedding: Of that image.
            asked: The prompts.
            chooser: Ranks the masks of a lone click.
            embed_milliseconds: How long the embedding was waited for.

        Raises:
            PromptError: A prompt does not fit the image.
            MaskError: A mask is no run lengths, or of another size.
            GoneError: An earlier answer was forgotten.
        """
        begin = time.perf_counter()
        prompts = [self._prompt(words, image, place) for place, words in enumerate(asked.prompts)]
        predictions = self._predictor.predict_many(
            embedding, prompts, multimask=asked.multimask, refine=asked.refine, chooser=chooser
        )
        decoded = time.perf_counter()
        answers = [
            self._reply(image, prompt, prediction, asked.alternatives)
            for prompt, prediction in zip(prompts, predictions, strict=True)
        ]
        end = time.perf_counter()
        times = {"embed": embed_milliseconds, "decode": 1e3 * (decoded - begin), "masks": 1e3 * (end - decoded)}
        reply = PredictReply.model_construct(
            predictions=answers,
            model_digest=embedding.model_digest,
            milliseconds={name: round(value, 2) for name, value in {**times, "total": sum(times.values())}.items()},
        )
        return reply.model_dump_json().encode()

    def close(self) -> None:
        """End its threads."""
        self._drawing.shutdown()

    def recall(self, logits_id: str) -> FirstAnswer | None:
        """An earlier answer by the id of one of its candidates, or None when it was forgotten."""
        with self._lock:
            found = self._kept.get(logits_id.partition(".")[0])
            if found is not None:
                self._kept.move_to_end(logits_id.partition(".")[0])
            return found

    def _prompt(self, words: PromptWords, image: StoredImage, place: int) -> Prompt:
        logits = None if words.logits is None else self._logits(words.logits, image, place)
        return schema_prompt(words, image, logits, place)

    def _logits(self, logits_id: str, image: StoredImage, place: int) -> NDArray[np.float32]:
        found = self.recall(logits_id)
        _, _, index = logits_id.partition(".")
        if found is None:
            raise GoneError(f"prompt {place}: the answer {logits_id!r} was forgotten; give its mask instead.")
        if found.digest != image.digest:
            raise PromptError(f"prompt {place}: the answer {logits_id!r} is for another image.")
        if not index.isascii() or not index.isdigit() or int(index) >= len(found.prediction):
            raise PromptError(f"prompt {place}: {logits_id!r} names no candidate.")
        return np.asarray(found.prediction.low_res_logits[int(index)], dtype=np.float32)

    def _reply(self, image: StoredImage, prompt: Prompt, prediction: Prediction, alternatives: bool) -> PredictionReply:
        name = secrets.token_urlsafe(_ID_BYTES)
        self._keep(name, image.digest, prompt, prediction)
        first_level = 1 if len(prediction) > 1 else 0
        ranking: Sequence[int] = prediction.ranking.tolist()
        candidates = []
        wanted = ranking if alternatives else ranking[:1]
        for index, rle in zip(wanted, self._drawing.map(prediction.rle, wanted), strict=True):
            x0, y0, x1, y1 = rle.box
            candidates.append(
                CandidateReply.model_construct(
                    mask=Mask.of(rle),
                    box=(float(x0), float(y0), float(x1), float(y1)),
                    area=rle.area,
                    predicted_iou=round(float(prediction.iou_predictions[index]), 6),
                    level=index + first_level,
                    logits=f"{name}.{index}",
                )
            )
        return PredictionReply.model_construct(candidates=candidates, ambiguous=prompt.is_ambiguous)

    def _keep(self, name: str, digest: str, prompt: Prompt, prediction: Prediction) -> None:
        half = prediction.low_res_logits.astype(np.float16)
        kept = Prediction(prediction.iou_predictions, half, prediction.frame)  # type: ignore[arg-type]  # half the memory
        with self._lock:
            self._kept[name] = FirstAnswer(digest, prompt, kept)
            self._bytes += half.nbytes
            while self._bytes > self._max_bytes and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= oldest.prediction.low_res_logits.nbytes


def schema_prompt(
    words: PromptWords, image: StoredImage, logits: NDArray[np.float32] | None = None, place: int = 0
) -> Prompt:
    """A prompt as the rest of segany has it.

    Args:
        words: As it was sent.
        image: What it is for.
        logits: [s, s] of an earlier answer, or None.
        place: Which prompt, for messages.

    Raises:
        PromptError: It cannot be meant.
        MaskError: Its mask is no run lengths, or not of the image's size.
    """
    mask = None
    if words.mask is not None:
        # Before it is decoded: its size says how much memory it takes.
        if tuple(words.mask.size) != tuple(image.size):
            raise PromptError(f"prompt {place}: the mask is {words.mask.size} but the image is {image.size}.")
        mask = words.mask.rle().to_mask()
    try:
        return Prompt(points=words.points, labels=words.labels, box=words.box, mask=mask, mask_logits=logits)
    except PromptError as error:
        raise PromptError(f"prompt {place}: {error}") from error
