"""A market out of recorded bars: replays and tests. Light: standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

from trading.execution.checking import whole
from trading.execution.markets.traded import Bar, SessionMarket, check_amount
from trading.execution.orders import check_instant, check_price
from trading.execution.smart.plan import SessionHours

SPREAD_BPS = Decimal(2)
"""Quoted spread where nobody gives one: between those of large US shares (SPY 0.6, BAC 7 basis points)."""


class BarMarket(SessionMarket):
    """The market as recorded bars tell it, revealing a bar only when it has ended.

    bars: by symbol, in time order, without overlap; a minute without a trade has no bar. Bars that do not
    lie within one of the sessions `hours` (extended hours) are left out. spreads: quoted spread by symbol
    [$/share]; the others have `spread_bps` of their price. Its own orders leave no trace in it.

    Raises:
        ValueError: if a bar is impossible, out of order or overlaps the one before; the message names it.
    """

    def __init__(
        self,
        bars: Mapping[str, Sequence[Bar]],
        hours: Sequence[SessionHours],
        *,
        spreads: Mapping[str, Decimal] | None = None,
        spread_bps: Decimal = SPREAD_BPS,
    ) -> None:
        for symbol, series in bars.items():
            check_bars(symbol, series)
        lengths = [bar.length for series in bars.values() for bar in series]
        super().__init__(hours, min(lengths, default=timedelta(minutes=1)))
        self._spreads, self._spread_bps = dict(spreads or {}), spread_bps
        for symbol, spread in self._spreads.items():
            check_amount(f"spreads[{symbol!r}]", spread)
        check_amount("spread_bps", spread_bps)
        self._days: dict[tuple[str, date], list[Bar]] = {}
        self._symbols = frozenset(bars)
        for symbol, series in bars.items():
            self._sort_in(symbol, series)

    def knows(self, symbol: str) -> bool:
        """Whether there are bars of the symbol."""
        return symbol in self._symbols

    def day(self, symbol: str, session: SessionHours) -> Sequence[Bar]:
        """Return all bars of one session, oldest first; empty: none."""
        return self._days.get((symbol, session.day), [])

    def half_spread(self, symbol: str, price: Decimal) -> Decimal:
        """Return half the quoted spread [$/share]."""
        return self._spreads.get(symbol, price * self._spread_bps / 10_000) / 2

    def _sort_in(self, symbol: str, series: Sequence[Bar]) -> None:
        for bar in series:
            session = self.session_at(bar.start)
            if session is not None and session.open <= bar.start and bar.end <= session.close:
                self._days.setdefault((symbol, session.day), []).append(bar)


def check_bars(symbol: str, series: Sequence[Bar]) -> None:
    """Raises ValueError if a bar is impossible, out of order or overlaps the one before it."""
    before: Bar | None = None
    for bar in series:
        try:
            _check_bar(bar)
        except ValueError as error:
            raise ValueError(f"bars[{symbol!r}] at {bar.start}: {error}") from None
        if before is not None and bar.start < before.end:
            raise ValueError(f"bars[{symbol!r}] at {bar.start}: expected a start not before {before.end}")
        before = bar


def _check_bar(bar: Bar) -> None:
    check_instant("start", bar.start)
    for name in ("open", "high", "low", "close"):
        check_price(name, getattr(bar, name))
    whole("volume", bar.volume, 0)
    if bar.length <= timedelta():
        raise ValueError(f"length is {bar.length}: expected more than 0")
    if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        raise ValueError(
            f"open {bar.open}, high {bar.high}, low {bar.low}, close {bar.close}: "
            f"expected both open and close from low to high"
        )
