"""Which intervals trade at all: the best on/off pattern under a least slice, a limit on slices or a fee.

Given the pattern the sizes are a convex problem with one solution, so what remains is a search over patterns:
branch and bound, trading before not trading, so that the earliest pattern is found first and kept in a tie.
Light.

Two facts keep the search small. Dominance: if interval i stays empty and a later j trades n_j, moving n_j to
i costs no more and risks less whenever it fits there; so behind an empty i only slices above cap_i are worth
a look (with equal caps the pattern is a prefix). Count: m slices cost at least (eta~/tau) X^2 / m.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import NamedTuple

from trading.execution.optimum.shooting import solve_capped

Settle = Callable[[Sequence[float], Sequence[float]], list[float]]

# Intervals that a search looks at, all its nodes together: 3000 nodes at N = 78, about half a second.
MOST_LOOKS = 240_000
# What a sum of sizes may miss by rounding, as a fraction of the order.
SLACK = 1e-12
# The scalar equation: solved when this close to the order (a fraction of it), given up after so many passes.
CLOSE = 1e-14
MOST_PASSES = 200
# The least price worth a look: below it floats lose digits.
TINY = 1e-300
# Costs that agree to this fraction count as equal: above the continuous solution's error.
TIE = 1e-11


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Sizes n with sum `order`, each 0 or within [least, cap], at most `most` of them above 0.

    Minimised: size_weight * sum n^2 + risk_weight * sum x^2 + fee * (sizes above 0). All in one unit of size.
    """

    order: float
    caps: tuple[float, ...]
    least: float
    most: int
    fee: float
    size_weight: float
    risk_weight: float

    def cost(self, sizes: Sequence[float]) -> float:
        """Return what is minimised, of these sizes."""
        fees = self.fee * sum(1 for size in sizes if size > 0)
        return self.size_weight * math.fsum(n * n for n in sizes) + self.risk(sizes) + fees

    def risk(self, sizes: Sequence[float]) -> float:
        """Return the part of the cost that is risk."""
        left = accumulate(reversed(sizes), initial=0.0)
        return self.risk_weight * math.fsum(x * x for x, _ in zip(left, sizes, strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What is decided for the intervals before `k`: limits of all sizes, how many trade, and the least size
    of those that will (`floor`: at least what would have fitted into each interval left empty)."""

    lows: tuple[float, ...]
    highs: tuple[float, ...]
    k: int
    traded: int
    floor: float

    def trading(self, k: int) -> Node:
        """Return the node in which interval `k` trades."""
        lows = (*self.lows[:k], self.floor, *self.lows[k + 1 :])
        return replace(self, lows=lows, k=k + 1, traded=self.traded + 1)

    def empty(self, k: int) -> Node:
        """Return the node in which interval `k` stays empty, and behind it all that fits into it."""
        cap = self.highs[k]
        later = (high if high > cap else 0.0 for high in self.highs[k + 1 :])
        return replace(self, highs=(*self.highs[:k], 0.0, *later), k=k + 1, floor=max(self.floor, cap))

    def undecided(self) -> int | None:
        """Return the first interval that may trade or not, None if all is decided."""
        return next((k for k in range(self.k, len(self.highs)) if self.highs[k] > 0), None)

    def closed(self) -> Node:
        """Return the node in which nothing more trades."""
        return replace(self, highs=(*self.highs[: self.k], *[0.0] * (len(self.highs) - self.k)))


@dataclass(slots=True)
class Search:
    """One search. settle: best sizes between lower and upper limits per interval (on: least..cap, off: 0..0).

    bound: cost of a schedule known beforehand; the search then tells whether it finds one as good or better.
    """

    problem: Problem
    settle: Settle
    bound: float = math.inf
    best: list[float] | None = None
    nodes: int = 0
    _fastest: float = field(default=0.0)

    def run(self) -> float:
        """Search, and return by which fraction the best cost known may exceed the least one.

        0.0: all was seen; `best` is then the optimum, or None if none is as good as `bound`.
        """
        self._fastest = self.problem.risk(_front_loaded(self.problem))
        caps = self.problem.caps
        waiting = [Node(lows=(0.0,) * len(caps), highs=caps, k=0, traded=0, floor=self.problem.least)]
        while waiting and self.nodes * len(caps) < MOST_LOOKS:
            self.nodes += 1
            waiting.extend(reversed(self._looked_at(waiting.pop())))
        least = min((self._least_cost(self._closed(node)) for node in waiting), default=self.bound)
        return max(0.0, self.bound / least - 1)

    def _looked_at(self, node: Node) -> list[Node]:
        """Return the two ways to go on from `node`, trading first; none if it is settled or hopeless."""
        node = self._closed(node)
        least = self._least_cost(node)
        undecided = node.undecided()
        if undecided is not None:
            return [node.trading(undecided), node.empty(undecided)] if self._is_better(least) else []
        if least < math.inf:
            self._keep(self.settle(node.lows, node.highs))
        return []

    def _closed(self, node: Node) -> Node:
        return node.closed() if node.traded == self.problem.most else node

    def _least_cost(self, node: Node) -> float:
        """Return what no schedule below `node` undercuts; infinite if there is none."""
        problem = self.problem
        if sum(node.lows) > problem.order * (1 + SLACK) or sum(node.highs) < problem.order * (1 - SLACK):
            return math.inf
        relaxed = settle_between(problem, node.lows, node.highs)
        fewest = max(node.traded, math.ceil(problem.order / max(problem.caps) - 1e-9))
        most = problem.most
        if problem.least > 0:
            most = min(most, math.floor(problem.order / problem.least + 1e-9))
        convex = problem.size_weight * math.fsum(n * n for n in relaxed) + problem.risk(relaxed)
        counted = problem.size_weight * problem.order**2 / max(most, 1) + self._fastest
        return max(convex, counted) + problem.fee * fewest

    def _keep(self, sizes: list[float]) -> None:
        cost = self.problem.cost(sizes)
        if self._is_better(cost):
            self.best, self.bound = sizes, cost

    def _is_better(self, cost: float) -> bool:
        """Whether `cost` is below the best one; before one is found, as good as the bound will do."""
        return cost <= self.bound * (1 + TIE) if self.best is None else cost < self.bound * (1 - TIE)


def settle_between(problem: Problem, lows: Sequence[float], highs: Sequence[float]) -> list[float]:
    """Return the sizes within [lows, highs] of sum `order` that minimise the cost without fees.

    The equation of `shooting`, which answers where there are no lower limits: backward, G_k = G_{k+1} +
    2 r x_k and n_k = G_k / 2a within the limits; the order that a last price G_N reaches rises with it.
    """
    order = problem.order
    if sum(lows) >= order:
        return list(lows)
    if sum(highs) <= order:
        return list(highs)
    if not any(lows):
        return solve_capped(order, highs, eta_tilde=problem.size_weight, risk=problem.risk_weight, tau=1.0)
    lowest = -2 * problem.risk_weight * math.fsum(accumulate(reversed(lows)))
    at_zero = _aim(problem, lows, highs, 0.0)
    if at_zero.total >= order:
        return _bracketed(problem, lows, highs, lowest, 0.0)
    highs = _without_the_end(problem, lows, highs)
    return _bracketed(problem, lows, highs, 0.0, 2 * problem.size_weight * max(highs))


def _without_the_end(problem: Problem, lows: Sequence[float], highs: Sequence[float]) -> Sequence[float]:
    """Return `highs` without the last intervals whose prices are too small for floats: they trade nothing."""
    kept = list(highs)
    for k in range(len(kept) - 1, -1, -1):
        if lows[k] > 0 or _aim(problem, lows, kept, TINY).total <= problem.order:
            break
        kept[k] = 0.0
    return kept


def _bracketed(
    problem: Problem, lows: Sequence[float], highs: Sequence[float], low: float, high: float
) -> list[float]:
    """Return the sizes for the last price in [low, high] that reaches the order, by bracketed Newton.

    Between the two ends of the last bracket, when they are neighbours, the sizes are linear in the order.
    """
    order = problem.order
    below, above = _aim(problem, lows, highs, low), _aim(problem, lows, highs, high)
    aim = (low + high) / 2
    for turn in range(MOST_PASSES):
        if not low < aim < high:
            break
        shot = _aim(problem, lows, highs, aim)
        if abs(shot.total - order) <= CLOSE * order:
            return shot.sizes
        if shot.total < order:
            low, below = aim, shot
        else:
            high, above = aim, shot
        newton = aim + (order - shot.total) / shot.rise if shot.rise > 0 else math.nan
        aim = newton if low < newton < high and turn % 4 != 3 else _between(low, high)
    part = (order - below.total) / (above.total - below.total) if above.total > below.total else 0.0
    return [a + part * (b - a) for a, b in zip(below.sizes, above.sizes, strict=True)]


def _between(low: float, high: float) -> float:
    """Return the middle, of the exponents where they are far apart: prices fall exponentially to the end."""
    if low < 0 or high <= 4 * low:
        return (low + high) / 2
    return math.sqrt(max(low, TINY)) * math.sqrt(high)


class Shot(NamedTuple):
    """The sizes that a last price gives, their total, and how fast that rises with the price."""

    sizes: list[float]
    total: float
    rise: float


def _aim(problem: Problem, lows: Sequence[float], highs: Sequence[float], last: float) -> Shot:
    half, twice_risk = 0.5 / problem.size_weight, 2 * problem.risk_weight
    price, rise, left, left_rise = last, 1.0, 0.0, 0.0
    sizes = []
    for low, high in zip(reversed(lows), reversed(highs), strict=True):
        size = price * half
        if size <= low:
            size = low
        elif size >= high:
            size = high
        else:
            left_rise += rise * half
        sizes.append(size)
        left += size
        price += twice_risk * left
        rise += twice_risk * left_rise
    return Shot(sizes[::-1], left, left_rise)


def _front_loaded(problem: Problem) -> list[float]:
    left, sizes = problem.order, []
    for cap in problem.caps:
        sizes.append(min(cap, left))
        left -= sizes[-1]
    return sizes
