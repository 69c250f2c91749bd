"""The report as one HTML page that needs nothing beside itself."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Literal

from segany.evaluate.plot import Plot
from segany.evaluate.report.markdown import machine_line
from segany.evaluate.report.pictures import case_picture, draw_plot, inline
from segany.evaluate.report.tables import Table, report_tables
from segany.evaluate.results import CaseRow, Gathered

__all__ = ["to_html"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222; }
h1 { margin-bottom: 0; } h2 { margin: 2.2rem 0 .6rem; font-size: 1.15rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap; }
th { background: #f4f4f4; } .note { color: #666; font-size: .9rem; }
.pictures { display: flex; flex-wrap: wrap; gap: .8rem; } figure { margin: 0; max-width: 20rem; }
figure img { max-width: 100%; border-radius: 4px; }
figcaption { font-size: .8rem; color: #444; overflow-wrap: anywhere; }
pre { background: #f4f4f4; padding: .6rem; overflow-x: auto; }
"""
_SHOWN_PROBLEMS = 100


def to_html(document: Mapping[str, Any], plots: Sequence[Plot], results: Sequence[Gathered]) -> str:
    """Write the page.

    Args:
        document: Of `to_document`.
        plots: To draw.
        results: Whose worst and best rows are shown.
    """
    protocol = document["protocol"]
    parts = [f"<h1>{escape(protocol['name'])}</h1>", f"<p>{escape(protocol['summary'])}</p>"]
    if document["command"]:
        parts.append(f"<pre>$ {escape(document['command'])}</pre>")
    tables = report_tables(document)
    models = len({result["model"] for result in document["results"]})
    parts += [_table(table) for table in tables[:models]]
    if plots:
        pictures = "".join(f'<img alt="{escape(plot.title)}" src="{inline(draw_plot(plot))}">' for plot in plots)
        parts.append(f'<h2>Plots</h2><div class="pictures">{pictures}</div>')
    parts += [_table(table) for table in tables[models:]]
    for one in results:
        parts += [_cases(one, "worst"), _cases(one, "best")]
    problems = [problem for one in document["sets"] for problem in one["problems"]]
    if problems:
        shown = "".join(f"<li>{escape(problem)}</li>" for problem in problems[:_SHOWN_PROBLEMS])
        parts.append(f"<h2>{len(problems)} problems</h2><ul>{shown}</ul>")
    parts.append(f"<h2>Made with</h2><p>{escape(machine_line(document))}</p>")
    settings = ", ".join(f"{name} {value}" for name, value in protocol["settings"].items())
    sample = document["sample"]
    limit = "all" if sample["limit"] is None else f"{sample['limit']} {protocol['unit']}s a set, seed {sample['seed']}"
    parts.append(
        f"<p>Protocol version {protocol['version']} ({escape(settings)}); sample: {limit}; "
        f"digest {protocol['digest']}.</p>"
    )
    body = "\n".join(filter(None, parts))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>segany: {escape(protocol['name'])}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(word)}</th>" for word in table.head)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(word)}</td>' for word in row)}</tr>" for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return f"<h2>{escape(table.title)}</h2><table><tr>{head}</tr>{rows}</table>{note}"


def _cases(gathered: Gathered, kind: Literal["worst", "best"]) -> str:
    figures = "".join(_figure(case, gathered.case_column or "") for case in gathered.cases(kind))
    if not figures:
        return ""
    title = f"{kind.capitalize()} cases: {gathered.model}, {gathered.set_name}"
    note = '<p class="note">Green: what was meant; orange: what came.</p>'
    return f'<h2>{escape(title)}</h2>{note}<div class="pictures">{figures}</div>'


def _figure(case: CaseRow, column: str) -> str:
    picture = case_picture(case)
    if picture is None:
        return ""
    words = [f"{column} {case.value:.3f}", case.item.key]
    words += [str(case.row[name]) for name in ("category", "object") if case.row.get(name) is not None]
    return f'<figure><img alt="" src="{inline(picture)}"><figcaption>{escape(", ".join(words))}</figcaption></figure>'
