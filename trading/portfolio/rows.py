"""The portfolio's nouns as rows of the ledger: text for Decimals, instants and days. Light."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

from trading.execution.ledger.rows import instant_text
from trading.portfolio.decisions import Decision
from trading.portfolio.limits import Action, Kind
from trading.portfolio.pnl import EquityDay, PositionPnl, SessionPnl
from trading.portfolio.positions import Key, Position
from trading.portfolio.valuation import Mark, Source

T = TypeVar("T", Decision, EquityDay, SessionPnl)

# How a stored cell becomes a value, by the annotation of the field; anything "| None" may be NULL besides.
_READ: Final[Mapping[str, Callable[[Any], object]]] = {
    "int": int,
    "str": str,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "Decimal": Decimal,
    "Kind": Kind,
    "Action": Action,
}


def noun_of(kind: type[T], row: Mapping[str, Any]) -> T:
    """Return the noun of a row that has a column for each of its fields.

    Raises:
        ValueError: if none fits; also ArithmeticError, for a number that is none.
    """
    values: dict[str, Any] = {}
    for each in fields(kind):
        cell, read = row[each.name], _READ[str(each.type).removesuffix(" | None")]
        values[each.name] = None if cell is None else read(cell)
    return kind(**values)


def cell(given: object) -> object:
    """Return a value as a cell of a row."""
    if isinstance(given, datetime):
        return instant_text(given)
    if isinstance(given, date):
        return given.isoformat()
    return given if given is None or isinstance(given, int) else str(given)


def mark_of(row: Mapping[str, Any], at: str = "at", source: Source = Source.QUOTE) -> Mark:
    """Return the mark of a row; at: the column of its instant. Raises ValueError, ArithmeticError."""
    return Mark(price=Decimal(row["price"]), at=datetime.fromisoformat(row[at]), source=source)


def position_pnl_of(row: Mapping[str, Any]) -> PositionPnl:
    """Return a row of pnl_daily. Raises ValueError, ArithmeticError."""
    return PositionPnl(
        session=date.fromisoformat(row["session"]),
        key=Key(row["strategy_id"], row["symbol"]),
        position=Position(quantity=row["quantity"], cost=Decimal(row["cost"])),
        mark=mark_of(row, "priced_at", Source.BOOKS),
        realised=Decimal(row["realised"]),
        unrealised=Decimal(row["unrealised"]),
        fees=Decimal(row["fees"]),
    )
