"""Everything in an image: proposals once, thresholds for free."""

from segany.predict.automatic._clicks import Progress
from segany.predict.automatic.generator import AutomaticMaskGenerator
from segany.predict.automatic.proposals import CropProposals, Proposals, rank
from segany.predict.automatic.settings import GridSettings, Thresholds

__all__ = ["AutomaticMaskGenerator", "CropProposals", "GridSettings", "Progress", "Proposals", "Thresholds", "rank"]
