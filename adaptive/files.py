"""The JSON and JSONL files of the adaptive layer: checked against their schemas when read and before written.

What is wrong with a file is one AdaptiveFileError that names the file and, for each complaint, line and
field. The schemas: adaptive/schemas/NAME.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from adaptive.complaints import complaints
from adaptive.positions import Document, Fault, Where, parse
from trading.marketdata.files import replace_file

Check = Callable[[Any], Iterable[tuple[Where, str]]]
"""Returns what a schema cannot tell of a value that is valid by it: the field, and what is wrong with it."""

MOST_FAULTS: Final = 20
"""More are counted, not told: a person repairs a file from its first ones."""


class AdaptiveFileError(ValueError):
    """A file that cannot be used, or would not be of use if it were written.

    path: of the file. faults: what is wrong with it, in the order of its lines, at least one.
    """

    def __init__(self, path: str | Path, faults: Sequence[Fault]) -> None:
        super().__init__(path, faults)
        self.path, self.faults = Path(path), tuple(faults)

    def __str__(self) -> str:
        told = [_told(self.path, fault) for fault in self.faults[:MOST_FAULTS]]
        more = len(self.faults) - len(told)
        return "\n".join([*told, *([f"{self.path}: and {more} more"] if more else [])])


def file_error(path: str | Path, text: str) -> AdaptiveFileError:
    """Return the error of a file as a whole, of no line of it."""
    return AdaptiveFileError(path, (Fault(None, (), text),))


def read_json(path: Path, schema: str, *, check: Check | None = None) -> dict[str, Any]:
    """Return the object that a JSON file holds, valid by `schema` and then by `check`.

    Raises:
        AdaptiveFileError: if it is missing, empty, half written, no JSON or not valid.
    """
    return cast(dict[str, Any], _checked_document(path, _text(path), schema, check))  # the schema's promise


def read_array(path: Path, schema: str) -> list[dict[str, Any]]:
    """Return the objects of the array that a JSON file holds, valid by `schema`. Raises as `read_json`."""
    return cast(list[dict[str, Any]], _checked_document(path, _text(path), schema))  # the schema's promise


def read_lines(path: Path, schema: str, *, least: int = 1) -> list[dict[str, Any]]:
    """Return the objects of a JSONL file, one per line and each valid by `schema`; blank lines are none.

    least: how many it holds at least; a file that others append to is empty only if it broke off.

    Raises:
        AdaptiveFileError: if it is missing, or a line of it is half written, no JSON or not valid.
    """
    found = _checked_lines(path, _text(path), schema)
    if len(found) < least:
        raise file_error(path, f"is empty, expected {least} or more lines of {schema}")
    return found


def write_json(path: Path, value: Mapping[str, Any] | Sequence[Any], schema: str) -> None:
    """Put `value` at `path` if it is valid by `schema`; a crash leaves the old file or the new one.

    Read-only mappings and tuples may be in it. Folders are made. A file that is written can be read.

    Raises:
        AdaptiveFileError: if it is not valid; the old file is untouched. Lines are those it would have had.
        OSError: a full disk, no permission; the old file is untouched.
    """
    text = _rendered(path, value, indent=2) + "\n"
    _checked_document(path, text, schema)
    replace_file(path, text.encode())


def write_lines(path: Path, values: Iterable[Mapping[str, Any]], schema: str) -> None:
    """Put `values` at `path`, one per line, whole as `write_json` does; without any the file is empty.

    Raises: as `write_json`.
    """
    text = "".join(_rendered(path, value) + "\n" for value in values)
    _checked_lines(path, text, schema)
    replace_file(path, text.encode())


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise file_error(path, "is missing, expected a file") from None
    except OSError as error:
        raise file_error(path, f"cannot be read ({error.strerror}), expected a file") from error
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise AdaptiveFileError(path, (Fault(line, (), "is not UTF-8 text, expected JSON"),)) from error


def _checked_document(path: Path, text: str, schema: str, check: Check | None = None) -> Any:
    if not text.strip():
        raise AdaptiveFileError(path, (Fault(1, (), f"is empty, expected {schema}"),))
    document = parse(text)
    faults = _faults(document, schema)
    if check is not None and not faults:
        faults = [Fault(document.line_of(where), where, text) for where, text in check(document.value)]
    if faults:
        raise AdaptiveFileError(path, sorted(faults, key=_by_line))
    return document.value


def _checked_lines(path: Path, text: str, schema: str) -> list[dict[str, Any]]:
    lines = text.split("\n")  # a text may hold other characters that end lines elsewhere
    documents = [parse(line, number) for number, line in enumerate(lines, 1) if line.strip()]
    faults = [fault for document in documents for fault in _faults(document, schema)]
    if faults:
        raise AdaptiveFileError(path, faults)
    return [document.value for document in documents]


def _faults(document: Document, schema: str) -> list[Fault]:
    """Return what is wrong with a document: as JSON, and by the schema where the JSON is right."""
    if not document.whole:
        return list(document.faults)
    told: set[Where] = {fault.where for fault in document.faults}
    found = [(where, text) for where, text in complaints(document.value, schema) if where not in told]
    return [*document.faults, *(Fault(document.line_of(where), where, text) for where, text in found)]


def _rendered(path: Path, value: object, indent: int | None = None) -> str:
    """Return `value` as JSON text; what JSON lacks (NaN) is left in it, for the check to find and name."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, default=_plain)
    except (TypeError, ValueError) as error:
        raise file_error(path, f"cannot be written as JSON: {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"expected JSON values, got {value!r}")


def _by_line(fault: Fault) -> int:
    return fault.line or 0


def _told(path: Path, fault: Fault) -> str:
    place = [str(path)]
    if fault.line is not None:
        place.append(f"line {fault.line}")
    if fault.where:
        place.append(f"field {_name(fault.where)}")
    return f"{', '.join(place)}: {fault.text}"


def _name(where: Where) -> str:
    """Return `where` as people write it, a.b[0].c."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in where).removeprefix(".")
