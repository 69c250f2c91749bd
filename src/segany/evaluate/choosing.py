"""What a mask chooser makes of the first click: figures beside the paper's, from the same answers.

A chooser that learns depends on what came before, and rows must not. So rows hold what there was to choose from, and
the metrics choose, object by object, in the order of the set.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError
from segany.evaluate.click_loop import Candidate
from segany.evaluate.metrics import Ratio, Row, Value
from segany.evaluate.truth import Truth
from segany.predict.choose import CANDIDATES, Candidates, MaskChooser

__all__ = ["LEARNING", "UNTAUGHT", "GapClosed", "MeanChosen", "candidate_columns", "read_chooser"]

LEARNING, UNTAUGHT = "learning", "untaught"
_PARTS = ("score", "depth", "share", "iou")


def candidate_columns(candidates: Sequence[Candidate], truth: Truth) -> dict[str, Value]:
    """Columns of a row: what there was to choose from; none where it was no choice of three.

    Args:
        candidates: Of the first click.
        truth: What was meant, the mask that a person would have accepted in the end.
    """
    if len(candidates) != CANDIDATES:
        return {}
    share = truth.area / truth.size.area
    columns: dict[str, Value] = {"share": share}
    return columns | {
        f"{part}_1_{k}": value for k, each in enumerate(candidates) for part, value in zip(_PARTS, each, strict=True)
    }


def read_chooser(word: str) -> MaskChooser:
    """The chooser that a word of the command line means.

    Args:
        word: "learning" or "untaught": a new one; or a file of `segany engine chooser`.

    Raises:
        ConfigError: No such file, or another kind of file.
    """
    if word in (LEARNING, UNTAUGHT):
        return MaskChooser()
    try:
        values = json.loads(Path(word).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"a chooser is {LEARNING}, {UNTAUGHT} or a file of `segany engine chooser`, got {word!r}: {error}."
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(f"{word} is no chooser; write one with `segany engine chooser`.")
    return MaskChooser.from_dict(values)


class _Choosing(Ratio):
    """Chooses a mask for each row, then sums columns.

    A slice of a set (a class, a size) has a metric of its own, and so a chooser that learns from that slice alone.
    """

    def __init__(self, word: str, numerator: str, denominator: str | None) -> None:
        """Name the chooser and the columns."""
        self._word = word
        super().__init__(numerator, denominator)

    def reset(self) -> None:
        """See `Metric.reset`; what was learned is forgotten, too."""
        super().reset()
        self._chooser = read_chooser(self._word)

    def update(self, rows: Sequence[Row]) -> None:
        """See `Metric.update`."""
        super().update([self._figures(row) for row in rows])

    def _figures(self, row: Row) -> Row:
        parts = [[row.get(f"{part}_1_{k}") for k in range(CANDIDATES)] for part in _PARTS]
        if any(value is None for part in parts for value in part):
            return {}
        scores, depths, shares, ious = (np.array(part, dtype=np.float64) for part in parts)
        candidates = Candidates(scores, depths, shares)
        chosen = int(np.argmax(self._chooser.preferences(candidates)))
        area = row.get("share")
        if self._word == LEARNING and isinstance(area, float):
            self._chooser = self._chooser.remembered(candidates, ious, area)
        return _figures(ious, chosen, int(np.argmax(scores)))


class MeanChosen(_Choosing):
    """Mean IoU of the mask that a chooser takes at the first click, or how much better that is."""

    def __init__(self, chooser: str, *, difference: bool = False) -> None:
        """Choose.

        Args:
            chooser: As `read_chooser` takes it.
            difference: Less the IoU of the mask of highest predicted IoU, of the same object.
        """
        super().__init__(chooser, "won" if difference else "chosen", None)


class GapClosed(_Choosing):
    """How much of the difference between the mask of highest predicted IoU and the best of the three is won."""

    def __init__(self, chooser: str) -> None:
        """Choose.

        Args:
            chooser: As `read_chooser` takes it.
        """
        super().__init__(chooser, "won", "gap")


def _figures(ious: NDArray[np.float64], chosen: int, plain: int) -> dict[str, Value]:
    return {
        "chosen": float(ious[chosen]),
        "won": float(ious[chosen] - ious[plain]),
        "gap": float(ious.max() - ious[plain]),
    }
