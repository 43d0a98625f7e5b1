"""Which method answers which schedule problem, once it is known to be feasible.

Caps alone: shooting (`shooting`), or downhill on whole lots (`lot_grid`). A least slice, a limit on children
or a fee: the answer without them, where it keeps them anyway; else the shortest path over the lots; else, in
fractions of shares or where there are too many lots to visit, a search over patterns (`patterns`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trading.execution.optimum.constraints import ScheduleConstraints
from trading.execution.optimum.feasibility import Exact, least_slice
from trading.execution.optimum.lot_grid import (
    best_between,
    best_of_all,
    is_allowed,
    solve_on_lots,
    walk,
    whole_weights,
)
from trading.execution.optimum.patterns import Problem, Search, Settle, settle_between
from trading.execution.optimum.shooting import solve_capped
from trading.execution.optimum.weights import slice_weights

# Work of the shortest path over lots that is still done: about half a second, 32 MB.
MOST_STEPS = 200_000_000
MOST_STATES = 4_000_000
# Lots of the coarse grid from which a search over patterns starts, at most and at least.
GRID_LOTS = 400
FEWEST_GRID_LOTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What sizes are weighed by. eta_tilde [($/share)/(share/day)]; risk = lambda sigma^2 [$/(share^2 day)];
    tau [days].

    Raises:
        ValueError: naming the value, or the ratio of the weights if it is beyond the range of floats.
    """

    eta_tilde: float
    risk: float
    tau: float

    def __post_init__(self) -> None:
        slice_weights(1, **self.weights())

    def weights(self) -> dict[str, float]:
        """Return the three as keyword arguments of the solvers."""
        return {"eta_tilde": self.eta_tilde, "risk": self.risk, "tau": self.tau}


def best_sizes(
    order: Exact, caps: Sequence[Exact | float], constraints: ScheduleConstraints, impact: Impact
) -> tuple[list[float], float]:
    """Return the best trade sizes [shares], shape (N,), and by which fraction their cost may be too high.

    order [shares]: feasible under `caps` and `constraints`, as `feasibility.judge` says. The fraction is 0.0
    but for a search that was cut short; the sizes are then the best ones for the intervals that trade,
    but other intervals might do better. It is of the cost that depends on the schedule (temporary impact,
    lambda times variance, fees).
    """
    if constraints.are_caps_alone:
        return solve_capped(float(order), list(map(float, caps)), **impact.weights()), 0.0
    least = least_slice(constraints)
    usable = [cap if cap >= least else 0 for cap in caps]
    lot = constraints.lot_size
    if lot is None:
        return _in_fractions(float(order), list(map(float, usable)), float(least), constraints, impact)
    cap_lots = [int(cap // lot) for cap in usable]
    lots, gap = _in_lots(int(order // lot), cap_lots, int(least // lot), constraints, lot, impact)
    return [float(size * lot) for size in lots], gap


def _in_fractions(
    total: float, caps: list[float], least: float, constraints: ScheduleConstraints, impact: Impact
) -> tuple[list[float], float]:
    if constraints.ticket_fee == 0:
        sizes = solve_capped(total, caps, **impact.weights())
        if is_allowed(sizes, least, constraints.max_children):
            return sizes, 0.0
    problem = _problem(total, caps, least, constraints, 1, impact)
    return _searched(problem, lambda lows, highs: settle_between(problem, lows, highs))


def _in_lots(
    total: int, caps: list[int], least: int, constraints: ScheduleConstraints, lot: int, impact: Impact
) -> tuple[list[int], float]:
    weights = impact.weights()
    layers = 1 + (constraints.max_children or 0)
    states = len(caps) * layers * total
    if states <= MOST_STATES and states * min(total, max(caps)) <= MOST_STEPS:
        sizes = solve_on_lots(
            total,
            caps,
            **weights,
            lot_size=lot,
            min_lots=least,
            max_children=constraints.max_children,
            ticket_fee=constraints.ticket_fee,
        )
        if sizes is not None:
            return sizes, 0.0
    if constraints.ticket_fee == 0:
        sizes = best_of_all(total, caps, **weights)
        if is_allowed(sizes, least, constraints.max_children):
            return sizes, 0.0
    problem = _problem(float(total), [float(cap) for cap in caps], float(least), constraints, lot, impact)
    whole = whole_weights(**weights)

    def settle(lows: Sequence[float], highs: Sequence[float]) -> list[float]:
        wanted = settle_between(problem, lows, highs)
        limits = [int(low) for low in lows], [int(high) for high in highs]
        return [float(size) for size in best_between(wanted, total, *limits, whole)]

    best, gap = _searched(problem, settle)
    return [int(size) for size in best], gap


def _problem(
    total: float, caps: list[float], least: float, constraints: ScheduleConstraints, unit: int, impact: Impact
) -> Problem:
    """Return the problem over patterns, sizes in units of `unit` shares and costs in $."""
    return Problem(
        order=total,
        caps=tuple(min(cap, total) for cap in caps),
        least=least,
        most=min(constraints.max_children or len(caps), len(caps)),
        fee=constraints.ticket_fee,
        size_weight=impact.eta_tilde / impact.tau * unit * unit,
        risk_weight=impact.risk * impact.tau * unit * unit,
    )


def _searched(problem: Problem, settle: Settle) -> tuple[list[float], float]:
    """Return the best sizes found, from a coarse grid and by a search, and the gap that is left."""
    trades = _coarse_pattern(problem)
    lows = [problem.least if on else 0.0 for on in trades]
    first = settle(lows, [cap if on else 0.0 for on, cap in zip(trades, problem.caps, strict=True)])
    search = Search(problem=problem, settle=settle, bound=problem.cost(first))
    gap = search.run()
    return search.best or first, gap


def _coarse_pattern(problem: Problem) -> list[bool]:
    """Return which intervals trade in the optimum on a coarse grid; the widest if it has none."""
    intervals = len(problem.caps)
    layers = 1 if problem.most >= intervals else problem.most + 1
    if intervals * layers * FEWEST_GRID_LOTS > MOST_STATES:
        return _widest(problem)
    lots = min(GRID_LOTS, MOST_STATES // (intervals * layers))
    unit = problem.order / lots
    sizes = walk(
        lots,
        [int(cap / unit + 1e-9) for cap in problem.caps],
        risk_weight=problem.risk_weight / problem.size_weight,
        fee_weight=problem.fee / (problem.size_weight * unit * unit),
        min_lots=max(1, math.ceil(problem.least / unit - 1e-9)),
        max_children=None if layers == 1 else problem.most,
    )
    if sizes is not None:
        return [size > 0 for size in sizes]
    return _widest(problem)


def _widest(problem: Problem) -> list[bool]:
    """Return the fewest intervals that can carry the order: the widest ones, the earliest of equals."""
    trades, left = [False] * len(problem.caps), problem.order * (1 - 1e-12)
    for k in sorted(range(len(trades)), key=lambda k: -problem.caps[k]):
        if left > 0:
            trades[k] = True
            left -= problem.caps[k]
    return trades
