from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segany.formats import Distribution, open_dataset, summarize

Save = Callable[..., Path]


def test_what_a_set_holds_in_numbers(save: Save, tmp_path: Path) -> None:
    labels = np.zeros((120, 200), dtype=np.uint16)
    labels[:100, :100] = 1
    labels[:10, 120:130] = 2
    labels[50:90, 120:160] = 3
    save("images/a.png", np.zeros((120, 200, 3), dtype=np.uint8))
    save("labels/a.png", labels)
    save("images/b.png", np.zeros((10, 20, 3), dtype=np.uint8))
    save("labels/b.png", np.zeros((10, 20), dtype=np.uint16))
    save("images/c.png")
    (tmp_path / "metadata.csv").write_text("image,group\na,g\nb,g\n", encoding="utf-8")
    seen = []
    summary = summarize(
        open_dataset(tmp_path), on_record=lambda number, record: seen.append((number, record.image.file_name))
    )
    assert seen == [(0, "a.png"), (1, "b.png")]
    assert (summary.images_named, summary.images, summary.objects, summary.without_objects) == (3, 2, 3, 1)
    assert (summary.smallest, summary.largest) == ((10, 20), (120, 200))
    assert summary.by_size == {"small": 1, "medium": 1, "large": 1}
    assert summary.areas == Distribution(100, 850, 1600, 5800, 10_000)
    assert summary.shares is not None
    assert summary.shares.maximum == 10_000 / 24_000
    assert summary.objects_per_image == Distribution(0, 0.75, 1.5, 2.25, 3)
    assert (summary.groups, summary.metadata_columns) == (1, ("group",))
    assert summary.problems == {"missing_mask": 1}
    values = summary.to_dict()
    assert values["categories"] == [{"name": None, "objects": 3}]
    assert values["smallest"] == (10, 20)
    assert summarize(open_dataset(tmp_path), limit=1).images == 1


def test_crowds_and_undecided_pixels_on_real_data(annotated_data: Path) -> None:
    summary = summarize(open_dataset(annotated_data / "coco_val80"))
    assert (summary.objects, summary.crowds, summary.ignore_regions) == (804, 11, 0)
    assert (summary.categories_named, next(iter(summary.categories.items()))) == (80, ("person", 209))
    summary = summarize(open_dataset(annotated_data / "grabcut"))
    assert (summary.ignore_regions, summary.crowds) == (42, 0)


def test_a_distribution_of_nothing() -> None:
    assert Distribution.of([]) is None
    assert Distribution.of(array("d", [2.0])) == Distribution(2, 2, 2, 2, 2)
    with pytest.raises(TypeError):
        Distribution()  # type: ignore[call-arg]
