"""Fills, marks and valuations with round numbers: for tests of the portfolio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from trading.execution.orders import Fill, Side
from trading.portfolio.limits import RiskLimits
from trading.portfolio.positions import StrategyFill
from trading.portfolio.valuation import ClosedBooks, Mark, Source, Valuation, value

DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CAPITAL = Decimal(100_000)


def fill(
    quantity: int,
    price: str | Decimal,
    *,
    fee: str = "0",
    symbol: str = "ACME",
    minute: float = 0,
    name: str = "x",
) -> Fill:
    """One execution: bought, or sold if `quantity` is negative; so many minutes after noon."""
    return Fill(
        execution_id=f"{name}{minute}",
        client_order_id="20261120-ACME-0001-0001",
        symbol=symbol,
        side=Side.BUY if quantity > 0 else Side.SELL,
        quantity=abs(quantity),
        price=Decimal(price),
        at=NOON + minute * MINUTE,
        fee=Decimal(fee),
    )


def of(strategy_id: str, *fills: Fill) -> list[StrategyFill]:
    return [StrategyFill(strategy_id, each) for each in fills]


def mark(price: str, minute: float = 0, source: Source = Source.QUOTE) -> Mark:
    return Mark(price=Decimal(price), at=NOON + minute * MINUTE, source=source)


def valued(
    fills: Sequence[StrategyFill],
    quotes: Mapping[str, Mark] | None = None,
    *,
    books: ClosedBooks | None = None,
    capital: Decimal = CAPITAL,
) -> Valuation:
    return value(books, fills, quotes or {}, capital=capital, at=NOON + 60 * MINUTE)


def limits(
    *,
    gross: str | None = "100",
    position: str | None = "25",
    daily_loss: str | None = "3",
    drawdown: str | None = "15",
) -> RiskLimits:
    """In percent; None: no such limit."""

    def bound(text: str | None) -> Decimal | None:
        return None if text is None else Decimal(text)

    return RiskLimits(
        max_gross_pct=bound(gross),
        max_position_pct=bound(position),
        max_daily_loss_pct=bound(daily_loss),
        max_drawdown_pct=bound(drawdown),
    )
