"""stats: what a collection looks like, in numbers and in one picture."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, func, select

from segany.errors import MissingExtraError
from segany.files import atomic_path
from segany.geometry import Size
from segany.masks import RLE
from segany.store._reading import is_there
from segany.store.database import Database
from segany.store.models import AnnotationRow, EventRow, ImageRow, MaskRow, PixelsRow, SplitRow

__all__ = ["StoreStats", "measure_store", "plot_stats", "rle_concavity"]

_PAGE = 20_000
_BARS = 40
_GRID = 32
_CONCAVITY_SAMPLE = 2000
SIZE_EDGES: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


@dataclass(frozen=True, eq=False)
class StoreStats:
    """Numbers of a collection as it is now.

    Attributes:
        records: Records.
        with_pixels: Those whose image is stored.
        altered: Images that an ingest step changed.
        alterations: Ingest step -> images that it changed, ever.
        image_bytes: Size of the stored images.
        masks: Annotations.
        masks_per_image: Number of annotations -> records that have so many.
        sources: "manual", "semi_automatic", "automatic" -> annotations.
        annotators: Person -> annotations; None for those that name nobody.
        review_states: State -> annotations.
        categories: Class -> annotations; None for those without.
        splits: Split -> records; None for those without.
        near_duplicates: Records that are a near-duplicate of another.
        relative_sizes: [S] int64: annotations by the square root of mask area over image area, between SIZE_EDGES
            (SAM paper, fig. 6).
        concavities: [20] int64: of a sample of masks, by concavity from 0 to 1.
        centers: [32, 32] int64: annotations by the centre of their box, rows from the top, relative to the image.
    """

    records: int
    with_pixels: int
    altered: int
    alterations: Mapping[str, int]
    image_bytes: int
    masks: int
    masks_per_image: Mapping[int, int]
    sources: Mapping[str, int]
    annotators: Mapping[str | None, int]
    review_states: Mapping[str, int]
    categories: Mapping[str | None, int]
    splits: Mapping[str | None, int]
    near_duplicates: int
    relative_sizes: NDArray[np.int64]
    concavities: NDArray[np.int64]
    centers: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; a missing name is "(none)"."""
        values: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                values[name] = value.tolist()
            elif isinstance(value, Mapping):
                values[name] = {"(none)" if key is None else str(key): number for key, number in value.items()}
            else:
                values[name] = value
        return values


def measure_store(database: Database, *, seed: int = 0) -> StoreStats:
    """Measure a collection.

    Args:
        database: Of the store.
        seed: Draws the masks whose concavity is measured, 2,000 at most.
    """
    with database.read() as connection:
        live = is_there(AnnotationRow, None)
        per_image = (
            select(func.count(AnnotationRow.id).label("masks"))
            .select_from(ImageRow)
            .join(AnnotationRow, (AnnotationRow.image_id == ImageRow.id) & live, isouter=True)
            .where(is_there(ImageRow, None))
            .group_by(ImageRow.id)
            .subquery()
        )
        counted = select(per_image.c.masks, func.count()).group_by(per_image.c.masks).order_by(per_image.c.masks)
        masks_per_image = {int(masks): int(number) for masks, number in connection.execute(counted)}
        pixels = select(
            func.count(), func.coalesce(func.sum(PixelsRow.blob_bytes), 0), func.count().filter(PixelsRow.altered)
        ).join(ImageRow, ImageRow.id == PixelsRow.image_id)
        with_pixels, image_bytes, altered = connection.execute(pixels.where(is_there(ImageRow, None))).one()
        splits = (
            select(SplitRow.split, func.count())
            .select_from(ImageRow)
            .join(SplitRow, (SplitRow.image_id == ImageRow.id) & is_there(SplitRow, None), isouter=True)
            .where(is_there(ImageRow, None))
            .group_by(SplitRow.split)
        )
        relative_sizes, centers = _shapes(connection)
        return StoreStats(
            records=sum(masks_per_image.values()),
            with_pixels=int(with_pixels),
            altered=int(altered),
            alterations=_alterations(connection),
            image_bytes=int(image_bytes),
            masks=sum(masks * number for masks, number in masks_per_image.items()),
            masks_per_image=masks_per_image,
            sources=_grouped(connection, AnnotationRow.source, live),
            annotators=_grouped(connection, AnnotationRow.annotator, live),
            review_states=_grouped(connection, AnnotationRow.review_state, live),
            categories=_grouped(connection, AnnotationRow.category, live),
            splits={split: int(number) for split, number in connection.execute(splits)},
            near_duplicates=_near_duplicates(connection),
            relative_sizes=relative_sizes,
            concavities=_concavities(connection, seed),
            centers=centers,
        )


def plot_stats(stats: StoreStats, path: str | os.PathLike[str]) -> None:
    """Draw the statistics as one picture; written whole or not at all.

    Args:
        stats: From `measure_store`.
        path: A PNG, PDF or SVG file.

    Raises:
        OutputError: The file cannot be written.
        MissingExtraError: Matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("Drawing statistics", "evaluate") from error

    figure = Figure(figsize=(14, 8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3).ravel()
    figure.suptitle(
        f"{stats.records:,} records, {stats.masks:,} masks; "
        f"{stats.with_pixels:,} images stored, {stats.altered:,} of them altered"
    )
    counts = np.repeat(list(stats.masks_per_image), list(stats.masks_per_image.values()))
    most = int(counts.max(initial=0))
    # Every bar stands for as many whole numbers.
    step = most // _BARS + 1
    panels[0].hist(counts, bins=np.arange(-0.5, most + step, step), color="#4c72b0")
    panels[0].set(title="masks per image", xlabel="masks", ylabel="images")
    labels = [f"{low:g}-{high:g}" for low, high in pairwise(SIZE_EDGES)]
    panels[1].bar(labels, stats.relative_sizes, color="#4c72b0")
    panels[1].set(title="relative size (root of area share)", ylabel="masks")
    panels[1].tick_params(axis="x", rotation=45)
    panels[2].stairs(stats.concavities, np.linspace(0, 1, len(stats.concavities) + 1), fill=True, color="#4c72b0")
    panels[2].set(title="concavity (sample)", xlabel="1 - area / area of hull", ylabel="masks")
    heat = panels[3].imshow(stats.centers, cmap="magma", extent=(0, 1, 1, 0))
    panels[3].set(title="centres of boxes in the image")
    figure.colorbar(heat, ax=panels[3])
    annotators = {f"by {name}" if name else "by nobody named": count for name, count in stats.annotators.items()}
    _bars(panels[4], "sources and annotators", {**stats.sources, **annotators})
    _bars(panels[5], "review", stats.review_states)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _bars(panel: Any, title: str, numbers: Mapping[str, int], most: int = 12) -> None:
    top = sorted(numbers.items(), key=lambda item: -item[1])[:most]
    bars = panel.barh([name[:24] for name, _ in top][::-1], [number for _, number in top][::-1], color="#4c72b0")
    panel.bar_label(bars, fmt="{:,.0f}", padding=3)
    panel.margins(x=0.2)
    panel.set(title=title, xlabel="masks")


def _grouped(connection: Connection, column: Any, live: ColumnElement[bool]) -> dict[Any, int]:
    rows = connection.execute(select(column, func.count()).where(live).group_by(column))
    return dict(sorted(((value, int(number)) for value, number in rows), key=lambda item: (-item[1], str(item[0]))))


def _alterations(connection: Connection) -> dict[str, int]:
    asked = select(EventRow.kind, EventRow.details).where(EventRow.kind.startswith("ingest.", autoescape=True))
    altered = (row.kind for row in connection.execute(asked) if json.loads(row.details)["verdict"] == "altered")
    return dict(Counter(kind.removeprefix("ingest.") for kind in altered))


def _near_duplicates(connection: Connection) -> int:
    several = select(func.count().label("n")).where(is_there(ImageRow, None)).group_by(ImageRow.near_group).subquery()
    asked = select(func.coalesce(func.sum(several.c.n), 0)).where(several.c.n > 1)
    return int(connection.execute(asked).scalar_one())


def _shapes(connection: Connection) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    sizes = np.zeros(len(SIZE_EDGES) - 1, dtype=np.int64)
    centers = np.zeros((_GRID, _GRID), dtype=np.int64)
    for values in _live_pages(connection):
        area, x0, y0, x1, y1, height, width = values.T
        relative = np.sqrt(np.clip(area / (height * width), 0, 1))
        sizes += np.histogram(relative, bins=SIZE_EDGES)[0]
        y, x = (y0 + y1) / 2 / height, (x0 + x1) / 2 / width
        centers += np.histogram2d(y, x, bins=_GRID, range=((0, 1), (0, 1)))[0].astype(np.int64)
    return sizes, centers


def _live_pages(connection: Connection) -> Iterator[NDArray[np.float64]]:
    """[N, 7] float64: area, box, height and width, page by page."""
    asked = (
        select(
            AnnotationRow.id,
            AnnotationRow.area,
            AnnotationRow.x0,
            AnnotationRow.y0,
            AnnotationRow.x1,
            AnnotationRow.y1,
            ImageRow.height,
            ImageRow.width,
        )
        .join(ImageRow, ImageRow.id == AnnotationRow.image_id)
        .where(is_there(AnnotationRow, None))
        .order_by(AnnotationRow.id)
        .limit(_PAGE)
    )
    last = 0
    while rows := connection.execute(asked.where(AnnotationRow.id > last)).all():
        yield np.array([tuple(row)[1:] for row in rows], dtype=np.float64)
        last = rows[-1].id


def _concavities(connection: Connection, seed: int) -> NDArray[np.int64]:
    ids = np.array(connection.execute(select(AnnotationRow.id).where(is_there(AnnotationRow, None))).scalars().all())
    drawn = np.random.default_rng(seed).permutation(ids)[:_CONCAVITY_SAMPLE]
    values = []
    for start in range(0, len(drawn), 500):
        asked = (
            select(MaskRow.counts, ImageRow.height, ImageRow.width)
            .join(AnnotationRow, AnnotationRow.mask_id == MaskRow.id)
            .join(ImageRow, ImageRow.id == AnnotationRow.image_id)
            .where(AnnotationRow.id.in_([int(each) for each in drawn[start : start + 500]]))
        )
        for counts, height, width in connection.execute(asked):
            values.append(rle_concavity(RLE(Size(height, width), counts)))
    return np.histogram(values, bins=20, range=(0, 1))[0]


def rle_concavity(rle: RLE) -> float:
    """As `segany.masks.concavity`, from the runs alone: the time grows with the outline, not with the image."""
    import cv2

    if rle.area == 0:
        return 0.0
    height = rle.size.height
    runs = rle.runs
    borders = np.cumsum(runs)
    ends = borders[1::2]
    starts = borders[: 2 * len(ends) : 2]
    left, top = np.divmod(starts, height)
    right, bottom = np.divmod(ends - 1, height)
    right, bottom = right + 1, bottom + 1
    # Corners of the squares of the first and the last pixel of each run.
    corners = [(left, top), (left + 1, top), (right - 1, bottom), (right, bottom)]
    # A run over several columns goes down to the border in all but the last, and begins there in all but the first.
    several = right - left > 1
    left, right, border, zero = left[several], right[several], np.full(several.sum(), height), np.zeros(several.sum())
    corners += [(left, border), (left + 1, border), (right - 1, border)]
    corners += [(left + 1, zero), (right - 1, zero), (right, zero)]
    points = np.concatenate([np.stack(each, axis=1) for each in corners]).astype(np.int32)
    x, y = cv2.convexHull(points).reshape(-1, 2).astype(np.float64).T
    hull_area = abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2
    return 1.0 - rle.area / hull_area
