"""The video protocol: J and F through videos (DAVIS), each frame prompted by itself: what tracking has to beat."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from segany.errors import RecordError
from segany.evaluate.items import Item
from segany.evaluate.metrics import RESAMPLES, Metric, Row, Value
from segany.evaluate.protocol import EvaluationProtocol, Published, Stages
from segany.evaluate.rows import case_columns, object_row
from segany.evaluate.segmenter import Question, Segmenter
from segany.evaluate.video import FrameScores, VideoScores, contour_accuracy, region_similarity, video_scores
from segany.predict.simulate import first_click, true_box
from segany.schema import Prompt

__all__ = ["ThroughVideo", "Video"]

_DAVIS = "DAVIS 2017 val, tracked from the first frame's mask"


class ThroughVideo(Metric):
    """A figure of objects through whole videos; videos are drawn, not frames."""

    def __init__(self, pick: Callable[[VideoScores], float], *, lower_is_better: bool = False) -> None:
        """Choose the figure; its rows have `video`, `object`, `frame`, `j` and `f`."""
        self._pick, self.lower_is_better = pick, lower_is_better
        self.reset()

    def reset(self) -> None:
        """See `Metric.reset`."""
        self._videos: dict[str, dict[str, list[tuple[int, float, float]]]] = defaultdict(lambda: defaultdict(list))

    def update(self, rows: Sequence[Row]) -> None:
        """See `Metric.update`."""
        for row in rows:
            frame = (int(row["frame"] or 0), float(row["j"] or 0), float(row["f"] or 0))
            self._videos[str(row["video"])][str(row["object"])].append(frame)

    @property
    def n(self) -> int:
        """How many frames count."""
        return sum(len(scores.j) for objects in self._scored() for scores in objects)

    def value(self) -> float:
        """See `Metric.value`."""
        return self._of([scores for objects in self._scored() for scores in objects])

    def draws(self, seed: int = 0) -> NDArray[np.float64]:
        """See `Metric.draws`."""
        videos = self._scored()
        if not videos:
            return np.full(RESAMPLES, np.nan)
        own = [np.array([self._of([scores]) for scores in objects]) for objects in videos]
        sums, counts = np.array([values.sum() for values in own]), np.array([len(values) for values in own])
        drawn = np.random.default_rng(seed).integers(len(own), size=(RESAMPLES, len(own)))
        return np.asarray(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))

    def _of(self, objects: Sequence[FrameScores]) -> float:
        return self._pick(video_scores(objects)) if objects else float("nan")

    def _scored(self) -> list[list[FrameScores]]:
        """For each video its objects, without their first and last frame, as DAVIS has it."""
        videos = []
        for _, members in sorted(self._videos.items()):
            frames = [np.array(sorted(rows)[1:-1]) for _, rows in sorted(members.items()) if len(rows) > 2]
            if frames:
                videos.append([FrameScores(each[:, 1], each[:, 2]) for each in frames])
        return videos


@dataclass(frozen=True)
class Video(EvaluationProtocol):
    """Each frame by itself, with a prompt made from its own true mask.

    Attributes:
        prompt: "click": one at the object's deepest point; "box": the tight box.
    """

    name: ClassVar[str] = "video"
    summary: ClassVar[str] = (
        "J and F of objects through videos, as DAVIS defines them; each frame is prompted by itself, from its truth."
    )
    unit: ClassVar[Literal["object", "image"]] = "image"
    main: ClassVar[str] = "J&F"
    case_column: ClassVar[str | None] = "j"
    published: ClassVar[Sequence[Published]] = (
        Published("SAM 2 (B+)", "J&F", 0.909, _DAVIS),
        Published("EdgeTAM", "J&F", 0.877, _DAVIS),
    )

    prompt: Literal["click", "box"] = "click"

    def rows(self, item: Item, subjects: Sequence[Any], stages: Stages) -> list[Row]:
        """See `EvaluationProtocol.rows`."""
        parent = item.record.image.parent
        if parent is None or parent.kind != "video":
            raise RecordError(f"{item.key} is no frame of a video; give videos as DAVIS has them.")
        segmenter: Segmenter = subjects[0]
        truths = [one.segmentation.to_mask() for one in item.objects]
        if not truths:
            return []
        with stages("read"):
            image = item.open()
        with stages("embed"):
            prepared = segmenter.prepare(image)
        prompts = [
            Prompt(points=[first_click(truth)]) if self.prompt == "click" else Prompt(box=true_box(truth))
            for truth in truths
        ]
        with stages("predict"):
            answers = segmenter.predict(prepared, [Question(one, self.prompt == "click") for one in prompts])
        rows: list[Row] = []
        for one, truth, prompt, answer in zip(item.objects, truths, prompts, answers, strict=True):
            with stages("score"):
                best = int(np.argmax(np.where(np.isnan(answer.scores), -np.inf, answer.scores)))
                found = answer.crop(best).rle(item.record.image.size)
                mask = found.to_mask()
                columns: dict[str, Value] = {"j": region_similarity(mask, truth), "f": contour_accuracy(mask, truth)}
            columns |= {"video": parent.parent_id, "frame": parent.index}
            rows.append(object_row(one, columns | case_columns(one.segmentation, found, prompt)))
        return rows

    def metrics(self) -> Mapping[str, Metric]:
        """See `EvaluationProtocol.metrics`."""
        return {
            "J&F": ThroughVideo(lambda scores: scores.j_and_f),
            "J": ThroughVideo(lambda scores: scores.j),
            "J recall": ThroughVideo(lambda scores: scores.j_recall),
            "J decay": ThroughVideo(lambda scores: scores.j_decay, lower_is_better=True),
            "F": ThroughVideo(lambda scores: scores.f),
            "F recall": ThroughVideo(lambda scores: scores.f_recall),
            "F decay": ThroughVideo(lambda scores: scores.f_decay, lower_is_better=True),
        }
