"""`segany`: the command and its sub-commands, and how errors end."""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from segany import __version__
from segany.cli import (
    advise,
    audit,
    cache,
    data,
    demo,
    doctor,
    engine,
    evaluate,
    everything,
    export,
    quantize,
    samples,
    segment,
    serve,
    store,
    train,
    users,
    weights,
)
from segany.errors import SeganyError
from segany.settings import share_cores

__all__ = ["app", "main"]

# Click's base of all usage errors: typer carries a click of its own or uses the package, by its version.
_ClickException: Any = typer.BadParameter.__mro__[2]

_INTERRUPTED = 130

app = typer.Typer(
    name="segany",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Point at something in a picture and get its exact outline.",
    epilog="New here? Begin with `segany demo`. `segany COMMAND --help` tells what a command takes.",
)

_MASKS, _LABELS, _QUALITY = "Find masks", "Annotate, and keep what was annotated", "Measure"
_MODELS, _MACHINE = "Models", "This machine"

app.command("segment", rich_help_panel=_MASKS)(segment.command)
app.command("everything", rich_help_panel=_MASKS)(everything.command)
app.command("demo", rich_help_panel=_MASKS)(demo.command)
app.command("samples", rich_help_panel=_MASKS)(samples.command)
app.command("serve", rich_help_panel=_LABELS)(serve.command)
app.add_typer(users.app, name="users", rich_help_panel=_LABELS)
app.add_typer(store.app, name="store", rich_help_panel=_LABELS)
app.add_typer(engine.app, name="engine", rich_help_panel=_LABELS)
app.add_typer(data.app, name="data", rich_help_panel=_LABELS)
app.command("evaluate", rich_help_panel=_QUALITY)(evaluate.evaluate)
app.command("compare", rich_help_panel=_QUALITY)(evaluate.compare)
app.command("advise", rich_help_panel=_QUALITY)(advise.command)
app.add_typer(audit.app, name="audit", rich_help_panel=_QUALITY)
app.command("train", rich_help_panel=_MODELS)(train.command)
app.command("quantize", rich_help_panel=_MODELS)(quantize.command)
app.command("export", rich_help_panel=_MODELS)(export.command)
app.add_typer(weights.app, name="weights", rich_help_panel=_MODELS)
app.command("doctor", rich_help_panel=_MACHINE)(doctor.command)
app.add_typer(cache.app, name="cache", rich_help_panel=_MACHINE)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"segany {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words after `segany`; the process's own when left out.

    Returns:
        0 when everything worked, 1 for an error of segany, 2 for wrong usage, 130 after Ctrl-C.
    """
    share_cores()
    try:
        code = app(args=None if arguments is None else list(arguments), prog_name="segany", standalone_mode=False)
        sys.stdout.flush()
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    except _ClickException as error:
        error.show()
        return int(error.exit_code)
    except SeganyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        why = "cannot print the result: no space left on the disk; free some, then run it again."
        print(f"error: {why}", file=sys.stderr)
        # What is still to be printed would fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    # Some versions of typer raise for Ctrl-C, others return this status.
    if code == _INTERRUPTED:
        print("stopped; nothing half-written was left. Run the same command again to go on.", file=sys.stderr)
    return code if isinstance(code, int) else 0
