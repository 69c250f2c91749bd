"""The edges protocol on a made-up set in BSDS's format."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import ConfigError, RecordError
from segany.evaluate.edge_maps import mask_edges
from segany.evaluate.edge_scores import edge_counts, edge_scores
from segany.evaluate.items import EvaluationSet
from segany.evaluate.protocol import Stages
from segany.evaluate.protocols import Edges
from segany.evaluate.protocols.edges import CannyDetector, MaskEdgeDetector
from segany.evaluate.run import evaluate
from segany.evaluate.segmenter import PredictorSegmenter
from segany.evaluate.subjects import SubjectSpec
from segany.settings import Settings
from segany.sources import open_image

SHAPE = (64, 96)


def ground_truth(*people: NDArray[np.bool_]) -> NDArray[np.object_]:
    cells = np.empty((1, len(people)), dtype=object)
    for number, region in enumerate(people):
        boundaries = np.zeros(SHAPE, dtype=np.uint8)
        boundaries[:, :-1] |= region[:, :-1] != region[:, 1:]
        cells[0, number] = {"Segmentation": region.astype(np.uint16) + 1, "Boundaries": boundaries}
    return cells


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Two images of two halves; of the first, the second person saw a third that is hardly there."""
    folder = tmp_path / "drawn"
    (folder / "images").mkdir(parents=True)
    (folder / "groundTruth").mkdir()
    columns = np.tile(np.arange(SHAPE[1]), (SHAPE[0], 1))
    for name, people in (("1", (columns >= 48, (columns >= 48) ^ (columns >= 80))), ("2", (columns >= 30,))):
        pixels = np.full((*SHAPE, 3), 60, dtype=np.uint8)
        pixels[people[0]] = 200
        PillowImage.fromarray(pixels).save(folder / "images" / f"{name}.png")
        scipy.io.savemat(folder / "groundTruth" / f"{name}.mat", {"groundTruth": ground_truth(*people)})
    return folder


def test_canny_finds_the_edges_that_are_there(drawn: Path) -> None:
    evaluation = evaluate(Edges(), [EvaluationSet("drawn", drawn, unit="image")], [SubjectSpec.parse("canny")])
    assert evaluation.sets[0].image_ids == ["1.png", "2.png"]
    assert evaluation.sets[0].problems == []
    scores = evaluation.results[0].scores().metrics
    # 64 edge pixels for each of the three people, and 64 that only one of them saw: recall 3/4 at a precision of 1.
    assert scores["ODS"].mean == pytest.approx(2 * 0.75 / 1.75, abs=0.02)
    assert scores["OIS"].mean >= scores["ODS"].mean - 1e-9
    assert scores["R50"].mean == pytest.approx(0.75, abs=0.02)
    assert scores["ODS"].low <= scores["ODS"].mean <= scores["ODS"].high
    assert evaluation.models[0].digest.startswith("canny opencv")


def test_rows_hold_what_the_figures_are_made_of(drawn: Path) -> None:
    protocol, detector = Edges(), CannyDetector()
    metrics = protocol.metrics()
    counts = []
    for item in EvaluationSet("drawn", drawn, unit="image").items():
        (row,) = protocol.rows(item, [detector], Stages())
        for metric in metrics.values():
            metric.update([row])
        path = item.dataset.annotation_path(item.record)
        assert path is not None
        cells = scipy.io.loadmat(path)["groundTruth"][0]
        people = [cell["Boundaries"][0, 0] > 0 for cell in cells]
        counts.append(edge_counts(detector.edges(item.open()), people))
        assert row["people"] == len(people)
    expected = edge_scores(np.array(counts))
    values = {name: metric.value() for name, metric in metrics.items()}
    assert values == {"ODS": expected.ods, "OIS": expected.ois, "AP": expected.ap, "R50": expected.r50}


def test_a_model_makes_edges_from_masks(fake: PredictorSegmenter) -> None:
    detector = MaskEdgeDetector(fake)
    image = open_image(np.full((16, 24, 3), 90, dtype=np.uint8))
    np.testing.assert_array_equal(detector.edges(image), mask_edges(fake.predictor, image))
    assert (detector.name, detector.digest) == (fake.name, fake.digest)
    assert detector.about["edges"] == "masks of 16 x 16 clicks"


def test_only_bsds_has_edges_and_only_models_and_canny_make_them(made: Path) -> None:
    item = next(EvaluationSet("made", made).items())
    with pytest.raises(RecordError) as caught:
        Edges().rows(item, [CannyDetector()], Stages())
    assert str(caught.value) == "0.png: edges need the boundaries that several people drew (BSDS), got coco."
    with pytest.raises(ConfigError, match=r"^edges are made by a model or by canny; otsu makes none\.$"):
        Edges().open_subject(SubjectSpec.parse("otsu"))


def test_cannys_known_score_on_real_photos() -> None:
    data = Settings.from_environment().data
    if data is None:
        pytest.skip("SEGANY_DATA, the folder of annotated data, is not set")
    photos = EvaluationSet("bsds500", data / "bsds500", limit=1, unit="image")
    scores = evaluate(Edges(), [photos], [SubjectSpec.parse("canny")]).results[0].scores().metrics
    # About .60 over all photos; one of them says less.
    assert 0.4 < scores["ODS"].mean < 0.85
