"""`segany data`: what annotated data hold, what is wrong with them, and the same data in another format."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segany.cli import convert
from segany.cli._options import JsonOption
from segany.errors import ConfigError

if TYPE_CHECKING:
    from PIL import Image as PillowImage

    from segany.formats import Dataset, Distribution, Summary
    from segany.schema import Record

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Look at annotated data, and convert them.")
app.command("convert")(convert.command)

_SHOWN_PROBLEMS = 20
_SHOWN_CATEGORIES = 12
_ON_SHEET = 12
_SIDE = 480
_GREY = (128, 128, 128)


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A folder or file of annotated images, of any format.")],
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first problem.")] = False,
    sheet: Annotated[Path | None, typer.Option(help="Write a picture with some images and their masks.")] = None,
    limit: Annotated[int | None, typer.Option(help="Stop after this many images.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Say which format was found, what it holds, and every problem."""
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit must be at least 1, got {limit}.")
    from segany.formats import open_dataset, summarize

    dataset = open_dataset(path, strict=strict, require_images=False)
    tiles = _Tiles(dataset, limit)
    summary = summarize(dataset, limit, tiles.add if sheet is not None else None)
    shown = sheet is not None and tiles.write(sheet)
    if as_json:
        problems = [{"kind": p.kind, "file": p.file, "key": p.key, "what": p.what} for p in dataset.problems]
        picture = str(sheet) if shown else None
        print(json.dumps(summary.to_dict() | {"path": str(path), "problem_list": problems, "sheet": picture}))
        return 0
    _print_summary(path, summary)
    _print_problems(dataset)
    if sheet is not None:
        print(f"look at {sheet}" if shown else "there was no image to show, so no sheet was written")
    return 0


class _Tiles:
    """Pictures for the sheet, taken evenly from the set while it is read."""

    def __init__(self, dataset: "Dataset", limit: int | None) -> None:
        count = min(len(dataset), limit or len(dataset))
        self._dataset = dataset
        self._step = max(1, -(-count // _ON_SHEET))
        self._pictures: list[PillowImage.Image] = []
        self._captions: list[str] = []

    def add(self, number: int, record: "Record") -> None:
        from segany import render
        from segany.errors import InputError

        if number % self._step:
            return
        try:
            image = self._dataset.open_image(record)
        except InputError:
            # Among the problems already: the image is not there.
            return
        objects = record.objects
        masks, colors = [each.segmentation for each in objects], render.distinct_colors(len(objects))
        if (undecided := record.undecided) is not None:
            masks, colors = [*masks, undecided], [*colors, _GREY]
        self._pictures.append(render.overlay(image, masks, colors=colors, max_side=_SIDE))
        self._captions.append(f"{Path(record.image.file_name).name}: {len(objects)}")

    def write(self, path: Path) -> bool:
        """Write the sheet; False where there is nothing to show."""
        from segany import render
        from segany.files import atomic_path

        if not self._pictures:
            return False
        with atomic_path(path) as temporary:
            render.contact_sheet(self._pictures, self._captions, columns=4, side=_SIDE).save(temporary)
        return True


def _print_summary(path: Path, summary: "Summary") -> None:
    print(f"{path}: {summary.format}{''.join(f'; {note}' for note in summary.notes)}")
    named = "" if summary.images == summary.images_named else f" of {summary.images_named:,} named"
    empty = f", {summary.without_objects:,} without objects" if summary.without_objects else ""
    print(f"images: {summary.images:,}{named}{empty}")
    if summary.smallest is not None and summary.largest is not None:
        print(f"  from {summary.smallest} to {summary.largest}, in megapixels {_spread(summary.megapixels, '.2f')}")
    print(f"objects: {summary.objects:,}")
    if summary.objects:
        print(f"  per image {_spread(summary.objects_per_image, '.0f')}")
        print(f"  area in pixels {_spread(summary.areas, ',.0f')}")
        print(f"  area as a share of the image {_spread(summary.shares, '.2%')}")
        print("  by COCO's sizes: " + ", ".join(f"{count:,} {name}" for name, count in summary.by_size.items()))
    print(f"to ignore: {summary.ignore_regions:,} images with undecided pixels, {summary.crowds:,} crowds")
    named_objects = {name: count for name, count in summary.categories.items() if name is not None}
    if summary.categories_named or named_objects:
        shown = [f"{name} {count:,}" for name, count in list(named_objects.items())[:_SHOWN_CATEGORIES]]
        more = ["..."] if len(named_objects) > _SHOWN_CATEGORIES else []
        print(f"categories: {summary.categories_named:,} named, {len(named_objects):,} used: {', '.join(shown + more)}")
    if summary.groups:
        print(f"groups: {summary.groups:,}")
    if summary.metadata_columns:
        print(f"metadata: {', '.join(summary.metadata_columns)}")


def _print_problems(dataset: "Dataset") -> None:
    counts = dataset.problem_counts
    each = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in sorted(counts.items()))
    print(f"problems: {each or 'none'}")
    for problem in dataset.problems[:_SHOWN_PROBLEMS]:
        print(f"  {problem}")
    if (hidden := sum(counts.values()) - _SHOWN_PROBLEMS) > 0:
        print(f"  and {hidden:,} more; --json has them all")


def _spread(values: "Distribution | None", style: str) -> str:
    if values is None:
        return "none"
    shown = [f"{value:{style}}" for value in (values.minimum, values.median, values.maximum)]
    return f"{shown[0]} to {shown[2]}, median {shown[1]}"
