"""The cheapest schedule under caps: N = 78 in <= 60 µs and 50x faster than cvxpy + Clarabel; N = 390 in
<= 300 µs; 600 whole lots at N = 78 in <= 3 ms; 10,000 orders in one call.

U-shaped caps of which about half bind: the order is 60 % of what they hold, kappa T = 5. All in one process.
Lots are solved with caps alone, and with a ticket fee, where every state of the lot grid is visited.

python -m benchmarks.bench_schedules
"""

from __future__ import annotations

import math
import random
import statistics
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from orchestration.clock import SystemClock
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.optimum.batch import Problem, solve_many
from trading.execution.optimum.lot_grid import solve_on_lots
from trading.execution.optimum.schedule import optimize_schedule
from trading.execution.optimum.shooting import solve_capped

TARGET_78_US, TARGET_390_US, TARGET_LOTS_US = 60.0, 300.0, 3000.0
TARGET_RATIO = 50.0
TARGET_BATCH_RATIO = 2.0
ORDERS = 10_000
KAPPA_T = 5.0


def u_shaped(count: int, rng: random.Random) -> tuple[float, list[float]]:
    """Return an order and its caps, busiest at the open and the close."""
    caps = [100 * rng.uniform(0.7, 1.3) * (1 + 2 * (2 * (k + 0.5) / count - 1) ** 2) for k in range(count)]
    return 0.6 * sum(caps), caps


def ratio(count: int) -> float:
    """Return risk / eta_tilde for intervals of one day: kappa~^2 tau^2 = 2 (cosh(kappa tau) - 1)."""
    return 2 * (math.cosh(KAPPA_T / count) - 1)


def general_solver(size: float, caps: list[float], risk: float) -> float:
    """Solve the same with cvxpy and Clarabel, built anew as a caller would; return the first slice."""
    cvxpy: Any = import_module("cvxpy")  # its type hints know neither sum nor cumsum
    n = cvxpy.Variable(len(caps))
    left = 1 - cvxpy.cumsum(n)
    cost = cvxpy.sum_squares(n) + risk * cvxpy.sum_squares(left)
    limits = [n >= 0, n <= np.array(caps) / size, cvxpy.sum(n) == 1]
    cvxpy.Problem(cvxpy.Minimize(cost), limits).solve(solver=cvxpy.CLARABEL)
    return float(n.value[0]) * size


def median_us(call: Callable[[], object], repeats: int, inner: int = 1) -> float:
    """Return the median time of one call [µs], of `repeats` runs of `inner` calls."""
    clock, took = SystemClock(), []
    for _ in range(repeats):
        began = clock.monotonic()
        for _ in range(inner):
            call()
        took.append((clock.monotonic() - began) / inner * 1e6)
    return statistics.median(took)


def continuous() -> bool:
    """Print the capped optimum at both lengths, and against the general solver."""
    rng, times = random.Random(3), {}
    for count, target in ((78, TARGET_78_US), (390, TARGET_390_US)):
        size, caps = u_shaped(count, rng)
        risk = ratio(count)
        etas = [100 / cap for cap in caps]
        times[count] = median_us(partial(solve_capped, size, caps, eta_tilde=1.0, risk=risk), 60, 10)
        varying = median_us(partial(solve_capped, size, caps, eta_tilde=etas, risk=risk), 60, 10)
        print(
            f"schedules: capped optimum, N = {count}: median {times[count]:.0f} µs (target {target:.0f}); "
            f"with impact by volume {varying:.0f} µs"
        )
    whole = whole_schedule_us(rng)
    print(f"schedules: optimize_schedule with its verdict, N = 78: median {whole:.0f} µs")
    size, caps = u_shaped(78, rng)
    first = solve_capped(size, caps, eta_tilde=1.0, risk=ratio(78))[0]
    assert abs(general_solver(size, caps, ratio(78)) - first) <= 1e-3 * size
    faster = median_us(lambda: general_solver(size, caps, ratio(78)), 60) / times[78]
    print(f"schedules: N = 78 against cvxpy + Clarabel: {faster:.0f} x faster (target {TARGET_RATIO:.0f})")
    return times[78] <= TARGET_78_US and times[390] <= TARGET_390_US and faster >= TARGET_RATIO


def whole_schedule_us(rng: random.Random) -> float:
    """Return the median time of the public function, checks, verdict, cost and risk included [µs]."""
    size, caps = u_shaped(78, rng)
    params = AlmgrenChrissParams(eta=1e-6, gamma=1e-8, sigma=0.5, epsilon=0.01, tau=1 / 78)
    volumes = [10 * cap for cap in caps]
    return median_us(partial(optimize_schedule, size, params, volumes, 1e-6), 60, 5)


def whole_lots() -> bool:
    """Print the exact answer on the lot grid."""
    size, caps = u_shaped(78, random.Random(4))
    cap_lots = [math.floor(cap * 600 / size) for cap in caps]
    risk, good = ratio(78), True
    for what, fee in (("caps", 0.0), ("caps and a ticket fee", 5.0)):
        solve = partial(solve_on_lots, 600, cap_lots, eta_tilde=1.0, risk=risk, tau=1.0, lot_size=1.0)
        took = median_us(partial(solve, ticket_fee=fee), 30)
        good = good and took <= TARGET_LOTS_US
        print(
            f"schedules: 600 lots, N = 78, {what}: median {took / 1e3:.2f} ms "
            f"(target {TARGET_LOTS_US / 1e3:.0f})"
        )
    return good


def batch() -> bool:
    """Print 10,000 orders in one call, and one by one."""
    rng, problems = random.Random(5), []
    for _ in range(ORDERS):
        size, caps = u_shaped(78, rng)
        problems.append(Problem(order_size=size, caps=caps, eta_tilde=1.0, risk=ratio(78)))
    together = median_us(lambda: solve_many(problems), 5) / 1e6
    alone = median_us(lambda: [problem.solve() for problem in problems[: ORDERS // 10]], 5) / 1e5
    print(
        f"schedules: {ORDERS} orders, N = 78: {together:.3f} s in one call, {alone / together:.1f} x faster "
        f"than one by one (target {TARGET_BATCH_RATIO:.0f})"
    )
    return alone / together >= TARGET_BATCH_RATIO


def main() -> int:
    """Print every figure with its target; exit 1 if one is missed."""
    return 0 if all([continuous(), whole_lots(), batch()]) else 1


if __name__ == "__main__":
    sys.exit(main())
