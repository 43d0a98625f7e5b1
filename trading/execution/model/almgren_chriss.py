"""The optimal trajectory of Almgren and Chriss (2000), in the discrete form and in closed form."""

from __future__ import annotations

import math

import numpy as np

from trading.execution.checking import finite, positive, whole
from trading.execution.model.assembly import assemble
from trading.execution.model.baselines import equal_slices
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.model.trajectory import ExecutionTrajectory, Floats

_STRAIGHT = 1e-9
"""kappa T below which the curve is a line: they differ by (kappa T)^2 / 6, less than a float can hold."""


def generate_ac_trajectory(
    order_size: float,
    duration_periods: int,
    params: AlmgrenChrissParams,
    risk_aversion: float,
    *,
    lot_size: int | None = None,
    strategy_name: str = "ac",
) -> ExecutionTrajectory:
    """Return the trajectory that minimises E + lambda V over `duration_periods` intervals of params.tau days.

    order_size [shares]; risk_aversion: lambda [1/$], 0 for equal slices. Exact for the discrete model (eq.
    17 and 18): x_j = X sinh(kappa (T - t_j)) / sinh(kappa T), cosh(kappa tau) = 1 + lambda sigma^2 tau^2 /
    (2 eta~), for any tau and any kappa T. A negative lambda likes risk and trades late: sinh becomes sin,
    the sine's kappa is told, efold_time and half_life are infinite; if kappa (T - tau / 2) is beyond pi / 2
    the first sizes are negative (the order grows first), and the half-spread of that detour is charged but
    not optimised. lot_size [shares]: the optimum rounded to whole lots, None: fractions are allowed.

    Raises:
        ValueError: naming the argument, its value and what was expected; also if eta~ is not positive, if
            lambda is so negative that E + lambda V has no minimum, or if lots are wanted of sizes of which
            some are negative.
    """
    size = positive("order_size", order_size)
    n = whole("duration_periods", duration_periods, 1)
    aversion = finite("risk_aversion", risk_aversion)
    eta = params.convex_eta()
    # sqrt first: the product below neither overflows nor vanishes before its square root would.
    half = math.sqrt(abs(aversion)) * params.sigma * params.tau / math.sqrt(eta) / 2
    if aversion < 0:
        step, curve = _sine_step(half, n, aversion, params), _sine
    else:
        step, curve = 2 * math.asinh(finite("kappa tau", half)), _decay
    is_straight = n == 1 or step * n < _STRAIGHT
    sizes, holdings = equal_slices(size, n) if is_straight else curve(size, step, n)
    return assemble(
        sizes,
        holdings,
        params,
        lot_size=lot_size,
        strategy_name=strategy_name,
        risk_aversion=aversion,
        kappa=step / params.tau,
    )


def _decay(size: float, step: float, n: int) -> tuple[Floats, Floats]:
    """Return (sizes, holdings), step = kappa tau > 0.

    Their eq. 17 and 18 with every exponent negative: nothing overflows, and expm1 keeps small steps exact.
    """
    j = np.arange(n + 1)
    scale = np.expm1(-2 * step * n)
    left = np.exp(-step * j) * np.expm1(-2 * step * (n - j)) / scale
    # The curve is even in kappa: exp(-a (j - 1)) + exp(-a (2 n - j)), both shrinking.
    fading = np.exp(-step * j[:-1]) + np.exp(-step * (2 * n - j[1:]))
    return size * (np.expm1(-step) * fading / scale), size * left


def _sine(size: float, step: float, n: int) -> tuple[Floats, Floats]:
    """Return (sizes, holdings), step = kappa tau with 0 < step n < pi."""
    j = np.arange(n + 1)
    scale = math.sin(step * n)
    sizes = 2 * math.sin(step / 2) * np.cos(step * (n - j[1:] + 0.5)) / scale
    return size * sizes, size * (np.sin(step * (n - j)) / scale)


def _sine_step(half: float, n: int, aversion: float, params: AlmgrenChrissParams) -> float:
    """Return kappa tau of the sine, from sin(kappa tau / 2) = half.

    Raises ValueError if the quadratic form is not positive definite: its smallest eigenvalue, that of the
    second difference with both ends held, is positive only for sin(kappa tau / 2) < sin(pi / (2 n)).
    """
    if n == 1:  # nothing to choose, whatever lambda
        return 0.0
    most = math.sin(math.pi / (2 * n))
    if half >= most:
        bound = 2 * most * math.sqrt(params.eta_tilde) / (params.sigma * params.tau)
        least = -bound * bound
        raise ValueError(
            f"risk_aversion is {aversion!r}: E + lambda V has no minimum over {n} intervals "
            f"(the quadratic form is not positive definite); expected more than {least:g}"
        )
    return 2 * math.asin(half)
