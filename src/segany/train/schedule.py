"""The learning rate over a run."""

import math

from segany.train.config import TrainConfig

__all__ = ["rate_at"]

# SAM paper, app. A: divided by 10 after 60,000 and after 86,666 of 90,000 iterations.
_DROPS = (60_000 / 90_000, 86_666 / 90_000)


def rate_at(step: int, config: TrainConfig) -> float:
    """The learning rate of a step, from 0."""
    warmup = min(config.warmup_steps, config.steps // 10)
    rise = min(1.0, (step + 1) / (warmup + 1))
    done = step / config.steps
    if config.schedule == "cosine":
        return config.rate * rise * (1 + math.cos(math.pi * done)) / 2
    return config.rate * rise * 0.1 ** sum(done >= drop for drop in _DROPS)
