"""`segany engine`: the model proposes, people decide, and what they decide makes the next model."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from segany.cli import _engine_jobs, _engine_models
from segany.cli._options import JsonOption
from segany.cli._stores import ActorOption, StoreArgument, actor_of, opened_store
from segany.errors import ConfigError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Label with a model in the loop: stages, questions, learning, promotion.")


@app.command()
def run(
    store: StoreArgument,
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
    with opened_store(store) as opened:
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
    store: StoreArgument,
    limit: Annotated[int, typer.Option(min=1, help="Most lines.")] = 20,
    as_json: JsonOption = False,
) -> int:
    """List what people will be asked, the most valuable first, and why."""
    from segany.engine.tasks import OPEN

    with opened_store(store) as opened:
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
    store: StoreArgument,
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
    with opened_store(store) as opened:
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
    store: StoreArgument,
    precision: Annotated[
        float, typer.Option(help="Share of accepted masks wanted among those that nobody looks at.")
    ] = 0.9,
    by: ActorOption = None,
    as_json: JsonOption = False,
) -> int:
    """Learn from reviews: which automatic masks people accept, and what they call things.

    Takes the time of `segany everything` for each image that people finished, up to 40, and seconds otherwise.
    """
    from rich.console import Console

    from segany.engine.models import model_in_use
    from segany.engine.reviews import learn_confidence, learn_names
    from segany.predict import EmbeddingCache, Predictor

    actor = actor_of(by)
    with opened_store(store) as opened:
        predictor = Predictor(model_in_use(opened), cache=EmbeddingCache.default())
        with Console(stderr=True).status("looking for what was accepted") as status:
            confidence = learn_confidence(
                opened,
                predictor,
                actor=actor,
                precision=precision,
                progress=lambda done: status.update(f"{done} finished images looked at"),
            )
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
        print("too little was reviewed or finished to learn which masks people accept; 30 are needed, of both kinds")
    elif said["keep_from"] is None:
        print(f"{confidence.reviews} masks: none is sure enough yet to be kept without a look")
    else:
        print(f"{confidence.reviews} masks: kept without a look from a probability of {said['keep_from']:.2f}")
    print(f"names: {', '.join(said['names']) or 'no accepted mask has one'}")
    return 0


@app.command()
def names(
    store: StoreArgument,
    record: Annotated[int, typer.Argument(help="A record's number, from `segany store ls`.")],
    as_json: JsonOption = False,
) -> int:
    """Suggest what the masks of an image are called, after `segany engine learn`."""
    from segany.engine.features import mask_features
    from segany.engine.models import class_names, model_in_use
    from segany.predict import EmbeddingCache, Predictor

    with opened_store(store) as opened:
        learned = class_names(opened)
        if learned is None:
            raise ConfigError(f"no names were learned; name some masks, then: segany engine learn {store}")
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
def like(
    store: StoreArgument,
    record: Annotated[int, typer.Argument(help="The record whose masks show what is meant, from `segany store ls`.")],
    mask: Annotated[
        list[str] | None, typer.Option(help="A mask's id; repeat it. All that nobody rejected if left out.")
    ] = None,
    category: Annotated[str | None, typer.Option(help="Only masks of this class, and what is found gets it.")] = None,
    on: Annotated[
        list[int] | None, typer.Option(help="A record to look at; repeat it. All others if left out.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most proposals for an image.")] = 20,
    least: Annotated[
        float, typer.Option(min=-1.0, max=1.0, help="How alike proposals must be at least: a cosine.")
    ] = 0.65,
    points_per_side: Annotated[int, typer.Option(min=1, help="Clicks along each side of an image.")] = 16,
    as_json: JsonOption = False,
) -> int:
    """Propose objects like an image's masks on other images, for people to decide on.

    The same command goes on after an interruption.
    """
    from segany.engine.alike import LIKE, LikeSettings, like_handler
    from segany.engine.running import run_to_end

    settings = LikeSettings(
        record,
        tuple(mask or ()),
        category=category,
        on=None if on is None else tuple(on),
        limit=limit,
        least=least,
        points_per_side=points_per_side,
    )
    with opened_store(store) as opened:
        result = run_to_end(opened, LIKE, settings.to_dict(), {LIKE: like_handler(opened)})
    if as_json:
        print(json.dumps(result))
        return 0
    of_class = "" if result["category"] is None else f" of {result['category']}"
    print(f"{result['images']} images, {result['exemplars']} exemplars{of_class}: {result['found']} proposals")
    if result["found"]:
        print(f"they are flagged; decide on them on the page: segany serve --store {store}")
    return 0


@app.command()
def chooser(
    store: StoreArgument,
    out: Annotated[Path | None, typer.Option(help="Write it to this file, for `segany evaluate --chooser`.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Forget what was learned.")] = False,
    by: ActorOption = None,
) -> int:
    """Show what accepted masks taught of a first click's three masks; write it to a file, or forget it."""
    from segany.engine.models import CHOOSER, keep, mask_chooser
    from segany.files import write_text

    with opened_store(store) as opened:
        if reset:
            keep(opened, None, CHOOSER, actor=actor_of(by))
        found = mask_chooser(opened)
    if out is not None:
        write_text(out, f"{json.dumps(found.to_dict())}\n")
        print(out)
    depth, bias, size = found.rule
    print(f"learned from {len(found.surprises)} masks; weights: depth {depth:g}, bias {bias:g}, size {size:g}")
    print(f"bias of the three masks: {', '.join(f'{value:+.2f}' for value in found.bias)}")
    return 0


app.command("jobs")(_engine_jobs.jobs)
app.command("promote")(_engine_models.promote)
app.command("watch")(_engine_models.watch)
app.command("rollback")(_engine_models.rollback)
app.command("models")(_engine_models.models)
