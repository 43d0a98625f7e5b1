"""Residuals of returns on factors, and how far each one is from where it returns to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trading.backtest.history import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversion:
    """How each stock's cumulated residual returns to its mean, each of shape (stocks,).

    score: its distance from the mean in standard deviations of its equilibrium, above 0: dear; NaN where it
    does not return. bars: the time 1 / kappa in which a distance falls to 1 / e; inf where it does not.
    """

    score: Floats
    bars: Floats


def mean_factor(returns: Floats) -> Floats:
    """Return the weights of the market as the one factor, shape (1, stocks): all stocks alike."""
    stocks = returns.shape[1]
    return np.full((1, stocks), 1.0 / stocks)


def component_factors(returns: Floats, count: int) -> Floats:
    """Return the weights of the first principal components, shape (count, stocks).

    returns: shape (bars, stocks). The eigenvectors of the correlations, each entry divided by its stock's
    standard deviation (Avellaneda and Lee, section 2.1). A stock that did not move has no part in them.
    """
    deviations = returns.std(axis=0, ddof=1)
    moving = deviations > 0.0
    scaled = np.divide(returns - returns.mean(axis=0), deviations, out=np.zeros(returns.shape), where=moving)
    vectors = np.linalg.eigh(scaled.T @ scaled / (len(returns) - 1))[1][:, ::-1][:, :count].T
    factors: Floats = np.divide(vectors, deviations, out=np.zeros(vectors.shape), where=moving)
    return factors


def regressed(returns: Floats, factors: Floats) -> tuple[Floats, Floats]:
    """Return each stock's exposures, shape (factors, stocks), and residuals, shape (bars, stocks).

    returns: of the stocks, shape (bars, stocks). factors: of the factors in the same bars, shape (bars,
    factors). Least squares with a constant, so that each stock's residuals add up to 0.
    """
    design = np.column_stack([np.ones(len(factors)), factors])
    weights = np.linalg.pinv(design) @ returns
    return weights[1:], returns - design @ weights


def reversion(residuals: Floats) -> Reversion:
    """Return how the sums X of residuals return to their means. residuals: shape (bars, stocks).

    X(n + 1) = a + b X(n) + z(n + 1) by least squares; kappa = -log(b), m = a / (1 - b), sigma = sqrt(var(z) /
    (1 - b^2)), score = (X(last) - m) / sigma, with means m less their average over the stocks that return.
    Avellaneda, Lee (2010), Statistical arbitrage in the US equities market, Quantitative Finance 10, 761-782,
    appendix.
    """
    sums = np.cumsum(residuals, axis=0)
    before, after = sums[:-1], sums[1:]
    away = before - before.mean(axis=0)
    square = (away * away).sum(axis=0)
    slope = np.divide((away * after).sum(axis=0), square, out=np.ones(len(square)), where=square > 0.0)
    level = after.mean(axis=0) - slope * before.mean(axis=0)
    left = after - level - slope * before
    variance = (left * left).sum(axis=0) / max(len(left) - 2, 1)
    returning = (slope > 0.0) & (slope < 1.0) & (variance > 0.0)
    slope = np.where(returning, slope, 0.5)
    mean = level / (1.0 - slope)
    centre = mean[returning].mean() if returning.any() else 0.0
    sigma = np.sqrt(np.where(returning, variance, 1.0) / (1.0 - slope * slope))
    return Reversion(
        score=np.where(returning, (sums[-1] - (mean - centre)) / sigma, np.nan),
        bars=np.where(returning, -1.0 / np.log(slope), np.inf),
    )
