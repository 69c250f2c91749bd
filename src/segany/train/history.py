"""History: what a run went through, as lines of JSON, for TensorBoard, and as a picture."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segany.errors import MissingExtraError
from segany.files import atomic_path, write_text

__all__ = ["CURVE", "PLOT", "History", "check_extras"]

CURVE = "history.jsonl"
PLOT = "training.png"
BOARD = "tensorboard"


def check_extras() -> None:
    """Refuse before hours of training what would fail after them. Raises MissingExtraError."""
    try:
        import lightning_fabric  # noqa: F401
        import matplotlib  # noqa: F401
        import psutil  # noqa: F401
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Training", "train") from error


class History:
    """Rows of figures, one for a step; validations among them."""

    def __init__(self, folder: Path, rows: list[dict[str, Any]]) -> None:
        """Go on from rows that a checkpoint holds; what was written after it is written anew."""
        from tensorboardX import SummaryWriter

        self.rows = rows
        self._folder = folder
        self._last = rows[-1]["step"] if rows else 0
        folder.mkdir(parents=True, exist_ok=True)
        self._board = SummaryWriter(str(folder / BOARD), purge_step=self._last + 1 if rows else None)
        write_text(folder / CURVE, "".join(f"{json.dumps(row)}\n" for row in rows))
        self._file = (folder / CURVE).open("a", encoding="utf-8")

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row; `step` is in it."""
        self.rows.append(dict(row))
        self._file.write(f"{json.dumps(self.rows[-1])}\n")
        self._file.flush()
        for name, value in row.items():
            if name != "step" and isinstance(value, int | float):
                self._board.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Write out what is held back."""
        self._file.close()
        self._board.close()

    def plot(self) -> Path:
        """Draw loss and validation over the steps. Returns the picture's path; raises OutputError."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 4), layout="constrained")
        loss, miou = figure.subplots(1, 2)
        steps = [row["step"] for row in self.rows if "loss" in row]
        values = [row["loss"] for row in self.rows if "loss" in row]
        loss.plot(steps, values, color="0.75", linewidth=0.8, label="each step")
        width = max(1, len(values) // 20)
        smooth = [sum(values[max(0, k - width + 1) : k + 1]) / min(k + 1, width) for k in range(len(values))]
        loss.plot(steps, smooth, color="C0", label=f"mean of {width}")
        loss.set(title="loss", xlabel="step", ylim=(0, None))
        loss.legend(frameon=False)
        for name, label in (("miou_1", "1 click"), ("miou_5", "5 clicks")):
            found = [(row["step"], 100 * row[name]) for row in self.rows if name in row]
            if found:
                miou.plot(*zip(*found, strict=True), marker="o", markersize=3, label=label)
        miou.set(title="validation mIoU, %", xlabel="step")
        if miou.lines:
            miou.legend(frameon=False)
        for axes in (loss, miou):
            axes.spines[["top", "right"]].set_visible(False)
        path = self._folder / PLOT
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=120)
        return path
