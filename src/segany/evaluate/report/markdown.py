"""The report as Markdown."""

from collections.abc import Mapping
from typing import Any

from segany.evaluate.report.tables import Table, report_tables

__all__ = ["markdown_table", "to_markdown"]

_SHOWN_PROBLEMS = 20


def to_markdown(document: Mapping[str, Any]) -> str:
    """Write the page.

    Args:
        document: Of `to_document`.
    """
    protocol = document["protocol"]
    parts = [f"# {protocol['name']}", protocol["summary"]]
    if document["command"]:
        parts.append(f"```console\n$ {document['command']}\n```")
    parts += [f"## {table.title}\n\n{markdown_table(table)}" for table in report_tables(document)]
    problems = [problem for one in document["sets"] for problem in one["problems"]]
    if problems:
        lines = [f"- {problem}" for problem in problems[:_SHOWN_PROBLEMS]]
        more = len(problems) - len(lines)
        parts.append("\n".join(["## Problems\n", *lines, *([f"- and {more} more"] if more else [])]))
    parts.append(f"## Made with\n\n{machine_line(document)}")
    settings = ", ".join(f"{name} {value}" for name, value in protocol["settings"].items())
    parts.append(
        f"Protocol {protocol['name']} version {protocol['version']} ({settings}), digest {protocol['digest'][:16]}."
    )
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """One table, with its note below."""
    head = f"| {' | '.join(table.head)} |\n|{'---|' * len(table.head)}"
    rows = [f"| {' | '.join(_escaped(word) for word in row)} |" for row in table.rows]
    return "\n".join([head, *rows]) + (f"\n\n{table.note}" if table.note else "")


def machine_line(document: Mapping[str, Any]) -> str:
    """The machine, versions and memory in one sentence."""
    machine, peak = document["machine"], document["peak_memory_bytes"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    flags = ", ".join(machine["cpu_flags"]) or "unknown"
    memory = "" if peak is None else f" Most memory: {peak / 2**20:.0f} MiB."
    return (
        f"{machine['processor']}, {machine['cores']} cores, threads: {machine['threads'] or 'all'}, "
        f"{machine['system']}, Python {machine['python']}; {versions}; CPU flags: {flags}.{memory}"
    )


def _escaped(word: str) -> str:
    return word.replace("|", "\\|")
