"""The edges protocol: BSDS500, from automatic masks (SAM paper, sec. 7.2 and app. D.3), or by Canny's method."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from segany import weights
from segany.errors import ConfigError, RecordError
from segany.evaluate.edge_maps import CANNY_SIGMA, canny_edges, mask_edges
from segany.evaluate.edge_scores import EDGE_THRESHOLDS, EdgeScores, edge_counts, edge_scores, thin
from segany.evaluate.items import Item
from segany.evaluate.metrics import Metric, Resampled, Row
from segany.evaluate.protocol import EvaluationProtocol, Published, Stages
from segany.evaluate.rows import case_columns
from segany.evaluate.segmenter import PredictorSegmenter
from segany.evaluate.subjects import SubjectSpec, open_segmenter
from segany.formats import bsds
from segany.masks import RLE
from segany.schema import Image

__all__ = ["CannyDetector", "Edges", "MaskEdgeDetector"]


def _published(name: str, **figures: float) -> list[Published]:
    return [Published(name, metric, value, "BSDS500 test, SAM paper") for metric, value in figures.items()]


class MaskEdgeDetector:
    """Edges from a model's masks."""

    def __init__(self, segmenter: PredictorSegmenter) -> None:
        """Take a model."""
        self.name, self.digest = segmenter.name, segmenter.digest
        self.about = {**segmenter.about, "edges": "masks of 16 x 16 clicks"}
        self._predictor = segmenter.predictor

    def edges(self, image: Image) -> NDArray[np.float32]:
        """See `mask_edges`."""
        return mask_edges(self._predictor, image)


class CannyDetector:
    """OpenCV's Canny."""

    def __init__(self) -> None:
        """Take OpenCV."""
        import cv2

        self.name = "canny"
        self.digest = f"canny opencv {cv2.__version__} sigma {CANNY_SIGMA}"
        self.about = {"method": f"Canny, OpenCV {cv2.__version__}, sigma {CANNY_SIGMA:g}, at every threshold"}

    def edges(self, image: Image) -> NDArray[np.float32]:
        """See `canny_edges`."""
        return canny_edges(image)


@dataclass(frozen=True)
class Edges(EvaluationProtocol):
    """Edges against those that several people drew, by the rules of the BSDS500 benchmark.

    Attributes:
        max_distance: Farthest that two matched pixels may be apart, as a share of the image's diagonal.
    """

    name: ClassVar[str] = "edges"
    summary: ClassVar[str] = (
        "Edges made from automatic masks (or by the model named canny), thinned and matched one to one with each "
        "person's edges."
    )
    unit: ClassVar[Literal["object", "image"]] = "image"
    main: ClassVar[str] = "ODS"
    case_column: ClassVar[str | None] = "best_f"
    published: ClassVar[Sequence[Published]] = (
        *_published("SAM (ViT-H)", ODS=0.768, OIS=0.786, AP=0.794, R50=0.928),
        *_published("HED", ODS=0.788, OIS=0.808, AP=0.840, R50=0.923),
        *_published("EDETER", ODS=0.840, OIS=0.858, AP=0.896, R50=0.930),
        *_published("Canny", ODS=0.600, OIS=0.640, AP=0.580),
    )

    max_distance: float = 0.0075

    def open_subject(self, spec: SubjectSpec, progress: weights.Progress | None = None) -> Any:
        """A model, or "canny". See `EvaluationProtocol.open_subject`."""
        if spec.model == "canny":
            return CannyDetector()
        segmenter = open_segmenter(spec, progress)
        if not isinstance(segmenter, PredictorSegmenter):
            raise ConfigError(f"edges are made by a model or by canny; {spec.text} makes none.")
        return MaskEdgeDetector(segmenter)

    def rows(self, item: Item, subjects: Sequence[Any], stages: Stages) -> list[Row]:
        """See `EvaluationProtocol.rows`."""
        path = item.dataset.annotation_path(item.record)
        if item.dataset.format != "bsds" or path is None:
            raise RecordError(
                f"{item.key}: edges need the boundaries that several people drew (BSDS), got {item.dataset.format}."
            )
        people = [person.boundaries for person in bsds.read_ground_truth(path)]
        with stages("read"):
            image = item.open()
        with stages("predict"):
            strength = subjects[0].edges(image)
        with stages("score"):
            counts = edge_counts(strength, people, max_distance=self.max_distance)
            scores = edge_scores(counts[None])
            answer = RLE.from_mask(thin(strength >= np.float32(scores.threshold)))
        drawn = RLE.from_mask(np.any(people, axis=0))
        row: Row = {
            "counts": json.dumps(counts.tolist()),
            "people": len(people),
            "best_f": scores.ods,
            "best_threshold": scores.threshold,
            **case_columns(drawn, answer, None),
        }
        return [row]

    def metrics(self) -> Mapping[str, Metric]:
        """See `EvaluationProtocol.metrics`."""
        return {
            "ODS": Resampled(_figure(lambda scores: scores.ods)),
            "OIS": Resampled(_figure(lambda scores: scores.ois)),
            "AP": Resampled(_figure(lambda scores: scores.ap)),
            "R50": Resampled(_figure(lambda scores: scores.r50)),
        }


def _figure(pick: Callable[[EdgeScores], float]) -> Callable[[Sequence[Sequence[Row]]], float]:
    def figure(images: Sequence[Sequence[Row]]) -> float:
        return pick(edge_scores(np.stack([_counts(str(row["counts"])) for rows in images for row in rows])))

    return figure


@lru_cache(maxsize=4096)
def _counts(text: str) -> NDArray[np.int64]:
    return np.array(json.loads(text), dtype=np.int64).reshape(len(EDGE_THRESHOLDS), 4)
