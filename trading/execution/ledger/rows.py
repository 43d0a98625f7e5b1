"""Orders and fills as rows of the ledger: text for Decimals, instants and enums. Light.

The same rows are the details of the ledger's own events, so that the log alone holds everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeVar

from trading.execution.orders import (
    ChildOrder,
    ChildState,
    DeadlinePolicy,
    Fill,
    OrderKind,
    ParentOrder,
    ParentState,
    Side,
    Urgency,
)

Cell = str | int | float | None
Row = dict[str, Cell]
T = TypeVar("T", ParentOrder, ChildOrder, Fill)


def instant_text(at: datetime) -> str:
    """Return an aware instant as UTC text of one width, so that text sorts as time does."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


class _Codec(NamedTuple):
    write: Callable[[Any], Cell]
    read: Callable[[Any], object]


# By the annotation of the field; anything "| None" may be None besides.
_CODECS: Final[dict[str, _Codec]] = {
    "str": _Codec(str, str),
    "int": _Codec(int, int),
    "float": _Codec(float, float),
    "date": _Codec(date.isoformat, date.fromisoformat),
    "datetime": _Codec(instant_text, datetime.fromisoformat),
    "Decimal": _Codec(str, Decimal),
    **{
        kind.__name__: _Codec(str, kind)
        for kind in (Side, Urgency, DeadlinePolicy, ParentState, ChildState, OrderKind)
    },
}


def _codecs(kind: type[T]) -> dict[str, _Codec]:
    return {field.name: _CODECS[str(field.type).removesuffix(" | None")] for field in fields(kind)}


_PARENT: Final = _codecs(ParentOrder)
_CHILD: Final = _codecs(ChildOrder)
_FILL: Final = _codecs(Fill)

PARENT_COLUMNS: Final = tuple(_PARENT)
CHILD_COLUMNS: Final = tuple(_CHILD)
FILL_COLUMNS: Final = tuple(_FILL)


def row_of(order: ParentOrder | ChildOrder | Fill) -> Row:
    """Return an order or a fill as columns and their values."""
    codecs = _PARENT if isinstance(order, ParentOrder) else _CHILD if isinstance(order, ChildOrder) else _FILL
    values = ((name, codec, getattr(order, name)) for name, codec in codecs.items())
    return {name: None if value is None else codec.write(value) for name, codec, value in values}


def parent_of(row: Mapping[str, Any]) -> ParentOrder:
    """Return the parent of a row that has at least PARENT_COLUMNS. Raises ValueError if none fits."""
    return _built(ParentOrder, _PARENT, row)


def child_of(row: Mapping[str, Any]) -> ChildOrder:
    """Return the child of a row that has at least CHILD_COLUMNS. Raises ValueError if none fits."""
    return _built(ChildOrder, _CHILD, row)


def fill_of(row: Mapping[str, Any]) -> Fill:
    """Return the fill of a row that has at least FILL_COLUMNS. Raises ValueError if none fits."""
    return _built(Fill, _FILL, row)


def _built(kind: type[T], codecs: Mapping[str, _Codec], row: Mapping[str, Any]) -> T:
    try:
        values: dict[str, Any] = {
            name: None if (cell := row[name]) is None else codec.read(cell) for name, codec in codecs.items()
        }
        return kind(**values)
    except (LookupError, TypeError, ArithmeticError, ValueError) as error:
        raise ValueError(f"no {kind.__name__} can be made of {dict(row)}: {error!r}") from error
