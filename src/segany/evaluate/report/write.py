"""Write a report's files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segany import files
from segany.errors import OutputError
from segany.evaluate.plot import Plot
from segany.evaluate.report.document import to_document
from segany.evaluate.report.markdown import to_markdown
from segany.evaluate.report.page import to_html
from segany.evaluate.report.pictures import standard_plots
from segany.evaluate.run import Evaluation

__all__ = ["REPORT_FILES", "prepare_folder", "write_report"]

REPORT_FILES = ("report.json", "report.md", "report.html", "items.parquet")


def prepare_folder(folder: Path) -> None:
    """Make the folder before anything is measured: it is a pity to learn at the end that nothing can be written.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror}; choose another folder.") from error


def write_report(evaluation: Evaluation, folder: Path, command: str | None = None) -> dict[str, Any]:
    """Write report.json, report.md, report.html and items.parquet, each whole or not at all.

    Args:
        evaluation: What was measured.
        folder: Where.
        command: The command that measured it, for the report.

    Returns:
        The document of report.json.

    Raises:
        OutputError: A file cannot be written.
        MissingExtraError: Matplotlib is not installed.
    """
    document = to_document(evaluation, command)
    evaluation.table.write(folder / "items.parquet")
    files.write_text(folder / "report.md", to_markdown(document))
    files.write_text(folder / "report.html", to_html(document, _plots(evaluation, document), evaluation.results))
    # Last: where it is, the others are.
    files.write_text(folder / "report.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
    return document


def _plots(evaluation: Evaluation, document: Mapping[str, Any]) -> list[Plot]:
    protocol = evaluation.protocol
    plots = standard_plots(document, protocol.axis, protocol.curve())
    columns = evaluation.table.columns()
    models = columns.get("model", [])
    for model in dict.fromkeys(models):
        places = [place for place, name in enumerate(models) if name == model]
        own = {name: [values[place] for place in places] for name, values in columns.items()}
        plots += _named(protocol.plots(own), model if len(set(models)) > 1 else "")
    return plots


def _named(plots: Sequence[Plot], model: str) -> list[Plot]:
    if not model:
        return list(plots)
    return [Plot(f"{p.title}: {model}", p.x_label, p.y_label, p.lines, p.diagonal, p.y_range) for p in plots]
