"""Prompts to answers, in a worker's thread; and earlier answers, remembered so that they can be refined."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany.errors import GoneError, PromptError
from segany.predict import ImageEmbedding, Predictor
from segany.predict.choose import MaskChooser
from segany.schema import Prediction, Prompt
from segany.serve._images import StoredImage
from segany.wire import CandidateReply, Mask, PredictionReply, PredictReply, PredictRequest, PromptWords

__all__ = ["Answers", "schema_prompt"]

_ID_BYTES = 9
_MOST_CANDIDATES = 3


class _Kept(NamedTuple):
    """Where the logits of an answer are.

    Attributes:
        digest: Of the image.
        slots: Candidate -> its place in the memory for logits.
    """

    digest: str
    slots: Mapping[int, int]


class Answers:
    """Answers prompts, and remembers the answers for a while, the longest unused forgotten first. Threads share it."""

    def __init__(self, predictor: Predictor, max_bytes: int) -> None:
        """Remember nothing yet.

        Args:
            predictor: Who answers.
            max_bytes: Memory for logits.
        """
        self._predictor = predictor
        side = predictor.backend.config.low_res_side
        count = max(_MOST_CANDIDATES, max_bytes // (side * side * 2))
        # One piece of memory, which the system gives when it is first written to: thousands of small arrays that live
        # for minutes, between large ones that live for milliseconds, would leave holes everywhere.
        self._memory = np.empty((count, side, side), dtype=np.float16)
        self._free = list(range(count))
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

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

    def _prompt(self, words: PromptWords, image: StoredImage, place: int) -> Prompt:
        logits = None if words.logits is None else self._logits(words.logits, image, place)
        return schema_prompt(words, image, logits, place)

    def _logits(self, logits_id: str, image: StoredImage, place: int) -> NDArray[np.float32]:
        name, _, index = logits_id.partition(".")
        with self._lock:
            found = self._kept.get(name)
            if found is None:
                raise GoneError(f"prompt {place}: the answer {logits_id!r} was forgotten; give its mask instead.")
            self._kept.move_to_end(name)
            if found.digest != image.digest:
                raise PromptError(f"prompt {place}: the answer {logits_id!r} is for another image.")
            slot = found.slots.get(int(index)) if index.isascii() and index.isdigit() else None
            if slot is None:
                raise PromptError(f"prompt {place}: {logits_id!r} names no candidate.")
            return np.asarray(self._memory[slot], dtype=np.float32)

    def _reply(self, image: StoredImage, prompt: Prompt, prediction: Prediction, alternatives: bool) -> PredictionReply:
        name = secrets.token_urlsafe(_ID_BYTES)
        first_level = 1 if len(prediction) > 1 else 0
        ranking: Sequence[int] = prediction.ranking.tolist()
        wanted = ranking if alternatives else ranking[:1]
        self._keep(name, image.digest, prediction, wanted)
        candidates = []
        for index in wanted:
            rle = prediction.rle(index)
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

    def _keep(self, name: str, digest: str, prediction: Prediction, wanted: Sequence[int]) -> None:
        with self._lock:
            while len(self._free) < len(wanted):
                _, oldest = self._kept.popitem(last=False)
                self._free.extend(oldest.slots.values())
            slots = {index: self._free.pop() for index in wanted}
            for index, slot in slots.items():
                self._memory[slot] = prediction.low_res_logits[index]
            self._kept[name] = _Kept(digest, slots)


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
