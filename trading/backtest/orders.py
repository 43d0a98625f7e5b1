"""Waiting orders, and at what price a bar would fill each."""

from __future__ import annotations

from enum import Enum

from trading.backtest.bars import Bar
from trading.backtest.config import BacktestConfig
from trading.backtest.signals import Signal, Timing


class Phase(Enum):
    """The parts of a bar, in the order in which orders are filled. Within a bar nobody knows whether its
    high or its low came first: stops are taken to be reached before limits, which is the worse case. A stop
    order with a limit that its stop's price does not meet must see the bar close within it, for the same
    reason."""

    OPEN = 0
    STOPS = 1
    LIMITS = 2
    CLOSE = 3


PHASES = tuple(Phase)


class Order:
    """A signal that waits for its fill. weight, quantity, limit, stop: the signal's as floats, restated for
    splits. change: shares still to trade, for a signal that says so. metadata: as it was then."""

    __slots__ = (
        "_stopped_within",
        "at_close",
        "change",
        "is_plain",
        "left",
        "limit",
        "metadata",
        "placed",
        "quantity",
        "signal",
        "stop",
        "symbol",
        "weight",
    )

    def __init__(self, signal: Signal, placed: int, config: BacktestConfig) -> None:
        self.signal = signal
        self.symbol = signal.symbol
        self.placed = placed
        # Signals may hold Decimals or numpy's numbers, which do not mix with floats or are slow.
        self.weight = None if signal.weight is None else float(signal.weight)
        self.quantity = None if signal.quantity is None else float(signal.quantity)
        self.change = None if signal.change is None else float(signal.change)
        self.limit = None if signal.limit is None else float(signal.limit)
        self.stop = None if signal.stop is None else float(signal.stop)
        self.left = signal.valid_bars
        self.metadata = dict(signal.metadata) if signal.metadata else signal.metadata
        self.at_close = (signal.timing or config.timing) is Timing.CLOSE
        self.is_plain = signal.limit is None and signal.stop is None
        self._stopped_within = False
        """Whether the stop was reached within the present bar, after its open."""

    def split(self, ratio: float) -> None:
        """Restate the order in new shares, `ratio` for each old one."""
        self.limit = None if self.limit is None else self.limit / ratio
        self.stop = None if self.stop is None else self.stop / ratio
        self.quantity = None if self.quantity is None else self.quantity * ratio
        self.change = None if self.change is None else self.change * ratio

    def price_in(self, phase: Phase, bar: Bar, buys: bool) -> float | None:
        """Return the price at which this part of the bar fills the order, None if it does not.

        A stop that is reached is taken off: the order goes on as a limit order, or, if it has no limit, what
        this bar cannot fill of it as an order for the next open.
        """
        if self.limit is None and self.stop is None:
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
        self.stop = None
        self._stopped_within = phase is Phase.STOPS
        if self.limit is None:
            self.at_close = False
            return price
        return price if (price <= self.limit if buys else price >= self.limit) else None

    def _limited(self, phase: Phase, bar: Bar, buys: bool, limit: float) -> float | None:
        """A bar's own extremes may be recorded inside its open and close: those count as reached too."""
        if phase is Phase.OPEN:
            self._stopped_within = False
            return bar.open if (bar.open <= limit if buys else bar.open >= limit) else None
        if self._stopped_within:
            # Its extreme may have come before the stop was reached; the close came after.
            reached = bar.close <= limit if buys else bar.close >= limit
        else:
            reached = min(bar.low, bar.close) <= limit if buys else max(bar.high, bar.close) >= limit
        return limit if reached else None
