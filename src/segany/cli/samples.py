"""`segany samples`: free photos to try things on."""

import json
from pathlib import Path
from typing import Annotated

import typer

from segany import weights
from segany.cli._options import JsonOption
from segany.cli._progress import download_bar
from segany.files import write_bytes

__all__ = ["command"]


def command(
    names: Annotated[list[str] | None, typer.Argument(help="Photos to fetch; all if none.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to copy them to; left in the cache if not given.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Fetch sample photos with a free licence and print where they are."""
    rows = []
    with download_bar(quiet=as_json) as progress:
        for name in names or [entry.name for entry in weights.entries("sample")]:
            path = weights.sample(name, progress=progress)
            entry = weights.get(name)
            if out is not None:
                path = _copy(path, out / entry.file_name)
            rows.append({"name": name, "path": str(path), "licence": entry.licence, "description": entry.description})
    if as_json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print(row["path"])
    return 0


def _copy(source: Path, target: Path) -> Path:
    write_bytes(target, source.read_bytes())
    return target
