"""`segany engine`: the model proposes, people decide, and what they decide makes the next model."""

import getpass
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segany.cli._options import JsonOption
from segany.cli._pairs import pair
from segany.errors import ConfigError

if TYPE_CHECKING:
    from segany.engine.rounds import LearningRound
    from segany.store import Store

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Label with a model in the loop: stages, questions, learning, promotion.")

_Where = Annotated[str, typer.Argument(metavar="STORE", help="A folder, or postgresql://USER:PASSWORD@HOST/DATABASE.")]
_Actor = Annotated[
    str | None, typer.Option("--by", help="Who does this, for the audit log; your user name if left out.")
]
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


@app.command()
def run(
    store: _Where,
    stage: Annotated[
        str,
        typer.Option(
            help="assisted-manual: people draw everything; semi-automatic: the model proposes, people decide; "
            "automatic: nobody is asked."
        ),
    ],
    points_per_side: Annotated[int, typer.Option(min=1, help="Clicks along each side of an image.")] = 32,
    limit: Annotated[int | None, typer.Option(min=1, help="Most images to queue for people.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Do a stage over all images: fill in masks, and queue images for people, the most valuable first.

    The same command goes on after an interruption.
    """
    from segany.engine.running import run_to_end
    from segany.engine.stages import STAGE, StageSettings, stage_handler

    settings = StageSettings(stage, points_per_side=points_per_side, limit=limit)  # type: ignore[arg-type]
    with _opened(store) as opened:
        result = run_to_end(opened, STAGE, settings.to_dict(), {STAGE: stage_handler(opened)})
    if as_json:
        print(json.dumps(result))
        return 0
    print(f"{result['images']} images: {result['kept']} masks kept, {result['flagged']} for people to decide on")
    if result["queued"]:
        print(f"{result['queued']} images are queued; look: segany engine queue {store}")
    return 0


@app.command()
def queue(
    store: _Where,
    limit: Annotated[int, typer.Option(min=1, help="Most lines.")] = 20,
    as_json: JsonOption = False,
) -> int:
    """List what people will be asked, the most valuable first, and why."""
    from segany.engine.tasks import OPEN

    with _opened(store) as opened:
        jobs = opened.jobs.list(kinds=[OPEN], states=["queued", "running"], limit=limit)
        rows = [
            {
                "record": job.record_id,
                "file_name": opened.records.get(job.record_id).record.image.file_name,
                "priority": job.priority,
                "state": job.state,
                "worker": job.worker,
                **{name: job.payload[name] for name in ("stage", "why", "reasons")},
            }
            for job in jobs
            if job.record_id is not None
        ]
    if as_json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        has = f", {row['worker']} has it" if row["state"] == "running" else ""
        print(f"{row['record']}  {row['file_name']}  {row['why']}{has}")
    if not rows:
        print(f"nothing is queued; queue images with: segany engine run {store} --stage semi-automatic")
    return 0


@app.command()
def check(
    store: _Where,
    second_looks: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Have this share of the finished images done once more.")
    ] = None,
    gold: Annotated[
        list[int] | None, typer.Option(help="A record whose accepted masks are right and complete; repeat it.")
    ] = None,
    annotator: Annotated[list[str] | None, typer.Option(help="Who gets the gold questions; repeat it.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Ask for second looks and gold questions, and say how far people agree."""
    from segany.engine.quality import agreement, ask_gold, ask_second_looks

    if bool(gold) != bool(annotator):
        raise ConfigError("gold questions need both --gold RECORD and --annotator NAME.")
    with _opened(store) as opened:
        chosen = [] if second_looks is None else ask_second_looks(opened, share=second_looks)
        ask_gold(opened, gold or [], annotator or [])
        found = agreement(opened)
    if as_json:
        print(json.dumps({"second_looks": chosen, "agreement": [asdict(one) for one in found]}))
        return 0
    if second_looks is not None:
        print(f"{len(chosen)} images are to be looked at a second time")
    for one in found:
        name = "gold questions" if one.purpose == "gold" else "second looks"
        print(
            f"{one.annotator}, {name}: {one.images} images, {one.masks} masks, {one.found:.0%} by both, "
            f"IoU of these {one.iou:.3f}, {one.seconds:.0f} s an image"
        )
    if not found:
        print("nobody has answered a second look or a gold question yet")
    return 0


@app.command()
def learn(
    store: _Where,
    precision: Annotated[
        float, typer.Option(help="Share of accepted masks wanted among those that nobody looks at.")
    ] = 0.9,
    by: _Actor = None,
    as_json: JsonOption = False,
) -> int:
    """Learn from reviews, in seconds: which automatic masks people accept, and what they call things."""
    from segany.engine.models import model_in_use
    from segany.engine.reviews import learn_confidence, learn_names
    from segany.predict import EmbeddingCache, Predictor

    actor = _actor(by)
    with _opened(store) as opened:
        predictor = Predictor(model_in_use(opened), cache=EmbeddingCache.default())
        confidence = learn_confidence(opened, predictor, actor=actor, precision=precision)
        names = learn_names(opened, predictor, actor=actor)
    said: dict[str, Any] = {
        "reviews": 0 if confidence is None else confidence.reviews,
        "keep_from": None if confidence is None or confidence.keep_from > 1 else confidence.keep_from,
        "names": [] if names is None else list(names.names),
    }
    if as_json:
        print(json.dumps(said))
        return 0
    if confidence is None:
        print("too few automatic masks were reviewed to learn which ones people accept; 30 are needed, of both kinds")
    elif said["keep_from"] is None:
        print(f"{confidence.reviews} reviews: no mask is sure enough yet to be kept without a look")
    else:
        print(
            f"{confidence.reviews} reviews: masks are kept without a look from a probability of {said['keep_from']:.2f}"
        )
    print(f"names: {', '.join(said['names']) or 'no accepted mask has one'}")
    return 0


@app.command()
def names(
    store: _Where,
    record: Annotated[int, typer.Argument(help="A record's number, from `segany store ls`.")],
    as_json: JsonOption = False,
) -> int:
    """Suggest what the masks of an image are called, after `segany engine learn`."""
    from segany.engine.features import mask_features
    from segany.engine.models import class_names, model_in_use
    from segany.predict import EmbeddingCache, Predictor

    with _opened(store) as opened:
        learned = class_names(opened)
        if learned is None:
            raise ConfigError(f"no names were learned; name some accepted masks, then: segany engine learn {store}")
        predictor = Predictor(model_in_use(opened), cache=EmbeddingCache.default())
        if learned.encoder_digest != predictor.backend.encoder_digest:
            raise ConfigError(f"the names were learned with another encoder; learn again: segany engine learn {store}")
        masks = [one for one in opened.records.get(record).record.objects if one.review_state != "rejected"]
        features = mask_features(predictor.embed(opened.image(record)), [one.segmentation for one in masks])
        rows = learned.suggest(features) if masks else []
    if as_json:
        print(json.dumps({str(one.id): [list(each) for each in row] for one, row in zip(masks, rows, strict=True)}))
        return 0
    for one, row in zip(masks, rows, strict=True):
        print(f"{one.id}: {', '.join(f'{name} {confidence:.2f}' for name, confidence in row)}")
    return 0


@app.command()
def chooser(
    store: _Where,
    out: Annotated[Path | None, typer.Option(help="Write it to this file, for `segany evaluate --chooser`.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Forget what was learned.")] = False,
    by: _Actor = None,
) -> int:
    """Show what accepted masks taught of a first click's three masks; write it to a file, or forget it."""
    from segany.engine.models import CHOOSER, keep, mask_chooser
    from segany.files import write_text

    with _opened(store) as opened:
        if reset:
            keep(opened, None, CHOOSER, actor=_actor(by))
        found = mask_chooser(opened)
    if out is not None:
        write_text(out, f"{json.dumps(found.to_dict())}\n")
        print(out)
    depth, bias, size = found.rule
    print(f"learned from {len(found.surprises)} masks; weights: depth {depth:g}, bias {bias:g}, size {size:g}")
    print(f"bias of the three masks: {', '.join(f'{value:+.2f}' for value in found.bias)}")
    return 0


@app.command()
def promote(
    store: _Where,
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
    by: _Actor = None,
    as_json: JsonOption = False,
) -> int:
    """Retrain on what was accepted, compare with the model in use, and promote or refuse.

    The exit code is 1 where it was refused. The same command goes on after an interruption.
    """
    wanted = _round(version, out, candidate, target, guard, margin, limit, settings, keep)
    with _opened(store) as opened:
        return _decide(opened, wanted, _actor(by), as_json)


@app.command()
def watch(
    store: _Where,
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
    by: _Actor = None,
) -> int:
    """Do rounds of `segany engine promote` as accepted masks arrive, until Ctrl-C."""
    from segany.engine.rounds import accepted_masks, due

    while True:
        with _opened(store) as opened:
            if due(opened, every):
                version = f"watch-{accepted_masks(opened)}"
                wanted = _round(version, out, None, target, guard, margin, limit, settings, keep)
                _decide(opened, wanted, _actor(by), as_json=False)
            elif once:
                print(f"{accepted_masks(opened)} masks are accepted; a round is due {every} after the last one")
        if once:
            return 0
        time.sleep(seconds)


@app.command()
def rollback(
    store: _Where,
    why: Annotated[str, typer.Option(help="For the audit log.")] = "",
    by: _Actor = None,
) -> int:
    """Go back to the model that was in use before."""
    from segany.engine.promotion import rollback as go_back

    with _opened(store) as opened:
        card = go_back(opened, actor=_actor(by), why=why)
    print(f"in use: {card.name} ({card.digest[:12]})")
    return 0


@app.command()
def models(store: _Where, as_json: JsonOption = False) -> int:
    """List the models of a store, the newest first, and every decision's grounds."""
    with _opened(store) as opened:
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


@contextmanager
def _opened(store: str) -> "Iterator[Store]":
    from segany.engine import open_store

    with open_store(store) as opened:
        yield opened


def _actor(given: str | None) -> str:
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
