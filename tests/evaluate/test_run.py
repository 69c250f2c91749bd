import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from segany.errors import ConfigError, ImageError, PromptError
from segany.evaluate.items import EvaluationSet, Item
from segany.evaluate.metrics import Mean, Metric, Row
from segany.evaluate.protocol import EvaluationProtocol, Stages
from segany.evaluate.result_cache import ResultCache
from segany.evaluate.results import mean_of_sets
from segany.evaluate.rows import object_row
from segany.evaluate.run import evaluate
from segany.evaluate.subjects import SubjectSpec


@dataclass(frozen=True)
class Subject:
    name: str
    factor: float

    @property
    def digest(self) -> str:
        return f"times {self.factor}"

    @property
    def about(self) -> dict[str, str]:
        return {"kind": "made up"}


@dataclass(frozen=True)
class Areas(EvaluationProtocol):
    """Measures areas; counts how often it was asked, and fails where it is told to."""

    name: ClassVar[str] = "areas"
    summary: ClassVar[str] = "Areas."
    main: ClassVar[str] = "area"
    case_column: ClassVar[str | None] = "value"
    asked: ClassVar[list[str]] = []
    failing: ClassVar[dict[str, BaseException]] = {}

    offset: float = 0.0

    def open_subject(self, spec: SubjectSpec, progress: Any = None) -> Any:
        return Subject(spec.text, float(spec.model))

    def rows(self, item: Item, subjects: Sequence[Any], stages: Stages) -> list[Row]:
        self.asked.append(item.key)
        if item.key in self.failing:
            raise self.failing[item.key]
        with stages("measure"):
            total = sum(one.factor for one in subjects)
            return [object_row(one, {"value": one.area * total + self.offset, "_hidden": 1}) for one in item.objects]

    def metrics(self) -> dict[str, Metric]:
        return {"area": Mean("value", unit="number")}


@dataclass(frozen=True)
class Pairs(Areas):
    subjects: ClassVar[int] = 2


@pytest.fixture(autouse=True)
def forget() -> None:
    Areas.asked.clear()
    Areas.failing.clear()


def run(made: Path, *models: str, protocol: EvaluationProtocol | None = None, **options: Any) -> Any:
    sets = options.pop("sets", None) or [EvaluationSet("made", made, limit=options.get("limit"))]
    specs = [SubjectSpec.parse(name) for name in models or ("1",)]
    return evaluate(protocol or Areas(), sets, specs, **options)


def test_figures_are_of_all_objects(made: Path) -> None:
    evaluation = run(made)
    areas = [one.area for item in EvaluationSet("made", made).items() for one in item.objects]
    scores = evaluation.results[0].scores()
    assert (scores.images, scores.rows) == (4, 12)
    assert scores.metrics["area"].mean == pytest.approx(sum(areas) / 12)
    (info,) = evaluation.sets
    assert (info.objects, info.image_ids, info.problems) == (12, ["0.png", "1.png", "2.png", "3.png"], [])


def test_rows_tell_where_they_are_from(made: Path) -> None:
    columns = run(made, "1", "2").table.columns()
    assert set(columns["set"]) == {"made"}
    assert columns["model"] == ["1"] * 12 + ["2"] * 12
    assert columns["image"][:4] == ["0.png"] * 3 + ["1.png"]
    assert columns["place"][:4] == ["north"] * 4
    assert "_hidden" not in columns


def test_slices_are_by_size_and_by_any_column(made: Path) -> None:
    slices = run(made, by=["place"]).results[0].slices()
    assert list(slices) == ["size", "place"]
    assert list(slices["size"]) == ["small", "medium"]
    assert {word: scores.rows for word, scores in slices["place"].items()} == {"north": 6, "south": 6}
    with pytest.raises(ConfigError, match=r"no row has a column 'planet' to slice by; there are area, category, image"):
        run(made, by=["planet"])


def test_a_column_that_nobody_has_is_refused_before_all_is_measured(made: Path) -> None:
    sets = [EvaluationSet(name, made) for name in "abc"]
    with pytest.raises(ConfigError, match="no row has a column 'planet'"):
        run(made, sets=sets, by=["planet"])
    assert len(Areas.asked) < 12


def test_why_metadata_could_not_be_read_is_told(made: Path) -> None:
    (made / "metadata.csv").write_text("file,place\n0.png,north\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"(?s)no row has a column 'place'.*wanted a column `image`, got file, place"):
        run(made, by=["place"])


def test_what_was_measured_is_not_measured_again(made: Path, tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "rows")
    first = run(made, cache=cache)
    assert len(Areas.asked) == 4
    again = run(made, cache=cache)
    assert len(Areas.asked) == 4
    assert (first.from_cache, again.from_cache) == (0, 4)
    assert again.results[0].scores() == first.results[0].scores()
    assert again.sets[0].digest == first.sets[0].digest
    assert again.seconds == first.seconds
    run(made, protocol=Areas(offset=1.0), cache=cache)
    run(made, "2", cache=cache)
    assert len(Areas.asked) == 12


def test_an_interrupted_run_goes_on(made: Path, tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "rows")
    Areas.failing["2.png"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run(made, cache=cache)
    done = set(Areas.asked) - {"2.png"}
    assert {"0.png", "1.png"} <= done
    Areas.asked.clear()
    Areas.failing.clear()
    evaluation = run(made, cache=cache)
    assert set(Areas.asked) == {"0.png", "1.png", "2.png", "3.png"} - done
    assert evaluation.results[0].scores() == run(made).results[0].scores()


def test_a_problem_is_counted_and_told(made: Path) -> None:
    Areas.failing["1.png"] = ImageError("it is torn.")
    evaluation = run(made)
    assert evaluation.results[0].scores().images == 3
    assert evaluation.sets[0].image_ids == ["0.png", "2.png", "3.png"]
    assert evaluation.sets[0].problems == ["made: 1.png: it is torn."]
    with pytest.raises(ImageError, match=r"it is torn\."):
        run(made, strict=True)


def test_an_image_that_is_gone_is_a_problem(made: Path) -> None:
    data = EvaluationSet("made", made)
    Areas.failing["0.png"] = PromptError("no.")
    (made / "images" / "3.png").unlink()
    evaluation = run(made, sets=[data])
    assert evaluation.results[0].scores().images == 2
    assert len(evaluation.sets[0].problems) == 2


def test_our_own_bugs_are_not_problems_of_the_data(made: Path) -> None:
    Areas.failing["1.png"] = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        run(made)


def test_every_set_counts_the_same_in_the_mean(made: Path) -> None:
    sets = [EvaluationSet("all", made), EvaluationSet("some", made, limit=3)]
    results = run(made, sets=sets).results
    means = [one.scores().metrics["area"].mean for one in results]
    mean = mean_of_sets(results)["area"]
    assert mean.mean == pytest.approx(sum(means) / 2)
    assert mean.n == 15
    assert mean.low < mean.mean < mean.high


def test_comparisons_take_the_first_with_each_other(made: Path) -> None:
    evaluation = run(made, "1", "2", "4", protocol=Pairs())
    assert [one.model for one in evaluation.results] == ["1 / 2", "1 / 4"]
    first, second = (one.scores().metrics["area"].mean for one in evaluation.results)
    assert second / first == pytest.approx(5 / 3)
    assert [one.name for one in evaluation.models] == ["1", "2", "4"]
    with pytest.raises(ConfigError, match=r"areas needs at least 2 model\(s\), each once, got \['1'\]\."):
        run(made, "1", protocol=Pairs())


def test_names_must_differ(made: Path) -> None:
    with pytest.raises(ConfigError, match=r"sets need names that differ, at least one, got \['a', 'a'\]\."):
        run(made, sets=[EvaluationSet("a", made), EvaluationSet("a", made)])
    with pytest.raises(ConfigError, match="each once"):
        run(made, "1", "1")


def test_cases_are_the_worst_and_the_best(made: Path) -> None:
    gathered = run(made).results[0]
    worst, best = gathered.cases("worst"), gathered.cases("best")
    values = sorted(one.area for item in EvaluationSet("made", made).items() for one in item.objects)
    assert [case.value for case in worst] == values[:6]
    assert [case.value for case in best] == values[::-1][:6]
    assert worst[0].row["_hidden"] == 1


def test_progress_ends_at_the_end(made: Path) -> None:
    told: list[tuple[str, int, int]] = []
    run(made, progress=lambda *words: told.append(words))
    assert told[0] == ("made: 1", 0, 4)
    assert told[-1] == ("made: 1", 4, 4)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_settings_are_read_from_words() -> None:
    assert Areas.with_settings({"offset": "2.5"}) == Areas(offset=2.5)
    with pytest.raises(ConfigError, match=r"areas has no setting 'shift'; it has: offset\."):
        Areas.with_settings({"shift": "1"})
    with pytest.raises(ConfigError, match=r"offset must be like 0\.0, got 'far'\."):
        Areas.with_settings({"offset": "far"})


def test_seconds_are_added_up(made: Path) -> None:
    evaluation = run(made)
    assert evaluation.seconds["1"].keys() == {"measure"}
    assert math.isfinite(evaluation.wall_seconds)
