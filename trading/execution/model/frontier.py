"""The efficient frontier: the least cost for each risk, and the point on it that a quantile picks."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable

import numpy as np

from trading.execution.checking import finite, not_negative, positive, whole
from trading.execution.model.almgren_chriss import generate_ac_trajectory
from trading.execution.model.assembly import assemble
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.model.trajectory import ExecutionTrajectory

_NAME = "cost_at_risk"


def efficient_frontier(
    order_size: float, duration_periods: int, params: AlmgrenChrissParams, risk_aversions: Iterable[float]
) -> tuple[ExecutionTrajectory, ...]:
    """Return the optimal trajectory for each of `risk_aversions` [1/$], in rising order: along them the
    cost E rises and the variance V falls (for lambda from 0 up).

    The other arguments as for `generate_ac_trajectory`.

    Raises:
        ValueError: naming the argument, its value and what was expected.
    """
    aversions = sorted(finite(f"risk_aversions[{i}]", value) for i, value in enumerate(risk_aversions))
    if not aversions:
        raise ValueError("risk_aversions is empty: expected at least one number")
    return tuple(generate_ac_trajectory(order_size, duration_periods, params, a) for a in aversions)


def cost_at_risk(trajectory: ExecutionTrajectory, lambda_v: float) -> float:
    """Return E + lambda_v sqrt(V) [$]: a cost that is exceeded with probability 1 - Phi(lambda_v).

    Almgren and Chriss 2000, eq. 22; lambda_v 1.645 is the 95 % quantile. Raises ValueError if it is
    negative or not finite.
    """
    return trajectory.expected_cost + not_negative("lambda_v", lambda_v) * math.sqrt(trajectory.variance)


def minimize_cost_at_risk(
    order_size: float, duration_periods: int, params: AlmgrenChrissParams, lambda_v: float
) -> ExecutionTrajectory:
    """Return the trajectory that minimises E + lambda_v sqrt(V), named "cost_at_risk".

    lambda_v: quantile of the normal distribution, from 0 up (1.645: 95 %). The objective is convex in the
    trade sizes (E is, and sqrt(V) is a norm of the holdings), and its minimum is the frontier's point with
    lambda = lambda_v / (2 sqrt(V)); its `risk_aversion` is that lambda. If lambda_v sigma sqrt(tau) is at
    least 2 eta~ X / tau, any share held costs more in risk than it saves, all goes into the first interval,
    and its risk_aversion and kappa are infinite.

    Raises:
        ValueError: naming the argument, its value and what was expected; also if eta~ is not positive.
    """
    size = positive("order_size", order_size)
    n = whole("duration_periods", duration_periods, 1)
    weight = not_negative("lambda_v", lambda_v)
    saving = 2 * params.convex_eta() * size / params.tau  # $/share of the first share held back
    flat = generate_ac_trajectory(size, n, params, 0.0, strategy_name=_NAME)
    least = weight / (2 * math.sqrt(flat.variance)) if flat.variance else 0.0
    if least < sys.float_info.min:  # nothing to weigh, or too little for a float to search
        return flat
    if weight * params.sigma * math.sqrt(params.tau) >= saving:
        return _all_at_once(size, n, params)
    return _crossing(size, n, params, weight, least)


def _crossing(
    size: float, n: int, params: AlmgrenChrissParams, weight: float, least: float
) -> ExecutionTrajectory:
    """Return the frontier's point where 2 lambda sqrt(V(lambda)) = weight; it does not lie below `least`.

    A convex objective has one such point, so the sign of the difference brackets it; lambda runs over many
    powers of ten, therefore its logarithm is halved.
    """

    def at(aversion: float) -> ExecutionTrajectory:
        return generate_ac_trajectory(size, n, params, aversion, strategy_name=_NAME)

    def falls_short(aversion: float) -> bool:
        return 2 * aversion * math.sqrt(at(aversion).variance) < weight

    low, high = least, 2 * least
    while falls_short(high):
        low, high = high, 4 * high
        if at(high).trade_sizes[0] == size:  # what is held is too little for a float to tell
            return _all_at_once(size, n, params)
    while high > low * (1 + 1e-14):
        middle = math.sqrt(low) * math.sqrt(high)
        if not low < middle < high:
            break
        low, high = (middle, high) if falls_short(middle) else (low, middle)
    return at(high)


def _all_at_once(size: float, n: int, params: AlmgrenChrissParams) -> ExecutionTrajectory:
    sizes, holdings = np.zeros(n), np.zeros(n + 1)
    sizes[0] = holdings[0] = size
    return assemble(sizes, holdings, params, strategy_name=_NAME, risk_aversion=math.inf, kappa=math.inf)
