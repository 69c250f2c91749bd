"""What is measured, from a word of the command line: a model, the same model on another runtime, or a baseline."""

from dataclasses import dataclass

from segany import weights
from segany.errors import ConfigError
from segany.evaluate.baselines import BASELINES
from segany.evaluate.segmenter import PredictorSegmenter, Segmenter
from segany.predict import EmbeddingCache, Predictor
from segany.predict.load import PRECISIONS, RUNTIMES
from segany.settings import Settings

__all__ = ["SubjectSpec", "open_segmenter"]


@dataclass(frozen=True)
class SubjectSpec:
    """What to measure.

    Attributes:
        text: As it was given; the name in reports.
        model: A name of `segany weights list`, a checkpoint file, or a baseline's name.
        runtime: As `Predictor` takes it.
        precision: As `Predictor` takes it.
        device: As `Predictor` takes it.
    """

    text: str
    model: str
    runtime: str = "auto"
    precision: str = "auto"
    device: str = "auto"

    @classmethod
    def parse(cls, text: str, *, runtime: str = "auto", precision: str = "auto", device: str = "auto") -> "SubjectSpec":
        """Read MODEL or MODEL@RUNTIME,PRECISION: "mobile_sam", "mobile_sam@torch", "mobile_sam@torch,float32".

        Args:
            text: The word.
            runtime: Where it names none.
            precision: Where it names none.
            device: For all.

        Raises:
            ConfigError: What stands after @ is neither a runtime nor a precision.
        """
        model, _, options = text.partition("@")
        for option in filter(None, options.split(",")):
            if option in RUNTIMES:
                runtime = option
            elif option in PRECISIONS:
                precision = option
            else:
                raise ConfigError(
                    f"{text}: after @ there may be a runtime ({', '.join(RUNTIMES)}) and a precision "
                    f"({', '.join(PRECISIONS)}), got {option!r}."
                )
        if not model:
            raise ConfigError(f"a model needs a name before the @, got {text!r}.")
        return cls(text, model, runtime, precision, device)


def open_segmenter(spec: SubjectSpec, progress: weights.Progress | None = None) -> Segmenter:
    """Load what answers prompts.

    Args:
        spec: What to load.
        progress: Called while weights are fetched.

    Raises:
        SeganyError: As `Predictor`.
    """
    if spec.model in BASELINES:
        return BASELINES[spec.model]()
    predictor = Predictor(
        spec.model,
        device=spec.device,
        precision=spec.precision,
        runtime=spec.runtime,
        cache=EmbeddingCache.default(Settings.from_environment()),
        progress=progress,
    )
    return PredictorSegmenter(spec.text, predictor)
