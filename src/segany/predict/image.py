"""Predictor: embed an image once, then ask for masks as often as you like."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany import weights
from segany.errors import EmbeddingError, ImageError, PromptError
from segany.geometry import Frame, Size
from segany.model.config import PREPROCESS_VERSION
from segany.model.preprocess import resize_image
from segany.predict.backends.base import Backend
from segany.predict.cache import EmbeddingCache
from segany.predict.choose import MaskChooser
from segany.predict.embedding import ImageEmbedding, load_embedding
from segany.predict.mask_prompt import MaskPromptPlan, mask_to_prompt
from segany.schema import BOX_CORNERS, PADDING, Image, Prediction, Prompt, PromptBatch
from segany.sources import open_image

__all__ = ["Predictor"]

_SINGLE = (0,)
_MULTI = (1, 2, 3)


class Predictor:
    """Turns images into embeddings, and embeddings with prompts into masks.

    It keeps no image: `embed` returns a value and `predict` reads it, so two images never mix and threads may share
    one predictor.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "mobile_sam",
        *,
        device: str = "auto",
        precision: str = "auto",
        runtime: str = "auto",
        backend: Backend | None = None,
        cache: EmbeddingCache | None = None,
        progress: weights.Progress | None = None,
    ) -> None:
        """Load a model, fetching its weights if they are not here yet.

        Args:
            model: A name of `segany weights list`, or a checkpoint file.
            device: "auto", "cpu", "cuda", "cuda:N" or "mps".
            precision: "auto", "float32", "mixed" (encoder in float32, decoder in bfloat16), "bfloat16", and, with
                OpenVINO, "balanced" (as "mixed", but the encoder's attention and MLPs in bfloat16) or "int8" (see
                `segany.predict.quantize`). "auto" is float32 with torch; with OpenVINO, where the CPU has bfloat16,
                balanced for a ViT and mixed for others.
            runtime: "torch", "openvino", or "auto": OpenVINO on x86 CPUs, torch on everything else.
            backend: Use this one instead of loading a model.
            cache: Where embeddings are looked for and kept; none when left out.
            progress: Called with a name, the bytes done and the bytes in all while weights are fetched.

        Raises:
            UnknownWeightsError: No model of that name.
            WeightsError: The weights cannot be had or are not what they should be.
            DeviceError: This machine does not have the device, precision or runtime.
        """
        if backend is None:
            from segany.predict.load import load_backend

            backend = load_backend(model, device=device, precision=precision, runtime=runtime, progress=progress)
        self._backend = backend
        self._cache = cache

    @property
    def backend(self) -> Backend:
        """Who computes."""
        return self._backend

    def embed(self, image: Any) -> ImageEmbedding:
        """Run the image encoder, the expensive half, once for an image.

        Args:
            image: A file, an array or an `Image`: whatever `segany.open_image` reads.

        Raises:
            ImageError: It cannot be read as an image.
        """
        return self.embed_batch([image])[0]

    def embed_batch(self, images: Iterable[Any]) -> list[ImageEmbedding]:
        """Embed several images of any sizes; on a GPU they go through the encoder together.

        Args:
            images: As in `embed`.

        Raises:
            ImageError: One of them cannot be read as an image.
        """
        backend, cache = self._backend, self._cache
        embeddings: list[ImageEmbedding | None] = []
        waiting: list[tuple[int, str, Frame, NDArray[np.uint8]]] = []

        def flush() -> None:
            features = backend.encode([pixels for *_, pixels in waiting]) if waiting else []
            for (place, digest, frame, _), feature in zip(waiting, features, strict=True):
                embeddings[place] = made = self._embedding(feature, frame, digest)
                if cache is not None:
                    cache.store(made)
            waiting.clear()

        for place, given in enumerate(images):
            image = given if isinstance(given, Image) else open_image(given)
            if image.info.digest is None:
                raise ImageError(f"{image.info.file_name} has no digest; read it through segany.open_image.")
            embeddings.append(None if cache is None else cache.load(image.info.digest, backend))
            if embeddings[place] is None:
                resized, frame = resize_image(image.pixels, backend.config.preprocess)
                waiting.append((place, image.info.digest, frame, resized))
            if len(waiting) == backend.encode_batch:
                flush()
        flush()
        return [embedding for embedding in embeddings if embedding is not None]

    def _embedding(self, features: Any, frame: Frame, digest: str) -> ImageEmbedding:
        return ImageEmbedding(
            features=features,
            frame=frame,
            image_digest=digest,
            model_name=self._backend.config.name,
            model_digest=self._backend.model_digest,
            encoder_digest=self._backend.encoder_digest,
            preprocess_version=PREPROCESS_VERSION,
            backend_key=self._backend.key,
        )

    def load_embedding(self, path: str | os.PathLike[str], image: Image | None = None) -> ImageEmbedding:
        """Read an embedding from disk.

        Args:
            path: File written by `ImageEmbedding.save`.
            image: The image it should be of, if that is to be checked.

        Raises:
            EmbeddingError: It was made from another image, or with another encoder, backend or precision.
        """
        embedding = load_embedding(path, self._backend, PREPROCESS_VERSION)
        if image is not None and image.info.digest != embedding.image_digest:
            raise EmbeddingError(
                f"{Path(path).name} was made from another image than {image.info.file_name}: digests "
                f"{embedding.image_digest[:12]} and {(image.info.digest or 'none')[:12]}; embed the image again."
            )
        return embedding

    def predict(
        self,
        embedding: ImageEmbedding,
        prompt: Prompt,
        *,
        multimask: bool | None = None,
        refine: int = 0,
        chooser: MaskChooser | None = None,
    ) -> Prediction:
        """Masks for one prompt.

        Args:
            embedding: From this predictor.
            prompt: In pixels of the original image.
            multimask: True: three masks (whole, part, subpart). False: the single one. None: three for a lone click,
                which is ambiguous, and one for everything else (SAM paper, sec. 3).
            refine: How many times the best mask's logits are fed back with the same prompt.
            chooser: Ranks the three masks of a lone click; by predicted IoU alone when left out.

        Raises:
            PromptError: The prompt does not fit the image.
            EmbeddingError: The embedding was made by another model, backend or precision.
        """
        return self.predict_many(embedding, [prompt], multimask=multimask, refine=refine, chooser=chooser)[0]

    def predict_many(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[Prompt],
        *,
        multimask: bool | None = None,
        refine: int = 0,
        chooser: MaskChooser | None = None,
    ) -> list[Prediction]:
        """Masks for many prompts of one image, of any kinds.

        Args:
            embedding: From this predictor.
            prompts: In pixels of the original image; at least one.
            multimask: As in `predict`, for every prompt.
            refine: As in `predict`.
            chooser: As in `predict`.

        Returns:
            One Prediction for each prompt, in order; the same as one call each.

        Raises:
            PromptError: As in `predict`; the message tells which prompt.
            EmbeddingError: As in `predict`.
        """
        self._check(embedding)
        if not prompts:
            raise PromptError("at least one prompt is needed, got an empty list; give a point, a box or a mask.")
        if refine < 0:
            raise PromptError(f"refine must be 0 or more, got {refine}.")
        resolved = [self._resolve(prompt, embedding.frame, place) for place, prompt in enumerate(prompts)]
        outputs = [
            _MULTI if (prompt.is_ambiguous if multimask is None else multimask) else _SINGLE for prompt in prompts
        ]

        def decoded(asked: Sequence[_Resolved]) -> list[Prediction]:
            answers = self._decode(embedding, asked, outputs)
            if chooser is None:
                return answers
            return [chooser.applied(answer, prompt) for answer, prompt in zip(answers, prompts, strict=True)]

        predictions = decoded(resolved)
        for _ in range(refine):
            fed_back = [
                prompt._replace(mask_logits=prediction.low_res_logits[prediction.best_index])
                for prompt, prediction in zip(resolved, predictions, strict=True)
            ]
            predictions = decoded(fed_back)
        return predictions

    def predict_batch(
        self,
        embeddings: Sequence[ImageEmbedding],
        prompts: Sequence[Sequence[Prompt]],
        *,
        multimask: bool | None = None,
        refine: int = 0,
    ) -> list[list[Prediction]]:
        """Masks for several images, each with its own number and kinds of prompts.

        Args:
            embeddings: One for each image.
            prompts: One sequence for each image; an empty one gives no predictions.
            multimask: As in `predict`.
            refine: As in `predict`.

        Returns:
            For each image, one Prediction for each of its prompts.

        Raises:
            PromptError: The lengths differ, or as in `predict`.
            EmbeddingError: As in `predict`.
        """
        if len(embeddings) != len(prompts):
            raise PromptError(
                f"each image needs its own list of prompts, got {len(embeddings)} images and {len(prompts)} lists."
            )
        return [
            self.predict_many(embedding, own, multimask=multimask, refine=refine) if own else []
            for embedding, own in zip(embeddings, prompts, strict=True)
        ]

    def _check(self, embedding: ImageEmbedding) -> None:
        ours = (self._backend.model_digest, PREPROCESS_VERSION, self._backend.key)
        theirs = (embedding.model_digest, embedding.preprocess_version, embedding.backend_key)
        if ours != theirs:
            raise EmbeddingError(
                f"this embedding was made by {embedding.model_name} ({embedding.model_digest[:12]}) on "
                f"{embedding.backend_key}, but this predictor is {self._backend.config.name} "
                f"({self._backend.model_digest[:12]}) on {self._backend.key}; embed the image again."
            )

    def _resolve(self, prompt: Prompt, frame: Frame, place: int) -> "_Resolved":
        """A prompt in the model's frame: the one place where coordinates are converted."""
        _check_inside(prompt, frame.original, place)
        side = self._backend.config.low_res_side
        points, labels, box, logits = prompt.points, prompt.labels, prompt.box, prompt.mask_logits
        plan = None
        if logits is not None and logits.shape != (side, side):
            raise PromptError(
                f"prompt {place}: mask_logits must be [{side}, {side}] as an earlier prediction of this model has "
                f"them, got {list(logits.shape)}; pass a picture-sized binary mask as mask."
            )
        if prompt.mask is not None:
            plan = _plan(prompt, frame, side, place)
            logits = plan.mask_logits
            box = plan.box if box is None else box
            points = plan.points if points is None else np.concatenate([points, plan.points])
            labels = plan.labels if labels is None else np.concatenate([labels, plan.labels])
        coords = np.empty((0, 2))
        tokens = np.empty(0, dtype=np.int64)
        if points is not None and labels is not None:
            coords, tokens = frame.to_model(points), labels
        if box is not None:
            coords = np.concatenate([coords, frame.to_model(box.reshape(2, 2))])
            tokens = np.concatenate([tokens, BOX_CORNERS])
        elif points is not None:
            # Clicks without a box are followed by one padding token, as in training (reference code, PromptEncoder).
            coords = np.concatenate([coords, np.zeros((1, 2))])
            tokens = np.concatenate([tokens, [PADDING]])
        return _Resolved(coords.astype(np.float32), tokens.astype(np.int32), logits, plan)

    def _decode(
        self, embedding: ImageEmbedding, resolved: Sequence["_Resolved"], outputs: Sequence[tuple[int, ...]]
    ) -> list[Prediction]:
        predictions: list[Prediction] = []
        size = self._backend.score_batch
        for start in range(0, len(resolved), size):
            part, wanted = resolved[start : start + size], outputs[start : start + size]
            coords, labels, logits, plans = zip(*part, strict=True)
            scored = self._backend.score(embedding.features, PromptBatch(coords, labels, logits))
            index = np.array([(p, mask) for p, masks in enumerate(wanted) for mask in masks], dtype=np.int64)
            low_res = self._backend.low_res(scored, index)
            for p, masks in enumerate(wanted):
                scores = scored.iou_predictions[p, list(masks)]
                own, plan = low_res[index[:, 0] == p], plans[p]
                predictions.append(Prediction(scores, own if plan is None else plan.merge(own), embedding.frame))
        return predictions


class _Resolved(NamedTuple):
    """A prompt in the model's frame.

    Attributes:
        coords: [T, 2] float32 (x, y), model pixels without the half pixel.
        labels: [T] int32, as `PromptBatch` has them.
        mask_logits: [s, s] float32, or None.
        plan: Where a rough mask was given: what the answer is merged with.
    """

    coords: NDArray[np.float32]
    labels: NDArray[np.int32]
    mask_logits: NDArray[np.float32] | None
    plan: MaskPromptPlan | None


def _plan(prompt: Prompt, frame: Frame, low_res_side: int, place: int) -> MaskPromptPlan:
    assert prompt.mask is not None
    try:
        plan = mask_to_prompt(prompt.mask, frame, low_res_side)
    except PromptError as error:
        raise PromptError(f"prompt {place}: {error}") from error
    if prompt.points is None or prompt.labels is None:
        return plan
    return plan.heeding(prompt.points, prompt.labels, frame)


def _check_inside(prompt: Prompt, size: Size, place: int) -> None:
    if prompt.points is not None:
        for number, (x, y) in enumerate(prompt.points.tolist()):
            if not (0 <= x < size.width and 0 <= y < size.height):
                swapped = 0 <= y < size.width and 0 <= x < size.height
                raise PromptError(
                    f"prompt {place}: point {number} (x={x:g}, y={y:g}) is outside the image, whose x runs from 0 to "
                    f"{size.width - 1} and y from 0 to {size.height - 1}."
                    + (" It would fit with x and y swapped." if swapped else "")
                )
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box.tolist()
        if x1 <= 0 or y1 <= 0 or x0 >= size.width or y0 >= size.height:
            raise PromptError(
                f"prompt {place}: the box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) is outside the image, which is "
                f"{size.width} wide and {size.height} high."
            )
        if max(x1, y1) <= 1 and min(x1 - x0, y1 - y0) < 1:
            raise PromptError(
                f"prompt {place}: the box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) is smaller than a pixel; boxes are in "
                f"pixels: multiply normalised ones by the width ({size.width}) and the height ({size.height})."
            )
