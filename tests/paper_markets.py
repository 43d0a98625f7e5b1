"""Small markets and orders for the tests of the paper broker: one session of minutes, known by heart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from orchestration.clock import VirtualClock
from trading.execution.brokers.broker import Report, Ticket
from trading.execution.brokers.paper import PaperBroker
from trading.execution.markets.bars import BarMarket
from trading.execution.markets.traded import Bar
from trading.execution.orders import OrderKind, Side
from trading.execution.smart.plan import SessionHours

OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CLOSE = OPEN + 390 * MINUTE
HOURS = SessionHours(day=date(2026, 11, 20), open=OPEN, close=CLOSE)
SYMBOL = "AAPL"


def bar(minute: int, price: str = "100", volume: int = 1000, *, spread_out: str = "0") -> Bar:
    """Return the bar of a minute of the session: close = open = price, high and low `spread_out` from it."""
    middle, out = Decimal(price), Decimal(spread_out)
    return Bar(OPEN + minute * MINUTE, middle, middle + out, middle - out, middle, volume, MINUTE)


def flat(minutes: int = 390, price: str = "100", volume: int = 1000) -> list[Bar]:
    return [bar(minute, price, volume) for minute in range(minutes)]


def market(bars: Sequence[Bar], spread: str = "0.02", hours: SessionHours = HOURS) -> BarMarket:
    return BarMarket({SYMBOL: bars}, [hours], spreads={SYMBOL: Decimal(spread)})


def ticket(
    client_order_id: str = "t-1", quantity: int = 100, side: Side = Side.BUY, limit: str | None = None
) -> Ticket:
    return Ticket(
        client_order_id=client_order_id,
        symbol=SYMBOL,
        side=side,
        quantity=quantity,
        kind=OrderKind.MARKET if limit is None else OrderKind.LIMIT,
        limit_price=None if limit is None else Decimal(limit),
    )


async def until_quiet(broker: PaperBroker, clock: VirtualClock) -> list[Report]:
    """Jump from news to news until nothing is open and nothing is on its way; return all reports."""
    told = list(await broker.reports())
    while (at := broker.next_report_at()) is not None:
        clock.advance(max(timedelta(), at - clock.now()))
        told += await broker.reports()
    return told
