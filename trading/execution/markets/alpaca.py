"""Quotes and volume from Alpaca's market data. Light: alpaca-py is imported by `connect`."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal

from orchestration.clock import SystemClock
from trading.execution.brokers.alpaca.connection import Answer, Clock, Connection, Pause
from trading.execution.brokers.alpaca.rows import instant, rfc3339
from trading.execution.errors import BrokerError, BrokerUnavailable
from trading.execution.markets.market import Quote

DATA = "https://data.alpaca.markets"
FEEDS = ("iex", "sip")
BARS_A_PAGE = 10_000
UNKNOWN_SYMBOL = frozenset({400, 404, 422})


class AlpacaMarket:
    """The newest quote and the volume of whole minutes.

    key, secret: as of `AlpacaBroker`; either account's pair will do. feed: "iex" is free and sees one
    exchange's trades alone, a few percent of the volume: caps by participation then hold orders back as much;
    "sip" sees them all and is subscribed to. url: where to connect instead, None: Alpaca.

    A halt is not told by these feeds: `is_halted` is always False, and a halted symbol's quote grows old.
    """

    def __init__(
        self,
        *,
        key: str,
        secret: str,
        feed: str = "iex",
        url: str | None = None,
        clock: Clock | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        if feed not in FEEDS:
            raise ValueError(f"feed is {feed!r}: expected one of {', '.join(FEEDS)}")
        self._url, self._keys, self._feed = (url or DATA).rstrip("/"), (key, secret), feed
        self._clock, self._pause = clock or SystemClock(), pause
        self._open: Connection | None = None

    def __repr__(self) -> str:
        return f"AlpacaMarket(url={self._url!r}, feed={self._feed!r})"

    async def connect(self) -> None:
        """Make ready; a second call does nothing. Raises ExtraMissing; bad keys show at the first call."""
        if self._open is None:
            self._open = Connection(self._url, *self._keys, self._clock, self._pause)

    async def close(self) -> None:
        """Close it. Never raises."""
        connection, self._open = self._open, None
        if connection is not None:
            await connection.close()

    async def quote(self, symbol: str, now: datetime) -> Quote | None:
        """Return the newest quote; None: none, one side of it empty, or crossed.

        Raises: BrokerUnavailable; PermissionError: for keys, or a feed that is not subscribed to.
        """
        try:
            answer = await self._connection.get("/stocks/quotes/latest", symbols=symbol, feed=self._feed)
        except Answer as error:
            if error.status in UNKNOWN_SYMBOL:
                return None
            raise
        try:
            row = (answer.get("quotes") or {}).get(symbol)
            if row is None:
                return None
            bid, ask = Decimal(str(row["bp"])), Decimal(str(row["ap"]))
            at = instant(row["t"])
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise BrokerError(f"alpaca's quote of {symbol} cannot be read: {error!r}") from error
        if not 0 < bid <= ask:
            return None
        return Quote(symbol=symbol, bid=bid, ask=ask, at=at)

    async def volume(self, symbol: str, start: datetime, end: datetime, now: datetime) -> int:
        """Return the shares traded, by the feed, in the minutes that lie wholly within [start, end).

        Raises: BrokerUnavailable; PermissionError: for keys, or a feed that is not subscribed to.
        """
        if end <= start:
            return 0
        total, token = 0, ""
        while True:
            try:
                answer = await self._connection.get(
                    "/stocks/bars",
                    symbols=symbol,
                    timeframe="1Min",
                    start=rfc3339(start),
                    end=rfc3339(min(end, now)),
                    limit=BARS_A_PAGE,
                    feed=self._feed,
                    page_token=token,
                )
            except Answer as error:
                if error.status in UNKNOWN_SYMBOL:
                    return 0
                raise
            try:
                bars = (answer.get("bars") or {}).get(symbol, [])
                total += sum(
                    int(bar["v"])
                    for bar in bars
                    if start <= instant(bar["t"]) <= min(end, now) - timedelta(minutes=1)
                )
                token = answer.get("next_page_token") or ""
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise BrokerError(f"alpaca's bars of {symbol} cannot be read: {error!r}") from error
            if not token:
                return total

    @property
    def _connection(self) -> Connection:
        if self._open is None:
            raise BrokerUnavailable("not connected to alpaca's market data: connect() comes first")
        return self._open
