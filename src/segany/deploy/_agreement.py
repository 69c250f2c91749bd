"""How far exported graphs agree with the model in float32: the agreement protocol on photos or on a data set."""

import itertools
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from segany import weights
from segany.errors import ConfigError
from segany.evaluate.items import EvaluationSet
from segany.evaluate.protocol import Stages
from segany.evaluate.protocols.agreement import Agreement
from segany.evaluate.segmenter import PredictorSegmenter
from segany.formats.sa1b import write_record
from segany.predict import ImageEmbedding, Predictor
from segany.schema import Annotation, Image, Prompt, Record
from segany.sources import open_image

__all__ = ["check_subjects", "measure"]

# Clicks along each side of a sample photo: their masks in float32 are the objects to ask for.
_CLICKS = 3
_METRICS = {
    "mask_iou_click": "mask IoU, click",
    "mask_iou_candidates": "mask IoU, three candidates",
    "mask_iou_box": "mask IoU, box",
    "same_candidate": "same candidate chosen",
    "iou_prediction_difference": "difference of predicted IoU",
}


class _OnGivenEmbeddings(PredictorSegmenter):
    """Decodes what another one's encoder made."""

    def __init__(self, name: str, predictor: Predictor, encoding: Predictor) -> None:
        super().__init__(name, predictor)
        self._encoding = encoding

    def prepare(self, image: Image) -> ImageEmbedding:
        made = self._encoding.embed(image)
        backend = self.predictor.backend
        return replace(
            made,
            features=backend.features_from_numpy(made.features.to_numpy()),
            model_digest=backend.model_digest,
            encoder_digest=backend.encoder_digest,
            backend_key=backend.key,
        )


def check_subjects(data: Path | None, progress: weights.Progress | None) -> None:
    """Have at hand what `measure` asks about: graphs take minutes, and photos may be out of reach.

    Args:
        data: As for `measure`.
        progress: Called while sample photos are fetched.

    Raises:
        RecordError: There is no data set.
        ConfigError: It has no object.
        WeightsError: A sample photo cannot be had.
    """
    if data is None:
        for entry in weights.entries("sample"):
            weights.sample(entry.name, progress=progress)
    elif next(EvaluationSet("export", data).items(), None) is None:
        raise _nothing_to_ask(data)


def measure(
    exact: Predictor, *, encoding: Predictor, decoding: Predictor, data: Path | None, limit: int
) -> dict[str, Any]:
    """Ask the model and what was exported the same.

    Args:
        exact: The model in float32.
        encoding: Whose encoder the other one uses.
        decoding: Whose decoder.
        data: A data set to ask about; None for the sample photos, whose objects are masks of the model itself.
        limit: At most so many objects of `data`.

    Raises:
        RecordError: There is no data set.
        ConfigError: It has no object.
        WeightsError: A sample photo cannot be had.
    """
    subjects = [PredictorSegmenter("float32", exact), _OnGivenEmbeddings("exported", decoding, encoding)]
    protocol = Agreement()
    metrics = protocol.metrics()
    with tempfile.TemporaryDirectory(prefix="segany-agreement-") as temporary:
        folder = Path(temporary) if data is None else data
        if data is None:
            _draw_samples(exact, folder)
        images = 0
        for item in EvaluationSet("export", folder, limit=None if data is None else limit).items():
            rows = protocol.rows(item, subjects, Stages())
            for metric in metrics.values():
                metric.update(rows)
            images += bool(rows)
    objects = metrics[_METRICS["mask_iou_click"]].n
    if objects == 0:
        raise _nothing_to_ask(folder)
    figures = {name: round(metrics[words].value(), 6) for name, words in _METRICS.items()}
    return {**figures, "objects": objects, "images": images, "data": "sample photos" if data is None else data.name}


def _draw_samples(exact: Predictor, folder: Path) -> None:
    """A data set of the sample photos; its objects are what the model itself finds under a grid of clicks."""
    for entry in weights.entries("sample"):
        photo = weights.sample(entry.name)
        path = folder / photo.name
        shutil.copyfile(photo, path)
        image = open_image(path)
        height, width = image.info.size
        shares = [(place + 0.5) / _CLICKS for place in range(_CLICKS)]
        prompts = [Prompt(points=[(x * width, y * height)]) for y, x in itertools.product(shares, shares)]
        found = [each.best() for each in exact.predict_many(exact.embed(image), prompts)]
        annotations = [Annotation(id=place, segmentation=rle) for place, rle in enumerate(found, 1) if rle.area]
        write_record(Record(image.info, tuple(annotations)), path.with_suffix(".json"))


def _nothing_to_ask(data: Path) -> ConfigError:
    return ConfigError(f"{data} has no object to measure the agreement on; give annotated images, or no --data.")
