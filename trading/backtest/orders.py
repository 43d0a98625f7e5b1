"""Waiting orders, and at what price a bar would fill each."""

from __future__ import annotations

from enum import Enum

from trading.backtest.bars import Bar
from trading.backtest.config import BacktestConfig
from trading.backtest.signals import Signal, Timing


class Phase(Enum):
    """The parts of a bar, in the order in which orders are filled. Within a bar nobody knows whether its
    high or its low came first: stops are taken to be reached before limits, which is the worse case."""

    OPEN = 0
    STOPS = 1
    LIMITS = 2
    CLOSE = 3


PHASES = tuple(Phase)


class Order:
    """A signal that waits for its fill. change: shares still to trade, for a signal that says so."""

    __slots__ = ("at_close", "change", "is_plain", "left", "limit", "placed", "signal", "stop", "symbol")

    def __init__(self, signal: Signal, placed: int, config: BacktestConfig) -> None:
        self.signal = signal
        self.symbol = signal.symbol
        self.placed = placed
        self.limit = signal.limit
        self.stop = signal.stop
        self.change = signal.change
        self.left = signal.valid_bars
        self.at_close = (signal.timing or config.timing) is Timing.CLOSE
        self.is_plain = signal.limit is None and signal.stop is None

    def split(self, ratio: float) -> None:
        """Restate the order in new shares, `ratio` for each old one."""
        self.limit = None if self.limit is None else self.limit / ratio
        self.stop = None if self.stop is None else self.stop / ratio
        self.change = None if self.change is None else self.change * ratio

    def price_in(self, phase: Phase, bar: Bar, buys: bool) -> float | None:
        """Return the price at which this part of the bar fills the order, None if it does not.

        A stop that is reached is taken off: with a limit it goes on as a limit order.
        """
        if self.is_plain:
            wanted = Phase.CLOSE if self.at_close else Phase.OPEN
            return (bar.close if self.at_close else bar.open) if phase is wanted else None
        if phase is Phase.CLOSE:
            return None
        if self.stop is not None:
            return self._stopped(phase, bar, buys)
        if phase is Phase.STOPS or self.limit is None:
            return None
        return self._limited(phase, bar, buys, self.limit)

    def _stopped(self, phase: Phase, bar: Bar, buys: bool) -> float | None:
        assert self.stop is not None
        stop = self.stop
        if phase is Phase.OPEN:
            reached, price = (bar.open >= stop) if buys else (bar.open <= stop), bar.open
        elif phase is Phase.STOPS:
            reached = (max(bar.high, bar.close) >= stop) if buys else (min(bar.low, bar.close) <= stop)
            price = stop
        else:
            return None
        if not reached:
            return None
        if self.limit is None:
            return price
        self.stop = None
        return price if (price <= self.limit if buys else price >= self.limit) else None

    def _limited(self, phase: Phase, bar: Bar, buys: bool, limit: float) -> float | None:
        """A bar's own extremes may be recorded inside its open and close: those count as reached too."""
        if phase is Phase.OPEN:
            return bar.open if (bar.open <= limit if buys else bar.open >= limit) else None
        reached = min(bar.low, bar.close) <= limit if buys else max(bar.high, bar.close) >= limit
        return limit if reached else None
