"""Walking through a large JSON object without holding it: elements of its arrays one by one, and where they lie."""

import json
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from segany.formats.problems import FlawError

__all__ = ["Element", "iter_elements", "parse_element"]

_CHUNK_BYTES = 2**20
# One element, one key, or one value that is passed over.
_MAX_VALUE_BYTES = 64 * 2**20
_NUMBER_GOES_ON = 3
_BOM = "\xef\xbb\xbf"

# NaN is no JSON, yet files have it; the field that holds it is refused later, by its name.
_DECODER = json.JSONDecoder(parse_constant=float)


@dataclass(frozen=True)
class Element:
    """A value of the top-level object.

    Attributes:
        key: The name it stands under.
        index: Its place in the array of that name, from 0; None where the value is no array, or an empty one.
        start: Its first byte in the file.
        end: The byte after its last.
        value: What it says, text beyond ASCII garbled: read it anew by `parse_element` to keep it.
    """

    key: str
    index: int | None
    start: int
    end: int
    value: Any


def iter_elements(path: str | os.PathLike[str], arrays: Collection[str]) -> Iterator[Element]:
    """The elements of some arrays of a JSON file whose document is an object, in the file's order.

    Memory holds one element and a buffer. What comes before a damaged place is given.

    Args:
        path: The file.
        arrays: Names of top-level arrays; what else there is is passed over.

    Raises:
        RecordError: The file cannot be read, is no JSON object, is damaged or ends early, at that place.
    """
    try:
        with Path(path).open("rb") as file:
            yield from _Walk(file, path).elements(arrays)
    except OSError as error:
        raise FlawError("unreadable", f"cannot read {path}: {error.strerror or error}.") from error


def parse_element(content: bytes, where: str) -> Any:
    """An element from its bytes.

    Raises:
        RecordError: They are not UTF-8.
    """
    try:
        return _DECODER.decode(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise FlawError("bad_json", f"{where} is not UTF-8 text (byte {error.start} of it).") from error


class _Walk:
    """A window on the file. Its text is the bytes as Latin-1, so that a place in it is a byte of the file."""

    def __init__(self, file: IO[bytes], path: str | os.PathLike[str]) -> None:
        self._file, self._path = file, path
        self._text, self._at, self._base = "", 0, 0
        self._ended = False
        self._lines = 1

    def elements(self, arrays: Collection[str]) -> Iterator[Element]:
        if self._next() == _BOM[0] and self._text.startswith(_BOM):
            self._at = len(_BOM)
        if self._next() not in ("{", ""):
            raise FlawError("bad_json", f"{self._path} must be an object: its JSON must begin with {{.")
        self._take("{")
        more = self._next() != "}"
        while more:
            key, _, _ = self._value()
            if not isinstance(key, str):
                self._refuse("a key must be text")
            self._take(":")
            if key in arrays and self._next() == "[":
                yield from self._array(key)
            else:
                value, start, end = self._value()
                if key in arrays:
                    yield Element(key, None, start, end, value)
            more = self._next() == ","
            if more:
                self._at += 1
        self._take("}")
        if self._next():
            self._refuse("text after the end of the document")

    def _array(self, key: str) -> Iterator[Element]:
        self._take("[")
        if self._next() == "]":
            self._at += 1
            yield Element(key, None, self._base + self._at, self._base + self._at, [])
            return
        index = 0
        while True:
            value, start, end = self._value()
            yield Element(key, index, start, end, value)
            index += 1
            if self._next() != ",":
                break
            self._at += 1
        self._take("]")

    def _next(self) -> str:
        """The next character that is no space, not taken; "" at the end of the file."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in " \t\r\n":
                    return self._text[self._at]
                self._at += 1
            if self._ended:
                return ""
            self._fill()

    def _take(self, wanted: str) -> None:
        came = self._next()
        if came != wanted:
            self._refuse(f"expected {wanted!r}, got {came!r}", truncated=not came)
        self._at += 1

    def _value(self) -> tuple[Any, int, int]:
        """A value, its first byte and the byte after its last."""
        self._next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                # A number near the window's end may go on after it: by a digit, a fraction, an exponent and its sign.
                is_open = isinstance(value, int | float) and end + _NUMBER_GOES_ON > len(self._text)
                if self._ended or (end <= len(self._text) and not is_open):
                    start, self._at = self._at, end
                    return value, self._base + start, self._base + end
            except RecursionError as error:
                raise FlawError("bad_json", f"{self._path} is nested too deeply to be a record.") from error
            except ValueError as error:
                place = error.pos if isinstance(error, json.JSONDecodeError) else self._at
                reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                if self._ended or len(self._text) - self._at > _MAX_VALUE_BYTES:
                    cut = self._ended and (place >= len(self._text) - 1 or "Unterminated" in reason)
                    self._at = place
                    self._refuse(reason[:1].lower() + reason[1:], truncated=cut)
            self._fill()

    def _fill(self) -> None:
        """Forget what was taken and read on, ever more while one value does not fit."""
        self._lines += self._text.count("\n", 0, self._at)
        self._base += self._at
        chunk = self._file.read(max(_CHUNK_BYTES, len(self._text) - self._at))
        self._text = self._text[self._at :] + chunk.decode("latin-1")
        self._at = 0
        self._ended = not chunk

    def _refuse(self, reason: str, *, truncated: bool = False) -> NoReturn:
        place = min(self._at, len(self._text))
        line = self._lines + self._text.count("\n", 0, place)
        where = f"{reason} (line {line}, byte {self._base + place})"
        if truncated:
            raise FlawError("truncated", f"{self._path} is not valid JSON, it ends too early: {where}.")
        raise FlawError("bad_json", f"{self._path} is not valid JSON: {where}.")
