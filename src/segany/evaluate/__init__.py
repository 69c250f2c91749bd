"""How good the answers are: protocols, metrics and their intervals.

Each protocol is a module that can be run: `python -m segany.evaluate.mask_prompts`.
"""

from segany.evaluate.average_recall import AREA_RANGES, AverageRecall, RecallScores
from segany.evaluate.intervals import Interval, mean_interval
from segany.evaluate.objects import TrueObject, coco_objects, mask_folder_objects, stratified, volume_objects
from segany.evaluate.roughening import ROUGHENINGS, Roughening, rough_mask

__all__ = [
    "AREA_RANGES",
    "ROUGHENINGS",
    "AverageRecall",
    "Interval",
    "RecallScores",
    "Roughening",
    "TrueObject",
    "coco_objects",
    "mask_folder_objects",
    "mean_interval",
    "rough_mask",
    "stratified",
    "volume_objects",
]
