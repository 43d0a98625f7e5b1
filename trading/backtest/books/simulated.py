"""A book of traders without intelligence: orders of one lot come, trade and are cancelled at random.

The model of Smith, Farmer, Gillemot, Krishnamurthy (2003), Statistical theory of the continuous double
auction, Quantitative Finance 3, 481-514, on a grid of ticks: limit, market and cancel orders are Poisson
processes. There is nothing to know here but the book itself: no trend, no news, no memory of trades. What
a strategy earns on it, it earns from the shape of the book.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trading.backtest.books.book import BookSeries
from trading.execution.checking import not_negative, positive, whole

SETTLING_LIFETIMES = 3.0
"""Mean lifetimes 1 / cancel_rate that pass before the first snapshot: 5 % of the first, even book is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroIntelligence:
    """The rates of a simulated book.

    limit_rate: orders per second, tick and side, at each of the `band_ticks` ticks next to the other side's
    best price. market_rate: orders per second and side. cancel_rate: per second, of each waiting order. lot:
    shares of every order. tick: the step of prices; start_price: about where the mid begins. levels: how many
    a snapshot shows of each side.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    limit_rate: float = 0.5
    market_rate: float = 3.0
    cancel_rate: float = 0.2
    band_ticks: int = 20
    lot: float = 100.0
    tick: float = 0.01
    start_price: float = 100.0
    levels: int = 5

    def __post_init__(self) -> None:
        for name in ("limit_rate", "cancel_rate", "lot", "tick", "start_price"):
            positive(name, getattr(self, name))
        not_negative("market_rate", self.market_rate)
        whole("band_ticks", self.band_ticks, 2)
        whole("levels", self.levels, 1)
        if self.start_price < 10 * self.band_ticks * self.tick:
            least = 10 * self.band_ticks * self.tick
            raise ValueError(f"start_price is {self.start_price!r}: expected at least ten bands, {least:g}")


def simulate_books(rates: ZeroIntelligence, *, events: int, seed: int, start_ns: int = 0) -> BookSeries:
    """Return `events` snapshots, one after each order's arrival, trade or cancellation.

    The same arguments give the same books. start_ns: nanoseconds since 1970-01-01 UTC at which the recording
    begins. The last order of a side is neither taken nor cancelled, so that both sides always have one; with
    any sensible rates this never comes up.

    Raises:
        ValueError: if `events` is below 1.
    """
    shown = np.full((4, whole("events", events, 1), rates.levels), np.nan)
    shown[1::2] = 0.0
    stamps, trades = np.zeros(events, dtype=np.int64), np.zeros((2, events))
    market = _Market(rates, random.Random(seed))
    for row, (seconds, bought, sold) in zip(range(events), market.events(), strict=False):
        stamps[row] = start_ns + round(seconds * 1e9)
        trades[:, row] = bought, sold
        for side, queue in enumerate((market.bids, market.asks)):
            for level, (at, lots) in enumerate(queue.best_levels(rates.levels)):
                # Rounded, so that 10001 ticks of a cent are the number that "100.01" reads as.
                shown[2 * side, row, level] = round(at * rates.tick, 9)
                shown[2 * side + 1, row, level] = lots * rates.lot
    bid_price, bid_size, ask_price, ask_size = shown
    return BookSeries(
        stamps=stamps,
        bid_price=bid_price,
        bid_size=bid_size,
        ask_price=ask_price,
        ask_size=ask_size,
        bought=trades[0] * rates.lot,
        sold=trades[1] * rates.lot,
    )


class _Queue:
    """The waiting lots of one side. away: the direction of worse prices, -1 for bids and 1 for asks."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.lots: dict[int, int] = {}
        self.orders: list[int] = []
        self.best = 0

    def add(self, tick: int) -> None:
        if not self.orders or (self.best - tick) * self.away > 0:
            self.best = tick
        self.orders.append(tick)
        self.lots[tick] = self.lots.get(tick, 0) + 1

    def remove(self, at: int) -> None:
        """Take away the order at this place of the list; the last one moves into its place."""
        tick, last = self.orders[at], self.orders.pop()
        if at < len(self.orders):
            self.orders[at] = last
        self.lots[tick] -= 1
        if not self.lots[tick]:
            del self.lots[tick]
            while self.best not in self.lots:
                self.best += self.away

    def take(self) -> None:
        """Let a market order have one lot of the best price."""
        self.remove(self.orders.index(self.best))

    def best_levels(self, levels: int) -> Iterator[tuple[int, int]]:
        """Yield (tick, lots) of the best levels, at most as many as there are."""
        tick = self.best
        for _ in range(min(levels, len(self.lots))):
            while tick not in self.lots:
                tick += self.away
            yield tick, self.lots[tick]
            tick += self.away


class _Market:
    def __init__(self, rates: ZeroIntelligence, rng: random.Random) -> None:
        self.rates, self.rng = rates, rng
        self.bids, self.asks = _Queue(-1), _Queue(1)
        touch = round(rates.start_price / rates.tick)
        # The depth at which arrivals and cancellations balance where no market order comes.
        lots = math.ceil(rates.limit_rate / rates.cancel_rate)
        for distance in range(1, rates.band_ticks + 1):
            for _ in range(lots):
                self.bids.add(touch - distance)
                self.asks.add(touch + distance)

    def events(self) -> Iterator[tuple[float, float, float]]:
        """Yield, without end, after each event of the settled book: seconds since the first one, and the
        lots bought and sold by it."""
        settling = SETTLING_LIFETIMES / self.rates.cancel_rate
        elapsed = 0.0
        while True:
            wait, bought, sold = self._step()
            elapsed += wait
            if elapsed >= settling:
                yield elapsed - settling, bought, sold

    def _step(self) -> tuple[float, float, float]:
        """Let the next event happen; return the seconds until it and the lots bought and sold."""
        rates, rng = self.rates, self.rng
        likely: list[float] = []
        for waiting in (len(self.bids.orders), len(self.asks.orders)):
            # A side's last order stays.
            free = waiting > 1
            likely += (rates.limit_rate * rates.band_ticks, rates.market_rate * free)
            likely.append(rates.cancel_rate * waiting * free)
        wait = rng.expovariate(sum(likely))
        event = rng.choices(range(6), likely)[0]
        own, other = (self.bids, self.asks) if event < 3 else (self.asks, self.bids)
        if event % 3 == 0:
            own.add(other.best + own.away * rng.randint(1, rates.band_ticks))
        elif event % 3 == 1:
            own.take()
            return (wait, 0.0, 1.0) if own is self.bids else (wait, 1.0, 0.0)
        else:
            own.remove(rng.randrange(len(own.orders)))
        return wait, 0.0, 0.0
