"""A round of learning: freeze what was accepted, retrain, compare, promote or refuse; done again when a crash comes."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from segany.engine.models import confidence, model_in_use
from segany.engine.promotion import compare_models, promote, write_target
from segany.engine.reviews import learn_confidence
from segany.errors import ConfigError
from segany.evaluate.items import EvaluationSet
from segany.evaluate.result_cache import ResultCache
from segany.predict import EmbeddingCache, Predictor
from segany.store import JobContext, JobHandler, Store

__all__ = ["ROUND", "LearningRound", "Retrain", "accepted_masks", "due", "retrain", "round_handler"]

ROUND = "engine.round"


@dataclass(frozen=True)
class LearningRound:
    """What a round does.

    Attributes:
        version: Name of the version to freeze and learn from; one that is frozen already is taken as it is.
        out: Folder for checkpoints.
        candidate: A checkpoint to decide on; trained when left out.
        target: Folder of annotated images to be better on; the split `target_split` of the version when left out.
        target_split: See `target`.
        guards: Name -> folder of annotated images on which nothing may get worse.
        limit: Most objects of each set.
        margin: What a guard may lose, 0 to 1.
        train: Settings of training.
        keep: Photos on which answers should stay as they are.
        runtime: Of both models while they are compared.
    """

    version: str
    out: str
    candidate: str | None = None
    target: str | None = None
    target_split: str = "test"
    guards: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = 200
    margin: float = 0.01
    train: Mapping[str, Any] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    runtime: str = "auto"


class Retrain(Protocol):
    """Makes a checkpoint from a version of a store."""

    def __call__(self, store: Store, wanted: LearningRound, model: str, out: Path, context: JobContext) -> Path:
        """Train.

        Args:
            store: Whose masks.
            wanted: Its version is frozen; its settings of training.
            model: What to start from.
            out: Folder of the run; the same folder goes on with the same run.
            context: Asked whether to stop.
        """
        ...


def accepted_masks(store: Store) -> int:
    """How many masks people have accepted in this store."""
    return store.stats().review_states.get("accepted", 0)


def round_handler(store: Store, *, actor: str, train: Retrain | None = None) -> JobHandler:
    """What does jobs of the kind `ROUND`; the payload is a `LearningRound` as JSON values.

    Training goes on from its last checkpoint after a crash, and what was evaluated is not evaluated again.

    Args:
        store: Whose.
        actor: Who decides, in the log.
        train: Makes the candidate; `retrain` when left out.
    """

    def handle(context: JobContext) -> dict[str, Any]:
        wanted = LearningRound(**context.job.payload)
        known = {one.name for one in store.versions.log()}
        if wanted.version not in known:
            store.versions.freeze(wanted.version, actor=actor, message="for a round of learning")
        digest = store.versions.get(wanted.version).digest
        known_before = context.job.checkpoint or {}
        if "decided" in known_before:
            return _learned(store, known_before["decided"], wanted, actor, context)
        # Written down: after a crash the model in use may be the candidate already.
        accepted = int(known_before.get("accepted", accepted_masks(store)))
        incumbent = str(known_before.get("incumbent", model_in_use(store)))
        context.checkpoint({"accepted": accepted, "incumbent": incumbent})
        checkpoint = wanted.candidate
        if checkpoint is None:
            context.progress(0, 3, "training")
            out = Path(wanted.out) / wanted.version
            checkpoint = str((train or retrain)(store, wanted, incumbent, out, context))
        context.progress(1, 3, "evaluating")
        with tempfile.TemporaryDirectory(prefix="segany-target-") as made:
            folder = Path(wanted.target) if wanted.target is not None else Path(made)
            if wanted.target is None:
                write_target(store, folder, version=wanted.version, split=wanted.target_split)
            decision = compare_models(
                checkpoint,
                incumbent,
                EvaluationSet("target", folder, limit=wanted.limit),
                [EvaluationSet(name, Path(path), limit=wanted.limit) for name, path in wanted.guards.items()],
                margin=wanted.margin,
                trained_on=digest,
                runtime=wanted.runtime,
                cache=ResultCache.default(),
                progress=lambda *_: context.check(),
            )
        context.progress(2, 3, "deciding")
        card = promote(store, checkpoint, decision, actor=actor)
        decided = {**decision.to_dict(), "model": card.config["model"], "accepted": accepted}
        context.checkpoint({"accepted": accepted, "incumbent": incumbent, "decided": decided})
        return _learned(store, decided, wanted, actor, context)

    return handle


def _learned(
    store: Store, decided: dict[str, Any], wanted: LearningRound, actor: str, context: JobContext
) -> dict[str, Any]:
    """Learn anew what people accept where another model is in use now: its masks, and its scores, are others."""
    former = confidence(store)
    if decided["promoted"] and former is not None:
        context.progress(2, 3, "learning what people accept")
        predictor = Predictor(model_in_use(store), runtime=wanted.runtime, cache=EmbeddingCache.default())
        learn_confidence(store, predictor, actor=actor, precision=former.precision, progress=lambda _: context.check())
    return decided


def retrain(store: Store, wanted: LearningRound, model: str, out: Path, context: JobContext) -> Path:
    """Tune the model in use on what a version holds; see `Retrain`.

    Raises:
        ConfigError: The training was stopped before there was a model.
    """
    from segany.train import StoreData, TrainConfig, train

    def stopped() -> bool:
        context.check()
        return False

    config = TrainConfig.from_dict({"model": model, **wanted.train})
    data, keep = [StoreData("store", store, wanted.version)], [Path(path) for path in wanted.keep]
    made = train(config, data=data, out=out, keep=keep, cancelled=stopped)
    if made.model is None:
        raise ConfigError(f"the training in {out} was stopped before it had a model; run it again to go on.")
    return made.model


def due(store: Store, every: int) -> bool:
    """Whether as many masks were accepted since the last round as call for another one.

    Args:
        store: Whose masks.
        every: That many.
    """
    rounds = store.jobs.list(kinds=[ROUND], states=["done"], limit=100_000)
    learned = max((int(job.result.get("accepted", 0)) for job in rounds), default=0)
    return accepted_masks(store) - learned >= every
