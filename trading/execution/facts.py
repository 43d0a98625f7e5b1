"""What is known of a symbol before its order is planned. Light: standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from math import isfinite

from trading.execution.checking import not_negative, positive


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFacts:
    """Yesterday's knowledge of one symbol, from which plans are made.

    as_of: date of the newest bar used. price: last close [$]. daily_volume: shares, median of 20 days.
    daily_spread: quoted spread [$/share]. daily_volatility: of returns, close to close [fraction, 0.02 =
    2 %]. shape: share of a session's volume in each of its equal buckets, sums to 1; early_shape: the
    same for sessions that close early, empty: as `shape`. sources: where each number is from, in words
    ("spread": "assumed: 2 bp, at least a tick").
    """

    symbol: str
    as_of: date
    price: float
    daily_volume: float
    daily_spread: float
    daily_volatility: float
    shape: tuple[float, ...]
    early_shape: tuple[float, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        positive("price", self.price)
        positive("daily_volume", self.daily_volume)
        positive("daily_spread", self.daily_spread)
        not_negative("daily_volatility", self.daily_volatility)
        for name in ("shape", "early_shape"):
            shares = getattr(self, name)
            if not shares and name == "early_shape":
                continue
            if not shares or any(not isfinite(s) or s < 0 for s in shares) or abs(sum(shares) - 1) > 1e-6:
                raise ValueError(f"{name} is {shares!r}: expected shares of volume from 0 up that sum to 1")
