"""Audit: a sample of masks goes to people; how close were the masks to what people made of them (SAM paper, sec. 5)?"""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from segany import files
from segany.errors import ConfigError, OutputError, RecordError
from segany.evaluate.intervals import Interval, mean_interval
from segany.evaluate.items import EvaluationSet, Item
from segany.formats import coco
from segany.masks import RLE
from segany.render import contact_sheet, overlay
from segany.schema import Annotation, Record

__all__ = ["AuditScores", "draw_audit", "score_audit"]

TO_CORRECT, ORIGINAL, TABLE = "instances.json", "original.json", "masks.csv"
_COLUMNS = ("mask", "image", "area", "predicted_iou", "from_image", "from_mask", "verdict")
_VERDICTS = ("", "ok", "wrong", "skip")
_ON_SHEET = 12
_SIDE = 480
# Round a mask, in shares of its box.
_MARGIN = 0.5
_Z = 1.96

_Pixel = TypeVar("_Pixel", bound=np.generic)


@dataclass(frozen=True, eq=False)
class AuditScores:
    """What came of an audit.

    Attributes:
        ious: [N] float64, of each mask with its correction; 0 where it was removed or called wrong.
        over_90: Share of masks with an IoU above 0.90.
        over_75: The same above 0.75.
        mean: Mean IoU.
        images: From how many images the masks are.
        unchanged: Masks that were left as they were.
        removed: Masks that were removed or called wrong.
        skipped: Masks that nobody could judge; they are not among the N.
        added: Masks that people added; they are not among the N either.
        silent: Masks of the N that were neither changed nor given a verdict: right, or not looked at.
    """

    ious: NDArray[np.float64]
    over_90: Interval
    over_75: Interval
    mean: Interval
    images: int
    unchanged: int
    removed: int
    skipped: int
    added: int
    silent: int


def draw_audit(data: Path, out: Path, *, masks: int = 100, seed: int = 0) -> int:
    """Draw masks at random and lay them out for people to correct.

    The folder gets `images/`, `instances.json` (the masks in COCO's format, to be corrected in any annotation tool),
    `original.json` (the same, to be left alone), `masks.csv` (a line for each mask, with a column for a verdict) and
    contact sheets `sheet-001.png` and so on, each mask with its number.

    Args:
        data: Images with masks, whatever `segany.formats.open_dataset` reads.
        out: The folder; new or empty.
        masks: How many; all where there are fewer.
        seed: Which ones.

    Returns:
        How many masks were drawn.

    Raises:
        ConfigError: The number is below 1, the folder is not empty, or there is no mask.
        RecordError: There is no data set.
        OutputError: The folder cannot be written.
    """
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; an audit needs a folder of its own.")
    records: list[Record] = []
    lines: list[dict[str, object]] = []
    sheets = _Sheets(out)
    for item in EvaluationSet("audit", data, limit=masks, seed=seed).items():
        name = _copy_image(item, out, len(records) + 1)
        own = []
        for annotation in item.objects:
            number = len(lines) + 1
            own.append(replace(annotation, id=number, review_state="unreviewed", parent_id=None))
            values = (number, name, annotation.area, annotation.predicted_iou, item.key, annotation.id, "")
            lines.append(dict(zip(_COLUMNS, values, strict=True)))
        sheets.add(item, own)
        records.append(Record(replace(item.record.image, image_id=len(records) + 1, file_name=name), tuple(own)))
    if not records:
        raise ConfigError(f"{data} has no masks to audit.")
    sheets.finish()
    text = io.StringIO()
    table = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    files.write_text(out / TABLE, text.getvalue())
    coco.write_records(records, out / ORIGINAL)
    coco.write_records(records, out / TO_CORRECT)
    return len(lines)


def score_audit(folder: Path, corrected: Path | None = None) -> AuditScores:
    """Compare the masks with what people made of them.

    A mask that is not in the corrected file any more, and one whose verdict is "wrong", has an IoU of 0. One whose
    verdict is "skip" does not count.

    Args:
        folder: Made by `draw_audit`.
        corrected: The corrected masks in COCO's format, with the ids that they had; `instances.json` when left out.

    Raises:
        RecordError: A file is missing or damaged, or a verdict is another word.
        ConfigError: No mask is left to score.
    """
    before = dict(_masks(folder / ORIGINAL))
    after = dict(_masks(corrected or folder / TO_CORRECT))
    verdicts = _verdicts(folder / TABLE)
    ious, groups = [], []
    unchanged = removed = skipped = silent = 0
    for number, (group, mask) in before.items():
        verdict = verdicts.get(str(number), "")
        if verdict == "skip":
            skipped += 1
            continue
        fixed = None if verdict == "wrong" or number not in after else after[number][1]
        if fixed is not None and fixed.size != mask.size:
            raise RecordError(f"mask {number} is {mask.size}, its correction {fixed.size}; keep the image's size.")
        removed += fixed is None
        is_same = fixed is not None and fixed.counts == mask.counts
        unchanged += is_same
        silent += is_same and not verdict
        ious.append(0.0 if fixed is None else mask.iou(fixed))
        groups.append(group)
    if not ious:
        raise ConfigError(f"all {skipped} masks of {folder} were skipped; there is nothing to score.")
    values = np.array(ious)
    return AuditScores(
        values,
        _share(values > 0.9, groups),
        _share(values > 0.75, groups),
        mean_interval(values, groups),
        len(set(groups)),
        unchanged,
        removed,
        skipped,
        len(after.keys() - before.keys()),
        silent,
    )


def _share(flags: NDArray[np.bool_], groups: Sequence[str]) -> Interval:
    """A share with its interval: the wider of a bootstrap over images and Wilson's (1927).

    A bootstrap of masks that are all good is sure of itself; Wilson's interval is not, but takes masks of one image
    for independent.
    """
    boot = mean_interval(flags, groups)
    n, share = len(flags), float(flags.mean())
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Interval(share, max(0.0, min(boot.low, middle - half)), min(1.0, max(boot.high, middle + half)), n)


def _masks(path: Path) -> Iterator[tuple[int | str, tuple[str, RLE]]]:
    for record in coco.read_records(path):
        for annotation in record.annotations:
            yield annotation.id, (record.image.file_name, annotation.segmentation)


def _verdicts(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise RecordError(f"cannot read {path}: {error}; it is written by segany audit draw.") from error
    verdicts = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), start=2):
        verdict = (row.get("verdict") or "").strip().lower()
        if verdict not in _VERDICTS:
            raise RecordError(f"{path}, line {number}: a verdict is ok, wrong, skip or nothing, got {verdict!r}.")
        verdicts[str(row.get("mask"))] = verdict
    return verdicts


def _copy_image(item: Item, out: Path, number: int) -> str:
    """Put the image into the folder; returns its name there."""
    source = item.image_path
    stem = Path(item.key).stem
    if source is not None:
        name = f"{number:04}-{stem}{source.suffix.lower()}"
        try:
            files.write_bytes(out / "images" / name, source.read_bytes())
        except OutputError:
            raise
        except OSError as error:
            raise RecordError(f"cannot read {source}: {error.strerror or error}.") from error
        return name
    name = f"{number:04}-{stem}.png"
    from PIL import Image as PillowImage

    with files.atomic_path(out / "images" / name) as temporary:
        PillowImage.fromarray(item.open().pixels).save(temporary)
    return name


class _Sheets:
    """Contact sheets: each mask on its part of the image."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._tiles: list[NDArray[np.uint8]] = []
        self._captions: list[str] = []
        self._written = 0

    def add(self, item: Item, annotations: Sequence[Annotation]) -> None:
        pixels = item.open().pixels
        height, width = pixels.shape[:2]
        for annotation in annotations:
            x0, y0, x1, y1 = annotation.segmentation.box
            margin = max(16, round(_MARGIN * max(x1 - x0, y1 - y0)))
            left, top, right, bottom = (
                *(max(x0 - margin, 0), max(y0 - margin, 0)),
                *(min(x1 + margin, width), min(y1 + margin, height)),
            )
            # Small masks are enlarged pixel by pixel, as sheets only shrink.
            zoom = max(1, _SIDE // max(right - left, bottom - top))
            mask = RLE.from_mask(_zoomed(annotation.segmentation.to_mask()[top:bottom, left:right], zoom))
            picture = overlay(_zoomed(pixels[top:bottom, left:right], zoom), [mask], max_side=_SIDE)
            self._tiles.append(np.asarray(picture.convert("RGB")))
            self._captions.append(f"{annotation.id}: {Path(item.key).name}")
            if len(self._tiles) == _ON_SHEET:
                self.finish()

    def finish(self) -> None:
        if not self._tiles:
            return
        self._written += 1
        with files.atomic_path(self._out / f"sheet-{self._written:03}.png") as temporary:
            contact_sheet(self._tiles, self._captions, columns=4, side=_SIDE).save(temporary)
        self._tiles.clear()
        self._captions.clear()


def _zoomed(pixels: NDArray[_Pixel], zoom: int) -> NDArray[_Pixel]:
    return np.ascontiguousarray(pixels.repeat(zoom, axis=0).repeat(zoom, axis=1))
