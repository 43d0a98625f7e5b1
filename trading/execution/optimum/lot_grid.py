"""The cheapest schedule in whole lots, exactly: a shortest path over (interval, lots left).

What is minimised is (eta~/tau) sum n_k^2 + lambda sigma^2 tau sum x_k^2 + fee * (slices that are not empty):
E + lambda V without its constant part. It is additive along the path of lots left, X = x_0 >= ... >= x_N = 0.

Two ways, both exact. Without a least slice, a fee or a limit on children the cost is convex in the path in
the lattice sense (L-natural: Murota 2003, "Discrete convex analysis", chapter 7): a path that no change by
-1, 0 or +1 at every interval improves is a best one. So the path is walked downhill from the rounded
continuous optimum in whole numbers, mostly in one look, whatever the number of lots. Else all states are
visited (`walk`).

Ties: the schedule that trades as early as possible is the answer, that is the list of sizes which is larger
at the first interval where two lists of equal cost differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from trading.execution.optimum.shooting import solve_capped

Floats = NDArray[np.float64]

# Costs that agree to this fraction count as equal, in the full walk: far above what adding up rounds (1e-14
# for hundreds of intervals), far below what one lot changes.
TIE = 1e-12
# Numbers in one block of candidates: 512 KiB, the size of a small core's cache.
BLOCK = 65_536


def solve_on_lots(
    order_lots: int,
    cap_lots: Sequence[int],
    *,
    eta_tilde: float,
    risk: float,
    tau: float,
    lot_size: float,
    min_lots: int = 0,
    max_children: int | None = None,
    ticket_fee: float = 0.0,
) -> list[int] | None:
    """Return the lots of each interval, shape (N,), of the cheapest schedule; None if there is none.

    order_lots: from 1 up. cap_lots: shape (N,), the most lots of each interval, 0: a halt. eta_tilde
    [($/share)/(share/day)]; risk = lambda sigma^2 [$/(share^2 day)], not negative; tau [days]; lot_size
    [shares]. min_lots: of a slice that is not empty. max_children: slices that are not empty, None: any
    number. ticket_fee: for each of them [$]. Time: O(N) per pass, with none of these three; else
    O(N * order_lots * cap * max_children).
    """
    caps = [min(cap, order_lots) for cap in cap_lots]
    if sum(caps) < order_lots:
        return None
    if ticket_fee == 0:
        sizes = best_of_all(order_lots, caps, eta_tilde=eta_tilde, risk=risk, tau=tau)
        if is_allowed(sizes, min_lots, max_children):
            return sizes  # the best of more schedules than are allowed, and allowed
    return walk(
        order_lots,
        caps,
        risk_weight=risk * tau * tau / eta_tilde,
        fee_weight=ticket_fee * tau / (eta_tilde * lot_size * lot_size),
        min_lots=max(1, min_lots),
        max_children=max_children,
    )


def best_of_all(
    order_lots: int, caps: Sequence[int], *, eta_tilde: float, risk: float, tau: float
) -> list[int]:
    """Return the best lots under `caps` alone, whose sum is at least `order_lots`."""
    wanted = solve_capped(
        float(order_lots), [float(cap) for cap in caps], eta_tilde=eta_tilde, risk=risk, tau=tau
    )
    return best_between(wanted, order_lots, [0] * len(caps), caps, whole_weights(eta_tilde, risk, tau))


def best_between(
    wanted: Sequence[float],
    order_lots: int,
    lows: Sequence[int],
    caps: Sequence[int],
    weights: tuple[int, int],
) -> list[int]:
    """Return the best lots within [lows, caps], from the best fractional ones.

    Their rounding by largest remainder is nearly always the answer itself; `downhill` makes sure.
    """
    sizes = rounded(wanted, order_lots, lows, caps)
    path = list(accumulate(sizes, lambda left, size: left - size, initial=order_lots))
    return [before - after for before, after in pairwise(downhill(path, lows, caps, *weights))]


def rounded(wanted: Sequence[float], total: int, lows: Sequence[int], caps: Sequence[int]) -> list[int]:
    """Return whole sizes of sum `total` within [lows, caps] next to `wanted`, by largest remainder."""
    sizes = [min(max(int(size + 1e-9), low), cap) for size, low, cap in zip(wanted, lows, caps, strict=True)]
    by_remainder = sorted(range(len(sizes)), key=lambda k: (round(sizes[k] - wanted[k], 9), k))
    missing = total - sum(sizes)
    while missing:
        step = 1 if missing > 0 else -1
        for k in by_remainder if missing > 0 else reversed(by_remainder):
            if missing and lows[k] <= sizes[k] + step <= caps[k]:
                sizes[k] += step
                missing -= step
    return sizes


def is_allowed(sizes: Sequence[float], least: float, max_children: int | None) -> bool:
    """Return whether every size is 0 or at least `least`, and no more than `max_children` are not 0."""
    traded = [size for size in sizes if size > 0]
    return all(size >= least for size in traded) and (max_children is None or len(traded) <= max_children)


def whole_weights(eta_tilde: float, risk: float, tau: float) -> tuple[int, int]:
    """Return whole numbers in the exact ratio of eta~/tau (of n^2) to risk * tau (of x^2)."""
    size_weight = Fraction(eta_tilde) / Fraction(tau)
    risk_weight = Fraction(risk) * Fraction(tau)
    common = math.lcm(size_weight.denominator, risk_weight.denominator)
    weights = int(size_weight * common), int(risk_weight * common)
    divisor = math.gcd(*weights)
    return weights[0] // divisor, weights[1] // divisor


def downhill(
    path: list[int], lows: Sequence[int], caps: Sequence[int], size_weight: int, risk_weight: int
) -> list[int]:
    """Return the best path of lots left with lows[k] <= x_k - x_{k+1} <= caps[k], from the legal `path`.

    Exact: all numbers are whole. Each turn is a better path, or one as good that trades earlier.
    """
    while True:
        lower = _best_near(path, lows, caps, size_weight, risk_weight)
        if lower == path:
            return path
        path = lower


def _best_near(
    path: list[int], lows: Sequence[int], caps: Sequence[int], size_weight: int, risk_weight: int
) -> list[int]:
    """Return the best path with each x_k at most one lot away, the lowest one (earliest) among equals.

    Written out over the three places lower, same, higher: this loop is the time of the whole answer.
    """
    intervals = len(caps)
    never = 1 + 2 * path[0] ** 2 * (size_weight + intervals * risk_weight)  # more than any legal path costs
    low_cost, same_cost, high_cost = never, 0, never  # from here to the end
    picks: list[tuple[int, int, int]] = []
    for k in range(intervals - 1, -1, -1):
        left, low, cap = path[k], lows[k], caps[k]
        size = left - path[k + 1]
        down2, down, stay, up, up2 = (
            size_weight * n * n if low <= n <= cap else never
            for n in (size - 2, size - 1, size, size + 1, size + 2)
        )
        lower = (stay + low_cost, down + same_cost, down2 + high_cost)
        same = (up + low_cost, stay + same_cost, down + high_cost)
        higher = (up2 + low_cost, up + same_cost, stay + high_cost)
        low_cost, same_cost, high_cost = min(lower), min(same), min(higher)
        picks.append((lower.index(low_cost), same.index(same_cost), higher.index(high_cost)))
        if risk_weight:
            low_cost += risk_weight * (left - 1) ** 2
            same_cost += risk_weight * left * left
            high_cost += risk_weight * (left + 1) ** 2
    lefts, place = [path[0]], 1
    for k, pick in enumerate(reversed(picks)):
        place = pick[place]
        lefts.append(path[k + 1] + place - 1)
    return lefts


def walk(
    order_lots: int,
    caps: Sequence[int],
    *,
    risk_weight: float,
    fee_weight: float,
    min_lots: int,
    max_children: int | None,
) -> list[int] | None:
    """Return the cheapest sizes by visiting every state (interval, children left, lots left); None: none.

    The cost is sum n^2 + risk_weight * sum x^2 + fee_weight * (sizes above 0), with min_lots >= 1 for these.
    """
    if sum(caps) < order_lots:
        return None
    after = list(accumulate(reversed(caps), initial=0))[::-1]
    done = order_lots - np.array(list(accumulate(caps, initial=0)))
    layers = 1 if max_children is None else min(max_children, len(caps), order_lots) + 1
    squares = np.arange(order_lots + 1, dtype=np.float64) ** 2
    trade_cost = squares + fee_weight
    tail = np.full((layers, order_lots + 1), math.inf)
    tail[:, 0] = 0.0
    tails: list[Floats] = []  # [N - 1 - k]: cost after interval k, by children and lots then left
    for k in range(len(caps) - 1, -1, -1):
        tails.append(tail)
        lowest, highest = max(0, int(done[k])), min(order_lots, after[k])
        here = np.full_like(tail, math.inf)
        here[:, lowest : highest + 1] = _cheapest(tail, caps[k], min_lots, lowest, highest, trade_cost)
        tail = here + risk_weight * squares if k else here
    if not math.isfinite(tail[-1, order_lots]):
        return None
    return _traced(order_lots, caps, tails[::-1], trade_cost, min_lots)


def _cheapest(tail: Floats, cap: int, least: int, lowest: int, highest: int, trade_cost: Floats) -> Floats:
    """Return the least cost from each state with lowest..highest lots left: trade nothing, or least..cap."""
    best = tail[:, lowest : highest + 1].copy()
    if cap < least:
        return best
    layers, rows = best.shape
    source = _after_a_trade(tail)
    # By hand, as np.pad and sliding_window_view took three quarters of the time of the whole answer.
    padded = np.full((layers, cap + highest + 1), math.inf)
    padded[:, cap:] = source[:, : highest + 1]
    along, one = padded.strides
    # [layer, start, row] is padded[layer, start + row].
    shape = layers, cap + lowest + 1, rows
    windows: Floats = np.ndarray(shape, dtype=np.float64, buffer=padded, strides=(along, one, one))
    at_once = max(1, BLOCK // (layers * rows))
    for size in range(least, cap + 1, at_once):
        last = min(size + at_once - 1, cap)
        starts = windows[:, cap + lowest - last : cap + lowest - size + 1]
        costs = starts + trade_cost[last : size - 1 : -1][:, None]
        np.minimum(best, costs.min(axis=1), out=best)
    return best


def _after_a_trade(tail: Floats) -> Floats:
    """Return the tail as a trade finds it: with one child fewer left. One layer: they are not counted."""
    if len(tail) == 1:
        return tail
    return np.vstack((np.full((1, tail.shape[1]), math.inf), tail[:-1]))


def _traced(
    left: int, caps: Sequence[int], tails: Sequence[Floats], trade_cost: Floats, least: int
) -> list[int]:
    """Return the sizes of the best path from `left` lots on: of equals the largest, interval by interval."""
    layer, sizes = len(tails[0]) - 1, []
    counted = len(tails[0]) > 1
    for cap, tail in zip(caps, tails, strict=True):
        size, top = 0, min(cap, left)
        if top >= least and not (counted and layer == 0):
            below = tail[layer - counted]
            costs = trade_cost[least : top + 1] + below[left - top : left - least + 1][::-1]
            equal = min(float(costs.min()), float(tail[layer, left])) * (1 + TIE)
            hits = np.flatnonzero(costs <= equal)
            if hits.size:
                size = least + int(hits[-1])
                layer -= counted
        left -= size
        sizes.append(size)
    return sizes
