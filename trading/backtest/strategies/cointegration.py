"""The cointegration of two price series by Engle and Granger's two steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trading.backtest.history import Floats

NO_SPREAD = 1e-6
"""Part of the first series' variance below which what is left over is rounding: the same paper twice. No
spread to trade, and no test to trust (statsmodels draws the line at 1.5e-6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFit:
    """What a window of two log price series says of their relation.

    The spread is log(first) - intercept - ratio * log(second): its mean over the window is 0, by
    construction. ratio: how many $ of the second hedge 1 $ of the first. deviation: the spread's standard
    deviation, n - 2 degrees of freedom. statistic: Dickey and Fuller's t of the spread.
    """

    ratio: float
    intercept: float
    deviation: float
    statistic: float

    def score(self, first: float, second: float) -> float:
        """Return the spread of two prices in its standard deviations."""
        return (math.log(first) - self.intercept - self.ratio * math.log(second)) / self.deviation

    @property
    def p_value(self) -> float:
        """How likely such a statistic is if the two are not cointegrated.

        By MacKinnon's (1994, 2010) surface for two series with a constant: the spread was fitted, so that
        the critical value at 5 % is -3.34, where a series observed as it is has -2.86.
        """
        from statsmodels.tsa.adfvalues import mackinnonp

        return float(mackinnonp(self.statistic, regression="c", N=2))


def fit_pair(first: Floats, second: Floats, lags: int) -> PairFit | None:
    """Return the relation of two price series; None if they have no spread (one is constant, or the other's
    double), or too few prices for a test.

    first, second: prices of the same instants, shape (n,). lags: differences of the spread in its regression
    on itself. Engle, Granger (1987), Co-integration and error correction, Econometrica 55, 251-276.
    """
    if len(first) < 2 * lags + 6:
        return None
    left, right = np.log(first), np.log(second)
    if np.ptp(left) == 0.0 or np.ptp(right) == 0.0:
        return None
    total, away = left - left.mean(), right - right.mean()
    ratio = float(away @ total) / float(away @ away)
    intercept = float(left.mean() - ratio * right.mean())
    spread = left - intercept - ratio * right
    rest = float(spread @ spread)
    if rest <= NO_SPREAD * float(total @ total):
        return None
    return PairFit(
        ratio=ratio,
        intercept=intercept,
        deviation=math.sqrt(rest / (len(left) - 2)),
        statistic=dickey_fuller(spread, lags),
    )


def dickey_fuller(values: Floats, lags: int) -> float:
    """Return the t of b in d(t) = b * u(t - 1) + sum over k = 1..lags of c_k * d(t - k) + e(t), d(t) = u(t) -
    u(t - 1), without a constant. values: u, shape (n,). Far below 0: what it departs from, it returns to.

    Dickey, Fuller (1979), Distribution of the estimators for autoregressive time series with a unit root,
    Journal of the American Statistical Association 74, 427-431; with lags, Said and Dickey (1984).
    """
    steps = np.diff(values)
    known = [values[lags:-1], *(steps[lags - k : len(steps) - k] for k in range(1, lags + 1))]
    design = np.column_stack(known)
    target = steps[lags:]
    inverse = np.linalg.pinv(design.T @ design)
    weights = inverse @ (design.T @ target)
    left = target - design @ weights
    variance = float(left @ left) / (len(target) - design.shape[1])
    error = math.sqrt(variance * float(inverse[0, 0]))
    return float(weights[0]) / error if error > 0.0 else 0.0
