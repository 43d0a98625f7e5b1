"""What the optimum is compared with: equal slices, slices by volume, all at once."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from trading.execution.checking import not_negative, positive, whole
from trading.execution.model.assembly import assemble, held_after
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.model.trajectory import ExecutionTrajectory, Floats


def generate_twap_trajectory(
    order_size: float,
    duration_periods: int,
    params: AlmgrenChrissParams | None = None,
    *,
    lot_size: int | None = None,
) -> ExecutionTrajectory:
    """Return equal slices over `duration_periods` intervals, named "twap".

    order_size [shares]; an interval lasts params.tau days, one day without params (expected_cost and
    variance are then 0.0). lot_size [shares]: slices of whole lots, None: fractions are allowed.

    Raises:
        ValueError: naming the argument, its value and what was expected.
    """
    size = positive("order_size", order_size)
    n = whole("duration_periods", duration_periods, 1)
    return assemble(*equal_slices(size, n), params, lot_size=lot_size, strategy_name="twap")


def generate_vwap_trajectory(
    order_size: float,
    volume_profile: ArrayLike,
    params: AlmgrenChrissParams | None = None,
    *,
    lot_size: int | None = None,
) -> ExecutionTrajectory:
    """Return slices in proportion to the market's expected volume, named "vwap".

    volume_profile: shape (N,), expected volume of each interval in any unit, from 0 up; nothing is traded
    where it is 0. The other arguments as for `generate_twap_trajectory`.

    Raises:
        ValueError: naming the argument, its value and what was expected.
    """
    size = positive("order_size", order_size)
    profile = checked_profile("volume_profile", volume_profile)
    # By a power of two, which keeps every digit: then no sum overflows.
    weights = np.ldexp(profile, -math.frexp(profile.max())[1])
    left = held_after(weights)
    sizes, holdings = size * weights / left[0], size * (left / left[0])
    return assemble(sizes, holdings, params, lot_size=lot_size, strategy_name="vwap")


def generate_market_order_trajectory(
    order_size: float, params: AlmgrenChrissParams | None = None
) -> ExecutionTrajectory:
    """Return the whole order in one interval, named "market": no risk, the most impact.

    order_size [shares]; params as for `generate_twap_trajectory`.

    Raises:
        ValueError: naming the argument, its value and what was expected.
    """
    size = positive("order_size", order_size)
    return assemble(np.array([size]), np.array([size, 0.0]), params, strategy_name="market")


def equal_slices(size: float, n: int) -> tuple[Floats, Floats]:
    """Return (sizes, holdings), shapes (n,) and (n + 1,), of `size` shares in n equal parts."""
    return np.full(n, size / n), size * (np.arange(n, -1, -1) / n)


def checked_profile(name: str, profile: ArrayLike) -> Floats:
    """Return volumes, shape (N,), as floats. Raises ValueError unless they are finite, from 0 up, and one
    is above 0."""
    try:
        array = np.asarray(profile)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is {profile!r}: expected one list of numbers") from error
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}: expected (N,) with N >= 1")
    if array.dtype.kind == "O":  # Decimals, say, or a None among numbers
        array = np.array([not_negative(f"{name}[{k}]", volume) for k, volume in enumerate(array)])
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} is {profile!r}: expected numbers")
    bad = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if bad.size:
        raise ValueError(f"{name}[{bad[0]}] is {array[bad[0]]}: expected a finite volume from 0 up")
    if not array.any():
        raise ValueError(
            f"{name} is 0 in all {array.size} intervals: expected some volume in at least one of them"
        )
    return array.astype(np.float64)
