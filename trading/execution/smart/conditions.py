"""What the day is like so far, against what was expected of it. Pure and light."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from trading.execution.facts import MarketFacts
from trading.execution.markets.market import Quote
from trading.execution.smart.algorithm import Conditions
from trading.execution.smart.plan import SessionHours

EVERY = timedelta(minutes=1)
"""Mid prices are noted this far apart: closer ones show the spread's bounce, not volatility."""
LEAST_RETURNS = 5
"""Below this a volatility says nothing."""


@dataclass(slots=True)
class PriceTrack:
    """Mid prices of one symbol since its order's work began; at most `most`, the oldest forgotten first."""

    mids: list[tuple[datetime, float]] = field(default_factory=list)
    most: int = 400

    def note(self, quote: Quote, now: datetime) -> None:
        """Note the mid price if the last one is old enough."""
        if not self.mids or now - self.mids[-1][0] >= EVERY:
            self.mids.append((now, float(quote.mid)))
            del self.mids[: -self.most]

    def daily_volatility(self, hours: SessionHours) -> float | None:
        """Realised volatility scaled to one session [fraction]: sqrt(sum r^2 * day / time); None: too few
        prices.

        Realised variance (Andersen, Bollerslev 1998) of mid prices, without a drift.
        """
        if len(self.mids) <= LEAST_RETURNS:
            return None
        returns = [math.log(b[1] / a[1]) for a, b in zip(self.mids, self.mids[1:], strict=False)]
        elapsed = (self.mids[-1][0] - self.mids[0][0]) / (hours.close - hours.open)
        return math.sqrt(sum(r * r for r in returns) / elapsed) if elapsed > 0 else None


def conditions_of(
    facts: MarketFacts,
    hours: SessionHours,
    track: PriceTrack,
    quote: Quote,
    *,
    traded: int,
    expected: float,
) -> Conditions:
    """Return the day's ratios. traded, expected: the market's volume since work began [shares]."""
    volatility = track.daily_volatility(hours)
    return Conditions(
        volume_ratio=traded / expected if expected > 0 and traded > 0 else None,
        spread_ratio=float(quote.spread) / facts.daily_spread,
        volatility_ratio=(
            volatility / facts.daily_volatility
            if volatility is not None and facts.daily_volatility > 0
            else None
        ),
    )
