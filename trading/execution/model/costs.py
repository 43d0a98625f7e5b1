"""What a list of trade sizes is expected to cost and to risk, under Almgren and Chriss's model. Light."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from trading.execution.model.params import AlmgrenChrissParams

if TYPE_CHECKING:
    from trading.execution.model.trajectory import ExecutionTrajectory


def expected_cost(trade_sizes: Iterable[float], params: AlmgrenChrissParams) -> float:
    """Return the expected cost [$] of trading `trade_sizes` [shares], one in each interval of `params.tau`.

    E = gamma X^2 / 2 + epsilon sum |n| + (eta~ / tau) sum n^2 with X = sum n (Almgren and Chriss 2000,
    eq. 8): permanent impact, half-spread and temporary impact, against the price before the first trade.
    A negative size is a trade the other way. NaN in gives NaN out.
    """
    sizes = [float(size) for size in trade_sizes]
    total = sum(sizes)
    permanent = params.gamma * total * total / 2
    temporary = params.eta_tilde / params.tau * sum(size * size for size in sizes)
    return permanent + params.epsilon * sum(map(abs, sizes)) + temporary


def variance(trade_sizes: Iterable[float], params: AlmgrenChrissParams) -> float:
    """Return the variance [$^2] of that cost: V = sigma^2 tau sum x_k^2, k = 1..N (their eq. 5).

    x_k is what the sizes after the k-th still trade; shares that no size trades carry no risk here.
    """
    squares = left = 0.0
    for size in reversed([float(size) for size in trade_sizes]):
        squares += left * left
        left += size
    return params.sigma * params.sigma * params.tau * squares


def costed(trajectory: ExecutionTrajectory, params: AlmgrenChrissParams) -> ExecutionTrajectory:
    """Return `trajectory` with its cost, variance and times under `params`: its intervals last params.tau.

    kappa, the times derived from it and risk_aversion stay: they tell how the schedule was made.
    """
    import numpy as np  # here: costs of plain lists are wanted where numpy is not

    sizes = trajectory.trade_sizes.tolist()
    return dataclasses.replace(
        trajectory,
        times=np.arange(len(sizes) + 1, dtype=np.float64) * params.tau,
        expected_cost=expected_cost(sizes, params),
        variance=variance(sizes, params),
        params=params,
    )
