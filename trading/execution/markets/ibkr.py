"""Quotes and volume over the connection of an `IbkrBroker`. Light: ib_async is imported by its `connect`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from trading.execution.brokers.ibkr import codes
from trading.execution.brokers.ibkr.broker import IbkrBroker
from trading.execution.brokers.ibkr.line import Bar, Line
from trading.execution.brokers.ibkr.prices import Answer, Ticker
from trading.execution.errors import BrokerUnavailable
from trading.execution.markets.market import Quote

FIRST_QUOTE = timedelta(seconds=3)
"""How long the first prices of a symbol are waited for."""
A_MINUTE = timedelta(minutes=1)
LONGEST_S = 86_400
"""The longest duration that the gateway takes in seconds; beyond, it wants days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Minutes:
    """The bars of one symbol from `start` on, as they were told in the minute `asked`."""

    start: datetime
    asked: datetime
    bars: Sequence[Bar]


class IbkrMarket:
    """Live quotes, followed from the first question on, and the volume of whole minutes.

    broker: whose connection is used; prices stop with it and come again with the next one. first_quote: how
    long the first prices of a symbol are waited for. Each symbol takes one of the account's market data lines
    (100 without more subscriptions). Volume is asked for at most once a minute and symbol.
    """

    def __init__(self, broker: IbkrBroker, *, first_quote: timedelta = FIRST_QUOTE) -> None:
        self._broker, self._first_quote_s = broker, first_quote.total_seconds()
        self._tickers: dict[str, Ticker] = {}
        self._minutes: dict[str, Minutes] = {}

    def __repr__(self) -> str:
        return f"IbkrMarket({self._broker!r})"

    async def quote(self, symbol: str, now: datetime) -> Quote | None:
        """Return the newest quote; None: none, one side of it empty, or crossed.

        Raises: BrokerUnavailable; PermissionError: if the account has not subscribed to the prices.
        """
        line = self._broker.line()
        line.check_prices()
        ticker = self._tickers.get(symbol)
        if ticker is None or not line.is_watching(ticker):
            ticker = self._tickers[symbol] = line.watch(symbol)
            await self._first_prices(ticker)
            line.check_prices()
        if ticker.error is not None:
            line.unwatch(self._tickers.pop(symbol))  # asked for anew the next time
            _check_unknown(ticker.error)
            return None
        if ticker.bid is None or ticker.ask is None or ticker.at is None or ticker.ask < ticker.bid:
            return None
        return Quote(symbol=symbol, bid=ticker.bid, ask=ticker.ask, at=ticker.at, is_halted=ticker.is_halted)

    async def volume(self, symbol: str, start: datetime, end: datetime, now: datetime) -> int:
        """Return the shares traded in regular hours in the minutes that lie wholly within [start, end).

        Raises: BrokerUnavailable; PermissionError: if the account has not subscribed to the prices.
        """
        if end <= start:
            return 0
        last = min(end, now) - A_MINUTE
        return sum(bar.volume for bar in await self._bars(symbol, start, now) if start <= bar.at <= last)

    async def _first_prices(self, ticker: Ticker) -> None:
        try:
            async with asyncio.timeout(self._first_quote_s):
                while ticker.error is None and (ticker.bid is None or ticker.ask is None):
                    ticker.changed.clear()
                    await ticker.changed.wait()
        except TimeoutError:
            pass

    async def _bars(self, symbol: str, start: datetime, now: datetime) -> Sequence[Bar]:
        minute = now.replace(second=0, microsecond=0)
        known = self._minutes.get(symbol)
        if known is not None and known.asked == minute and known.start <= start:
            return known.bars
        start = min(start, known.start) if known is not None else start
        bars = await _told(self._broker.line(), symbol, now - start)
        self._minutes[symbol] = Minutes(start=start, asked=minute, bars=bars)
        return bars


async def _told(line: Line, symbol: str, back: timedelta) -> Sequence[Bar]:
    seconds = max(60, 60 * ceil(back / A_MINUTE) + 60)
    duration = f"{seconds} S" if seconds <= LONGEST_S else f"{ceil(seconds / LONGEST_S)} D"
    try:
        return await line.minute_bars(symbol, duration)
    except Answer as error:
        _check_unknown(error)
        return []


def _check_unknown(error: Answer) -> None:
    """Raises what `error` means, unless that is: there is nothing to be known of the symbol."""
    text = str(error).lower()
    if error.code == codes.NO_SUCH_SECURITY or (error.code == codes.HISTORY and "no data" in text):
        return
    if error.code in codes.NOT_SUBSCRIBED or (error.code == codes.HISTORY and "permission" in text):
        raise PermissionError(f"ibkr: {error}. Subscribe to the exchange's prices in Client Portal") from None
    raise BrokerUnavailable(f"ibkr's market data: {error}") from error
