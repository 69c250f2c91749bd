import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segany
from segany import ImageEmbedding, Predictor, Prompt, SegmentedMask, segment, segment_many, weights
from segany.errors import ConfigError, ImageError, PromptError, UnknownWeightsError
from segany.predict import segment as package_name

BOX = [168, 12, 430, 312]


@pytest.fixture(scope="module")
def boxed() -> segany.Segmentation:
    return segment(weights.sample("coffee"), box=BOX)


def test_one_line_gives_the_mask(boxed: segany.Segmentation) -> None:
    best = boxed.best()
    mask = best.to_mask()
    assert mask.shape == (400, 600)
    assert mask.dtype == np.bool_
    assert mask[180, 300]
    assert not mask[390, 590]
    assert 0.8 < best.predicted_iou <= 1.05
    assert boxed.image.info.file_name == "coffee.png"
    assert boxed.prompt.box is not None


def test_candidates_come_from_the_best_to_the_worst() -> None:
    result = segment(weights.sample("coffee"), [(300, 180)])
    candidates = result.candidates()
    scores = [one.predicted_iou for one in candidates]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert candidates[0].rle == result.best().rle
    assert len(segment(weights.sample("coffee"), [(300, 180)], multimask=False).candidates()) == 1


def test_many_prompts_embed_the_picture_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    embed = Predictor.embed

    def noted(self: Predictor, image: object) -> ImageEmbedding:
        seen.append(image)
        return embed(self, image)

    monkeypatch.setattr(Predictor, "embed", noted)
    prompts = [Prompt(points=[[300, 180]]), Prompt(box=BOX)]
    results = segment_many(weights.sample("coffee"), prompts)
    assert len(seen) == 1
    assert [len(result.candidates()) for result in results] == [3, 1]
    assert [result.prompt for result in results] == prompts
    assert segment(weights.sample("coffee"), box=BOX).best().rle == results[1].best().rle


def test_labels_reach_the_model() -> None:
    without = segment(weights.sample("coffee"), [(280, 110), (120, 220)], [1, 0]).best().to_mask()
    assert without[110, 280]
    assert not without[220, 120]


def test_a_cutout_is_saved(boxed: segany.Segmentation, tmp_path: Path) -> None:
    best = boxed.best()
    path = best.save(tmp_path / "cut.png")
    assert path == tmp_path / "cut.png"
    with Image.open(path) as cut:
        assert cut.mode == "RGBA"
        x0, y0, x1, y1 = best.rle.box
        assert cut.size == (x1 - x0, y1 - y0)
        shown = np.asarray(cut)[..., 3] > 127
    # A soft edge may take a pixel of the outline.
    assert np.count_nonzero(shown) == pytest.approx(best.rle.area, rel=0.02)
    with Image.open(best.save(tmp_path / "whole.png", crop=False)) as whole:
        assert whole.size == (600, 400)


def test_a_cutout_needs_transparency(boxed: segany.Segmentation, tmp_path: Path) -> None:
    message = "a cut-out needs a format with transparency (.png, .webp, .tif, .tiff), got 'cut.jpg'."
    with pytest.raises(ConfigError, match=re.escape(message)):
        boxed.best().save(tmp_path / "cut.jpg")
    assert not list(tmp_path.iterdir())


def test_an_overlay_has_the_pictures_proportions(boxed: segany.Segmentation) -> None:
    picture = boxed.overlay()
    assert picture.width / picture.height == pytest.approx(1.5, rel=0.2)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="a prompt needs points, a box or a mask"):
        segment(weights.sample("coffee"))
    with pytest.raises(PromptError, match="at least one prompt is needed"):
        segment_many(weights.sample("coffee"), [])
    with pytest.raises(ImageError):
        segment(tmp_path / "missing.jpg", [(1, 1)])
    with pytest.raises(UnknownWeightsError, match="no weights are named 'mobile_sma'; did you mean mobile_sam"):
        segment(weights.sample("coffee"), [(1, 1)], model="mobile_sma")


def test_the_names_are_at_the_top() -> None:
    assert segany.segment is package_name
    assert isinstance(segment(weights.sample("coffee"), box=BOX).best(), SegmentedMask)
