"""`segany weights`: what can be fetched, what is here, where it lies and whether it is intact."""

import json
from typing import Annotated, Any

import typer

from segany import weights
from segany.cli._options import JsonOption
from segany.cli._progress import download_bar
from segany.errors import ConfigError, DigestError, WeightsError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="List, fetch, find and check weights and sample photos.")


@app.command("list")
def list_entries(
    kind: Annotated[str | None, typer.Option(help="Only this kind: model, sample, detector, ...")] = None,
    as_json: JsonOption = False,
) -> int:
    """List every file that segany knows, with its licence and whether it is here."""
    kinds = dict.fromkeys(entry.kind for entry in weights.entries())
    if kind is not None and kind not in kinds:
        raise ConfigError(f"--kind must be one of {', '.join(kinds)}, got {kind!r}.")
    rows = [_row(entry) for entry in weights.entries(kind)]
    if as_json:
        print(json.dumps(rows))
    else:
        _print_table(rows)
    return 1 if any(row["error"] for row in rows) else 0


@app.command()
def pull(
    names: Annotated[list[str] | None, typer.Argument(help="Names to fetch; the default model if none.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Fetch weights into the cache; what is there already is left as it is."""
    rows = []
    with download_bar(quiet=as_json) as progress:
        for name in names or [weights.DEFAULT_MODEL]:
            path = weights.path(name, progress=progress)
            rows.append({"name": weights.get(name).name, "path": str(path)})
    _print_paths(rows, as_json=as_json)
    return 0


@app.command()
def where(
    names: Annotated[list[str] | None, typer.Argument(help="Names to find; the default model if none.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Print the path that each file has, or would have, in the cache."""
    rows = []
    for name in names or [weights.DEFAULT_MODEL]:
        path = weights.place(name)
        rows.append({"name": weights.get(name).name, "path": str(path), "present": path.is_file()})
    _print_paths(rows, as_json=as_json)
    return 0


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Names to check; all that are here if none.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Hash files of the cache again; a wrong one is moved aside, and the exit code is 1."""
    present = [entry.name for entry in weights.entries() if weights.place(entry.name).is_file()]
    rows: list[dict[str, Any]] = []
    failures: list[WeightsError] = []
    for name in dict.fromkeys(weights.get(name).name for name in names or present):
        try:
            rows.append({"name": name, "path": str(weights.verify(name)), "intact": True})
        except WeightsError as error:
            failures.append(error)
            rows.append({"name": name, "path": str(weights.place(name)), "intact": False})
    if as_json:
        print(json.dumps(rows))
    for row in rows:
        if row["intact"] and not as_json:
            print(f"{row['name']}: intact")
    if failures:
        raise type(failures[0])("; ".join(str(failure) for failure in failures))
    return 0


def _row(entry: weights.Entry) -> dict[str, Any]:
    error = None
    try:
        path = weights.cached_path(entry.name)
    except DigestError as wrong:
        path, error = None, str(wrong)
    return {
        "name": entry.name,
        "kind": entry.kind,
        "size": entry.size,
        "sha256": entry.sha256,
        "licence": entry.licence,
        "licence_source": entry.licence_source,
        "description": entry.description,
        "paper": entry.paper,
        "cached": path is not None,
        "path": str(weights.place(entry.name)),
        "error": error,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in ("name", "kind", "size", "licence", "here"):
        table.add_column(column, no_wrap=True, justify="right" if column == "size" else "left")
    for row in rows:
        licence = row["licence"] + (" *" if row["licence_source"] == "upstream" else "")
        cached = "yes" if row["cached"] else "wrong file" if row["error"] else "no"
        table.add_row(row["name"], row["kind"], _in_units(row["size"]), licence, cached)
    console = Console()
    console.print(table)
    console.print("* the original project's licence; the carrying package does not state it", style="dim")
    for row in rows:
        if row["error"]:
            console.print(row["error"], style="red", markup=False, soft_wrap=True)


def _print_paths(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print(row["path"])


def _in_units(size: int) -> str:
    factor, unit = (1e9, "GB") if size >= 1e9 else (1e6, "MB") if size >= 1e6 else (1e3, "kB")
    return f"{size / factor:.1f} {unit}"
