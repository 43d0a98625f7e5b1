"""What a session earned: in total, and by strategy and symbol. Pure and light.

The parts add up: the sum over all positions is the session's total, and that is the change in equity but for
capital put in or taken out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from trading.portfolio.positions import Key, Position
from trading.portfolio.valuation import Holding, Mark, Valuation


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPnl:
    """What one session earned [$]. realised: by shares sold. unrealised: by how much it changed for those
    held. profit: since the ledger began, after it. capital: what the box traded with then."""

    session: date
    closed_at: datetime
    capital: Decimal
    realised: Decimal
    unrealised: Decimal
    fees: Decimal
    profit: Decimal

    @property
    def total(self) -> Decimal:
        return self.realised + self.unrealised - self.fees

    @property
    def equity(self) -> Decimal:
        """At the close [$]."""
        return self.capital + self.profit


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionPnl:
    """What one strategy's position in one symbol earned in one session [$], as in `SessionPnl`.

    position: at the close, its quantity and cost alone. mark: what it was valued at.
    """

    session: date
    key: Key
    position: Position
    mark: Mark
    realised: Decimal
    unrealised: Decimal
    fees: Decimal

    @property
    def total(self) -> Decimal:
        return self.realised + self.unrealised - self.fees


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityDay:
    """The range of profit [$, since the ledger began] in one session, as the limits were checked; last: the
    newest, of the instant `at`."""

    session: date
    capital: Decimal
    low: Decimal
    high: Decimal
    last: Decimal
    at: datetime


def pnl_of(session: date, valuation: Valuation) -> SessionPnl:
    """Return what a session earned, by its valuation at the close."""
    holdings = valuation.holdings
    return SessionPnl(
        session=session,
        closed_at=valuation.at,
        capital=valuation.capital,
        realised=sum((each.position.realised for each in holdings), Decimal(0)),
        unrealised=sum((each.unrealised_change for each in holdings), Decimal(0)),
        fees=sum((each.position.fees for each in holdings), Decimal(0)),
        profit=valuation.profit,
    )


def position_pnls(session: date, valuation: Valuation) -> list[PositionPnl]:
    """Return the same by position: those open at the close, and those that were closed in the session."""
    return [
        PositionPnl(
            session=session,
            key=each.key,
            position=Position(quantity=each.position.quantity, cost=each.position.cost),
            mark=each.mark,
            realised=each.position.realised,
            unrealised=each.unrealised_change,
            fees=each.position.fees,
        )
        for each in valuation.holdings
    ]


def total_by_strategy(rows: Iterable[PositionPnl]) -> dict[str, Decimal]:
    """Return what each strategy earned [$]; "": orders without one."""
    totals: dict[str, Decimal] = {}
    for row in rows:
        totals[row.key.strategy_id] = totals.get(row.key.strategy_id, Decimal(0)) + row.total
    return totals


def valuation_of(pnl: SessionPnl, rows: Iterable[PositionPnl]) -> Valuation:
    """Return the valuation at the close that a session's books were made of."""
    holdings = []
    for row in rows:
        position = replace(row.position, realised=row.realised, fees=row.fees)
        before = position.unrealised(row.mark.price) - row.unrealised
        holdings.append(Holding(key=row.key, position=position, mark=row.mark, unrealised_before=before))
    return Valuation(
        at=pnl.closed_at,
        capital=pnl.capital,
        profit_before=pnl.profit - pnl.total,
        holdings=tuple(holdings),
    )
