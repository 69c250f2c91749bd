"""What `segany segment` writes for one photo, and under which names."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from segany.schema import Annotation, Image, Prediction, Prompt, Record

__all__ = ["MaskOutcome", "Outcome", "output_names", "write_outcome"]


@dataclass(frozen=True, eq=False)
class MaskOutcome:
    """One mask of a photo.

    Attributes:
        annotation: The mask with its scores.
        prompt: Number of the prompt, from 0.
        prompt_text: The prompt in words.
        file: The picture of the mask or of the cut-out, once written.
    """

    annotation: Annotation
    prompt: int
    prompt_text: str
    file: Path | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """The masks of one photo.

    Attributes:
        path: The photo.
        image: Its pixels.
        prompts: What was pointed at.
        masks: The masks, in the order of the prompts.
        overlay: The picture to look at, once written.
        record: The SA-1B record, once written.
        seconds: Stage -> seconds.
    """

    path: Path
    image: Image
    prompts: tuple[Prompt, ...]
    masks: tuple[MaskOutcome, ...]
    overlay: Path | None = None
    record: Path | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        path: Path,
        image: Image,
        prompts: Sequence[Prompt],
        predictions: Sequence[Prediction],
        model_digest: str,
        *,
        every: bool,
    ) -> "Outcome":
        """Choose masks from predictions: the best of each prompt, or every candidate in the model's order."""
        masks: list[MaskOutcome] = []
        for number, (prompt, prediction) in enumerate(zip(prompts, predictions, strict=True)):
            for index in range(len(prediction)) if every else [prediction.best_index]:
                annotation = Annotation(
                    id=len(masks),
                    segmentation=prediction.rle(index),
                    predicted_iou=float(prediction.iou_predictions[index]),
                    stability_score=prediction.stability_score(index),
                    point_coords=() if prompt.points is None else tuple((x, y) for x, y in prompt.points.tolist()),
                    source="semi_automatic",
                    prompts=(prompt,),
                    model_digest=model_digest,
                )
                masks.append(MaskOutcome(annotation, number, _in_words(prompt)))
        return cls(path, image, tuple(prompts), tuple(masks))

    def timed(self, seconds: Mapping[str, float]) -> "Outcome":
        """The same with its times."""
        return replace(self, seconds=MappingProxyType(dict(seconds)))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, scores unrounded."""
        return {
            "file": str(self.path),
            "height": self.image.size.height,
            "width": self.image.size.width,
            "digest": self.image.info.digest,
            "overlay": str(self.overlay),
            "record": str(self.record),
            "seconds": dict(self.seconds),
            "masks": [
                {
                    "prompt": mask.prompt,
                    "predicted_iou": mask.annotation.predicted_iou,
                    "stability_score": mask.annotation.stability_score,
                    "area": mask.annotation.area,
                    "box": list(mask.annotation.box),
                    "segmentation": mask.annotation.segmentation.to_coco(),
                    "file": str(mask.file),
                }
                for mask in self.masks
            ],
        }


def output_names(paths: Sequence[Path]) -> list[str]:
    """Names for results, one for each photo, that never clash.

    The stem; the whole file name where two photos of a folder share a stem; with the folders below the common one
    where photos come from several.

    Args:
        paths: The photos.

    Returns:
        Relative names with / between folders and without a suffix.
    """
    folders = [path.absolute().parent for path in paths]
    common = Path(os.path.commonpath(folders)) if len({folder.anchor for folder in folders}) == 1 else None
    roots = [Path(folder.name) if common is None else folder.relative_to(common) for folder in folders]
    stems = [(root / path.stem).as_posix() for root, path in zip(roots, paths, strict=True)]
    count = Counter(stem.lower() for stem in stems)
    return [
        stem if count[stem.lower()] == 1 else (root / path.name.replace(".", "_")).as_posix()
        for stem, root, path in zip(stems, roots, paths, strict=True)
    ]


def write_outcome(outcome: Outcome, folder: Path, name: str, *, cutout: bool) -> Outcome:
    """Write masks, record and overlay; each file appears whole or not at all.

    Args:
        outcome: What to write.
        folder: Where.
        name: From `output_names`.
        cutout: Write cut-outs instead of masks.

    Returns:
        The outcome with the files' paths.

    Raises:
        OutputError: A file cannot be written.
    """
    from segany import render
    from segany.files import atomic_path
    from segany.formats import sa1b

    base = folder / name
    masks = []
    for mask in outcome.masks:
        kind = "cutout" if cutout else "mask"
        file = base.with_name(f"{base.name}.{kind}-{mask.annotation.id}.png")
        if cutout:
            with atomic_path(file) as temporary:
                render.cutout(outcome.image, mask.annotation.segmentation).save(temporary)
        else:
            render.save_mask(mask.annotation.segmentation, file)
        masks.append(replace(mask, file=file))
    record = base.with_name(f"{base.name}.json")
    sa1b.write_record(Record(outcome.image.info, tuple(mask.annotation for mask in masks)), record)
    overlay = base.with_name(f"{base.name}.overlay.png")
    picture = render.overlay(
        outcome.image,
        [mask.annotation.segmentation for mask in masks],
        prompts=outcome.prompts,
        scores=[mask.annotation.predicted_iou or 0.0 for mask in masks],
    )
    with atomic_path(overlay) as temporary:
        picture.save(temporary)
    return replace(outcome, masks=tuple(masks), overlay=overlay, record=record)


def _in_words(prompt: Prompt) -> str:
    words = []
    if prompt.points is not None and prompt.labels is not None:
        clicks = zip(prompt.points.tolist(), prompt.labels.tolist(), strict=True)
        words.append("point " + "; ".join(f"{x:g},{y:g}{'' if label else ' off'}" for (x, y), label in clicks))
    if prompt.box is not None:
        words.append("box " + ",".join(f"{value:g}" for value in prompt.box))
    if prompt.mask is not None:
        words.append("mask")
    return " + ".join(words)
