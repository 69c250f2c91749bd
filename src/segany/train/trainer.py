"""Trainer: the loop. Draws, learns, checks, keeps; goes on where it was after whatever stopped it."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor

from segany.errors import TrainingError
from segany.model.sam import Sam
from segany.train.checkpoints import Checkpoints
from segany.train.config import TrainConfig
from segany.train.data import Sample
from segany.train.history import History
from segany.train.schedule import rate_at
from segany.train.strategies import Learning, parameter_groups, regularized
from segany.train.tasks import Task
from segany.train.validate import Validation, validate

__all__ = ["Outcome", "Progress", "Spent", "TrainProgress", "Trainer"]


@dataclass(frozen=True)
class TrainProgress:
    """Where a run stands.

    Attributes:
        stage: "embed", "train" or "validate".
        done: Units of the stage that are done.
        total: Units in all.
        loss: Of the last step, or None.
        validation: The last one, or None.
        seconds_left: Of this stage, as it looks now, or None.
    """

    stage: str
    done: int
    total: int
    loss: float | None = None
    validation: Validation | None = None
    seconds_left: float | None = None


Progress = Callable[[TrainProgress], None]


class Spent(NamedTuple):
    """What a run took, all calls together, as far as checkpoints know of them.

    Attributes:
        seconds: On the clock.
        processor_seconds: Of all processors.
    """

    seconds: float
    processor_seconds: float

    @classmethod
    def now(cls) -> "Spent":
        """Both clocks of this process."""
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: "Spent", before: "Spent") -> "Spent":
        """What passed since a start, and what was spent before it."""
        return Spent(*(now - then + had for now, then, had in zip(self, start, before, strict=True)))


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        stopped: "finished", "early" or "cancelled".
        step: Steps that were made.
        best_step: The step whose parameters the model now has.
        before: Validation of the model that it started from.
        best: Validation at that step.
        spent: What it took.
    """

    stopped: str
    step: int
    best_step: int
    before: Validation | None
    best: Validation | None
    spent: Spent


class Trainer:
    """Makes steps of a task until they are done, validation gets no better, or someone says stop."""

    def __init__(
        self,
        fabric: Fabric,
        model: Sam,
        learning: Sequence[Learning],
        task: Task,
        config: TrainConfig,
        *,
        val: Sequence[Sample],
        checkpoints: Checkpoints,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
        started: Spent | None = None,
    ) -> None:
        """Set up.

        Args:
            fabric: Launched.
            model: On its device.
            learning: Its parameters that learn.
            task: What.
            config: How.
            val: The validating side; may be empty.
            checkpoints: Where to go on from.
            progress: Told after each step.
            cancelled: Asked after each step.
            started: When the call began; now when left out.
        """
        self._started, self._spent_before = started or Spent.now(), Spent(0.0, 0.0)
        self._fabric, self._model, self._task, self._config = fabric, model, task, config
        self._parameters = {one.name: one.parameter for one in learning}
        self._val, self._checkpoints = val, checkpoints
        self._progress, self._cancelled = progress, cancelled
        self._optimizer = torch.optim.AdamW(
            parameter_groups(list(learning), config.weight_decay), lr=config.rate, betas=config.betas
        )
        self._step, self._bad, self._best_step = 0, 0, 0
        self._before: Validation | None = None
        self._best: Validation | None = None
        self._last: Validation | None = None
        self._best_parameters: dict[str, Tensor] = {}
        self.rows: list[dict[str, Any]] = []

    def restore(self) -> bool:
        """Go on from the newest checkpoint, if there is one.

        Raises:
            CheckpointError: It is damaged.
            ConfigError: It is of another run.
        """
        state = self._checkpoints.load()
        if state is None:
            return False
        with torch.no_grad():
            for name, tensor in state["parameters"].items():
                self._parameters[name].copy_(tensor)
        self._optimizer.load_state_dict(state["optimizer"])
        self._step, self._bad, self._best_step = state["step"], state["bad"], state["best_step"]
        self._before, self._best, self._last = (
            None if state[key] is None else Validation(*state[key]) for key in ("before", "best", "last")
        )
        self._best_parameters = state["best_parameters"]
        self._spent_before = Spent(*state["spent"])
        self.rows = state["rows"]
        return True

    @property
    def step(self) -> int:
        """Steps that were made."""
        return self._step

    def run(self, history: History | None) -> Outcome:
        """Make the steps that are left; the model then has the best parameters.

        Args:
            history: Gets a row for each step; None on all devices but the first.

        Raises:
            TrainingError: A loss or a gradient is not a number; the last good checkpoint is kept.
            OutputError: A checkpoint cannot be written; the one before is kept.
        """
        config = self._config
        stopped = "finished"
        self._rows = history
        with regularized(self._model, config):
            if self._step == 0 and self._before is None:
                self._before = self._last = self._validate()
                self._add({"step": 0, **_figures(self._before)})
                self._save()
            started, first = time.perf_counter(), self._step
            while self._step < config.steps:
                if self._is_early():
                    stopped = "early"
                    break
                row = self._make_step()
                self._step += 1
                if self._step % config.val_every == 0 or self._step == config.steps:
                    row |= _figures(self._check())
                self._add(row)
                if self._step % config.save_every == 0 or self._step == config.steps:
                    self._save()
                left = (time.perf_counter() - started) / (self._step - first) * (config.steps - self._step)
                self._tell(TrainProgress("train", self._step, config.steps, row["loss"], self._last, left))
                if self._cancelled is not None and self._cancelled():
                    stopped = "cancelled"
                    self._save()
                    break
        if self._best_parameters:
            with torch.no_grad():
                for name, tensor in self._best_parameters.items():
                    self._parameters[name].copy_(tensor)
        else:
            self._best_step = self._step
        return Outcome(stopped, self._step, self._best_step, self._before, self._best, self.spent())

    def _make_step(self) -> dict[str, Any]:
        config, fabric = self._config, self._fabric
        start = time.perf_counter()
        rate = rate_at(self._step, config)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["pace"]
        sums: dict[str, float] = {}
        names: list[str] = []
        for place in range(fabric.global_rank, config.images_per_step, fabric.world_size):
            number = self._step * config.images_per_step + place
            # Whatever a layer draws follows from the step: nothing else needs to be restored.
            torch.manual_seed(hash((config.seed, number)) & 0x7FFFFFFF)
            for part in self._parts(number):
                self._backward(part.loss / config.images_per_step, part.image)
                names.append(part.image)
                for name, value in {"loss": part.loss.detach(), **part.figures}.items():
                    sums[name] = sums.get(name, 0.0) + float(value) / config.images_per_step
        sums = self._shared(sums)
        norm = torch.nn.utils.clip_grad_norm_(list(self._parameters.values()), config.clip_norm)
        if not torch.isfinite(norm):
            raise self._broken("gradient", float(norm), " or ".join(dict.fromkeys(names)))
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        seconds = round(time.perf_counter() - start, 3)
        return {"step": self._step + 1, **sums, "norm": float(norm), "rate": rate, "seconds": seconds}

    def _parts(self, number: int) -> Iterator[Any]:
        parts = self._task.parts(number)
        while True:
            with self._fabric.autocast():
                part = next(parts, None)
            if part is None:
                return
            yield part

    def _backward(self, loss: Tensor, image: str) -> None:
        if not torch.isfinite(loss):
            raise self._broken("loss", float(loss.detach()), image)
        if loss.requires_grad:
            torch.autograd.backward(loss)

    def _broken(self, what: str, value: float, image: str) -> TrainingError:
        saved = self._step // self._config.save_every * self._config.save_every
        return TrainingError(
            f"the {what} of step {self._step + 1} is {value} at {image}. The checkpoint of step {saved} is kept. Look "
            f"at that image with `segany data inspect`, or start anew with a learning rate below {self._config.rate:g}."
        )

    def _shared(self, sums: dict[str, float]) -> dict[str, float]:
        """Sum gradients and figures over the devices, in one message each."""
        if self._fabric.world_size == 1:
            return sums
        for parameter in self._parameters.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in self._parameters.values() if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        flat = _summed(self._fabric, flat)
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        names = sorted({name for one in _gathered(self._fabric, list(sums)) for name in one})
        values = _summed(self._fabric, torch.tensor([sums.get(name, 0.0) for name in names], dtype=torch.float64))
        return dict(zip(names, values.tolist(), strict=True))

    def _check(self) -> Validation | None:
        """Validate; keep the parameters if they are the best so far."""
        self._last = found = self._validate()
        if found is None:
            return None
        if self._best is None or found.value > self._best.value:
            self._best, self._best_step, self._bad = found, self._step, 0
            self._best_parameters = self._snapshot()
        else:
            self._bad += 1
        return found

    def _validate(self) -> Validation | None:
        """On every device alike, so that all decide alike."""
        if not self._val:
            return None
        with torch.no_grad(), self._fabric.autocast():
            return validate(self._model, self._val, self._task.embed, self._config)

    def spent(self) -> Spent:
        """What the run took until now."""
        return Spent.now().since(self._started, self._spent_before)

    def _is_early(self) -> bool:
        return bool(self._config.patience) and self._bad >= self._config.patience

    def _snapshot(self) -> dict[str, Tensor]:
        return {name: parameter.detach().cpu().clone() for name, parameter in self._parameters.items()}

    def _save(self) -> None:
        if self._fabric.global_rank:
            return
        state = {
            "step": self._step,
            "bad": self._bad,
            "best_step": self._best_step,
            "parameters": self._snapshot(),
            "best_parameters": self._best_parameters,
            "optimizer": self._optimizer.state_dict(),
            "spent": list(self.spent()),
            "rows": self._rows.rows if self._rows is not None else [],
            **{
                key: None if value is None else list(value)
                for key, value in (("before", self._before), ("best", self._best), ("last", self._last))
            },
        }
        self._checkpoints.save(self._step, state)

    def _add(self, row: dict[str, Any]) -> None:
        if self._rows is not None:
            self._rows.add(row)

    def _tell(self, progress: TrainProgress) -> None:
        if self._progress is not None and self._fabric.global_rank == 0:
            self._progress(progress)


def _figures(found: Validation | None) -> dict[str, float]:
    return {} if found is None else {"miou_1": found.miou_1, "miou_5": found.miou_5}


def _summed(fabric: Fabric, tensor: Tensor) -> Tensor:
    result = fabric.all_reduce(tensor, reduce_op="sum")
    assert isinstance(result, Tensor)
    return result


def _gathered(fabric: Fabric, names: list[str]) -> list[list[str]]:
    found: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(found, names)
    return found
