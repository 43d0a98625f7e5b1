"""What the executor sees of the market: one small Protocol. Light: standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trading.execution.orders import check_instant, check_price


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Best bid and ask [$/share] at an instant. is_halted: trading in the symbol is suspended."""

    symbol: str
    bid: Decimal
    ask: Decimal
    at: datetime
    is_halted: bool = False

    def __post_init__(self) -> None:
        check_price("bid", self.bid)
        check_price("ask", self.ask)
        check_instant("at", self.at)
        if self.ask < self.bid:
            raise ValueError(f"ask is {self.ask}: expected at least the bid {self.bid}")

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2

    @property
    def spread(self) -> Decimal:
        """ask - bid [$/share]."""
        return self.ask - self.bid


class Market(Protocol):
    """Quotes and traded volume, as they are known at `now`; never anything later.

    Both may raise BrokerUnavailable when a feed over the network does not answer.
    """

    async def quote(self, symbol: str, now: datetime) -> Quote | None:
        """Return the newest quote; None: there is none (symbol unknown, market closed, feed silent)."""
        ...

    async def volume(self, symbol: str, start: datetime, end: datetime, now: datetime) -> int:
        """Return the shares traded in the whole market within [start, end) as far as known at `now`."""
        ...
