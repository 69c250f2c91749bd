"""What is wrong with annotated data: typed, counted, and never the end of a reading unless that is asked for."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

from segany.errors import InputError, RecordError

__all__ = ["PROBLEM_KINDS", "FlawError", "Problem", "ProblemKind", "ProblemLog"]

ProblemKind = Literal[
    "bad_json",
    "truncated",
    "refused",
    "unreadable",
    "missing_image",
    "missing_mask",
    "wrong_size",
    "empty_mask",
    "outside_image",
    "unknown_category",
    "not_a_number",
    "duplicate_id",
    "invalid",
]
PROBLEM_KINDS: tuple[ProblemKind, ...] = get_args(ProblemKind)

# Problems kept with their words; of what comes after, only the number is kept.
_MAX_KEPT = 100_000


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with annotated data.

    Attributes:
        kind: Which sort of thing.
        file: The file it is in.
        key: Where in the file: "annotation 3 (id 17)", "line 4", "byte 1024", a member of an archive; or "".
        what: What was wanted and what came.
    """

    kind: ProblemKind
    file: str
    key: str
    what: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.key}" if self.key else self.file
        return f"{place}: {self.what}"


class FlawError(RecordError):
    """A RecordError that knows which sort of problem it is.

    Attributes:
        kind: The sort.
    """

    def __init__(self, kind: ProblemKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ProblemLog:
    """Problems met while reading, each once.

    Attributes:
        strict: Raise the first problem instead of keeping it.
        counts: How many of each kind.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.counts: Counter[ProblemKind] = Counter()
        self._kept: dict[Problem, None] = {}

    @property
    def kept(self) -> tuple[Problem, ...]:
        """The problems in the order they were met; of more than 100,000 the first ones."""
        return tuple(self._kept)

    def add(self, problem: Problem) -> None:
        """Keep a problem, unless it was met before.

        Raises:
            FlawError: The log is strict.
        """
        if self.strict:
            raise FlawError(problem.kind, str(problem))
        if problem in self._kept:
            return
        self.counts[problem.kind] += 1
        if len(self._kept) < _MAX_KEPT:
            self._kept[problem] = None

    @contextmanager
    def watch(self, file: str, key: str = "", kind: ProblemKind = "invalid") -> Iterator[None]:
        """Keep the InputError of a block as a problem; the block ends there.

        Args:
            file: The file being read.
            key: The place in it.
            kind: The sort of problem, of an error that does not know it.

        Raises:
            RecordError: The log is strict, and the block raised an InputError.
        """
        try:
            yield
        except InputError as error:
            if self.strict and isinstance(error, RecordError):
                raise
            place, what = _place(key, str(error).removeprefix(f"{file}: "))
            problem = Problem(error.kind if isinstance(error, FlawError) else kind, file, place, what)
            if self.strict:
                raise FlawError(problem.kind, str(problem)) from error
            self.add(problem)


def _place(key: str, message: str) -> tuple[str, str]:
    """The place and what is wrong there, of a message that may name the place too, and more exactly."""
    head, colon, rest = message.partition(": ")
    return (head, rest) if colon and (head == key or (key and head.startswith(f"{key} ("))) else (key, message)
