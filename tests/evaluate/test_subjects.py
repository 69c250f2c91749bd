import pytest

from segany import weights
from segany.errors import ConfigError, UnknownWeightsError
from segany.evaluate.baselines import BASELINES
from segany.evaluate.segmenter import PredictorSegmenter
from segany.evaluate.subjects import SubjectSpec, open_segmenter


def test_a_word_may_name_runtime_and_precision() -> None:
    spec = SubjectSpec.parse("mobile_sam@torch,float32", runtime="openvino")
    assert (spec.text, spec.model, spec.runtime, spec.precision) == (
        "mobile_sam@torch,float32",
        "mobile_sam",
        "torch",
        "float32",
    )
    assert SubjectSpec.parse("mobile_sam", runtime="openvino", precision="mixed", device="cpu") == SubjectSpec(
        "mobile_sam", "mobile_sam", "openvino", "mixed", "cpu"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mobile_sam@onnx", r"after @ there may be a runtime \(auto, torch, openvino\) and a precision .* got 'onnx'"),
        ("@torch", "a model needs a name before the @, got '@torch'"),
    ],
)
def test_other_words_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SubjectSpec.parse(text)


def test_a_model_is_a_segmenter() -> None:
    segmenter = open_segmenter(SubjectSpec.parse("mobile_sam@torch,float32"))
    assert isinstance(segmenter, PredictorSegmenter)
    assert segmenter.name == "mobile_sam@torch,float32"
    assert segmenter.about["model"] == "mobile_sam"
    assert "float32" in segmenter.about["backend"]
    assert segmenter.predictor.backend.model_digest in segmenter.digest


def test_an_unknown_model() -> None:
    with pytest.raises(UnknownWeightsError):
        open_segmenter(SubjectSpec.parse("mobile_samm"))


def test_no_baseline_has_the_name_of_a_model() -> None:
    assert not BASELINES.keys() & {entry.name for entry in weights.entries("model")}
