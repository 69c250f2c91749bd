"""`segany train`: a model that is better at what people accepted."""

import json
import sys
import tomllib
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segany.cli._options import JsonOption, ModelOption, ThreadsOption
from segany.cli._pairs import pair
from segany.errors import ConfigError

if TYPE_CHECKING:
    from segany.train import Plan, TrainingData, TrainProgress, TrainResult

__all__ = ["command"]


def command(
    data: Annotated[
        list[str],
        typer.Option(help="NAME=PATH of annotated images of any format, or STORE@VERSION; repeat it."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command goes on where it was.")],
    tune: Annotated[
        str,
        typer.Option(
            help="What learns. scores: which of three masks is meant; decoder: the outlines, in minutes on a CPU; "
            "lora: the encoder, a little; full: everything; distil: a new, small encoder."
        ),
    ] = "decoder",
    model: ModelOption = "mobile_sam",
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Photos, folders or patterns on which answers should stay as they are; repeat it."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates of the parameters.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same run.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of training settings.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE: a training setting; repeat it.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16.")] = None,
    threads: ThreadsOption = None,
    unchecked: Annotated[bool, typer.Option("--unchecked", help="Start even if memory will not suffice.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Tune a model on annotated images: says what it will do, does it, and writes a checkpoint.

    The same command goes on after an interruption, with the same numbers as if there had been none.
    """
    from segany.settings import limit_threads

    if threads is not None:
        # Before anything that computes is imported.
        limit_threads(threads)
    from segany.sources import iter_image_paths
    from segany.train import TrainConfig, train

    given = {"tune": tune, "model": model, "steps": steps, "seed": seed, "device": device, "precision": precision}
    chosen = TrainConfig.from_dict(
        {
            **_read_config(config),
            **{key: value for key, value in given.items() if value is not None},
            **TrainConfig.parse(dict(pair(word, "--set") for word in settings or ())),
        }
    )
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    kept = list(iter_image_paths(keep)) if keep else []
    with ExitStack() as stack, _TrainingBar(quiet=as_json) as bar:
        sets = [_open(word, stack) for word in data]
        result = train(
            chosen, data=sets, out=out, keep=kept, progress=bar.report, planned=bar.plan, unchecked=unchecked
        )
    if as_json:
        print(json.dumps(_document(result)))
    else:
        _print(result)
    return 0


class _TrainingBar:
    """The plan, then a bar with loss, validation and time left, on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        """Draw nothing where it should be quiet."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

        self._quiet = quiet
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "_TrainingBar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._tasks:
            self._bar.stop()

    def plan(self, plan: "Plan") -> None:
        """Say what lies ahead."""
        if not self._quiet:
            for sentence in plan.sentences():
                print(sentence, file=sys.stderr)

    def report(self, progress: "TrainProgress") -> None:
        """Draw where the run stands."""
        if not self._tasks:
            self._bar.start()
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._bar.add_task(progress.stage, total=progress.total, said="")
        said = []
        if progress.loss is not None:
            said.append(f"loss {progress.loss:.3f}")
        if progress.validation is not None:
            said.append(f"mIoU {100 * progress.validation.miou_1:.1f}, {100 * progress.validation.miou_5:.1f}")
        if progress.seconds_left is not None:
            said.append(f"{progress.seconds_left / 60:.0f} min left")
        self._bar.update(
            self._tasks[progress.stage], completed=progress.done, total=progress.total, said="; ".join(said)
        )


def _read_config(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the training settings {path}: {error}.") from error


def _open(word: str, stack: ExitStack) -> "TrainingData":
    """A folder or file of annotated images, or a version of a store."""
    from segany.engine import open_store
    from segany.train import FolderData, StoreData

    name, equals, place = word.partition("=")
    if not equals or Path(word).exists():
        name, place = "", word
    if Path(place).exists():
        return FolderData(name or Path(place).absolute().name, Path(place))
    store, at, version = place.rpartition("@")
    if not at or not store:
        raise ConfigError(f"--data must be NAME=PATH or STORE@VERSION, and {place!r} is neither there nor a store.")
    opened = stack.enter_context(open_store(store))
    return StoreData(name or f"{Path(store).name}@{version}", opened, version)


def _document(result: "TrainResult") -> dict[str, Any]:
    said = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(result).items()}
    for key, found in (("before", result.before), ("best", result.best)):
        said[key] = None if found is None else found._asdict()
    return said


def _print(result: "TrainResult") -> None:
    ended = {"early": "it got no better", "finished": "all steps made", "cancelled": "cancelled"}[result.stopped]
    print(f"{result.steps} steps in {result.seconds / 60:.1f} minutes: {ended}")
    if result.before is not None and result.best is not None:
        before, best = result.before, result.best
        print(
            f"validation mIoU at 1 click {100 * before.miou_1:.1f} -> {100 * best.miou_1:.1f}, at 5 "
            f"{100 * before.miou_5:.1f} -> {100 * best.miou_5:.1f} ({best.objects} objects, step {result.best_step})"
        )
    if result.plot is not None:
        print(f"look at {result.plot}")
    if result.model is not None:
        print(result.model)
