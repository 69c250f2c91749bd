import pytest

from segany.schema import DatasetVersion, ModelCard, Report


def test_defaults_are_not_shared() -> None:
    card = ModelCard("tiny", "abc", {"depth": 2})
    assert (card.status, card.parent, dict(card.scores)) == ("candidate", None, {})
    with pytest.raises(TypeError):
        card.scores["iou"] = 1.0  # type: ignore[index]  # the point of the test
    assert dict(DatasetVersion("v1", "abc", (1, 2)).split) == {}
    assert dict(Report("clicks", "a", "b", {"iou": 0.7}, 50).interval) == {}
