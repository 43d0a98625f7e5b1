"""The capped optimum against a general solver: 500 random cases through cvxpy and Clarabel."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
import pytest

from trading.execution.optimum.kkt import kkt_residual
from trading.execution.optimum.shooting import solve_capped

cvxpy = pytest.importorskip("cvxpy")
pytest.importorskip("clarabel")

# Near its end the solver's own steps no longer help; what it then has is checked, not assumed.
TIGHT = {"tol_gap_abs": 1e-15, "tol_gap_rel": 1e-15, "tol_feas": 1e-12}


@dataclass(frozen=True)
class Case:
    size: float
    caps: list[float]
    etas: list[float]
    risk: float


def random_case(rng: random.Random) -> Case:
    """Draw flat or U-shaped volume, some halts, an order of 1 to 99 % of it, lambda from 0 to huge."""
    count = rng.choice((1, 2, 3, 5, 10, 13, 26, 39, 78))
    dip = rng.choice((0.0, 0.0, rng.uniform(0.2, 4)))
    volume = [1 + dip * (2 * (k + 0.5) / count - 1) ** 2 for k in range(count)]
    noise = rng.choice((0.0, 0.3, 1.0))
    halts = rng.choice((0.0, 0.0, 0.2))
    caps = [1e4 * v * rng.lognormvariate(0, noise) * (rng.random() >= halts) for v in volume]
    caps[rng.randrange(count)] = 1e4
    by_volume = rng.random() < 0.3
    etas = [1e-6 / v if by_volume else 1e-6 for v in volume]
    kappa_t = rng.choice((0.0, 10 ** rng.uniform(-2, 1), 10 ** rng.uniform(0, 3)))
    return Case(rng.uniform(0.01, 0.99) * sum(caps), caps, etas, 1e-6 * (kappa_t / count) ** 2)


def by_solver(case: Case) -> list[float]:
    """Return the slices of cvxpy and Clarabel, in shares; sizes and costs are scaled to about 1."""
    count = len(case.caps)
    n = cvxpy.Variable(count)
    left = 1 - cvxpy.cumsum(n)
    scale = max(case.etas) / count + case.risk
    cost = cvxpy.sum_squares(cvxpy.multiply(np.sqrt(np.array(case.etas) / scale), n))
    cost += case.risk / scale * cvxpy.sum_squares(left)
    limits = [n >= 0, n <= np.array(case.caps) / case.size, cvxpy.sum(n) == 1]
    cvxpy.Problem(cvxpy.Minimize(cost), limits).solve(solver=cvxpy.CLARABEL, **TIGHT)
    assert n.value is not None
    return [float(share) * case.size for share in n.value]


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
def test_500_random_schedules_are_those_of_a_general_solver() -> None:
    rng = random.Random(20261120)
    missed = []
    for number in range(500):
        case = random_case(rng)
        slices = solve_capped(case.size, case.caps, eta_tilde=case.etas, risk=case.risk)
        own = kkt_residual(slices, case.caps, order_size=case.size, eta_tilde=case.etas, risk=case.risk)
        apart = max(abs(n - m) for n, m in zip(slices, by_solver(case), strict=True)) / case.size
        if not (own <= 1e-10 and apart <= 1e-6 and math.isfinite(apart)):
            missed.append((number, own, apart, case))

    assert missed == []
