"""Prompts from the command line and from prompts.json."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.errors import PromptError
from segany.schema import Prompt

__all__ = ["PromptPlan", "from_options"]

# A prompts file is typed or made by a script; one of this size is something else by mistake.
_MAX_JSON_BYTES = 64 * 1024 * 1024


class PromptPlan:
    """Which prompts go to which image."""

    def __init__(self, everywhere: Sequence[Prompt] = (), by_file: Mapping[str, Sequence[Prompt]] | None = None):
        """Keep the prompts.

        Args:
            everywhere: Prompts for every image.
            by_file: File name -> prompts for that image alone.
        """
        self._everywhere = tuple(everywhere)
        self._by_file = {name: tuple(prompts) for name, prompts in (by_file or {}).items()}

    def of(self, path: Path) -> tuple[Prompt, ...]:
        """The prompts for one image.

        Raises:
            PromptError: There is none.
        """
        prompts = self._everywhere + self._by_file.get(path.name, ())
        if not prompts:
            raise PromptError(f"the prompts file has nothing for {path.name}; add it, or leave the image out.")
        return prompts


def from_options(points: Sequence[str], boxes: Sequence[str], mask: Path | None, prompts: Path | None) -> PromptPlan:
    """Put the options of one command together.

    Args:
        points: "x,y", "x,y,+" or "x,y,-": all of them one prompt.
        boxes: "x0,y0,x1,y1"; several boxes are several prompts.
        mask: A picture of a rough mask: part of the same prompt as the points.
        prompts: A prompts.json.

    Raises:
        PromptError: None was given, or one cannot be read.
    """
    given = bool(points or boxes or mask)
    if prompts is not None:
        if given:
            raise PromptError("give --prompts or --point/--box/--mask, not both.")
        return _from_file(prompts)
    if not given:
        raise PromptError("say what to segment: --point x,y, --box x0,y0,x1,y1, --mask FILE or --prompts FILE.")
    if len(boxes) > 1 and (points or mask):
        raise PromptError("several --box with --point or --mask are ambiguous; put them into a file for --prompts.")
    read = [_point(text) for text in points]
    shared: dict[str, Any] = {}
    if read:
        shared |= {"points": [(x, y) for x, y, _ in read], "labels": [label for _, _, label in read]}
    if mask is not None:
        shared["mask"] = _read_mask(mask)
    if len(boxes) <= 1:
        return PromptPlan([Prompt(**shared, box=_box(boxes[0]) if boxes else None)])
    return PromptPlan([Prompt(box=_box(text)) for text in boxes])


def _point(text: str) -> tuple[float, float, int]:
    parts = [part.strip() for part in text.split(",")]
    signs = {"+": 1, "-": 0, "1": 1, "0": 0}
    if len(parts) == 3 and parts[2] not in signs:
        raise PromptError(f"--point: the third part must be + (on the object) or - (off it), got {parts[2]!r}.")
    if len(parts) not in (2, 3):
        raise PromptError(f"--point must be x,y or x,y,- for a point off the object, got {text!r}.")
    x, y = _floats(parts[:2], "--point", text)
    return x, y, signs[parts[2]] if len(parts) == 3 else 1


def _box(text: str) -> list[float]:
    parts = text.split(",")
    if len(parts) != 4:
        raise PromptError(f"--box must be x0,y0,x1,y1, got {text!r}.")
    return _floats(parts, "--box", text)


def _floats(parts: Sequence[str], option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in parts]
    except ValueError as error:
        raise PromptError(f"{option} must be numbers separated by commas, got {text!r}.") from error


def _read_mask(path: Path) -> NDArray[Any]:
    from segany.sources import open_source

    values = open_source(path).read()
    if values.shape[2] > 1 and not (values == values[:, :, :1]).all():
        # A picture with transparency marks the object by its alpha.
        values = values[:, :, 3:4] if values.shape[2] == 4 else values
    if values.shape[2] > 1 and not (values == values[:, :, :1]).all():
        raise PromptError(f"{path.name} is a coloured picture, not a mask; give one with two grey values.")
    return np.ascontiguousarray(values[:, :, 0])


def _from_file(path: Path) -> PromptPlan:
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise PromptError(f"{path.name} is larger than {_MAX_JSON_BYTES // 2**20} MiB; split it.")
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PromptError(f"cannot read the prompts file {path}: {error.strerror}.") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PromptError(f"{path.name} is not JSON: {error}.") from error
    if isinstance(document, list):
        return PromptPlan(_prompts(document, path, "the list"))
    if isinstance(document, dict):
        return PromptPlan(by_file={name: _prompts(values, path, name) for name, values in document.items()})
    raise PromptError(f"{path.name} must hold a list of prompts, or file names with a list of prompts each.")


def _prompts(values: Any, path: Path, where: str) -> list[Prompt]:
    if not isinstance(values, list) or not values:
        raise PromptError(f"{path.name}: {where} must be a list with at least one prompt.")
    prompts = []
    for place, value in enumerate(values):
        if not isinstance(value, dict):
            raise PromptError(f"{path.name}: prompt {place} of {where} must be an object with points, box or mask.")
        try:
            if isinstance(value.get("mask"), str):
                mask = _read_mask(path.parent / value["mask"])
                rest = {key: part for key, part in value.items() if key != "mask"}
                checked = Prompt.from_dict(rest) if rest else Prompt(mask=mask)
                prompts.append(Prompt(checked.points, checked.labels, checked.box, mask))
            else:
                prompts.append(Prompt.from_dict(value))
        except PromptError as error:
            raise PromptError(f"{path.name}: prompt {place} of {where}: {error}") from error
    return prompts
