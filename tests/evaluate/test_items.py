from pathlib import Path

import pytest
from PIL import Image

from segany.errors import ConfigError, RecordError
from segany.evaluate.items import EvaluationSet


def objects_of(data: EvaluationSet) -> list[tuple[str, str]]:
    return [(item.key, str(one.id)) for item in data.items() for one in item.objects]


def test_crowds_are_no_objects(made: Path) -> None:
    assert len(objects_of(EvaluationSet("made", made))) == 12


def test_metadata_are_columns(made: Path) -> None:
    assert [item.metadata["place"] for item in EvaluationSet("made", made).items()] == ["north"] * 2 + ["south"] * 2


def test_a_sample_is_the_seeds(made: Path) -> None:
    samples = [objects_of(EvaluationSet("made", made, limit=5, seed=seed)) for seed in (0, 0, 1)]
    assert samples[0] == samples[1] != samples[2]
    assert [len(sample) for sample in samples] == [5, 5, 5]


def test_a_small_sample_is_part_of_a_larger_one(made: Path) -> None:
    small, large = (set(objects_of(EvaluationSet("made", made, limit=limit))) for limit in (3, 8))
    assert small < large


def test_images_can_be_counted_instead(made: Path) -> None:
    items = list(EvaluationSet("made", made, limit=2, unit="image").items())
    assert [len(item.objects) for item in items] == [3, 3]


def test_the_order_is_that_of_the_set(made: Path) -> None:
    names = [item.key for item in EvaluationSet("made", made, limit=9).items()]
    assert names == sorted(names)


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_must_leave_something(made: Path, limit: int) -> None:
    with pytest.raises(ConfigError, match=rf"limit must be 1 or more, got {limit}; leave it out for all\."):
        EvaluationSet("made", made, limit=limit)


def test_the_digest_is_of_pixels_and_masks(made: Path) -> None:
    before = [item.digest for item in EvaluationSet("made", made).items()]
    assert before == [item.digest for item in EvaluationSet("other name", made).items()]
    assert len(set(before)) == 4
    Image.new("RGB", (120, 90)).save(made / "images" / "1.png")
    after = [item.digest for item in EvaluationSet("made", made).items()]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True, True]
    text = (made / "instances.json").read_text(encoding="utf-8")
    (made / "instances.json").write_text(text.replace('"dog"', '"wolf"'), encoding="utf-8")
    assert not {item.digest for item in EvaluationSet("made", made).items()} & set(after)


def test_problems_are_told(made: Path) -> None:
    (made / "images" / "2.png").unlink()
    data = EvaluationSet("made", made)
    assert len(list(data.items())) == 3
    (problem,) = data.problems()
    assert "2.png" in problem
    with pytest.raises(RecordError, match=r"2\.png"):
        list(EvaluationSet("made", made, strict=True).items())
