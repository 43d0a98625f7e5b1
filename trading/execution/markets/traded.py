"""Markets made of bars: what a paper broker fills from, and what the executor sees of it. Light."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple, Protocol

from trading.execution.markets.market import Market, Quote
from trading.execution.orders import check_instant
from trading.execution.smart.plan import SessionHours

PRICE_STEP = Decimal("0.0001")
"""$: the finest price at which anything is quoted or filled here (sub-penny prices of US venues)."""
_TICK = timedelta(microseconds=1)


class Bar(NamedTuple):
    """What was traded within [start, start + length). start: aware UTC; prices [$/share]; volume [shares]."""

    start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int
    length: timedelta

    @property
    def end(self) -> datetime:
        """When the bar is complete and may be known."""
        return self.start + self.length

    @property
    def mid(self) -> Decimal:
        """(high + low + close) / 3, the "typical price": what stands in for the bar's average price."""
        return (self.high + self.low + self.close) / 3


class TradedMarket(Market, Protocol):
    """A market whose complete bars a paper broker can ask for. Its questions may raise BrokerUnavailable."""

    async def bars(self, symbol: str, start: datetime, end: datetime, now: datetime) -> Sequence[Bar]:
        """Return the bars that start within [start, end) and have ended by `now`, oldest first.

        What is missing now and comes later (a late feed) must be refused by BrokerUnavailable: a bar is
        looked at once.
        """
        ...

    def knows(self, symbol: str) -> bool:
        """Whether the symbol is traded here."""
        ...

    def half_spread(self, symbol: str, price: Decimal) -> Decimal:
        """Return half the quoted spread [$/share] of a symbol that trades at `price`."""
        ...

    def session_at(self, at: datetime) -> SessionHours | None:
        """Return the session that an order sent at `at` is good for: the one that is on, or else the next;
        None: none is known."""
        ...

    def next_bar_end(self, after: datetime) -> datetime | None:
        """Return the next instant later than `after` at which a bar can end; None: none is known."""
        ...


class SessionMarket(ABC):
    """What all markets made of bars share. A kind of them says what a symbol's bars of one day are (`day`).

    Nothing is known before its bar has ended. hours: the sessions, those included in which orders that are
    still open were sent; a quote is as old as the last bar (`Quote.at`). length: of a bar.
    """

    def __init__(self, hours: Sequence[SessionHours], length: timedelta) -> None:
        if length <= timedelta():
            raise ValueError(f"length is {length}: expected more than 0")
        self._hours = sorted(hours, key=lambda session: session.open)
        self._length = length

    @abstractmethod
    def day(self, symbol: str, session: SessionHours) -> Sequence[Bar]:
        """Return all bars of one session, oldest first; empty: none."""

    def first_price(self, symbol: str) -> Decimal | None:
        """Return the price that is known before the first bar of a session has ended; None: none is."""
        return None

    @abstractmethod
    def half_spread(self, symbol: str, price: Decimal) -> Decimal:
        """Return half the quoted spread [$/share] of a symbol that trades at `price`."""

    async def quote(self, symbol: str, now: datetime) -> Quote | None:
        """Return a quote around the last price; None before there is one, and out of hours (the close itself
        still has one, so that what is left can be valued)."""
        check_instant("now", now)
        for session in self._hours:
            if session.open <= now <= session.close:
                return self._quote_in(session, symbol, now)
        return None

    def _quote_in(self, session: SessionHours, symbol: str, now: datetime) -> Quote | None:
        known = self._known(symbol, session, now)
        price = known[-1].close if known else self.first_price(symbol)
        if price is None:
            return None
        at = known[-1].end if known else session.open
        return quote_around(symbol, price, self.half_spread(symbol, price), at)

    async def volume(self, symbol: str, start: datetime, end: datetime, now: datetime) -> int:
        """Return the shares traded within [start, end): complete bars only, those at the ends by the share of
        them that lies within, the whole rounded down."""
        shares = Decimal(0)
        for session in self._hours:
            if session.open < end and start < session.close:
                for bar in self._known(symbol, session, now):
                    within = min(bar.end, end) - max(bar.start, start)
                    if within > timedelta():
                        shares += bar.volume * Decimal(within // _TICK) / Decimal(bar.length // _TICK)
        return int(shares)

    async def bars(self, symbol: str, start: datetime, end: datetime, now: datetime) -> Sequence[Bar]:
        """Return the bars that start within [start, end) and have ended by `now`, oldest first."""
        found: list[Bar] = []
        for session in self._hours:
            if session.open < end and start < session.close:
                known = self._known(symbol, session, now)
                found += known[bisect_left(known, start, key=_start) : bisect_left(known, end, key=_start)]
        return found

    def session_at(self, at: datetime) -> SessionHours | None:
        """Return the session that is on at `at`, or else the next one; None: none is known."""
        return next((session for session in self._hours if at < session.close), None)

    def next_bar_end(self, after: datetime) -> datetime | None:
        """Return the next instant later than `after` on the grid of bars from each open to its close. Whether
        there will be a bar is not told: that would be knowledge of the future."""
        session = self.session_at(after)
        if session is None:
            return None
        whole = max(0, (after - session.open) // self._length)
        return min(session.close, session.open + (whole + 1) * self._length)

    def _known(self, symbol: str, session: SessionHours, now: datetime) -> Sequence[Bar]:
        if now <= session.open:
            return ()
        bars = self.day(symbol, session)
        return bars[: bisect_right(bars, now, key=_end)]


def _start(bar: Bar) -> datetime:
    return bar.start


def _end(bar: Bar) -> datetime:
    return bar.end


def quote_around(symbol: str, price: Decimal, half_spread: Decimal, at: datetime) -> Quote:
    """Return price - half_spread and price + half_spread, rounded outward to PRICE_STEP, above 0."""
    bid = (price - half_spread).quantize(PRICE_STEP, ROUND_FLOOR)
    ask = (price + half_spread).quantize(PRICE_STEP, ROUND_CEILING)
    return Quote(symbol=symbol, bid=max(PRICE_STEP, bid), ask=max(PRICE_STEP, ask), at=at)


def check_amount(name: str, value: Decimal) -> None:
    """Raises ValueError if `value` is no finite Decimal from 0 up."""
    if not isinstance(value, Decimal) or not value.is_finite() or value < 0:
        raise ValueError(f"{name} is {value!r}: expected a Decimal from 0 up")
