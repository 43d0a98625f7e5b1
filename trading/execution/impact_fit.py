"""The fit of cost = eta participation^beta to orders: robust against outliers, with bars by resampling.

Needs numpy. Each order counts by how far the price wanders by itself while it is worked; what is far out even
so counts less (Huber's weights, by iterated least squares).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.execution.model.impact import ATHL_BETA
from trading.execution.own_fills import Estimate, ImpactSample

Array = NDArray[np.float64]

HUBER = 1.345
"""Standard deviations from which a deviation counts less: 95 % of the efficiency of least squares if nothing
is out of line (Huber 1981)."""
ROUNDS = 12
"""Of reweighting. The estimate settles to 1e-6 of itself within eight."""
SHORTEST = 1 / 390
"""Sessions: no order counts as more certain than one worked for a minute. Quotes and ticks have noise of
their own."""
RESAMPLES, FREE_RESAMPLES = 1_000, 300
CHUNK = 50
"""Resamples at a time: 2,000 orders take 0.8 MB an array."""
BETAS = np.linspace(0.1, 1.5, 29)
"""Exponents that are tried: 0 would be a fixed cost, 1 is the linear law."""
ALIKE = 2.0
"""Largest participation over the smallest below which no exponent can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """As the fields of `ImpactCalibration`."""

    eta: Estimate
    r2: float
    free_beta: Estimate | None
    free_eta: Estimate | None


def fit(samples: Sequence[ImpactSample], seed: int) -> Fit:
    """Return the fit with beta 0.6 and with beta free."""
    cost, share, days = (
        np.array([getattr(sample, name) for sample in samples]) for name in ("cost", "participation", "days")
    )
    # A price that walks at random, traded evenly: the average price's own deviation is sqrt(T / 3).
    noise = np.sqrt(np.maximum(days, SHORTEST) / 3)
    u, v = cost / noise, share[None, :] ** BETAS[:, None] / noise
    fixed = share**ATHL_BETA / noise
    whole = np.ones((1, len(samples)))
    scale = _scale(u, fixed)
    eta = float(_huber(u, fixed, whole, scale)[0])
    counts = _counts(len(samples), seed)
    spread = np.concatenate([_huber(u, fixed, part, scale) for part in _chunks(counts)])
    bars = _estimate(eta, spread)
    r2 = _r2(cost, share**ATHL_BETA * eta, noise)
    if share.max() < ALIKE * share.min():
        return Fit(eta=bars, r2=r2, free_beta=None, free_eta=None)
    beta, free_eta = _free(u, v, whole, scale)
    pairs = [_free(u, v, part, scale) for part in _chunks(counts[:FREE_RESAMPLES])]
    return Fit(
        eta=bars,
        r2=r2,
        free_beta=_estimate(float(beta[0]), np.concatenate([betas for betas, _ in pairs])),
        free_eta=_estimate(float(free_eta[0]), np.concatenate([etas for _, etas in pairs])),
    )


def _huber(u: Array, v: Array, counts: Array, scale: float) -> Array:
    """Return eta of u = eta v for each resample. u, v: shape (orders,); counts: shape (resamples, orders),
    how often each order is in it; scale: of an ordinary deviation."""
    eta: Array = (counts @ (u * v)) / (counts @ (v * v))
    for _ in range(ROUNDS):
        weights = counts * _weights(u - eta[:, None] * v, scale)
        eta = (weights @ (u * v)) / (weights @ (v * v))
    return eta


def _weights(deviations: Array, scale: float) -> Array:
    limit = HUBER * scale
    return limit / np.maximum(np.abs(deviations), limit) if limit > 0 else np.ones_like(deviations)


def _scale(u: Array, v: Array) -> float:
    """Return the scale of ordinary deviations from the fit of u = eta v: by their median, so that outliers
    do not widen it."""
    eta, scale = np.zeros(1), 0.0
    whole = np.ones((1, len(u)))
    for _ in range(10):
        scale = float(np.median(np.abs(u - eta[0] * v))) / 0.6745
        eta = _huber(u, v, whole, scale)
    return scale


def _free(u: Array, v: Array, counts: Array, scale: float) -> tuple[Array, Array]:
    """Return beta and eta of least loss for each resample. v: shape (betas, orders), a row for each of
    `BETAS`."""
    etas = np.stack([_huber(u, row, counts, scale) for row in v])
    losses = np.stack(
        [
            (counts * _loss(u - eta[:, None] * row, scale)).sum(axis=1)
            for eta, row in zip(etas, v, strict=True)
        ]
    )
    best, columns = losses.argmin(axis=0), np.arange(counts.shape[0])
    # Between the neighbours of the best by the parabola through the three.
    inner = np.clip(best, 1, len(BETAS) - 2)
    before, at, after = (losses[inner + step, columns] for step in (-1, 0, 1))
    bend = before - 2 * at + after
    is_inner = (best == inner) & (bend > 0)
    shift = np.where(is_inner, (before - after) / np.where(is_inner, 2 * bend, 1.0), 0.0)
    beta = BETAS[best] + shift * (BETAS[1] - BETAS[0])
    eta = etas[best, columns] + shift * (etas[inner + 1, columns] - etas[inner - 1, columns]) / 2
    return beta, eta


def _loss(deviations: Array, scale: float) -> Array:
    size, limit = np.abs(deviations), HUBER * scale
    # A perfect fit of most orders has no scale; what is left is judged by its squares.
    is_near = size <= limit if limit > 0 else np.ones_like(size, dtype=bool)
    loss: Array = np.where(is_near, size * size / 2, limit * (size - limit / 2))
    return loss


def _counts(orders: int, seed: int) -> Array:
    """Return how often each order is drawn in each resample. Shape (RESAMPLES, orders)."""
    drawn = np.random.default_rng(seed).multinomial(orders, np.full(orders, 1 / orders), size=RESAMPLES)
    return drawn.astype(float)


def _chunks(counts: Array) -> list[Array]:
    return [counts[start : start + CHUNK] for start in range(0, len(counts), CHUNK)]


def _estimate(value: float, resampled: Array) -> Estimate:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Estimate(value=value, error=float(resampled.std(ddof=1)), low=float(low), high=float(high))


def _r2(cost: Array, fitted: Array, noise: Array) -> float:
    """Return the explained part of the variance, orders weighted by 1 / noise^2; 0 if all costs are equal."""
    weights = 1 / (noise * noise)
    mean = np.average(cost, weights=weights)
    total = float(weights @ (cost - mean) ** 2)
    return 1 - float(weights @ (cost - fitted) ** 2) / total if total else 0.0
