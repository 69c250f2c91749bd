"""Baselines answer clicks and boxes on pictures whose truth is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from segany import weights
from segany.errors import PromptError
from segany.evaluate.baselines import BASELINES, GrabCut, OtsuWatershed, Ritm
from segany.evaluate.segmenter import Question, Segmenter
from segany.masks import mask_iou
from segany.predict.simulate import first_click, next_click, true_box
from segany.schema import Image, Prompt
from segany.sources import open_image

HEIGHT, WIDTH = 200, 260


def disc(x: float, y: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 < radius**2)


LEFT, RIGHT = disc(80, 100, 35), disc(145, 100, 35)


def picture() -> Image:
    """Two bright discs that touch, on dark ground, with noise."""
    pixels = np.random.default_rng(0).normal(40, 6, (HEIGHT, WIDTH, 3))
    pixels[LEFT | RIGHT] += (150, 130, 60)
    return open_image(pixels.clip(0, 255).astype(np.uint8))


def answer(segmenter: Segmenter, image: Image, prompt: Prompt) -> NDArray[np.bool_]:
    (given,) = segmenter.predict(segmenter.prepare(image), [Question(prompt)])
    assert np.isnan(given.scores).all()
    return given.crop(0).rle(image.size).to_mask()


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(mask_iou(a, b))


def test_every_baseline_has_its_own_name() -> None:
    assert list(BASELINES) == ["grabcut", "otsu", "ritm"]
    for name, baseline in BASELINES.items():
        if name != "ritm":
            made = baseline()
            assert made.name == name
            assert made.digest.startswith(name)
            assert "method" in made.about


def test_otsu_cuts_touching_discs_apart() -> None:
    segmenter, image = OtsuWatershed(), picture()
    for truth in (LEFT, RIGHT):
        assert iou(answer(segmenter, image, Prompt(points=[first_click(truth)])), truth) > 0.93
        assert iou(answer(segmenter, image, Prompt(box=true_box(truth))), truth) > 0.93
    both = Prompt(points=[first_click(LEFT), first_click(RIGHT)])
    assert iou(answer(segmenter, image, both), LEFT | RIGHT) > 0.95
    ground = Prompt(points=[(5, 5)])
    assert iou(answer(segmenter, image, ground), ~(LEFT | RIGHT)) > 0.95


def test_otsu_finds_dark_objects_on_bright_ground_too() -> None:
    image = open_image(255 - picture().pixels)
    found = OtsuWatershed().find(image)
    assert len(found.annotations) == 2
    ious = [max(iou(a.segmentation.to_mask(), truth) for a in found.annotations) for truth in (LEFT, RIGHT)]
    assert min(ious) > 0.93
    assert found.image == image.info


def test_clicks_against_each_other_share_an_otsu_region() -> None:
    prompt = Prompt(points=[(60, 100), (100, 100)], labels=[1, 0])
    mask = answer(OtsuWatershed(), picture(), prompt)
    half = LEFT & (np.arange(WIDTH) <= 80)
    assert iou(mask, half) > 0.9


def test_a_blank_image_has_no_objects_and_still_answers() -> None:
    image = open_image(np.full((30, 40, 3), 9, dtype=np.uint8))
    assert OtsuWatershed().find(image).annotations == ()
    assert answer(OtsuWatershed(), image, Prompt(points=[(3, 3)])).all()
    assert answer(GrabCut(), image, Prompt(points=[(3, 3)])).shape == (30, 40)


def test_grabcut_finds_what_a_box_holds() -> None:
    image = picture()
    alone = image.pixels.copy()
    alone[RIGHT & ~LEFT] = (40, 40, 40)
    segmenter = GrabCut()
    assert iou(answer(segmenter, open_image(alone), Prompt(box=(40, 60, 120, 140))), LEFT) > 0.95
    assert iou(answer(segmenter, open_image(alone), Prompt(points=[(80, 100)])), LEFT) > 0.95


def test_grabcut_answers_the_same_twice_and_goes_on_from_its_answer() -> None:
    segmenter, image = GrabCut(), picture()
    prepared = segmenter.prepare(image)
    first = Question(Prompt(points=[(80, 100)]))
    one, other = (segmenter.predict(prepared, [first])[0] for _ in range(2))
    np.testing.assert_array_equal(one.mask, other.mask)
    wrong = next_click(one.mask, LEFT)
    assert wrong is not None
    prompt = Prompt(points=[(80, 100), wrong[:2]], labels=[1, wrong.label])
    (second,) = segmenter.predict(prepared, [Question(prompt, previous=one)])
    assert second.mask[100, 80]
    assert bool(second.mask[wrong.y, wrong.x]) is bool(wrong.label)


def test_large_images_are_worked_on_small_and_answered_large() -> None:
    pixels = np.repeat(np.repeat(picture().pixels, 5, axis=0), 5, axis=1)
    truth = np.repeat(np.repeat(LEFT, 5, axis=0), 5, axis=1)
    mask = answer(OtsuWatershed(), open_image(pixels), Prompt(points=[first_click(truth)]))
    assert mask.shape == truth.shape
    assert iou(mask, truth) > 0.93


def test_grabcut_needs_a_place() -> None:
    with pytest.raises(PromptError, match=r"^GrabCut answers clicks and boxes, got a mask alone\.$"):
        answer(GrabCut(), picture(), Prompt(mask=LEFT))


def ritm() -> Ritm:
    if weights.cached_path("ritm_hrnet18") is None or weights.cached_path("ritm_hrnet18_graph") is None:
        pytest.skip("the weights of RITM are not here; get them: segany weights pull ritm_hrnet18")
    return Ritm()


def test_ritm_goes_from_click_to_click() -> None:
    segmenter, image = ritm(), picture()
    prepared = segmenter.prepare(image)
    (first,) = segmenter.predict(prepared, [Question(Prompt(points=[(80, 100)]))])
    assert first.mask[100, 80]
    assert iou(first.mask, LEFT | RIGHT) > 0.4
    prompt = Prompt(points=[(80, 100), (145, 100)], labels=[1, 0])
    (second,) = segmenter.predict(prepared, [Question(prompt, previous=first)])
    assert not second.mask[100, 145]
    assert iou(second.mask, LEFT) > 0.85
    with pytest.raises(PromptError, match=r"^RITM answers clicks only; leave the box out\.$"):
        segmenter.predict(prepared, [Question(Prompt(box=(1, 1, 9, 9)))])
