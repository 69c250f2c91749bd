"""The video protocol on a made-up video in DAVIS's format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import RecordError
from segany.evaluate.items import EvaluationSet
from segany.evaluate.metrics import Row
from segany.evaluate.protocol import Stages
from segany.evaluate.protocols import Video
from segany.evaluate.protocols.video import ThroughVideo
from segany.evaluate.segmenter import Answer, MaskAnswer, Question
from segany.evaluate.video import FrameScores, frame_scores, video_scores
from segany.masks import RLE
from segany.schema import Image, Masklet

SHAPE = (48, 64)


def square(x: int) -> NDArray[np.bool_]:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[10:30, x : x + 20] = True
    return mask


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two videos of 6 and 5 frames, a square moving by 2 pixels a frame."""
    folder = tmp_path / "videos"
    for name, frames in (("one", 6), ("two", 5)):
        for kind in ("images", "masks"):
            (folder / name / kind).mkdir(parents=True)
        for t in range(frames):
            pixels = np.full((*SHAPE, 3), 50, dtype=np.uint8)
            pixels[square(2 * t)] = 200
            PillowImage.fromarray(pixels).save(folder / name / "images" / f"{t:05}.jpg")
            PillowImage.fromarray(square(2 * t).astype(np.uint8) * 255).save(folder / name / "masks" / f"{t:05}.png")
    return folder


class Late:
    """Answers what was seen two frames ago, as far as one can tell from a click or a box in the middle."""

    name = digest = "late"
    about: Mapping[str, str] = {}
    asked: Sequence[Question] = ()

    def prepare(self, image: Image) -> None:
        return None

    def predict(self, prepared: None, questions: Sequence[Question]) -> Sequence[Answer]:
        self.asked = questions
        answers = []
        for question in questions:
            points = question.prompt.points
            left = question.prompt.box[0] if question.prompt.box is not None else points[0, 0] - 9  # type: ignore[index]
            mask = square(max(int(left) - 4, 0))
            answers.append(MaskAnswer(mask, np.array([np.nan], dtype=np.float32)))
        return answers


def test_figures_are_those_of_whole_masklets(videos: Path) -> None:
    prompts: tuple[Literal["click", "box"], ...] = ("click", "box")
    for prompt in prompts:
        protocol = Video(prompt=prompt)
        metrics = protocol.metrics()
        subject = Late()
        for item in EvaluationSet("videos", videos, unit="image").items():
            rows = protocol.rows(item, [subject], Stages())
            assert len(rows) == 1
            assert subject.asked[0].multimask is (prompt == "click")
            for metric in metrics.values():
                metric.update(rows)
        scores = []
        for frames in (6, 5):
            truth = Masklet(1, {t: RLE.from_mask(square(2 * t)) for t in range(frames)})
            found = Masklet(1, {t: RLE.from_mask(square(max(2 * t - 4, 0))) for t in range(frames)})
            scores.append(frame_scores(found, truth))
        expected = video_scores(scores)
        assert metrics["J&F"].n == 4 + 3
        for name, field in (
            ("J&F", "j_and_f"),
            ("J", "j"),
            ("F", "f"),
            ("J recall", "j_recall"),
            ("F recall", "f_recall"),
            ("J decay", "j_decay"),
            ("F decay", "f_decay"),
        ):
            assert metrics[name].value() == pytest.approx(getattr(expected, field)), (name, prompt)
        assert expected.j_decay > 0


def test_intervals_are_over_videos() -> None:
    metric = ThroughVideo(lambda scores: scores.j)
    assert np.isnan(metric.value())
    assert np.isnan(metric.draws()).all()
    values = {"a": 0.9, "b": 0.5}
    for video, j in values.items():
        for frame in range(6):
            row: Row = {"video": video, "object": "1", "frame": frame, "j": j, "f": 0.0}
            metric.update([row])
    assert metric.value() == pytest.approx(0.7)
    assert {round(float(draw), 6) for draw in metric.draws()} == {0.5, 0.7, 0.9}
    assert metric.value() == video_scores([FrameScores(np.full(4, j), np.zeros(4)) for j in values.values()]).j
    metric.reset()
    assert metric.n == 0


def test_photos_are_no_video(made: Path) -> None:
    item = next(EvaluationSet("made", made).items())
    with pytest.raises(RecordError, match=r"^0\.png is no frame of a video; give videos as DAVIS has them\.$"):
        Video().rows(item, [Late()], Stages())
