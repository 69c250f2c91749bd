from pathlib import Path

from segany.evaluate.result_cache import Measured, ResultCache, result_key

MEASURED = Measured([{"iou": 0.1 + 0.2, "object": "7", "failed": False, "score": float("nan")}], {"embed": 0.25})


def test_rows_come_back_to_the_last_digit(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "rows")
    key = result_key("p", ["m"], "i", None)
    assert cache.load(key) is None
    cache.store(key, MEASURED)
    found = cache.load(key)
    assert found is not None
    assert repr(found.rows) == repr([dict(row) for row in MEASURED.rows])
    assert found.seconds == MEASURED.seconds


def test_a_damaged_file_is_measured_again(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path)
    key = result_key("p", ["m"], "i", None)
    cache.store(key, MEASURED)
    (path,) = tmp_path.rglob("*.json")
    for text in ("", '{"rows": []}', "[]", path.read_text(encoding="utf-8")[:20]):
        path.write_text(text, encoding="utf-8")
        assert cache.load(key) is None


def test_the_key_is_of_everything_that_rows_follow_from() -> None:
    keys = [
        result_key("p", ["m"], "i", None),
        result_key("q", ["m"], "i", None),
        result_key("p", ["n"], "i", None),
        result_key("p", ["m", "n"], "i", None),
        result_key("p", ["m"], "j", None),
        result_key("p", ["m"], "i", frozenset()),
        result_key("p", ["m"], "i", frozenset({1, "2"})),
    ]
    assert len(set(keys)) == len(keys)
    assert result_key("p", ["m"], "i", frozenset({"2", 1})) == keys[-1]
