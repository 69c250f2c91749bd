import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segany.evaluate.items import EvaluationSet
from segany.evaluate.plot import Line, Plot
from segany.evaluate.protocols import Clicks, NoC
from segany.evaluate.report import REPORT_FILES, to_document, to_reports, write_report
from segany.evaluate.report.markdown import markdown_table
from segany.evaluate.report.pictures import case_picture, draw_plot
from segany.evaluate.report.tables import Table, cell, report_tables
from segany.evaluate.run import Evaluation, evaluate
from segany.evaluate.segmenter import PredictorSegmenter
from segany.evaluate.subjects import SubjectSpec


@pytest.fixture
def evaluation(made: Path, fake: PredictorSegmenter, monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    monkeypatch.setattr(Clicks, "open_subject", lambda self, spec, progress=None: fake)
    sets = [EvaluationSet("one", made), EvaluationSet("<two>", made, limit=4)]
    return evaluate(Clicks(counts=(1, 2)), sets, [SubjectSpec.parse("fake")], by=["place"], limit=4, seed=0)


def test_all_files_are_written(evaluation: Evaluation, tmp_path: Path) -> None:
    document = write_report(evaluation, tmp_path / "out", "segany evaluate clicks")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(REPORT_FILES)
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8")) == document


def test_the_document_tells_what_figures_follow_from(evaluation: Evaluation) -> None:
    document = to_document(evaluation, "segany evaluate clicks")
    assert document["protocol"]["settings"]["counts"] == [1, 2]
    assert document["models"][0]["backend"] == "fake/1/cpu/float32"
    assert document["machine"]["versions"]["numpy"] == np.__version__
    assert {"cpu_flags", "cores", "threads", "processor"} <= document["machine"].keys()
    assert document["sets"][0]["image_ids"] == ["0.png", "1.png", "2.png", "3.png"]
    assert re.fullmatch(r"[0-9a-f]{64}", document["sets"][0]["digest"])
    assert document["sample"] == {"seed": 0, "limit": 4}
    assert document["results"][0]["slices"]["place"]["north"]["rows"] == 6
    (mean,) = document["means"]
    values = [result["metrics"]["mIoU@1"]["value"] for result in document["results"]]
    assert mean["metrics"]["mIoU@1"]["value"] == pytest.approx(np.mean(values))


def test_reports_of_the_schema(evaluation: Evaluation) -> None:
    document = to_document(evaluation)
    first, second = to_reports(evaluation)
    assert (first.protocol, first.n, second.n) == ("clicks", 12, 4)
    assert first.dataset_digest == document["sets"][0]["digest"] != second.dataset_digest
    assert first.model_digest == document["models"][0]["digest"]
    figure = document["results"][0]["metrics"]["mIoU@1"]
    assert first.metrics["mIoU@1"] == figure["value"]
    assert first.interval["mIoU@1"] == (figure["low"], figure["high"])


def test_nan_is_null(evaluation: Evaluation) -> None:
    results = [*evaluation.results]
    results[0].metrics()["mIoU@1"].reset()
    document = to_document(evaluation)
    assert document["results"][0]["metrics"]["mIoU@1"] == {"value": None, "low": None, "high": None, "n": 0}
    json.dumps(document, allow_nan=False)


def test_the_page_needs_nothing_else(evaluation: Evaluation, tmp_path: Path) -> None:
    write_report(evaluation, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "<script" not in page
    # Names come from outside.
    assert "<two>" not in page
    assert "&lt;two&gt;" in page
    pictures = re.findall(r"data:image/(png|jpeg);base64,([\w+/=]+)", page)
    assert [kind for kind, _ in pictures].count("png") == 2
    # Up to six worst and six best of each set.
    assert [kind for kind, _ in pictures].count("jpeg") == 12 + 8
    for _, data in pictures:
        Image.open(io.BytesIO(base64.b64decode(data))).verify()


def test_markdown_has_the_figures(evaluation: Evaluation, tmp_path: Path) -> None:
    document = write_report(evaluation, tmp_path, "segany evaluate clicks --out x")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    value = document["results"][0]["metrics"]["mIoU@1"]
    assert f"| mIoU@1 | {cell(value, 'share')} |" in text
    assert "```console\n$ segany evaluate clicks --out x\n```" in text
    assert "| SAM (ViT-H) | mIoU@1 | 58.1 |" in text
    assert "## By place: fake, one" in text


def test_problems_are_on_the_page(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluation.sets[0].problems.extend(f"<broken> {number}" for number in range(30))
    write_report(evaluation, tmp_path)
    assert "&lt;broken&gt; 29" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "and 10 more" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_cells() -> None:
    assert cell({"value": 0.5213, "low": 0.4, "high": 0.61}, "share") == "52.1 (40.0 to 61.0)"
    assert cell({"value": 1.537, "low": 1.3, "high": 1.8}, "number") == "1.54 (1.30 to 1.80)"
    assert cell({"value": 0.5, "low": None, "high": None}, "share") == "50.0"
    assert cell({"value": None, "low": None, "high": None}, "share") == "–"
    assert cell(None, "share") == "–"


def test_a_bar_in_a_cell_does_not_break_the_table() -> None:
    assert markdown_table(Table("t", ["a", "b"], [["x|y", "1"]])).splitlines()[-1] == "| x\\|y | 1 |"


def test_published_figures_stand_beside_ours(evaluation: Evaluation) -> None:
    table = next(table for table in report_tables(to_document(evaluation)) if table.title == "Beside published figures")
    assert table.head == ["model", "metric", "published", "fake, mean of ours", "published on"]
    assert table.rows[0][:3] == ["SAM (ViT-H)", "mIoU@1", "58.1"]
    # We did not measure five clicks.
    assert next(row for row in table.rows if row[1] == "mIoU@5")[3] == "–"


def test_cases_are_drawn_round_the_object(evaluation: Evaluation) -> None:
    case = evaluation.results[0].cases("worst")[0]
    picture = case_picture(case)
    assert picture is not None
    assert 100 <= max(picture.size) <= 320
    assert case_picture(case._replace(row={})) is None


@pytest.mark.parametrize("style", ["line", "bars", "dots"])
def test_plots_are_pictures(style: str) -> None:
    x = ["small", "large"] if style == "bars" else [1.0, 2.0]
    line = Line("a", x, [0.5, float("nan")], [0.4, float("nan")], [0.6, float("nan")], style)  # type: ignore[arg-type]
    picture = draw_plot(Plot("t", "x", "y", [line, line], diagonal=style == "dots", y_range=(0, 1)))
    assert Image.open(io.BytesIO(picture)).size[0] > 300
    assert draw_plot(Plot("t", "x", "y", [line, line], diagonal=style == "dots", y_range=(0, 1))) == picture


def test_a_curve_of_many_clicks(made: Path, fake: PredictorSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NoC, "open_subject", lambda self, spec, progress=None: fake)
    evaluation = evaluate(NoC(max_clicks=3), [EvaluationSet("one", made)], [SubjectSpec.parse("fake")])
    document = to_document(evaluation)
    assert document["metrics"]["NoC@90"] == {"unit": "number", "lower_is_better": True}
    assert document["means"] == []
