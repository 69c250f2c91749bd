"""Downloads with a progress bar on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager

from segany import weights

__all__ = ["download_bar"]


@contextmanager
def download_bar(*, quiet: bool = False) -> Iterator[weights.Progress]:
    """Give a callback that draws one bar for each file; nothing is drawn when nothing is downloaded.

    Args:
        quiet: Draw nothing at all.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    tasks: dict[str, TaskID] = {}
    bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet)

    def report(name: str, done: int, total: int) -> None:
        # Started here because a bar without a task still prints an empty line.
        if not tasks:
            bar.start()
        if name not in tasks:
            tasks[name] = bar.add_task(f"fetching {name}")
        bar.update(tasks[name], completed=done, total=total or None)

    try:
        yield report
    finally:
        if tasks:
            bar.stop()
