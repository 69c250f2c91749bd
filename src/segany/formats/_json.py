"""Reading JSON that anyone may have written: limits, and fields checked one by one with the place in the message."""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from segany.errors import RecordError
from segany.formats.problems import FlawError, ProblemKind, ProblemLog

__all__ = ["Fields", "finite_fields", "parse_json", "read_json"]

MAX_FILE_BYTES = 256 * 2**20

T = TypeVar("T")


def read_json(path: str | os.PathLike[str], max_bytes: int = MAX_FILE_BYTES, *, allow_nan: bool = False) -> Any:
    """The document of a JSON file.

    Args:
        path: The file, UTF-8.
        max_bytes: A larger file is refused unread.
        allow_nan: Take NaN and infinity, which are no JSON; `Fields` refuses them where they stand.

    Raises:
        RecordError: No such file, too large, not UTF-8, not JSON, nested too deeply, or holding NaN or infinity.
    """
    try:
        with Path(path).open("rb") as file:
            # A pipe has no size to tell, so what comes is counted, too.
            too_large = os.fstat(file.fileno()).st_size > max_bytes
            content = b"" if too_large else file.read(max_bytes + 1)
    except OSError as error:
        raise FlawError("unreadable", f"cannot read {path}: {error.strerror or error}.") from error
    if too_large or len(content) > max_bytes:
        raise FlawError(
            "refused", f"{path} is larger than {max_bytes} bytes, the most that is read as one record; split it."
        )
    return parse_json(content, path, allow_nan=allow_nan)


def parse_json(content: bytes, path: str | os.PathLike[str], *, allow_nan: bool = False) -> Any:
    """The document that the bytes of a JSON file hold.

    Args:
        content: UTF-8.
        path: What the messages call it.
        allow_nan: As in `read_json`.

    Raises:
        RecordError: As `read_json`.
    """
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=float if allow_nan else _refuse_constant)
    except UnicodeDecodeError as error:
        raise FlawError(
            "bad_json", f"{path} is not UTF-8 text (byte {error.start}), so it is no JSON record."
        ) from error
    except RecursionError as error:
        raise FlawError("bad_json", f"{path} is nested too deeply to be a record.") from error
    except ValueError as error:
        raise FlawError("bad_json", f"{path} is not valid JSON: {error}.") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


@dataclass(frozen=True)
class Fields:
    """A JSON object whose values are taken out checked; every problem is a RecordError that names the place.

    Each method gives None for a key that is missing or null.

    Attributes:
        values: The object.
        where: The file and the place in it, for messages.
    """

    values: Mapping[str, Any]
    where: str

    @classmethod
    def of(cls, value: Any, where: str) -> "Fields":
        """Check that a value is an object."""
        if not isinstance(value, dict):
            raise RecordError(f"{where} must be an object, got {_shown(value)}.")
        return cls(value, where)

    def require(self, value: T | None, key: str) -> T:
        """A value that must be there."""
        if value is None:
            raise self.missing(key)
        return value

    def missing(self, key: str) -> RecordError:
        """The error for a value that is not there."""
        return RecordError(f"{self.where}: {key} is missing.")

    def identity(self, key: str) -> int | str | None:
        """A whole number or text."""
        value = self.values.get(key)
        if value is None:
            return None
        # Not by _checked: a type checker finds no one type for "int or str" there.
        if isinstance(value, int | str) and not isinstance(value, bool):
            return value
        raise RecordError(f"{self.where}: {key} must be a whole number or text, got {_shown(value)}.")

    def whole(self, key: str) -> int | None:
        """A whole number; 5.0 is one."""
        return self._checked(key, "a whole number", _as_whole)

    def number(self, key: str) -> float | None:
        """A finite number."""
        return self._checked(key, "a finite number", _as_number)

    def text(self, key: str) -> str | None:
        """Text."""
        return self._checked(key, "text", lambda v: v if isinstance(v, str) else None)

    def flag(self, key: str) -> bool | None:
        """True or false, also as 1 or 0."""
        return self._checked(key, "true or false", lambda v: bool(v) if v in (0, 1) and _is_real(v, True) else None)

    def numbers(self, key: str, length: int | None = None) -> tuple[float, ...] | None:
        """A list of finite numbers, of a given length."""
        wanted = f"a list of {'' if length is None else f'{length} '}finite numbers"
        return self._checked(key, wanted, lambda v: _as_numbers(v, length))

    def points(self, key: str) -> tuple[tuple[float, float], ...] | None:
        """A list of [x, y]."""
        return self._checked(key, "a list of [x, y]", _as_points)

    def rings(self, key: str) -> tuple[tuple[tuple[float, float], ...], ...] | None:
        """A list of lists of [x, y]."""
        return self._checked(key, "a list of lists of [x, y]", _as_rings)

    def items(self, key: str) -> list[Any] | None:
        """A list of anything."""
        return self._checked(key, "a list", lambda v: v if isinstance(v, list) else None)

    def child(self, key: str) -> "Fields | None":
        """An object."""
        value = self.values.get(key)
        return None if value is None else Fields.of(value, f"{self.where}: {key}")

    def _checked(self, key: str, wanted: str, convert: Callable[[Any], T | None]) -> T | None:
        value = self.values.get(key)
        if value is None:
            return None
        converted = convert(value)
        if converted is None:
            kind: ProblemKind = "not_a_number" if _holds_nan(value) else "invalid"
            holding = " that holds NaN or infinity" if kind == "not_a_number" and isinstance(value, list) else ""
            raise FlawError(kind, f"{self.where}: {key} must be {wanted}, got {_shown(value)}{holding}.")
        return converted


def finite_fields(extra: Mapping[str, Any], log: ProblemLog, name: str, where: str) -> dict[str, Any]:
    """Fields that are only passed on, without those that JSON cannot hold; these are reported.

    Args:
        extra: What stands in the file.
        log: Takes the problems.
        name: The file.
        where: The file and the place in it.
    """
    kept = {key: value for key, value in extra.items() if _is_finite(value)}
    for key in extra.keys() - kept.keys():
        with log.watch(name, where.removeprefix(f"{name}: ")):
            raise FlawError("not_a_number", f"{where}: {key} holds NaN or infinity; it is left out.")
    return kept


def _is_finite(value: Any) -> bool:
    try:
        if isinstance(value, dict):
            return all(map(_is_finite, value.values()))
        if isinstance(value, list):
            return all(map(_is_finite, value))
    except RecursionError:
        # So deep that it could not be written either.
        return False
    return not isinstance(value, float) or math.isfinite(value)


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:60]}..."


def _holds_nan(value: Any) -> bool:
    if isinstance(value, list):
        return any(_holds_nan(item) for item in value)
    return isinstance(value, float) and not math.isfinite(value)


def _is_real(value: Any, allow_bool: bool = False) -> bool:
    return isinstance(value, int | float) and (allow_bool or not isinstance(value, bool))


def _as_whole(value: Any) -> int | None:
    number = _as_number(value)
    return int(value) if number is not None and number.is_integer() else None


def _as_number(value: Any) -> float | None:
    if not _is_real(value):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _as_numbers(value: Any, length: int | None) -> tuple[float, ...] | None:
    if not isinstance(value, list) or (length is not None and len(value) != length):
        return None
    numbers = [number for item in value if (number := _as_number(item)) is not None]
    return tuple(numbers) if len(numbers) == len(value) else None


def _as_points(value: Any) -> tuple[tuple[float, float], ...] | None:
    if not isinstance(value, list):
        return None
    points = [(pair[0], pair[1]) for item in value if (pair := _as_numbers(item, 2)) is not None]
    return tuple(points) if len(points) == len(value) else None


def _as_rings(value: Any) -> tuple[tuple[tuple[float, float], ...], ...] | None:
    if not isinstance(value, list):
        return None
    rings = [ring for item in value if (ring := _as_points(item)) is not None]
    return tuple(rings) if len(rings) == len(value) else None
