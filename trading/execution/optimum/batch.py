"""Many orders under caps at once: the recursion of `shooting`, in numpy over orders of as many intervals.

One pass over 10,000 orders costs about ten array operations per interval; the orders whose equation is solved
leave, and those that `shooting` would hand to the active set are solved one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.execution.checking import not_negative
from trading.execution.optimum.shooting import (
    CLOSE,
    MOST_PASSES,
    TINY,
    CapacityShort,
    solve_capped,
)
from trading.execution.optimum.weights import PlainOrEach, checked_caps, slice_weights

BLOCK = 1024
"""Orders at a time: a row of each array for one interval then fits into the processor's first cache."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One order with its caps and weights: the arguments of `shooting.solve_capped`.

    Raises:
        ValueError: naming the argument, its value and what was expected.
    """

    order_size: float
    caps: Sequence[float]
    eta_tilde: PlainOrEach
    risk: PlainOrEach
    tau: PlainOrEach = 1.0

    def __post_init__(self) -> None:
        not_negative("order_size", self.order_size)
        slice_weights(len(checked_caps(self.caps)), self.eta_tilde, self.risk, self.tau)

    def solve(self) -> list[float] | CapacityShort:
        """Return the slices of this order alone, or why there are none."""
        try:
            return solve_capped(
                self.order_size, self.caps, eta_tilde=self.eta_tilde, risk=self.risk, tau=self.tau
            )
        except CapacityShort as short:
            return short


def solve_many(problems: Iterable[Problem]) -> list[list[float] | CapacityShort]:
    """Return for each problem, in their order, what `solve_capped` returns; within rounding the same slices.

    An order that its caps cannot hold has the refusal as its answer; the others are not held up by it.

    Raises:
        ArithmeticError: as `solve_capped`.
    """
    orders = list(problems)
    answers: list[list[float] | CapacityShort | None] = [None] * len(orders)
    for places in _blocks(orders):
        block = [orders[place] for place in places]
        for place, slices in zip(places, _shoot_block(block), strict=True):
            answers[place] = slices
    return [
        order.solve() if answer is None else answer for order, answer in zip(orders, answers, strict=True)
    ]


def _blocks(orders: Sequence[Problem]) -> Iterable[list[int]]:
    """Yield the places of orders of equally many intervals, at most BLOCK of them at a time."""
    places = defaultdict(list)
    for place, order in enumerate(orders):
        places[len(order.caps)].append(place)
    for same in places.values():
        for start in range(0, len(same), BLOCK):
            yield same[start : start + BLOCK]


def _shoot_block(block: Sequence[Problem]) -> list[list[float] | None]:
    """Return the slices of orders of one length; None where the equation was not solved."""
    count = len(block[0].caps)
    sizes = np.array([order.order_size for order in block], dtype=np.float64)
    caps = np.array([order.caps for order in block], dtype=np.float64).T[::-1].copy()
    tau = _rows([order.tau for order in block], count)
    speed = tau / _rows([order.eta_tilde for order in block], count)
    risk = _rows([order.risk for order in block], count) * tau
    with np.errstate(all="ignore"):  # what over- or underflows is not solved, and solved alone
        mu = _prices(sizes, caps, speed, risk)
        slices = _slices(mu, caps, speed, risk)[::-1].T.copy().tolist()
    return [row if solved else None for row, solved in zip(slices, np.isfinite(mu), strict=True)]


def _rows(values: Sequence[PlainOrEach], count: int) -> Floats:
    """Return shape (count, orders), last interval first: of each order its number, or its numbers."""
    if any(hasattr(value, "__len__") for value in values):
        values = [value if hasattr(value, "__len__") else [value] * count for value in values]
        return np.array(values, dtype=np.float64).T[::-1].copy()
    return np.repeat(np.array(values, dtype=np.float64)[None, :], count, axis=0)


def _prices(sizes: Floats, caps: Floats, speed: Floats, risk: Floats) -> Floats:
    """Return mu of every order, NaN where it was not found: Newton from the answer without caps."""
    found = np.full(sizes.shape, np.nan)
    _, slope = _pass(np.zeros_like(sizes), np.full_like(caps, np.inf), speed, risk)
    mu = sizes / slope
    pending = np.flatnonzero((mu > TINY) & (sizes < caps.sum(axis=0)))
    mu, sizes, caps, speed, risk = (
        mu[pending],
        sizes[pending],
        *(rows[:, pending] for rows in (caps, speed, risk)),
    )
    for _ in range(MOST_PASSES):
        left, slope = _pass(mu, caps, speed, risk)
        gap = sizes - left
        solved = np.abs(gap) <= CLOSE * sizes
        found[pending[solved]] = mu[solved]
        more = np.flatnonzero(~solved & (slope > 0))
        if not more.size:
            break
        mu = mu[more] + gap[more] / slope[more]
        pending, sizes = pending[more], sizes[more]
        caps, speed, risk = caps[:, more], speed[:, more], risk[:, more]
    return found


def _pass(mu: Floats, caps: Floats, speed: Floats, risk: Floats) -> tuple[Floats, Floats]:
    """Return x_0 and its derivative by mu: the recursion of `shooting`, an interval at a time."""
    left, price = np.zeros_like(mu), mu.copy()
    d_left, d_price = np.zeros_like(mu), np.ones_like(mu)
    for cap, fast, r in zip(caps, speed, risk, strict=True):
        price += r * left
        d_price += r * d_left
        wanted = price * fast
        d_left += d_price * fast * (wanted < cap)
        left += np.minimum(wanted, cap)
    return left, d_left


def _slices(mu: Floats, caps: Floats, speed: Floats, risk: Floats) -> Floats:
    """Return the slices for these prices, last interval first."""
    slices = np.empty_like(caps)
    left, price = np.zeros_like(mu), mu.copy()
    for k, (cap, fast, r) in enumerate(zip(caps, speed, risk, strict=True)):
        price += r * left
        np.minimum(price * fast, cap, out=slices[k])
        left += slices[k]
    return slices
