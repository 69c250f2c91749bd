"""`segany engine`: which model is in use: retraining, the gate, the way back."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segany.cli._options import JsonOption
from segany.cli._pairs import pair
from segany.cli._stores import ActorOption, StoreArgument, actor_of, opened_store

if TYPE_CHECKING:
    from segany.engine.rounds import LearningRound
    from segany.store import Store

__all__ = ["models", "promote", "rollback", "watch"]

_Out = Annotated[Path, typer.Option(help="Folder for checkpoints; the same one each time.")]
_Guard = Annotated[
    list[str] | None,
    typer.Option(help="NAME=PATH of annotated images on which nothing may get worse; repeat it."),
]
_Target = Annotated[
    Path | None, typer.Option(help="Annotated images to be better on; the version's own split `test` if left out.")
]
_Margin = Annotated[float, typer.Option(min=0.0, help="What a guard may lose, in IoU from 0 to 1.")]
_Limit = Annotated[int, typer.Option(min=1, help="Most objects of each set that judges.")]
_Keep = Annotated[
    list[str] | None, typer.Option(help="Photos on which answers should stay as they are; no masks needed; repeat it.")
]
_Set = Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE: a setting of training; repeat it.")]


def promote(
    store: StoreArgument,
    version: Annotated[str, typer.Option(help="Version to learn from; it is frozen now if it is a new name.")],
    out: _Out,
    candidate: Annotated[
        Path | None, typer.Option(help="Decide on this checkpoint; trained on the version if left out.")
    ] = None,
    target: _Target = None,
    guard: _Guard = None,
    margin: _Margin = 0.01,
    limit: _Limit = 200,
    settings: _Set = None,
    keep: _Keep = None,
    by: ActorOption = None,
    as_json: JsonOption = False,
) -> int:
    """Retrain on what was accepted, compare with the model in use, and promote or refuse.

    The exit code is 1 where it was refused. The same command goes on after an interruption.
    """
    wanted = _round(version, out, candidate, target, guard, margin, limit, settings, keep)
    with opened_store(store) as opened:
        return _decide(opened, wanted, actor_of(by), as_json)


def watch(
    store: StoreArgument,
    out: _Out,
    every: Annotated[int, typer.Option(min=1, help="A round for so many newly accepted masks.")] = 200,
    seconds: Annotated[float, typer.Option(min=1.0, help="How often to look.")] = 30.0,
    once: Annotated[bool, typer.Option("--once", help="Do at most one round, and stop.")] = False,
    target: _Target = None,
    guard: _Guard = None,
    margin: _Margin = 0.01,
    limit: _Limit = 200,
    settings: _Set = None,
    keep: _Keep = None,
    by: ActorOption = None,
) -> int:
    """Do rounds of `segany engine promote` as accepted masks arrive, until Ctrl-C."""
    from segany.engine.rounds import accepted_masks, due

    while True:
        with opened_store(store) as opened:
            if due(opened, every):
                version = f"watch-{accepted_masks(opened)}"
                wanted = _round(version, out, None, target, guard, margin, limit, settings, keep)
                _decide(opened, wanted, actor_of(by), as_json=False)
            elif once:
                print(f"{accepted_masks(opened)} masks are accepted; a round is due {every} after the last one")
        if once:
            return 0
        time.sleep(seconds)


def rollback(
    store: StoreArgument,
    why: Annotated[str, typer.Option(help="For the audit log.")] = "",
    by: ActorOption = None,
) -> int:
    """Go back to the model that was in use before."""
    from segany.engine.promotion import rollback as go_back

    with opened_store(store) as opened:
        card = go_back(opened, actor=actor_of(by), why=why)
    print(f"in use: {card.name} ({card.digest[:12]})")
    return 0


def models(store: StoreArgument, as_json: JsonOption = False) -> int:
    """List the models of a store, the newest first, and every decision's grounds."""
    with opened_store(store) as opened:
        cards = opened.models.list()
    if as_json:
        print(json.dumps([asdict(card) for card in cards]))
        return 0
    for card in cards:
        print(f"{card.digest[:12]}  {card.name}  {card.status}")
        for line in card.config.get("decision", {}).get("says", []):
            print(f"  {line}")
    if not cards:
        print("none but the default, mobile_sam")
    return 0


def _decide(opened: "Store", wanted: "LearningRound", actor: str, as_json: bool) -> int:
    from segany.engine.rounds import ROUND, round_handler
    from segany.engine.running import run_to_end

    result = run_to_end(opened, ROUND, asdict(wanted), {ROUND: round_handler(opened, actor=actor)})
    if as_json:
        print(json.dumps(result))
    else:
        for line in result["says"]:
            print(line)
    return 0 if result["promoted"] else 1


def _round(
    version: str,
    out: Path,
    candidate: Path | None,
    target: Path | None,
    guard: list[str] | None,
    margin: float,
    limit: int,
    settings: list[str] | None,
    keep: list[str] | None,
) -> "LearningRound":
    from segany.engine.rounds import LearningRound
    from segany.train.config import TrainConfig

    guards = dict(pair(word, "--guard") for word in guard or ())
    return LearningRound(
        version,
        str(out.absolute()),
        candidate=None if candidate is None else str(candidate),
        target=None if target is None else str(target),
        guards=guards,
        limit=limit,
        margin=margin,
        train=TrainConfig.parse(dict(pair(word, "--set") for word in settings or ())),
        keep=tuple(keep or ()),
    )
