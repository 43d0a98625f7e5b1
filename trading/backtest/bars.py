"""One bar, as a strategy sees it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(stamp: int) -> datetime:
    """Return a label, nanoseconds since 1970-01-01 UTC, as an aware instant, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=int(stamp) // 1000)


class Bar(NamedTuple):
    """A bar that has closed. It never changes: a strategy may keep it.

    symbol: whose bar. stamp: nanoseconds since 1970-01-01 UTC of the bar's label (a session's date is its
    midnight). open, high, low, close: prices. volume: shares. values: what the strategy's declared
    indicators say of this bar, in their order; NaN while they have too little history.

    A tuple rather than a frozen dataclass, as the engine makes one per symbol and bar: 0.1 against 0.9
    microseconds.
    """

    symbol: str
    stamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    values: tuple[float, ...] = ()

    @property
    def at(self) -> datetime:
        """Return the bar's label as an aware UTC instant, cut to microseconds."""
        return instant(self.stamp)

    @property
    def day(self) -> date:
        """Return the date of the bar's label (a daily bar's session)."""
        return self.at.date()
