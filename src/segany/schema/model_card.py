"""ModelCard, DatasetVersion and Report: what a model is, what it learned from, how well it does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

__all__ = ["DatasetVersion", "ModelCard", "ModelStatus", "Report"]

ModelStatus = Literal["candidate", "promoted", "retired"]


@dataclass(frozen=True)
class ModelCard:
    """What travels inside a weights file.

    Attributes:
        name: Name of the model.
        digest: Digest of its parameters.
        config: The model's config, as JSON values.
        parent: Digest of the model it was trained from, or None.
        trained_on: Digest of the dataset version, or what its publisher says.
        scores: Protocol and metric -> value.
        licence: SPDX identifier.
        status: Candidate, promoted or retired.
    """

    name: str
    digest: str
    config: Mapping[str, Any]
    parent: str | None = None
    trained_on: str | None = None
    scores: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    licence: str | None = None
    status: ModelStatus = "candidate"


@dataclass(frozen=True)
class DatasetVersion:
    """An immutable snapshot of a collection.

    Attributes:
        name: Its name.
        digest: Digest over its records.
        record_ids: The records in it, in order.
        split: Record id -> "train", "val" or "test".
    """

    name: str
    digest: str
    record_ids: tuple[int | str, ...]
    split: Mapping[int | str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Report:
    """The outcome of one protocol.

    Attributes:
        protocol: Its name.
        dataset_digest: What it was measured on.
        model_digest: What was measured.
        metrics: Metric -> value.
        n: Number of items.
        interval: Metric -> (low, high) of the 95 % bootstrap interval.
    """

    protocol: str
    dataset_digest: str
    model_digest: str
    metrics: Mapping[str, float]
    n: int
    interval: Mapping[str, tuple[float, float]] = field(default_factory=lambda: MappingProxyType({}))
