"""Whether a strategy in use does what its validation promised: what it did since, against the promise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from trading.backtest.history import Floats
from trading.research.objective import DAYS_PER_YEAR, annual_sharpe
from trading.research.statistics.bootstrap import max_drawdown
from trading.research.validation.promise import Promise

LEAST_DAYS: Final = 21
"""A month: of fewer days a Sharpe ratio says nothing (standard error above 3.5)."""
Z: Final = 1.96
"""A strategy that keeps its promise falls below this many standard errors in one of forty looks."""
RARE: Final = 0.005
"""A count of trades with a smaller chance than this, on either side, is told."""
LEAST_FILLED: Final = 20
"""Fills of our own below which their cost is not compared: the price's own moves are ten times as large."""
DEARER: Final = 2.0
"""How many times the assumed cost the own fills may cost: validation shows it to live at three times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """What a strategy in use did since its validation.

    returns: of its backtest on the bars since, shape (days,). trades: closed in it. filled, paid_bps: own
    fills for it, and what they cost against the price on arrival, fees included, of the traded value; None:
    not known.
    """

    returns: Floats
    trades: int
    filled: int = 0
    paid_bps: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One comparison. value: None: too little to compare. kept: whether the promise is, or cannot be told not
    to be."""

    name: str
    value: float | None
    bound: float
    kept: bool
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Return every field as values that JSON knows."""
        return {name: getattr(self, name) for name in self.__slots__}


def check_since(promise: Promise, since: Since) -> list[Check]:
    """Return the comparisons: performance, drawdown, trades and cost."""
    return [
        performance(promise, since.returns),
        fall(promise, since.returns),
        frequency(promise, since.trades, len(since.returns)),
        cost(promise, since.filled, since.paid_bps),
    ]


def performance(promise: Promise, returns: Floats) -> Check:
    """Hold the Sharpe ratio since, per year, to the promised interval as wide as for so few days.

    low = S - 1.96 sqrt(e^2 + 252 / m): S promised with standard error e, m days since; 252 / m the variance
    of a ratio per year of m independent days (Lo 2002, The statistics of Sharpe ratios, for small ratios).
    """
    days = len(returns)
    if days < LEAST_DAYS:
        text = f"{days} days since the validation: {LEAST_DAYS} are needed"
        return Check(name="performance", value=None, bound=promise.sharpe, kept=True, text=text)
    low = promise.sharpe - Z * math.sqrt(promise.sharpe_error**2 + DAYS_PER_YEAR / days)
    ratio = annual_sharpe(returns)
    text = f"Sharpe ratio {ratio:.2f} in {days} days, promised {promise.sharpe:.2f}, not below {low:.2f}"
    return Check(name="performance", value=ratio, bound=low, kept=ratio >= low, text=text)


def fall(promise: Promise, returns: Floats) -> Check:
    """Hold the deepest fall from a peak since to the one that was promised to be rare."""
    if not len(returns):
        return Check(
            name="drawdown", value=None, bound=promise.drawdown, kept=True, text="no day since the validation"
        )
    deepest = float(max_drawdown(returns[None, :])[0])
    text = f"fell {-deepest:.1%} from its peak, promised not to exceed {-promise.drawdown:.1%}"
    return Check(
        name="drawdown", value=deepest, bound=promise.drawdown, kept=deepest >= promise.drawdown, text=text
    )


def frequency(promise: Promise, trades: int, days: int) -> Check:
    """Hold the number of trades to that of a Poisson process of the promised rate: neither so many nor so few
    has a chance below half a percent."""
    from scipy.special import pdtr, pdtrc

    expected = promise.trades * days / promise.periods
    chance_of_fewer = float(pdtr(trades, expected))
    chance_of_more = float(pdtrc(trades - 1, expected)) if trades else 1.0
    kept = expected == 0 or min(chance_of_fewer, chance_of_more) >= RARE
    text = f"{trades} trades in {days} days, {expected:.1f} expected"
    return Check(name="trade_frequency", value=float(trades), bound=expected, kept=kept, text=text)


def cost(promise: Promise, filled: int, paid_bps: float | None) -> Check:
    """Hold what its own fills cost to twice what was assumed."""
    bound = DEARER * promise.cost_bps
    if paid_bps is None or filled < LEAST_FILLED:
        text = f"{filled} fills of its own: {LEAST_FILLED} are needed"
        return Check(name="cost", value=None, bound=bound, kept=True, text=text)
    text = f"{filled} fills cost {paid_bps:.1f} bp, assumed {promise.cost_bps:.1f}"
    return Check(name="cost", value=paid_bps, bound=bound, kept=paid_bps <= bound, text=text)
