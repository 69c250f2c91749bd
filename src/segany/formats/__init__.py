"""Annotation codecs, one module for each format: masks to files and back; and one way in for all of them.

`open_dataset(path)` finds out what a folder or a file holds and gives its records one by one; `plan_conversion` says
what another format would lose of them, and `convert` writes it.
"""

from segany.formats import bsds, coco, label_map, sa1b, sav
from segany.formats._placing import IMAGE_MODES, ImageMode
from segany.formats.category import FORMAT_NAMES, Category, FormatName
from segany.formats.conversion import Conversion, Plan, RecordSource, convert, plan_conversion
from segany.formats.dataset import Dataset
from segany.formats.detect import detect, open_dataset
from segany.formats.losses import FIELDS, HOLDS, TARGETS, Loss, Target
from segany.formats.problems import PROBLEM_KINDS, Problem, ProblemKind
from segany.formats.summary import Distribution, Summary, summarize
from segany.formats.writers import Options

__all__ = [
    "FIELDS",
    "FORMAT_NAMES",
    "HOLDS",
    "IMAGE_MODES",
    "PROBLEM_KINDS",
    "TARGETS",
    "Category",
    "Conversion",
    "Dataset",
    "Distribution",
    "FormatName",
    "ImageMode",
    "Loss",
    "Options",
    "Plan",
    "Problem",
    "ProblemKind",
    "RecordSource",
    "Summary",
    "Target",
    "bsds",
    "coco",
    "convert",
    "detect",
    "label_map",
    "open_dataset",
    "plan_conversion",
    "sa1b",
    "sav",
    "summarize",
]
