import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segany.errors import ConfigError, RecordError
from segany.evaluate.compare import compare_reports
from segany.evaluate.item_table import ItemTable
from segany.evaluate.protocols import Clicks
from segany.evaluate.report import FORMAT

COUNTS = (1, 3)


def report(folder: Path, models: dict[str, float], *, objects: int = 40, seed: int = 0, **protocol: Any) -> Path:
    """A report whose objects are as hard as the seed says; each model adds its own skill and a little chance."""
    rng = np.random.default_rng(seed)
    hard = rng.random((objects, 2)) * 0.5
    table = ItemTable()
    for number, (model, skill) in enumerate(models.items()):
        chance = np.random.default_rng(100 + number + int(1e6 * skill)).normal(0, 0.005, (objects, 2))
        for place in range(objects):
            ious = hard[place] + skill + chance[place]
            row = {f"{kind}_{count}": float(iou) for count, iou in zip(COUNTS, ious, strict=True) for kind in KINDS}
            row |= {"failed": bool(ious[1] < 0.3), "worsened": False}
            where = {"set": "made", "model": model, "image": f"{place // 2}.png", "object": str(place)}
            table.add([{**where, **row}])
    table.write(folder / "items.parquet")
    about = {"name": "clicks", "version": 1, "settings": Clicks(counts=COUNTS).settings(), **protocol}
    document = {"format": FORMAT, "protocol": about, "results": [{"model": model} for model in models]}
    (folder / "report.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


KINDS = ("iou", "oracle", "boundary")


def test_a_small_difference_on_the_same_objects_is_told_from_chance(tmp_path: Path) -> None:
    comparison = compare_reports(report(tmp_path / "a", {"old": 0.2}), report(tmp_path / "b", {"new": 0.21}))
    by_name = {one.metric: one for one in comparison.differences}
    one = by_name["mIoU@1"]
    assert (comparison.first, comparison.second, comparison.protocol) == ("old", "new", "clicks")
    assert one.difference.mean == pytest.approx(0.01, abs=0.004)
    assert one.verdict == "better"
    # Each interval alone is many times as wide.
    assert one.difference.high - one.difference.low < 0.01
    assert by_name["failures@3"].verdict in ("better", "undecided")
    assert by_name["made worse by a click"].verdict == "undecided"


def test_worse_is_the_other_way_round(tmp_path: Path) -> None:
    comparison = compare_reports(report(tmp_path / "a", {"old": 0.3}), report(tmp_path / "b", {"new": 0.1}))
    verdicts = {one.metric: one.verdict for one in comparison.differences}
    assert verdicts["mIoU@1"] == "worse"
    # More failures are no gain.
    assert verdicts["failures@3"] == "worse"


def test_the_same_report_does_not_differ_from_itself(tmp_path: Path) -> None:
    folder = report(tmp_path, {"old": 0.2})
    for one in compare_reports(folder, folder / "report.json").differences:
        assert one.difference.mean == 0
        assert one.verdict == "undecided"


def test_models_of_one_report_are_compared_by_name(tmp_path: Path) -> None:
    folder = report(tmp_path, {"a": 0.2, "b": 0.3})
    comparison = compare_reports(folder, folder, first_model="a", second_model="b")
    assert comparison.differences[0].verdict == "better"
    with pytest.raises(ConfigError, match=r"has 2 models, a, b; say which\."):
        compare_reports(folder, folder)
    with pytest.raises(ConfigError, match=r"has no model 'c'; it has a, b\."):
        compare_reports(folder, folder, first_model="c", second_model="a")


def test_only_what_both_measured_counts(tmp_path: Path) -> None:
    comparison = compare_reports(report(tmp_path / "a", {"old": 0.2}), report(tmp_path / "b", {"new": 0.2}, objects=31))
    assert (comparison.only_first, comparison.only_second) == (9, 0)
    assert comparison.differences[0].difference.n == 31


def test_other_settings_are_refused(tmp_path: Path) -> None:
    one, other = report(tmp_path / "a", {"m": 0.2}), report(tmp_path / "b", {"m": 0.2}, version=2)
    with pytest.raises(ConfigError, match=r"both reports must be of one protocol; their version is 1 and 2\."):
        compare_reports(one, other)


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no report to be read"):
        compare_reports(tmp_path, tmp_path)
    (tmp_path / "report.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RecordError, match="is no report of this version; run the evaluation again"):
        compare_reports(tmp_path, tmp_path)
    folder = report(tmp_path / "a", {"m": 0.1})
    (folder / "items.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordError, match="cannot be read as Parquet"):
        compare_reports(folder, folder)
