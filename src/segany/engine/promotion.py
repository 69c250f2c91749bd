"""Promotion: a candidate takes over only if it is better by more than chance, and nowhere worse than is allowed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from segany.engine.models import CHOOSER, DEFAULT_MODEL, checkpoint_of, keep, mask_chooser, model_in_use
from segany.errors import ConfigError
from segany.evaluate.intervals import Interval, percentile_interval
from segany.evaluate.items import EvaluationSet
from segany.evaluate.protocols import Clicks
from segany.evaluate.result_cache import ResultCache
from segany.evaluate.run import Progress, evaluate
from segany.evaluate.subjects import SubjectSpec
from segany.files import write_bytes
from segany.formats import sa1b
from segany.schema import Annotation, ModelCard, Record
from segany.store import Store

__all__ = ["Decision", "Verdict", "compare_models", "decisions", "promote", "rollback", "write_target"]

METRICS = ("mIoU@1", "mIoU@5")
REFUSED, PROMOTED = "engine.refused", "engine.promoted"


@dataclass(frozen=True)
class Verdict:
    """How a candidate does on one set.

    Attributes:
        set_name: Of the set.
        role: "target": it must be better at one click. "guard": it must not be worse than the margin.
        metric: Which figure.
        incumbent: The model in use, 0 to 1.
        candidate: The candidate.
        difference: Candidate less incumbent, paired over images.
        passed: Whether this lets it through.
    """

    set_name: str
    role: Literal["target", "guard"]
    metric: str
    incumbent: float
    candidate: float
    difference: Interval
    passed: bool

    def says(self, margin: float) -> str:
        """In words."""
        figures = f"{self.incumbent * 100:.1f} -> {self.candidate * 100:.1f}, difference {self.difference.points()}"
        if _must_win(self.role, self.metric):
            rule = "better by more than chance" if self.passed else "not better by more than chance"
        else:
            worse = "not worse" if self.passed else "maybe worse"
            rule = f"{worse} than the margin of {margin * 100:g}"
        return f"{self.set_name} ({self.role}), {self.metric}: {figures}: {rule}"


def _must_win(role: str, metric: str) -> bool:
    """Whether to be no worse is too little: at one click on the target."""
    return role == "target" and metric == METRICS[0]


@dataclass(frozen=True)
class Decision:
    """Whether a candidate takes over, and why.

    Attributes:
        promoted: Whether.
        candidate: Digest of its parameters.
        incumbent: Digest of the model in use.
        margin: What a guard may lose, 0 to 1.
        verdicts: Set by set.
        trained_on: Digest of the version that it was trained on, or None.
    """

    promoted: bool
    candidate: str
    incumbent: str
    margin: float
    verdicts: tuple[Verdict, ...]
    trained_on: str | None = None

    def says(self) -> list[str]:
        """In words, a line each."""
        failed = [one for one in self.verdicts if not one.passed]
        head = "promoted: better on the target, and no guard is worse than the margin"
        if failed:
            head = "refused: " + "; ".join(f"{one.metric} of {one.set_name}" for one in failed)
        return [head, *(one.says(self.margin) for one in self.verdicts)]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "verdicts": [asdict(one) for one in self.verdicts], "says": self.says()}


def compare_models(
    candidate: str,
    incumbent: str,
    target: EvaluationSet,
    guards: Sequence[EvaluationSet] = (),
    *,
    margin: float = 0.01,
    trained_on: str | None = None,
    runtime: str = "auto",
    precision: str = "auto",
    cache: ResultCache | None = None,
    progress: Progress | None = None,
) -> Decision:
    """Evaluate both by the paper's clicks, and decide.

    On the target the IoU after one click must be better: the whole 95 % interval of the difference, paired over images,
    above zero; after five clicks it must not be worse by more than the margin. On a guard neither may be: the whole
    interval above minus the margin.

    Args:
        candidate: A checkpoint.
        incumbent: What is in use.
        target: What it was trained for, images that it was not trained on.
        guards: What must not get worse.
        margin: By how much it may, 0 to 1.
        trained_on: As in `Decision`.
        runtime: Of both.
        precision: Of both.
        cache: Of what was measured before; a call that was interrupted goes on from it.
        progress: Told what is being measured.

    Raises:
        ConfigError: The candidate is the incumbent, or the margin is below 0.
    """
    if margin < 0:
        raise ConfigError(f"margin must be 0 or more, got {margin:g}.")
    sets = [target, *guards]
    specs = [SubjectSpec.parse(model, runtime=runtime, precision=precision) for model in (incumbent, candidate)]
    done = evaluate(Clicks(counts=(1, 5)), sets, specs, cache=cache, strict=True, progress=progress)
    digests = [model.digest.split()[0] for model in done.models]
    if digests[0] == digests[1]:
        raise ConfigError(f"{candidate} has the parameters of the model in use; there is nothing to decide.")
    before, after = done.results[: len(sets)], done.results[len(sets) :]
    verdicts = []
    for one, other in zip(before, after, strict=True):
        role: Literal["target", "guard"] = "target" if one.set_name == target.name else "guard"
        for metric in METRICS:
            old, new = one.metrics()[metric], other.metrics()[metric]
            # The same images are drawn for both.
            gap = percentile_interval(new.value() - old.value(), new.draws() - old.draws(), old.n)
            passed = gap.low > (0 if _must_win(role, metric) else -margin)
            verdicts.append(Verdict(one.set_name, role, metric, old.value(), new.value(), gap, passed))
    promoted = all(one.passed for one in verdicts)
    return Decision(promoted, digests[1], digests[0], margin, tuple(verdicts), trained_on)


def promote(store: Store, checkpoint: str, decision: Decision, *, actor: str) -> ModelCard:
    """Write down a decision, and carry it out: the candidate's card, and who is in use.

    Args:
        store: Whose model.
        checkpoint: The candidate's file.
        decision: Of `compare_models`.
        actor: Who decides.

    Returns:
        The candidate's card: "promoted", or "candidate" where it was refused.
    """
    incumbent = store.models.promoted
    if incumbent is None:
        # So that there is something to go back to.
        start = ModelCard(DEFAULT_MODEL, decision.incumbent, {"model": DEFAULT_MODEL}, status="candidate")
        store.models.add(start, actor=actor)
        store.models.promote(decision.incumbent, actor=actor, why={"says": ["the model that the store began with"]})
    scores = {f"{one.set_name} {one.metric}": one.candidate for one in decision.verdicts}
    path = Path(checkpoint).absolute()
    card = ModelCard(
        # A run writes "model.safetensors" into a folder of its own, whose name tells more.
        path.parent.name if path.stem == "model" and path.parent.name else path.stem,
        decision.candidate,
        {"model": str(path), "decision": decision.to_dict()},
        parent=decision.incumbent,
        trained_on=decision.trained_on,
        scores=scores,
    )
    store.models.add(card, actor=actor)
    store.events.add(PROMOTED if decision.promoted else REFUSED, actor=actor, details=decision.to_dict())
    if not decision.promoted:
        return store.models.get(decision.candidate)
    card = store.models.promote(decision.candidate, actor=actor, why=decision.to_dict())
    _tell_chooser(store, actor)
    return card


def rollback(store: Store, *, actor: str, why: str = "") -> ModelCard:
    """Go back to the model that was in use before the present one.

    Args:
        store: Whose model.
        actor: Who decides.
        why: For the log.

    Raises:
        ConfigError: There was none, or its checkpoint is gone.
    """
    now = store.models.promoted
    for event in store.events.list(kind="model.promoted", newest_first=True):
        if now is not None and event.details["digest"] == now.digest and event.details["retired"]:
            former = str(event.details["retired"][0])
            checkpoint_of(store, former)
            card = store.models.promote(former, actor=actor, why={"says": [f"rolled back {why}".strip()]})
            _tell_chooser(store, actor)
            return card
    raise ConfigError(f"no model was in use before {model_in_use(store)}; there is nothing to go back to.")


def _tell_chooser(store: Store, actor: str) -> None:
    """Another model's scores are misjudged otherwise."""
    chooser = mask_chooser(store)
    if chooser.surprises:
        keep(store, chooser.with_another_model(), CHOOSER, actor=actor)


def write_target(store: Store, folder: Path, *, version: str, split: str) -> int:
    """Write what people accepted in a split of a version as SA-1B records with their images, to be evaluated on.

    Args:
        store: Whose records.
        folder: Where; made if it is not there.
        version: A frozen version, or "live".
        split: Which side: "test".

    Returns:
        How many images have accepted masks.

    Raises:
        ConfigError: None has.
    """
    revision = store.versions.revision(version)
    count = 0
    for stored in store.records.iterate(store.records.ids(revision=revision, split=split), revision=revision):
        masks = tuple(one for one in stored.record.annotations if one.review_state == "accepted")
        if not masks or not stored.has_pixels:
            continue
        name, content = store.image_file(stored.id)
        file_name = f"{stored.id}{Path(name).suffix}"
        write_bytes(folder / file_name, content)
        sa1b.write_record(_only(stored.record, masks, file_name), folder / f"{stored.id}.json")
        count += 1
    if count == 0:
        raise ConfigError(
            f"no image of the split {split!r} of {version} has an accepted mask; assign splits with "
            "segany store split, and review some."
        )
    return count


def _only(record: Record, masks: Sequence[Annotation], file_name: str) -> Record:
    numbered = tuple(replace(one, id=place) for place, one in enumerate(masks))
    return replace(record, annotations=numbered, image=replace(record.image, file_name=file_name))


def decisions(store: Store) -> list[Mapping[str, Any]]:
    """Every decision, the newest first."""
    found = [*store.events.list(kind=PROMOTED), *store.events.list(kind=REFUSED)]
    return [event.details for event in sorted(found, key=lambda event: -event.id)]
