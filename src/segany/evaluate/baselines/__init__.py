"""Methods that are no Segment Anything model, under its protocols: by name, wherever a model's name may stand.

A baseline is a `Segmenter` (see `segany.evaluate.segmenter`) whose constructor takes nothing and imports what it needs
lazily.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from segany.evaluate.baselines.grabcut import GrabCut
from segany.evaluate.baselines.otsu import OtsuWatershed
from segany.evaluate.baselines.ritm import Ritm
from segany.evaluate.segmenter import Segmenter

__all__ = ["BASELINES", "GrabCut", "OtsuWatershed", "Ritm"]

BASELINES: Mapping[str, Callable[[], Segmenter]] = MappingProxyType(
    {"grabcut": GrabCut, "otsu": OtsuWatershed, "ritm": Ritm}
)
