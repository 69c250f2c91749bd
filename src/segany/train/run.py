"""train: one call from data to a model; the same call again goes on where it was."""

import copy
import json
import pickle
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from segany.errors import ConfigError
from segany.files import write_text
from segany.model.checkpoint import model_digest, save_sam
from segany.model.sam import Sam
from segany.predict._checkpoints import locate
from segany.predict.cache import EmbeddingCache
from segany.predict.image import Predictor
from segany.train.checkpoints import Checkpoints
from segany.train.config import TrainConfig
from segany.train.data import Samples, TrainingData, load_samples
from segany.train.embeddings import Embeddings
from segany.train.history import History, check_extras
from segany.train.lora import merge_lora, save_lora
from segany.train.plan import Plan, check_fits, make_plan
from segany.train.refit import fit_head
from segany.train.strategies import choose_parameters
from segany.train.student import calibrate, make_student
from segany.train.tasks import Distilling, Interactive, Task, as_input
from segany.train.trainer import Outcome, Progress, Spent, Trainer, TrainProgress
from segany.train.validate import Validation, validate

__all__ = ["ADAPTER", "MANIFEST", "MODEL", "TrainResult", "train"]

MODEL = "model.safetensors"
ADAPTER = "adapter.safetensors"
MANIFEST = "manifest.json"
_CALIBRATED_ON = 8
_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}


@dataclass(frozen=True)
class TrainResult:
    """What came of a run.

    Attributes:
        model: The checkpoint, for `Predictor` and `segany evaluate --model`; None where the run was cancelled.
        digest: Of its parameters, or None.
        stopped: "finished", "early" or "cancelled".
        steps: Steps that were made.
        best_step: The step whose parameters the model has.
        before: Validation of the model that it started from, or None without a validating side.
        best: Validation at the best step, or None.
        manifest: What it was made from.
        plot: Loss and validation over the steps, or None where the run was cancelled.
        seconds: Time that the run took, all calls together.
        processor_seconds: The same of all processors.
    """

    model: Path | None
    digest: str | None
    stopped: str
    steps: int
    best_step: int
    before: Validation | None
    best: Validation | None
    manifest: Path
    plot: Path | None
    seconds: float
    processor_seconds: float


def train(
    config: TrainConfig,
    *,
    data: Sequence[TrainingData],
    out: Path,
    keep: Sequence[Path] = (),
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    planned: Callable[[Plan], None] | None = None,
    predictor: Predictor | None = None,
    unchecked: bool = False,
) -> TrainResult:
    """Tune a model, or go on with a run that was stopped.

    Called again with the same config, data and folder, it goes on from the last checkpoint, with the same numbers as if
    nothing had happened; a run that has ended gives its result again. What `progress` or `cancelled` raises ends the
    run like a crash: the last checkpoint is there.

    Args:
        config: What and how.
        data: Annotated images.
        out: Folder of the run.
        keep: Photos, with or without annotations, on which answers should stay as they are.
        progress: Told where the run stands.
        cancelled: Asked after each step; True saves a checkpoint and stops.
        planned: Told what lies ahead, before it starts.
        predictor: Of `config.model`, to embed images; one with the cache that the command line shares when left out.
        unchecked: Start even if memory will not suffice.

    Raises:
        ConfigError: Nothing to learn from; it will not fit; the folder holds another run.
        TrainingError: The loss is not a number; the message names the image.
        CheckpointError: A checkpoint is damaged.
        OutputError: Something cannot be written; the last checkpoint is kept.
        MissingExtraError: The extra `train` is not installed.
    """
    check_extras()
    started = Spent.now()
    job = _Job(config, tuple(data), Path(out), tuple(keep), predictor, unchecked)
    fabric = _fabric(config)
    if config.devices == 1:
        return job.run(fabric, progress, cancelled, planned, started)
    # Callbacks do not reach other processes, and Fabric would take a frozen result apart on its way back.
    results: list[TrainResult] = pickle.loads(fabric.launch(_in_process, job))  # type: ignore[arg-type]
    return results[0]


def _in_process(fabric: Fabric, job: "_Job") -> bytes:
    return pickle.dumps([job.run(fabric, None, None, None, Spent.now())])


def _fabric(config: TrainConfig) -> Fabric:
    cuda = config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available())
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, but torch sees no GPU here; use --device cpu.")
    strategy = "auto" if config.devices == 1 else "ddp_spawn"
    return Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=config.devices,
        strategy=strategy,
        precision=_PRECISIONS[config.precision],  # type: ignore[arg-type]
    )


class _Job:
    """One call of `train`. Not a dataclass: Fabric would take that apart on its way to other processes."""

    def __init__(
        self,
        config: TrainConfig,
        data: tuple[TrainingData, ...],
        out: Path,
        keep: tuple[Path, ...],
        predictor: Predictor | None,
        unchecked: bool,
    ) -> None:
        self.config, self.data, self.out, self.keep = config, data, out, keep
        self.predictor, self.unchecked = predictor, unchecked

    def run(
        self,
        fabric: Fabric,
        progress: Progress | None,
        cancelled: Callable[[], bool] | None,
        planned: Callable[[Plan], None] | None,
        started: Spent,
    ) -> TrainResult:
        config = self.config
        samples = load_samples(
            self.data, val_share=config.val_share, seed=config.seed, max_area_share=config.max_area_share
        )
        run = f"{config.digest} {samples.digest} {' '.join(str(path.name) for path in self.keep)}"
        done = self._done(run)
        if done is not None:
            return done
        original = locate(config.model).load()
        parent = model_digest(original)
        predictor = self.predictor or Predictor(config.model, cache=EmbeddingCache.default())
        embeddings = Embeddings(predictor, config.views, config.seed)
        model = make_student(original, config) if config.tune == "distil" else original
        if config.tune == "distil":
            calibrate(model, _first_inputs(model, samples))
        learning = choose_parameters(model, config)
        model.to(fabric.device)
        untuned = {one.name: one.parameter.detach().cpu().clone() for one in learning}
        task: Task
        if config.tune == "distil":
            task = Distilling(model, config, samples.train, embeddings, fabric.device)
        else:
            task = Interactive(model, config, samples.train, embeddings, self.keep, fabric.device)
        trainer = Trainer(
            fabric,
            model,
            learning,
            task,
            config,
            val=samples.val,
            checkpoints=Checkpoints(self.out, run),
            progress=progress,
            cancelled=cancelled,
            started=started,
        )
        trainer.restore()
        plan = make_plan(model, learning, config, samples, fabric.device, config.steps - trainer.step)
        if planned is not None:
            planned(plan)
        if not self.unchecked:
            check_fits(plan, config)
        if fabric.global_rank == 0:
            self._write_manifest(run, samples, parent, None)
        _embed_all(embeddings, samples, config, progress)
        history = History(self.out, trainer.rows) if fabric.global_rank == 0 else None
        try:
            outcome = trainer.run(history)
        finally:
            if history is not None:
                history.close()
        if outcome.stopped == "cancelled" or history is None:
            return self._result(outcome, None, None, None)
        if config.blend < 1 and config.tune != "distil":
            _blend({one.name: one.parameter for one in learning}, untuned, config.blend)
        if isinstance(task, Interactive) and config.refit_objects:
            with torch.no_grad(), fabric.autocast():
                best = _refit(model, task, samples, config, outcome.best)
            outcome = outcome._replace(best=best, spent=trainer.spent())
        digest = self._save_model(model, parent, samples, outcome)
        plot = history.plot()
        result = self._result(outcome, self.out / MODEL, digest, plot)
        self._write_manifest(run, samples, parent, result)
        Checkpoints(self.out, run).clear()
        return result

    def _save_model(self, model: Sam, parent: str, samples: Samples, outcome: Outcome) -> str:
        config = self.config
        model.cpu()
        if config.tune == "lora":
            if not config.merge:
                save_lora(model, self.out / ADAPTER, parent=parent)
            merge_lora(model)
        scores = {} if outcome.best is None else {f"val {k}": v for k, v in outcome.best._asdict().items()}
        card = {
            "name": f"{model.config.name}-{config.tune}",
            "parent": parent,
            "trained_on": samples.digest,
            "scores": scores,
            "training": config.to_dict(),
            "status": "candidate",
        }
        return str(save_sam(model, self.out / MODEL, card)["digest"])

    def _result(self, outcome: Outcome, model: Path | None, digest: str | None, plot: Path | None) -> TrainResult:
        return TrainResult(
            model=model,
            digest=digest,
            stopped=outcome.stopped,
            steps=outcome.step,
            best_step=outcome.best_step,
            before=outcome.before,
            best=outcome.best,
            manifest=self.out / MANIFEST,
            plot=plot,
            seconds=outcome.spent.seconds,
            processor_seconds=outcome.spent.processor_seconds,
        )

    def _write_manifest(self, run: str, samples: Samples, parent: str, result: TrainResult | None) -> None:
        said: dict[str, Any] = {
            "run": run,
            "config": self.config.to_dict(),
            "data": {
                "names": [one.name for one in self.data],
                "digest": samples.digest,
                "train_images": len(samples.train),
                "val_images": len(samples.val),
                "val": [sample.name for sample in samples.val],
                "kept": [path.name for path in self.keep],
            },
            "parent": parent,
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("segany", "torch", "lightning-fabric", "numpy")},
            },
            "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
            "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "result": None,
        }
        if result is not None:
            said["result"] = {
                **{key: value for key, value in asdict(result).items() if key not in ("model", "manifest", "plot")},
                "before": None if result.before is None else result.before._asdict(),
                "best": None if result.best is None else result.best._asdict(),
            }
        write_text(self.out / MANIFEST, json.dumps(said, indent=1) + "\n")

    def _done(self, run: str) -> TrainResult | None:
        """The result of the same run if it has ended before."""
        path = self.out / MANIFEST
        if not path.is_file() or not (self.out / MODEL).is_file():
            return None
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(f"{path} is damaged ({error}); choose another --out, or delete the folder.") from error
        if said.get("run") != run:
            raise ConfigError(
                f"{self.out} holds the result of a run with other settings or other data; choose another --out."
            )
        result = said.get("result")
        if result is None:
            return None
        for key in ("before", "best"):
            result[key] = None if result[key] is None else Validation(**result[key])
        plot = self.out / "training.png"
        return TrainResult(model=self.out / MODEL, manifest=path, plot=plot, **result)


def _first_inputs(model: Sam, samples: Samples) -> Iterator[torch.Tensor]:
    cpu = torch.device("cpu")
    return (as_input(model, sample.entry.open().pixels, cpu) for sample in samples.train[:_CALIBRATED_ON])


def _embed_all(embeddings: Embeddings, samples: Samples, config: TrainConfig, progress: Progress | None) -> None:
    """Embed all views before the first step, so that steps take the same time each."""
    if config.tune in ("lora", "full"):
        return
    total = len(samples.train) * config.views
    for place, sample in enumerate(samples.train):
        for number in range(config.views):
            embeddings.of_sample(sample, place, number)
            if progress is not None:
                progress(TrainProgress("embed", place * config.views + number + 1, total))


def _refit(
    model: Sam, task: Interactive, samples: Samples, config: TrainConfig, best: Validation | None
) -> Validation | None:
    """Fit the IoU head once more; take it back where that validates worse. Gives what the model validates at then."""
    objects, kept = task.evidence()
    if objects is None:
        return best
    before = validate(model, samples.val, task.embed, config) if config.blend < 1 else best
    head = model.mask_decoder.iou_prediction_head
    former = copy.deepcopy(head.state_dict())
    with torch.enable_grad(), torch.autocast(objects.tokens.device.type, enabled=False):
        fit_head(model, objects, kept)
    after = validate(model, samples.val, task.embed, config)
    if before is not None and after is not None and after.value < before.value:
        head.load_state_dict(former)
        return before
    return after


def _blend(learnt: dict[str, torch.nn.Parameter], untuned: dict[str, torch.Tensor], share: float) -> None:
    """Weight-space averaging of tuned and untuned parameters (Wortsman et al., arXiv 2109.01903)."""
    with torch.no_grad():
        for name, parameter in learnt.items():
            parameter.copy_(torch.lerp(untuned[name].to(parameter), parameter, share))
