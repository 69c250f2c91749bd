import numpy as np
import pytest

from segany import Predictor, Prompt
from segany.evaluate.segmenter import MaskAnswer, MaskCrop, PredictorSegmenter, Question
from segany.masks import RLE
from segany.sources import open_image

PIXELS = np.arange(90 * 120 * 3, dtype=np.uint32).reshape(90, 120, 3).astype(np.uint8)


def test_a_crop_is_the_whole_mask_without_what_is_round_it() -> None:
    mask = np.zeros((30, 40), dtype=bool)
    mask[3:9, 10:20] = True
    mask[4, 12] = False
    crop = MaskCrop.of(RLE.from_mask(mask))
    assert crop.box == (10, 3, 20, 9)
    np.testing.assert_array_equal(crop.within((0, 0, 40, 30)), mask)
    np.testing.assert_array_equal(crop.within((15, 5, 25, 30)), mask[5:30, 15:25])
    assert crop.within((0, 0, 5, 3)).sum() == 0
    assert crop.rle(RLE.from_mask(mask).size) == RLE.from_mask(mask)


def test_an_empty_crop() -> None:
    crop = MaskCrop.of(RLE.from_mask(np.zeros((5, 6), dtype=bool)))
    assert crop.iou(crop) == 0
    assert crop.within((0, 0, 6, 5)).sum() == 0


def test_predictions_are_enlarged_as_predictor_enlarges_them(fake: PredictorSegmenter) -> None:
    prepared = fake.prepare(open_image(PIXELS))
    prompts = [Prompt(points=[(20, 30)]), Prompt(points=[(100, 80)])]
    answers = fake.predict(prepared, [Question(prompt, multimask=True) for prompt in prompts])
    for prompt, answer in zip(prompts, answers, strict=True):
        prediction = fake.predictor.predict(prepared, prompt, multimask=True)
        np.testing.assert_array_equal(answer.scores, prediction.iou_predictions)
        for index in range(3):
            np.testing.assert_array_equal(answer.crop(index).within((0, 0, 120, 90)), prediction.mask(index))


def test_earlier_answers_go_back_as_logits(fake: PredictorSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = fake.prepare(open_image(PIXELS))
    (first,) = fake.predict(prepared, [Question(Prompt(points=[(20, 30)]), multimask=True)])
    seen: list[Prompt] = []
    predict_many = Predictor.predict_many

    def spy(self: Predictor, embedding: object, prompts: list[Prompt], **options: object) -> object:
        seen.extend(prompts)
        return predict_many(self, embedding, prompts, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "predict_many", spy)
    points = [(20, 30), (40, 50)]
    fake.predict(prepared, [Question(Prompt(points=points, labels=[1, 0]), False, first, chosen=2)])
    (prompt,) = seen
    assert prompt.mask_logits is not None
    np.testing.assert_array_equal(prompt.mask_logits, first.prediction.low_res_logits[2])


def test_answers_keep_the_order_of_mixed_questions(fake: PredictorSegmenter) -> None:
    prepared = fake.prepare(open_image(PIXELS))
    questions = [Question(Prompt(points=[(20, 30)]), several) for several in (False, True, False)]
    assert [len(answer.scores) for answer in fake.predict(prepared, questions)] == [1, 3, 1]


def test_a_baselines_answer_is_its_mask() -> None:
    mask = np.zeros((5, 7), dtype=bool)
    mask[1, 2:4] = True
    answer = MaskAnswer(mask, np.array([np.nan], dtype=np.float32))
    np.testing.assert_array_equal(answer.crop(0).within((0, 0, 7, 5)), mask)
