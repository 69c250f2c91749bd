from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from segany.errors import RecordError
from segany.formats import bsds, open_dataset

Save = Callable[..., Path]


def people(*regions: int) -> np.ndarray:
    """Cells as published: person k divides 40x60 pixels into so many columns."""
    cells = np.empty((1, len(regions)), dtype=object)
    for number, count in enumerate(regions):
        labels = np.broadcast_to(1 + np.arange(60) * count // 60, (40, 60)).astype(np.uint16)
        edges = np.zeros((40, 60), dtype=np.uint8)
        edges[:, 1:] = labels[:, 1:] != labels[:, :-1]
        cell = np.empty((1, 1), dtype=[("Segmentation", object), ("Boundaries", object)])
        cell[0, 0] = (labels, edges)
        cells[0, number] = cell
    return cells


def mat(path: Path, **values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, values)
    return path


@pytest.mark.parametrize("root", [".", "data", "BSDS500/data"])
def test_all_peoples_regions_and_boundaries(save: Save, tmp_path: Path, root: str) -> None:
    save(f"{root}/images/test/8.jpg")
    mat(tmp_path / root / "groundTruth" / "test" / "8.mat", groundTruth=people(3, 2))
    dataset = open_dataset(tmp_path, strict=True)
    (record,) = dataset.records()
    assert (dataset.format, len(dataset), record.image.file_name) == ("bsds", 1, "test/8.jpg")
    assert [(each.id, each.annotator) for each in record.annotations] == [
        ("1:1", "1"), ("1:2", "1"), ("1:3", "1"), ("2:1", "2"), ("2:2", "2"),
    ]  # fmt: skip
    assert [each.box for each in record.annotations[3:]] == [(0, 0, 30, 40), (30, 0, 60, 40)]
    path = dataset.annotation_path(record)
    assert path is not None
    first, second = bsds.read_ground_truth(path)
    assert first.segmentation.dtype == np.uint16
    assert np.flatnonzero(first.boundaries[0]).tolist() == [20, 40]
    assert np.flatnonzero(second.boundaries[0]).tolist() == [30]


def test_what_is_no_ground_truth_is_told(save: Save, tmp_path: Path) -> None:
    folder = tmp_path / "groundTruth"
    for name in ("alone", "damaged", "empty", "other", "small"):
        save(f"images/{name}.jpg")
    mat(folder / "other.mat", something=np.zeros(3))
    mat(folder / "small.mat", groundTruth=np.zeros((1, 2)))
    mat(folder / "empty.mat", groundTruth=np.empty((1, 0), dtype=object))
    mat(folder / "orphan.mat", groundTruth=people(2))
    (folder / "damaged.mat").write_bytes((folder / "orphan.mat").read_bytes()[:300])
    dataset = open_dataset(tmp_path)
    assert list(dataset.records()) == []
    assert [(problem.kind, Path(problem.file).stem) for problem in dataset.problems] == [
        ("missing_mask", "alone"),
        ("unreadable", "damaged"),
        ("invalid", "empty"),
        ("missing_image", "orphan"),
        ("unreadable", "other"),
        ("unreadable", "small"),
    ]


def test_people_must_have_drawn_on_one_size(tmp_path: Path) -> None:
    cells = people(2, 3)
    cells[0, 1][0, 0]["Segmentation"] = np.ones((4, 4), dtype=np.uint16)
    cells[0, 1][0, 0]["Boundaries"] = np.ones((4, 4), dtype=np.uint8)
    with pytest.raises(RecordError, match="its segmentations have different sizes"):
        bsds.read_ground_truth(mat(tmp_path / "x.mat", groundTruth=cells))
    with pytest.raises(RecordError, match="is no ground truth of BSDS, or is damaged"):
        bsds.read_ground_truth(tmp_path / "nowhere.mat")
