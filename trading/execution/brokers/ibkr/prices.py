"""Prices that the gateway sends once they are subscribed to. Pure and light: standard library only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from trading.execution.brokers.ibkr import codes
from trading.execution.brokers.ibkr.rows import decimal
from trading.execution.errors import BrokerError

BID, ASK, HALTED = 1, 2, 49
"""Kinds of ticks. A halt is 1 (by the exchange) or 2 (by volatility); 0: none, -1: not known."""


class Answer(BrokerError):
    """The gateway's error in answer to a question or a subscription."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(f"{text} ({code})")


@dataclass(slots=True)
class Ticker:
    """The newest prices [$/share] of one symbol; None: none yet, or that side is empty. at: of the last
    change. error: why none come. changed: set at each change."""

    bid: Decimal | None = None
    ask: Decimal | None = None
    at: datetime | None = None
    is_halted: bool = False
    error: Answer | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Prices:
    """The subscriptions of one connection, by their numbers."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._tickers: dict[int, Ticker] = {}
        self.broken_farms: set[str] = set()
        """Servers of US prices that the gateway has lost: what they told stays as it was."""

    def add(self, number: int) -> Ticker:
        ticker = self._tickers[number] = Ticker()
        return ticker

    def remove(self, ticker: Ticker) -> list[int]:
        """Forget it; return the numbers it had."""
        numbers = [number for number, each in self._tickers.items() if each is ticker]
        for number in numbers:
            del self._tickers[number]
        return numbers

    def clear(self) -> None:
        """Forget all: nothing comes any more. Who waits for a change wakes."""
        for ticker in self._tickers.values():
            ticker.changed.set()
        self._tickers.clear()

    def has(self, ticker: Ticker) -> bool:
        return any(each is ticker for each in self._tickers.values())

    def take_price(self, number: int, kind: int, price: float, size: float) -> None:
        """Take a price; without a size, or with a price of -1, that side is empty."""
        ticker = self._tickers.get(number)
        if ticker is None or kind not in (BID, ASK):
            return
        found = decimal(price) if price > 0 and size > 0 else None
        if kind == BID:
            ticker.bid = found
        else:
            ticker.ask = found
        self._mark(ticker)

    def take_value(self, number: int, kind: int, value: float) -> None:
        ticker = self._tickers.get(number)
        if ticker is not None and kind == HALTED:
            ticker.is_halted = value > 0
            self._mark(ticker)

    def take_error(self, number: int, code: int, text: str) -> bool:
        """Return whether the number is a subscription's, which then has the error."""
        ticker = self._tickers.get(number)
        if ticker is not None:
            ticker.error = Answer(code, text)
            ticker.changed.set()
        return ticker is not None

    def take_farm(self, code: int, text: str) -> None:
        """Note that a server of prices is lost or there again; its name ends the text."""
        farm = text.rpartition(":")[2].strip()
        if not farm.startswith(codes.US_FARM):
            return
        if code == codes.FARM_BROKEN:
            self.broken_farms.add(farm)
        else:
            self.broken_farms.discard(farm)

    def _mark(self, ticker: Ticker) -> None:
        ticker.at, ticker.error = self._now(), None
        ticker.changed.set()
