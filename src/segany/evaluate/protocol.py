"""EvaluationProtocol: what is asked of whom, which rows come of it, and which figures they give.

How to add a protocol
---------------------
1. Write a frozen dataclass in `evaluate/protocols/NAME.py` that derives from `EvaluationProtocol`. Its fields are its
   settings (numbers, strings, booleans; each with a default): they are options of the command line
   (`--set FIELD=VALUE`), stand in the report and belong to the key of cached rows.
2. `rows(item, subjects, stages)` measures one image and returns its rows: flat mappings of column -> number, string,
   boolean or None. The runner adds the columns `set`, `model`, `image`, the item's metadata. Conventional columns:
   `object` (the annotation's id), `area` (pixels), `size` (`size_of(area)`), `category`. A column whose name begins
   with `_` is for pictures alone (`segany.evaluate.rows`): metrics do not read it and `items.parquet` does not hold
   it. Wrap stages in `with stages("embed"): ...` so that the report can tell where time went. A row must follow from
   the item, the subjects and the settings alone: rows are cached by the digests of the three.
3. `metrics()` names the figures: `Mean("iou")`, `Ratio("found", "objects")`, or `Resampled(function)` where a figure is
   no ratio of sums. The runner updates them image by image, for each set, for each slice, and bootstraps over images.
4. `curve()` and `plots()` say what is drawn, `case_column` which rows are shown as pictures.
5. Add the class to `PROTOCOLS` in `evaluate/protocols/__init__.py`. Raise `version` whenever equal settings give other
   rows.
`open_subject` says what is measured: by default a `Segmenter` (model, runtime or baseline); a protocol that needs
something else overrides it. What it returns must have `name`, `digest` and `about` (see `Segmenter`).
"""

import dataclasses
import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

from segany import weights
from segany.errors import ConfigError
from segany.evaluate.items import Item
from segany.evaluate.metrics import Metric, Row
from segany.evaluate.plot import Plot
from segany.evaluate.subjects import SubjectSpec, open_segmenter

__all__ = ["SIZES", "EvaluationProtocol", "Published", "Stages", "size_of"]

# Square pixels up to which an object is small or medium, as in COCO's evaluation.
SIZES = MappingProxyType({"small": 32**2, "medium": 96**2, "large": float("inf")})


class Published(NamedTuple):
    """A figure that others published, to stand beside ours.

    Attributes:
        name: Of the model.
        metric: Name of our metric that it is comparable to.
        value: As our metrics have it: shares from 0 to 1.
        source: Where it was published, and on what data.
    """

    name: str
    metric: str
    value: float
    source: str


class Stages:
    """Adds up the seconds of named stages: `with stages("embed"): ...`."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclasses.dataclass(frozen=True)
class EvaluationProtocol(ABC):
    """One way of measuring; a frozen dataclass whose fields are its settings. See the module on how to add one.

    Attributes:
        name: On the command line and in reports.
        summary: One line for the help and the report: what is asked and how it is scored.
        version: Raised when equal settings give other rows.
        unit: What `--limit` counts.
        subjects: How many models one measurement takes: 2 for comparisons.
        main: The metric that reports, slices and cases go by.
        case_column: Column of rows that the worst and best cases of a report are chosen by; None for no pictures.
        axis: What the axis of `curve` is.
        sliced_by: Columns that reports are always sliced by.
        published: Figures that others published.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    version: ClassVar[int] = 1
    unit: ClassVar[Literal["object", "image"]] = "object"
    subjects: ClassVar[int] = 1
    main: ClassVar[str]
    case_column: ClassVar[str | None] = None
    axis: ClassVar[str] = ""
    sliced_by: ClassVar[Sequence[str]] = ("size",)
    published: ClassVar[Sequence[Published]] = ()

    def open_subject(self, spec: SubjectSpec, progress: weights.Progress | None = None) -> Any:
        """Load what is measured: a `Segmenter`, unless a protocol needs something else.

        Args:
            spec: What to load.
            progress: Called while weights are fetched.
        """
        return open_segmenter(spec, progress)

    @abstractmethod
    def rows(self, item: Item, subjects: Sequence[Any], stages: Stages) -> list[Row]:
        """Measure one image.

        Args:
            item: The image and what people drew; `item.objects` are those to measure.
            subjects: As many as `subjects` says, from `open_subject`.
            stages: To be told how long what took.

        Raises:
            SeganyError: The image cannot be read or measured; it is counted as a problem and left out.
        """

    @abstractmethod
    def metrics(self) -> Mapping[str, Metric]:
        """Name -> metric, new ones, in the order of the report's columns."""

    def plots(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Plot]:
        """Plots beside those that every report has (the curve, the slices).

        Args:
            columns: All rows of one model: column -> values, None where a row has none; no hidden columns.
        """
        return ()

    def curve(self) -> Mapping[float, str]:
        """Place on the axis -> metric, for the metrics that make one curve."""
        return {}

    def note(self) -> str:
        """What a reader of the figures must know beside the summary; empty for nothing."""
        return ""

    def settings(self) -> dict[str, Any]:
        """The fields, as JSON values."""
        values = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def restored(cls, settings: Mapping[str, Any]) -> "EvaluationProtocol":
        """Make one whose `metrics` are those of a report.

        Args:
            settings: Of `settings`, as read from JSON.
        """
        names = {one.name for one in dataclasses.fields(cls)}
        return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in settings.items() if key in names})

    @property
    def digest(self) -> str:
        """sha256 over name, version and settings, hexadecimal."""
        text = json.dumps([self.name, self.version, self.settings()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def with_settings(cls, given: Mapping[str, str]) -> "EvaluationProtocol":
        """Make one from words of the command line.

        Args:
            given: Field -> value, as text.

        Raises:
            ConfigError: No such field, or a value that is not of its kind.
        """
        fields = {one.name: one for one in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for name, text in given.items():
            if name not in fields:
                known = ", ".join(sorted(fields)) or "none"
                raise ConfigError(f"{cls.name} has no setting {name!r}; it has: {known}.")
            values[name] = _value(name, text, fields[name].default)
        return cls(**values)


def size_of(area: float) -> str:
    """COCO's word for an object's size.

    Args:
        area: Pixels.
    """
    return next(name for name, limit in SIZES.items() if area <= limit)


def _value(name: str, text: str, default: Any) -> Any:
    """Text as a value of the default's kind."""
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    try:
        if isinstance(default, bool):
            return words[text.lower()]
        if isinstance(default, tuple):
            return tuple(_value(name, part.strip(), default[0]) for part in text.split(","))
        return type(default)(text)
    except (KeyError, ValueError) as error:
        kind = "true or false" if isinstance(default, bool) else f"like {default!r}"
        raise ConfigError(f"{name} must be {kind}, got {text!r}.") from error
