"""The market while an order was worked: from the day's recorded bars, or from what the executor saw. Pure
and light."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from trading.execution.ledger.events import Event
from trading.execution.markets.traded import Bar
from trading.execution.measures import Window
from trading.execution.orders import Fill
from trading.execution.smart.bookkeeping import ENDED


def window_from_bars(bars: Sequence[Bar], start: datetime, end: datetime) -> Window:
    """Return the market of [start, end) from its bars; nothing is known if none of them touches it.

    vwap: the bars' (high + low + close) / 3 by volume, twap: the same by time. Of a bar that lies partly
    within, that part of its time counts, and as much of its volume. end_price: the last close by `end`,
    before the first one the first open. bars: oldest first.
    """
    parts = [(bar, _overlap(bar, start, end)) for bar in bars]
    parts = [(bar, part) for bar, part in parts if part > 0]
    if not parts:
        return Window()
    volume = sum((bar.volume * part for bar, part in parts), Decimal(0))
    time = sum((_seconds(bar.length) * part for bar, part in parts), Decimal(0))
    turnover = sum((bar.mid * bar.volume * part for bar, part in parts), Decimal(0))
    lasted = sum((bar.mid * _seconds(bar.length) * part for bar, part in parts), Decimal(0))
    closes = [bar.close for bar in bars if bar.end <= end]
    return Window(
        end_price=closes[-1] if closes else parts[0][0].open,
        vwap=turnover / volume if volume else None,
        twap=lasted / time,
        volume=round(volume),
    )


def _overlap(bar: Bar, start: datetime, end: datetime) -> Decimal:
    """The part of a bar that lies within [start, end), 0 to 1."""
    inside = min(bar.end, end) - max(bar.start, start)
    return max(Decimal(0), _seconds(inside) / _seconds(bar.length))


def _seconds(length: timedelta) -> Decimal:
    return Decimal(length // timedelta(microseconds=1)) / 1_000_000


def window_seen(events: Iterable[Event]) -> Window:
    """Return what the executor noted when the order came to its end: mid price and volume.

    events: of one parent.
    """
    noted = [event.details for event in events if event.kind == ENDED]
    if not noted:
        return Window()
    mid, volume = noted[-1].get("mid"), noted[-1].get("market_volume")
    return Window(end_price=Decimal(mid) if mid is not None else None, volume=volume)


def joined(seen: Window, recorded: Window) -> Window:
    """Return both together: the executor's own end price, which is of that instant, the bars' volume, which
    is whole."""
    return Window(
        end_price=seen.end_price or recorded.end_price,
        vwap=recorded.vwap,
        twap=recorded.twap,
        volume=seen.volume if recorded.volume is None else recorded.volume,
    )


def are_of_this_market(bars: Sequence[Bar], fills: Iterable[Fill], tolerance: float) -> bool:
    """Whether the fills can be trades of the market that the bars are of: each lies within its bar's range,
    by `tolerance` [fraction of the price] wider on both sides.

    Fills at a simulated market's prices cannot be judged by the real one's bars, nor by those of another
    unit (a split in between). A fill outside of all bars does not tell. One at the instant that two bars
    share may be of either: the paper broker books a bar's fills at its end.
    """
    slack = Decimal(repr(tolerance))
    for fill in fills:
        around = [bar for bar in bars if bar.start <= fill.at <= bar.end]
        if around and not any(b.low * (1 - slack) <= fill.price <= b.high * (1 + slack) for b in around):
            return False
    return True
