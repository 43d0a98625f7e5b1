"""The metrics' formulas, each alone: arrays of returns in, a number out. Pure numpy; what each means is in
definitions.py.

`returns` are simple returns per period, shape (n,), n >= 1, finite. NaN and infinities are answers here, for
the cases that definitions.py lists, without a warning of numpy.
"""

from __future__ import annotations

import math

import numpy as np

from trading.backtest.performance.curves import Floats

PERIODS_PER_YEAR = 252.0

# Equity is rounded to 53 bits, so a return is known to about this, relative to 1 + r, and no better: equal
# growth yields returns that differ by it. empyrical asks for equal bits, and else divides by the rest.
ROUNDING = 4 * float(np.finfo(np.float64).eps)


def cagr(growth: float, periods: int, periods_per_year: float = PERIODS_PER_YEAR) -> float:
    """Return growth ** (periods_per_year / periods) - 1; -1 if `growth`, last / first, is not above 0."""
    if growth <= 0:
        return -1.0
    try:
        return math.pow(growth, periods_per_year / periods) - 1.0
    except OverflowError:
        return math.inf


def is_idle(returns: Floats) -> bool:
    """Return whether no return differs from 0 by more than the rounding of equity."""
    return float(np.max(returns)) <= ROUNDING and float(np.min(returns)) >= -ROUNDING


def is_constant(returns: Floats) -> bool:
    """Return whether all returns are equal but for the rounding of equity."""
    return float(np.max(returns)) - float(np.min(returns)) < 2 * ROUNDING * (1.0 + abs(float(returns[0])))


def volatility(returns: Floats, periods_per_year: float = PERIODS_PER_YEAR) -> float:
    """Return the sample standard deviation of a year; NaN for fewer than two returns."""
    if len(returns) < 2:
        return math.nan
    return float(np.std(returns, ddof=1)) * math.sqrt(periods_per_year)


def sharpe_ratio(returns: Floats, periods_per_year: float = PERIODS_PER_YEAR) -> float:
    """Return mean / standard deviation of a year, no risk-free rate.

    Infinite, with the sign of the mean, if the returns are equal; NaN if they are all 0 or fewer than two.
    """
    if len(returns) < 2:
        return math.nan
    mean = float(np.mean(returns))
    if is_constant(returns):
        return math.nan if is_idle(returns) else math.copysign(math.inf, mean)
    deviation = float(np.std(returns, ddof=1))
    # One that overflowed would make a ratio of 0 of any mean.
    return mean / deviation * math.sqrt(periods_per_year) if math.isfinite(deviation) else math.nan


def sortino_ratio(returns: Floats, periods_per_year: float = PERIODS_PER_YEAR) -> float:
    """Return mean of a year / downside deviation of a year, the target being 0 and all n returns counted.

    Infinite if no return is below 0; NaN if they are all 0 or fewer than two.
    """
    if len(returns) < 2:
        return math.nan
    if float(np.min(returns)) >= -ROUNDING:
        return math.nan if is_idle(returns) else math.inf
    losses = np.minimum(returns, 0.0)
    downside = math.sqrt(np.mean(losses * losses))
    return float(np.mean(returns)) / downside * math.sqrt(periods_per_year)


def calmar_ratio(annual_return: float, max_drawdown: float) -> float:
    """Return `annual_return` / |`max_drawdown`|; NaN if there was no drawdown."""
    return annual_return / -max_drawdown if max_drawdown < 0 else math.nan


def skew(returns: Floats) -> float:
    """Return the population skewness g1 = m3 / m2 ** 1.5; NaN if all returns are equal."""
    if is_constant(returns):
        return math.nan
    deviations = _scaled_deviations(returns)
    squares = deviations * deviations
    return float(np.mean(squares * deviations)) / math.pow(np.mean(squares), 1.5)


def kurtosis(returns: Floats) -> float:
    """Return the population excess kurtosis g2 = m4 / m2 ** 2 - 3; NaN if all returns are equal."""
    if is_constant(returns):
        return math.nan
    squares = _scaled_deviations(returns) ** 2
    return float(np.mean(squares * squares)) / math.pow(np.mean(squares), 2) - 3.0


def _scaled_deviations(returns: Floats) -> Floats:
    """Return the deviations from the mean, the largest being 1, so that no power of them overflows."""
    deviations = returns - np.mean(returns)
    return np.asarray(deviations / max(np.max(deviations), -np.min(deviations)))


def tails(returns: Floats) -> tuple[float, float]:
    """Return the 5th and the 95th percentile, interpolated linearly."""
    low, high = np.percentile(returns, (5, 95)).tolist()
    return low, high


def tail_ratio(returns: Floats) -> float:
    """Return |95th percentile| / |5th percentile|; infinite if only the latter is 0, NaN if both are."""
    return ratio_of_tails(*tails(returns))


def ratio_of_tails(low: float, high: float) -> float:
    """Return |`high`| / |`low`|, as `tail_ratio`, of percentiles at hand: they take longest of all."""
    if abs(low) <= ROUNDING:
        return math.inf if abs(high) > ROUNDING else math.nan
    return abs(high / low)


def value_at_risk(returns: Floats) -> float:
    """Return the return that one period in twenty falls short of: negative where it is a loss."""
    return tails(returns)[0]


def win_rate(trade_pnls: Floats) -> float:
    """Return the fraction of trades with a profit above 0; NaN without trades."""
    return float(np.mean(trade_pnls > 0)) if len(trade_pnls) else math.nan


def profit_factor(trade_pnls: Floats) -> float:
    """Return profits of the winning trades / losses of the losing ones.

    Infinite if none lost; NaN if none won either.
    """
    won = float(np.sum(trade_pnls[trade_pnls > 0]))
    lost = -float(np.sum(trade_pnls[trade_pnls < 0]))
    if lost > 0:
        return won / lost
    return math.inf if won > 0 else math.nan
