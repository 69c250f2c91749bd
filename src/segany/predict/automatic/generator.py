"""AutomaticMaskGenerator: clicks everywhere, and remembers what came back."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError
from segany.geometry import Frame, Size, crop_boxes, grid_in_box
from segany.masks import LogitWindow
from segany.memory import give_back
from segany.model.preprocess import resize_image
from segany.predict.automatic._ahead import ahead
from segany.predict.automatic._clicks import Answer, Clock, Kept, Progress, spread_order
from segany.predict.automatic._contenders import Contenders
from segany.predict.automatic._measure import measure
from segany.predict.automatic._sampled import DrawnLater, SampleBounds, sample_bounds
from segany.predict.automatic.adaptive import ROUNDS, clicks_of_round
from segany.predict.automatic.crop import CropProposals
from segany.predict.automatic.proposals import Proposals
from segany.predict.automatic.settings import GridSettings, Thresholds
from segany.predict.backends.base import Features, Scored
from segany.predict.image import Predictor
from segany.schema import PADDING, POSITIVE, Annotation, Image, PromptBatch, Record
from segany.sources import open_image

__all__ = ["AutomaticMaskGenerator"]

_MAX_BYTES = 400_000_000
# Logits this far beyond the stability score's offset, and all around them, are taken for the inside or the outside.
_NEAR = 0.25


class AutomaticMaskGenerator:
    """Finds every mask in an image (SAM paper, sec. 5 and app. B). It keeps no image; threads may share it."""

    def __init__(self, predictor: Predictor | None = None, grid: GridSettings | None = None) -> None:
        """Choose model and clicks.

        Args:
            predictor: Whose model to ask; the default model when left out.
            grid: Where to click; the reference's defaults when left out.
        """
        self._predictor = predictor or Predictor()
        self._grid = grid or GridSettings()

    def generate(
        self,
        image: Any,
        thresholds: Thresholds | None = None,
        *,
        progress: Progress | None = None,
        max_seconds: float | None = None,
        max_bytes: int = _MAX_BYTES,
    ) -> Record:
        """Find the masks of an image: `propose` and `select` in one.

        Args:
            image: A file, an array or an `Image`: whatever `segany.open_image` reads.
            thresholds: What to keep; the reference's defaults when left out. A lower `pred_iou_thresh` than the grid's
                floor lowers the floor.
            progress: As in `propose`.
            max_seconds: As in `propose`.
            max_bytes: As in `propose`.

        Raises:
            ImageError: It cannot be read as an image.
            ConfigError: A limit is not positive.
        """
        wanted = thresholds or Thresholds()
        run = _Run(self._predictor, self._lowered(wanted), image, progress, max_seconds, max_bytes, wanted)
        return run.proposals(list(run.crops())).select(wanted)

    def iterate(
        self,
        image: Any,
        thresholds: Thresholds | None = None,
        *,
        progress: Progress | None = None,
        max_seconds: float | None = None,
        max_bytes: int = _MAX_BYTES,
    ) -> Iterator[Annotation]:
        """As `generate`, mask by mask: each crop's as soon as its clicks are made.

        Duplicates between crops are not removed, and small regions not cleaned up.
        """
        wanted = thresholds or Thresholds()
        run = _Run(self._predictor, self._lowered(wanted), image, progress, max_seconds, max_bytes, wanted)
        number = 0
        for crop in run.crops():
            for annotation in run.proposals([crop]).iterate(wanted):
                yield replace(annotation, id=number)
                number += 1

    def propose(
        self,
        image: Any,
        *,
        progress: Progress | None = None,
        max_seconds: float | None = None,
        max_bytes: int = _MAX_BYTES,
    ) -> Proposals:
        """Ask the model everything: the expensive half.

        Args:
            image: As in `generate`.
            progress: Called after each group of clicks.
            max_seconds: Stop clicking after this time and return what was found; clicks are spread over the image, so
                that a part of them covers all of it.
            max_bytes: Most memory for remembered masks; beyond it those of lowest predicted IoU are drawn again when
                they are wanted, and where even that is too much, forgotten.

        Raises:
            ImageError: It cannot be read as an image.
            ConfigError: A limit is not positive.
        """
        run = _Run(self._predictor, self._grid, image, progress, max_seconds, max_bytes, Thresholds())
        return run.proposals(list(run.crops()))

    def _lowered(self, thresholds: Thresholds) -> GridSettings:
        return replace(self._grid, floor=min(self._grid.floor, thresholds.pred_iou_thresh))


class _Look(NamedTuple):
    """Some clicks, scored.

    Attributes:
        members: [P] int64, numbers of the clicks.
        scored: What the backend made of them.
        wanted: [K, 2] int64, (place in `members`, mask) of the masks above the floor.
        found: [K] float32, their predicted IoU.
        samples: [K, h, w] float32, every fourth logit of every fourth row, where a sample is cheap.
        bounds: What follows from the samples.
    """

    members: NDArray[np.int64]
    scored: Scored
    wanted: NDArray[np.int64]
    found: NDArray[np.float32]
    samples: NDArray[np.float32] | None
    bounds: SampleBounds | None


class _Run:
    """One image on its way through the generator."""

    def __init__(
        self,
        predictor: Predictor,
        grid: GridSettings,
        image: Any,
        progress: Progress | None,
        max_seconds: float | None,
        max_bytes: int,
        thresholds: Thresholds,
    ) -> None:
        if (max_seconds is not None and not max_seconds > 0) or max_bytes <= 0:
            raise ConfigError(f"max_seconds and max_bytes must be above 0, got {max_seconds} and {max_bytes}.")
        self._predictor = predictor
        self._backend = predictor.backend
        self._grid = grid
        self._thresholds = thresholds
        self._image = image if isinstance(image, Image) else open_image(image)
        self._places = crop_boxes(self._image.size, grid.crop_n_layers, grid.crop_overlap_ratio)
        self._grids = grid.layer_grids()
        total = sum(len(self._grids[layer]) for layer in self._places.layers)
        self._clock = Clock(total, max_seconds, progress)
        self._max_bytes = max_bytes
        self._forgotten = 0
        self._pool: ThreadPoolExecutor | None = None

    def crops(self) -> Iterator[CropProposals]:
        """Each crop's masks, the whole image first, until time is over."""
        # What the image before has left is in no place that this one's masks fit.
        give_back()
        with ExitStack() as stack:
            if count := self._backend.score_ahead:
                # The same threads for all rounds and crops: each new one would take memory of its own.
                pool = ThreadPoolExecutor(count, thread_name_prefix="segany-ahead")
                self._pool = stack.enter_context(pool)
            yield from self._crops()

    def _crops(self) -> Iterator[CropProposals]:
        left = self._max_bytes
        places = list(zip(self._places.boxes.tolist(), self._places.layers.tolist(), strict=True))
        for number, ((x0, y0, x1, y1), layer) in enumerate(places):
            if self._clock.is_over:
                return
            # What earlier crops left over is shared by those to come.
            crop, used = self._crop((x0, y0, x1, y1), layer, left // (len(places) - number))
            left = max(left - used, 0)
            yield crop

    def proposals(self, crops: list[CropProposals]) -> Proposals:
        """Crops together."""
        return Proposals(
            image=self._image.info,
            crops=tuple(crops),
            grid=self._grid,
            model_digest=self._backend.model_digest,
            max_bytes=self._max_bytes,
            clicks=self._clock.done,
            complete=self._clock.done == self._clock.total,
            forgotten=self._forgotten,
        )

    def _crop(self, box: tuple[int, int, int, int], layer: int, budget: int) -> tuple[CropProposals, int]:
        x0, y0, x1, y1 = box
        features, frame = self._embed(box, layer)
        clicks = grid_in_box(self._grids[layer], (0, 0, x1 - x0, y1 - y0))
        kept, contenders = Kept(budget), Contenders(self._thresholds)
        made = np.zeros(len(clicks), dtype=np.bool_)
        for number in range(ROUNDS if self._grid.adaptive else 1):
            todo = np.arange(len(clicks))
            if self._grid.adaptive:
                todo = clicks_of_round(number, clicks, made, kept.ranked(), frame)
            self._click(features, frame, clicks, todo[spread_order(len(todo))], kept, contenders)
            made[todo] = True
        if not self._clock.is_over:
            self._clock.leave_out(int(np.count_nonzero(~made)))
        self._forgotten += kept.forgotten
        best = kept.ranked()
        crop = CropProposals(
            box=box,
            layer=layer,
            frame=frame,
            points=clicks[[one.click for one in best]] + (x0, y0) if best else np.empty((0, 2)),
            levels=np.array([one.level for one in best], dtype=np.int64),
            iou_predictions=np.array([one.iou_prediction for one in best], dtype=np.float32),
            stability=np.array([one.stability for one in best], dtype=np.float64),
            stability_slack=np.array([one.slack for one in best], dtype=np.float64),
            inner=np.array([one.inner for one in best], dtype=np.int64).reshape(-1, 4),
            outer=np.array([one.outer for one in best], dtype=np.int64).reshape(-1, 4),
            windows=self._windows(features, frame, clicks, best, budget - kept.nbytes),
        )
        return crop, kept.nbytes

    def _click(
        self,
        features: Features,
        frame: Frame,
        clicks: NDArray[np.float64],
        order: NDArray[np.int64],
        kept: Kept,
        contenders: Contenders,
    ) -> None:
        """Make some clicks, until time is over."""
        size = min(self._grid.points_per_batch, self._backend.score_batch)
        groups = (order[start : start + size] for start in range(0, len(order), size))
        count = self._backend.score_ahead
        looks = ahead(lambda members: self._look(features, frame, clicks, members), groups, count, self._pool)
        with closing(looks):
            for look in looks:
                for answer in self._answers(look, frame, contenders):
                    kept.add(answer)
                self._clock.tick(len(look.members))
                if self._clock.is_over:
                    return

    def _embed(self, box: tuple[int, int, int, int], layer: int) -> tuple[Features, Frame]:
        if layer == 0:
            embedding = self._predictor.embed(self._image)
            return embedding.features, embedding.frame
        x0, y0, x1, y1 = box
        resized, frame = resize_image(self._image.pixels[y0:y1, x0:x1], self._backend.config.preprocess)
        return self._backend.encode([np.ascontiguousarray(resized)])[0], frame

    def _look(
        self, features: Features, frame: Frame, clicks: NDArray[np.float64], members: NDArray[np.int64]
    ) -> "_Look":
        """Score some clicks, and sample those of their masks that lie above the floor."""
        scored = self._score(features, frame, clicks[members])
        wanted = scored.iou_predictions[:, 1:]
        passing = wanted > self._grid.floor if self._grid.floor > 0 else np.ones_like(wanted, dtype=np.bool_)
        prompt, level = np.nonzero(passing)
        index = np.stack([prompt, level + 1], axis=1)
        samples = self._backend.sample(scored, index) if len(index) else None
        bounds = None if samples is None else sample_bounds(samples, frame, self._grid.stability_score_offset)
        return _Look(members, scored, index, np.asarray(wanted[prompt, level]), samples, bounds)

    def _answers(self, look: "_Look", frame: Frame, contenders: Contenders) -> Iterator[Answer]:
        """The masks of some clicks; which of them to draw is decided in the order of the clicks."""
        to_draw = np.arange(len(look.wanted))
        if look.samples is not None and look.bounds is not None:
            samples, bounds = look.samples, look.bounds
            side = Size(*samples.shape[1:])
            chosen = contenders.choose(look.found, bounds)
            for row in np.flatnonzero(~chosen).tolist():
                yield Answer(
                    click=int(look.members[look.wanted[row, 0]]),
                    level=int(look.wanted[row, 1]),
                    iou_prediction=float(look.found[row]),
                    stability=float(bounds.stability[row]),
                    inner=_box(bounds.inner[row]),
                    outer=_box(bounds.outer[row]),
                    window=LogitWindow(samples[row], (0, 0), side, (0, 0, 0, 0)),
                    slack=float(bounds.slack[row]),
                    is_drawn=False,
                )
            to_draw = np.flatnonzero(chosen)
        for row, window in zip(to_draw.tolist(), self._draw(look.scored, look.wanted[to_draw], frame), strict=True):
            measured = measure(window, frame, self._grid.stability_score_offset)
            if measured.is_empty:
                continue
            answer = Answer(
                click=int(look.members[look.wanted[row, 0]]),
                level=int(look.wanted[row, 1]),
                iou_prediction=float(look.found[row]),
                stability=measured.stability,
                inner=measured.inner,
                outer=measured.outer,
                window=window,
                slack=measured.slack,
            )
            contenders.add(answer)
            yield answer

    def _score(self, features: Features, frame: Frame, clicks: NDArray[np.float64]) -> Scored:
        # The last click stands for those that are too few: whoever is scored again is scored as the first time.
        points = frame.to_model(clicks)
        points = np.concatenate([points, points[-1:].repeat(max(self._backend.score_least - len(clicks), 0), axis=0)])
        tokens = np.stack([points, np.zeros_like(points)], axis=1).astype(np.float32)
        labels = np.array([POSITIVE, PADDING], dtype=np.int32)
        batch = PromptBatch(tuple(tokens), (labels,) * len(points), (None,) * len(points))
        scored = self._backend.score(features, batch)
        return replace(scored, iou_predictions=scored.iou_predictions[: len(clicks)])

    def _draw(self, scored: Scored, index: NDArray[np.int64], frame: Frame) -> Iterator[LogitWindow]:
        if len(index) == 0:
            return
        offset = self._grid.stability_score_offset
        for logits in self._backend.low_res(scored, index, offset + _NEAR):
            yield LogitWindow.cut(logits, frame, -offset)

    def _windows(
        self, features: Features, frame: Frame, clicks: NDArray[np.float64], answers: Sequence[Answer], room: int
    ) -> Sequence[LogitWindow]:
        """The windows of answers; those that are not drawn yet are drawn when asked for, and kept if there is room."""
        if all(one.is_drawn for one in answers):
            return tuple(one.window for one in answers)
        numbers = np.array([one.click for one in answers])
        levels = np.array([one.level for one in answers])

        def draw(wanted: Sequence[int]) -> Iterator[LogitWindow]:
            own, place = np.unique(numbers[list(wanted)], return_inverse=True)
            windows: list[tuple[int, LogitWindow]] = []
            for start in range(0, len(own), self._backend.score_batch):
                members = np.flatnonzero((place >= start) & (place < start + self._backend.score_batch))
                scored = self._score(features, frame, clicks[own[start : start + self._backend.score_batch]])
                index = np.stack([place[members] - start, levels[list(wanted)][members]], axis=1)
                windows += zip(members.tolist(), self._draw(scored, index, frame), strict=True)
            return (window for _, window in sorted(windows, key=lambda one: one[0]))

        later = DrawnLater(len(answers), draw, room)
        for number, one in enumerate(answers):
            if one.is_drawn:
                later.put(number, one.window)
        return later


def _box(sides: NDArray[np.int64]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = sides.tolist()
    return x0, y0, x1, y1
