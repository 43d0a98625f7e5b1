"""Are these slices the optimum? Asked of the conditions alone, however the slices were found. Light."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trading.execution.checking import positive
from trading.execution.optimum.weights import PlainOrEach, checked_caps, slice_weights

CLEARLY = 1 - 1e-12
"""Part of a cap from which on a slice is at it."""


def kkt_residual(
    slices: Sequence[float],
    caps: Sequence[float],
    *,
    order_size: float,
    eta_tilde: PlainOrEach,
    risk: PlainOrEach,
    tau: PlainOrEach = 1.0,
) -> float:
    """Return by how much of the order the worst condition of optimality is missed; 0 at the exact optimum.

    The arguments are those of `shooting.solve_capped`; order_size > 0. The largest of |sum n - X|, of what a
    slice lies outside [0, cap], and of the move that one slice would make by itself to meet its condition,
    each divided by X. With mu the price of a share left over, the condition of slice k is
    a_k n_k - sum_{k<=j<N} r_j x_j = mu if 0 < n_k < cap_k, <= mu at its cap, >= mu at 0; the move is what it
    is missed by over the curvature a_k + sum_{k<=j<N} r_j, as far as the bounds let it (a slice one digit
    below its cap is at its cap). The problem being convex, they suffice. Infinite if a slice is not finite.

    Raises:
        ValueError: naming the argument, its value and what was expected.
    """
    size, limits = positive("order_size", order_size), checked_caps(caps)
    if len(slices) != len(limits):
        raise ValueError(f"slices has {len(slices)} entries: expected {len(limits)}, as many as caps")
    if not all(map(math.isfinite, slices)):
        return math.inf
    a, r = slice_weights(len(limits), eta_tilde, risk, tau)
    return residual(slices, limits, size, a, r)


def residual(
    slices: Sequence[float], caps: Sequence[float], size: float, a: Sequence[float], r: Sequence[float]
) -> float:
    """Return `kkt_residual` for checked arguments and weights."""
    prices, curvatures = _prices(slices, a, r)
    mu = _price_of_a_share(slices, caps, prices)
    worst = abs(math.fsum(slices) - size)
    for n, cap, price, curvature in zip(slices, caps, prices, curvatures, strict=True):
        down, up = min(n, (price - mu) / curvature), min(cap - n, (mu - price) / curvature)
        worst = max(worst, -n, n - cap, down, up)
    return worst / size


def _prices(
    slices: Sequence[float], a: Sequence[float], r: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Return a_k n_k - sum r_j x_j and a_k + sum r_j over k <= j < N (after the last nothing is left)."""
    prices, curvatures = [a[-1] * slices[-1]], [a[-1]]
    left, risk_ahead, weight_ahead = slices[-1], 0.0, 0.0
    for n, a_k, r_k in zip(slices[-2::-1], a[-2::-1], r[-2::-1], strict=True):
        risk_ahead += r_k * left
        weight_ahead += r_k
        prices.append(a_k * n - risk_ahead)
        curvatures.append(a_k + weight_ahead)
        left += n
    return prices[::-1], curvatures[::-1]


def _price_of_a_share(slices: Sequence[float], caps: Sequence[float], prices: Sequence[float]) -> float:
    """Return mu: the price of the last slice clearly within its bounds, where it carries least rounding.

    With none such, every mu between the dearest slice at its cap and the cheapest at 0 will do.
    """
    for n, cap, price in zip(reversed(slices), reversed(caps), reversed(prices), strict=True):
        if 0 < n < CLEARLY * cap:
            return price
    return max((price for n, price in zip(slices, prices, strict=True) if n > 0), default=0.0)
