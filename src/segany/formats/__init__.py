"""Annotation codecs, one module for each format: masks to files and back; and one way in for all of them.

`open_dataset(path)` finds out what a folder or a file holds and gives its records one by one.
"""

from segany.formats import bsds, coco, label_map, sa1b, sav
from segany.formats.category import FORMAT_NAMES, Category, FormatName
from segany.formats.dataset import Dataset
from segany.formats.detect import detect, open_dataset
from segany.formats.problems import PROBLEM_KINDS, Problem, ProblemKind
from segany.formats.summary import Distribution, Summary, summarize

__all__ = [
    "FORMAT_NAMES",
    "PROBLEM_KINDS",
    "Category",
    "Dataset",
    "Distribution",
    "FormatName",
    "Problem",
    "ProblemKind",
    "Summary",
    "bsds",
    "coco",
    "detect",
    "label_map",
    "open_dataset",
    "sa1b",
    "sav",
    "summarize",
]
