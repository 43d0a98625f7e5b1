"""The cheapest schedule under caps: one scalar equation, solved in tens of microseconds. Light.

Minimise sum a_k n_k^2 + sum r_k x_k^2 over 0 <= n_k <= cap_k, sum n_k = X (`weights` says what a and r are).
Half the marginal cost g_k of a free slice is the price mu of a share plus the risk it takes away, so the
optimality conditions are a recursion from the end, where nothing is left:

    x_N = 0, g_N = mu;   n_k = min(cap_k, g_k / a_k), x_{k-1} = x_k + n_k, g_{k-1} = g_k + r_{k-1} x_{k-1}

It remains to find mu with x_0 = X. x_0(mu) is increasing, concave and piecewise linear, and as all terms are
positive nothing cancels. The answer without caps lies left of the root; from there Newton's steps only rise
towards it, and the step from the right piece is exact. So the root is bracketed by construction; the residual
x_0 - X is what is trusted, and where it does not vanish in a few passes `active_set` takes over.
"""

from __future__ import annotations

from collections.abc import Sequence

from trading.execution.checking import not_negative
from trading.execution.errors import ExecutionError
from trading.execution.optimum.active_set import solve_active_set
from trading.execution.optimum.kkt import residual
from trading.execution.optimum.weights import PlainOrEach, checked_caps, slice_weights

ROUNDING = 1e-12
"""Relative to the order: caps that fall short by no more hold all of it."""
CLOSE = 1e-13
"""Relative to the order: the equation is solved."""
MOST_PASSES = 12
"""Ordinary orders need 1 to 7; beyond a dozen the active set is quicker."""
TINY = 1e-290
"""A price below this loses digits to underflow: kappa T is above some 650."""
BROKEN = 1e-10
"""`kkt.residual` of an answer that must not leave this module."""


class CapacityShort(ExecutionError, ValueError):
    """The caps together hold less than the order: by `shortfall` of it, as `capacity` is all they hold."""

    def __init__(self, order_size: float, capacity: float) -> None:
        super().__init__(order_size, capacity)
        self.capacity = capacity
        self.shortfall = order_size - capacity

    def __str__(self) -> str:
        size, capacity = self.args
        return f"order_size is {size!r}: caps hold {capacity!r}, which is {self.shortfall:.6g} too little"


def solve_capped(
    order_size: float,
    caps: Sequence[float],
    *,
    eta_tilde: PlainOrEach,
    risk: PlainOrEach,
    tau: PlainOrEach = 1.0,
) -> list[float]:
    """Return the slices n_k of least E + lambda V under caps, the one answer there is.

    order_size: X >= 0 [shares]. caps: shape (N,), shares per interval, infinite: no cap, 0: halted.
    eta_tilde > 0: eta - gamma tau / 2 [($/share)/(share/day)]; risk >= 0: lambda sigma^2 [$/share^2/day];
    tau > 0: length of an interval [days]; each a number or one per interval. Minimises
    sum eta_tilde_k / tau_k n_k^2 + sum risk_k tau_k x_k^2, x_k being what is left after slice k. The slices
    add up to order_size within 1e-12 of it; `kkt.kkt_residual` says how well they meet the conditions.

    Raises:
        CapacityShort: if the caps together hold less than order_size, beyond rounding.
        ValueError: naming the argument, its value and what was expected.
        ArithmeticError: if weights so far apart were given that floats do not hold the answer.
    """
    size, limits = not_negative("order_size", order_size), checked_caps(caps)
    a, r = slice_weights(len(limits), eta_tilde, risk, tau)
    capacity = sum(limits)
    if size - capacity > ROUNDING * size:
        raise CapacityShort(size, capacity)
    if capacity <= size or size == 0:
        return limits if size else [0.0] * len(limits)
    if a.count(a[0]) == len(a) and r.count(r[0]) == len(r):
        slices = _shoot_even(size, limits, r[0] / a[0])
    else:
        slices = _shoot(size, limits, a, r)
    return _solve_checked(size, limits, a, r) if slices is None else slices


def _solve_checked(size: float, caps: list[float], a: list[float], r: list[float]) -> list[float]:
    """Return the active set's answer, if it is one."""
    slices = solve_active_set(size, caps, a, r)
    missed = residual(slices, caps, size, a, r)
    if not missed <= BROKEN:
        raise ArithmeticError(f"the optimality conditions are missed by {missed:.3g} of the order")
    return slices


def _shoot_even(size: float, caps: list[float], ratio: float) -> list[float] | None:
    """Return the slices if all intervals weigh the same, ratio = r / a; None: not solved.

    Prices are in shares here (g / a). From the end to the first cap that binds everything is proportional to
    mu, so derivatives are carried only from there on.
    """
    backward = caps[::-1]
    left, price = 0.0, 1.0
    for _ in backward:
        price += ratio * left
        left += price
    mu = size / left
    if not mu > TINY:
        return None
    for _ in range(MOST_PASSES):
        left, price = 0.0, mu
        intervals = iter(backward)
        d_left = d_price = 0.0
        for cap in intervals:
            price += ratio * left
            if price >= cap:
                d_left, d_price = left / mu, price / mu
                left += cap
                break
            left += price
        else:
            d_left = left / mu
        for cap in intervals:
            price += ratio * left
            d_price += ratio * d_left
            if price < cap:
                left += price
                d_left += d_price
            else:
                left += cap
        gap = size - left
        if -CLOSE * size <= gap <= CLOSE * size:
            return _slices_even(backward, ratio, mu)
        if not d_left > 0:
            return None
        mu += gap / d_left
    return None


def _slices_even(backward: list[float], ratio: float, mu: float) -> list[float]:
    """Return the slices for the price mu, in the order of time."""
    slices = []
    left, price = 0.0, mu
    for cap in backward:
        price += ratio * left
        traded = price if price < cap else cap
        slices.append(traded)
        left += traded
    slices.reverse()
    return slices


def _shoot(size: float, caps: list[float], a: list[float], r: list[float]) -> list[float] | None:
    """Return the slices for any weights; None: not solved. As `_shoot_even`, with prices in $/share."""
    rows = [(cap, a_k * cap, 1 / a_k, r_k) for cap, a_k, r_k in zip(caps, a, r, strict=True)]
    rows.reverse()
    left, price = 0.0, 1.0
    for _, _, speed, r_k in rows:
        price += r_k * left
        left += price * speed
    mu = size / left
    if not mu > TINY:
        return None
    for _ in range(MOST_PASSES):
        left, price = 0.0, mu
        intervals = iter(rows)
        d_left = d_price = 0.0
        for cap, full, speed, r_k in intervals:
            price += r_k * left
            if price >= full:
                d_left, d_price = left / mu, price / mu
                left += cap
                break
            left += price * speed
        else:
            d_left = left / mu
        for cap, full, speed, r_k in intervals:
            price += r_k * left
            d_price += r_k * d_left
            if price < full:
                left += price * speed
                d_left += d_price * speed
            else:
                left += cap
        gap = size - left
        if -CLOSE * size <= gap <= CLOSE * size:
            return _slices(rows, mu)
        if not d_left > 0:
            return None
        mu += gap / d_left
    return None


def _slices(rows: list[tuple[float, float, float, float]], mu: float) -> list[float]:
    """Return the slices for the price mu, in the order of time."""
    slices = []
    left, price = 0.0, mu
    for cap, full, speed, r_k in rows:
        price += r_k * left
        traded = price * speed if price < full else cap
        slices.append(traded)
        left += traded
    slices.reverse()
    return slices
