"""Everything in an image: proposals once, thresholds for free; and in many images, to be resumed at any time."""

from segany.predict.automatic._clicks import Progress
from segany.predict.automatic.crop import CropProposals
from segany.predict.automatic.folder import FolderProgress, Item, Outcome, Sink, Summary, run
from segany.predict.automatic.generator import AutomaticMaskGenerator
from segany.predict.automatic.proposals import Proposals, rank
from segany.predict.automatic.results import FORMATS, ResultFolder, ResultFormat
from segany.predict.automatic.settings import GridSettings, Thresholds
from segany.predict.automatic.spec import MODES, EverythingSpec

__all__ = [
    "FORMATS",
    "MODES",
    "AutomaticMaskGenerator",
    "CropProposals",
    "EverythingSpec",
    "FolderProgress",
    "GridSettings",
    "Item",
    "Outcome",
    "Progress",
    "Proposals",
    "ResultFolder",
    "ResultFormat",
    "Sink",
    "Summary",
    "Thresholds",
    "rank",
    "run",
]
