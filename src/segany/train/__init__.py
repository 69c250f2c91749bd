"""Training: a model gets better at what people accepted; losses, interactions, strategies, one trainer.

`train(config, data=..., out=...)` makes a candidate checkpoint that `segany.Predictor` reads.
"""

from segany.train.config import TrainConfig
from segany.train.data import FolderData, StoreData, TrainingData
from segany.train.lora import apply_lora
from segany.train.plan import Plan
from segany.train.run import TrainResult, train
from segany.train.trainer import TrainProgress
from segany.train.validate import Validation

__all__ = [
    "FolderData",
    "Plan",
    "StoreData",
    "TrainConfig",
    "TrainProgress",
    "TrainResult",
    "TrainingData",
    "Validation",
    "apply_lora",
    "train",
]
