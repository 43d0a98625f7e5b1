"""JSON read with the line of every field, and with all that is wrong in it at once. Light: no library.

What the json module lets pass is refused here: a key that stands twice, a number that is not finite, half of
a surrogate pair (it cannot be written again).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from json import JSONDecodeError, JSONDecoder
from math import isfinite
from typing import Any, Final, NamedTuple

Where = tuple[str | int, ...]
"""The way to a field: the keys of objects and the indexes of arrays, from the outside in."""

DEEPEST: Final = 50
"""Files of ours nest five deep; what nests deeper than this is no such file, and might exhaust the stack."""

_STRINGS: Final = JSONDecoder()
_BLANK: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?(?![0-9A-Za-z.+-])")
_WORD: Final = re.compile(r"[-+.0-9A-Za-z_]+")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NAMES: Final = {"true": True, "false": False, "null": None}
_NOT_FINITE: Final = frozenset({"NaN", "Infinity", "-Infinity"})


class Fault(NamedTuple):
    """One thing that is wrong: where, and what was expected. line: from 1, None if it has none."""

    line: int | None
    where: Where
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a JSON text says. value: None if it broke off. lines: of each field, where its key stands."""

    value: Any
    lines: dict[Where, int]
    faults: tuple[Fault, ...]
    whole: bool

    def line_of(self, where: Where) -> int:
        """Return the line of a field, or of the innermost field around it that is there."""
        while where not in self.lines:
            where = where[:-1]
        return self.lines[where]


def parse(text: str, first_line: int = 1) -> Document:
    """Return what `text` says; its faults are in it, none is raised. first_line: the number of its first."""
    reader = _Reader(text, first_line)
    value, whole = None, True
    try:
        value = reader.document()
    except _Broken as broken:
        whole = False
        reader.faults.append(Fault(reader.line(broken.at), broken.where, broken.text))
    return Document(value=value, lines=reader.lines, faults=tuple(reader.faults), whole=whole)


class _Broken(Exception):
    """It cannot be read on from here."""

    def __init__(self, at: int, where: Where, text: str) -> None:
        super().__init__(text)
        self.at, self.where, self.text = at, where, text


@dataclass(slots=True)
class _Reader:
    """Recursive descent; each method takes the offset it starts from and returns a value and the next one."""

    text: str
    first_line: int
    lines: dict[Where, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.breaks = [at for at, letter in enumerate(self.text) if letter == "\n"]
        self.lines[()] = self.first_line

    def line(self, at: int) -> int:
        return self.first_line + bisect_right(self.breaks, at - 1)

    def document(self) -> Any:
        value, at = self.value(self.skip(0), ())
        at = self.skip(at)
        if at < len(self.text):
            raise self.broken(at, (), "the end of the document")
        return value

    def skip(self, at: int) -> int:
        blank = _BLANK.match(self.text, at)
        assert blank is not None  # it matches nothing, too
        return blank.end()

    def value(self, at: int, where: Where) -> tuple[Any, int]:
        if len(where) > DEEPEST:
            raise _Broken(at, where[:3], f"nests deeper than {DEEPEST}, expected one of our files")
        match self.text[at : at + 1]:
            case "{":
                return self.object(self.skip(at + 1), where)
            case "[":
                return self.array(self.skip(at + 1), where)
            case '"':
                return self.string(at, where)
        return self.number(at, where)

    def object(self, at: int, where: Where) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        if self.text[at : at + 1] == "}":
            return found, at + 1
        while True:
            if self.text[at : at + 1] != '"':
                raise self.broken(at, where, 'a key in "quotes"')
            key, after = self.string(at, where)
            inner = (*where, key)
            if key in found:
                self.faults.append(Fault(self.line(at), inner, "stands twice, expected each key once"))
            self.lines[inner] = self.line(at)
            found[key], at = self.value(self.after(":", after, inner), inner)
            at, done = self.next_or_end("}", at, where)
            if done:
                return found, at

    def array(self, at: int, where: Where) -> tuple[list[Any], int]:
        found: list[Any] = []
        if self.text[at : at + 1] == "]":
            return found, at + 1
        while True:
            inner = (*where, len(found))
            self.lines[inner] = self.line(at)
            value, at = self.value(at, inner)
            found.append(value)
            at, done = self.next_or_end("]", at, where)
            if done:
                return found, at

    def after(self, mark: str, at: int, where: Where) -> int:
        at = self.skip(at)
        if self.text[at : at + 1] != mark:
            raise self.broken(at, where, f"'{mark}'")
        return self.skip(at + 1)

    def next_or_end(self, end: str, at: int, where: Where) -> tuple[int, bool]:
        at = self.skip(at)
        match self.text[at : at + 1]:
            case ",":
                return self.skip(at + 1), False
            case mark if mark == end:
                return at + 1, True
        raise self.broken(at, where, f"',' or '{end}'")

    def string(self, at: int, where: Where) -> tuple[str, int]:
        try:
            found, after = _STRINGS.raw_decode(self.text, at)
        except JSONDecodeError as error:
            raise _Broken(error.pos, where, f"is broken ({error.msg}), expected a text in quotes") from None
        if not found.isascii() and _SURROGATE.search(found):
            self.fault(at, where, "holds half of a surrogate pair, expected whole characters")
            found = _SURROGATE.sub("\ufffd", found)
        return found, after

    def number(self, at: int, where: Where) -> tuple[Any, int]:
        number = _NUMBER.match(self.text, at)
        if number is not None:
            return self.finite(number, at, where), number.end()
        word = _WORD.match(self.text, at)
        name = word[0] if word else ""
        if word is None or (name not in _NAMES and name not in _NOT_FINITE):
            raise self.broken(at, where, "a value")
        if name in _NOT_FINITE:
            self.fault(at, where, f"is {name}, expected a finite number")
        return _NAMES.get(name), word.end()

    def finite(self, number: re.Match[str], at: int, where: Where) -> float | int | None:
        whole = number[1] is None and number[2] is None
        # A whole number of more digits is no count of ours, and Python refuses to read one of 4,300.
        found = int(number[0]) if whole and len(number[0]) <= 300 else float(number[0])
        if isfinite(found):
            return found
        self.fault(at, where, f"is {number[0][:20]}, expected a finite number")
        return None

    def fault(self, at: int, where: Where, text: str) -> None:
        self.faults.append(Fault(self.line(at), where, text))

    def broken(self, at: int, where: Where, expected: str) -> _Broken:
        word = _WORD.match(self.text, at)
        there = repr(word[0][:20] if word else self.text[at : at + 1]) if at < len(self.text) else ""
        return _Broken(at, where, f"{f'has {there}' if there else 'breaks off'}, expected {expected}")
