"""The frontier and the least cost at risk."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trading.execution.model.almgren_chriss import generate_ac_trajectory
from trading.execution.model.costs import expected_cost, variance
from trading.execution.model.frontier import cost_at_risk, efficient_frontier, minimize_cost_at_risk
from trading.execution.model.params import AlmgrenChrissParams

PAPER = AlmgrenChrissParams(eta=2.5e-6, gamma=2.5e-7, sigma=0.95, epsilon=0.0625)


def test_the_frontier_comes_in_order_of_aversion() -> None:
    frontier = efficient_frontier(1e6, 5, PAPER, [1e-5, 0.0, 1e-6])

    assert [point.risk_aversion for point in frontier] == [0.0, 1e-6, 1e-5]
    assert [round(point.expected_cost, 2) for point in frontier] == [662_500.00, 911_226.99, 1_845_211.26]


def test_along_the_frontier_cost_rises_and_risk_falls_ever_more_slowly() -> None:
    frontier = efficient_frontier(1e6, 12, PAPER, [10**k for k in np.linspace(-8, -4, 30)])

    costs = np.array([point.expected_cost for point in frontier])
    risks = np.array([point.variance for point in frontier])
    assert (np.diff(costs) > 0).all()
    assert (np.diff(risks) < 0).all()
    # dE/dV = -lambda: E is convex in V.
    assert (np.diff(np.diff(costs) / np.diff(risks)) < 0).all()


def test_the_papers_least_cost_at_risk_is_reproduced() -> None:
    best = minimize_cost_at_risk(1e6, 5, PAPER, 1.645)

    assert cost_at_risk(best, 1.645) == pytest.approx(1_877_206.70, abs=5e-3)
    assert best.risk_aversion == pytest.approx(1.69439e-6, abs=5e-12)
    assert best.expected_cost == pytest.approx(1_078_681.48, abs=5e-2)
    assert math.sqrt(best.variance) == pytest.approx(485_425.66, abs=5e-2)
    assert best.strategy_name == "cost_at_risk"


@pytest.mark.parametrize("lambda_v", [0.1, 1.0, 1.645, 3.0, 4.9, 4.9999999, math.nextafter(5.0, 0)])
def test_no_other_point_and_no_neighbour_costs_less_at_risk(lambda_v: float) -> None:
    best = minimize_cost_at_risk(1e6, 5, PAPER, lambda_v)

    least = cost_at_risk(best, lambda_v) * (1 - 1e-13)
    for aversion in np.geomspace(1e-9, 1e2, 60):
        assert least <= cost_at_risk(generate_ac_trajectory(1e6, 5, PAPER, aversion), lambda_v)
    noise = np.random.default_rng(1).standard_normal((200, 5))
    for step in noise - noise.mean(axis=1, keepdims=True):
        moved = best.trade_sizes + step
        assert least <= expected_cost(moved, PAPER) + lambda_v * math.sqrt(variance(moved, PAPER))


@pytest.mark.parametrize("lambda_v", [0, 5e-324, 1e-310])
def test_next_to_no_weight_of_risk_is_twap(lambda_v: float) -> None:
    assert minimize_cost_at_risk(1e6, 5, PAPER, lambda_v).trade_sizes.tolist() == [2e5] * 5


@pytest.mark.parametrize("lambda_v", [5.0, 6.0])
def test_risk_that_always_outweighs_goes_all_at_once(lambda_v: float) -> None:
    """A first share held back saves 2 eta~ X = $4.75 and risks 0.95 lambda_v: the limit is 5."""
    best = minimize_cost_at_risk(1e6, 5, PAPER, lambda_v)

    assert best.trade_sizes.tolist() == [1e6, 0, 0, 0, 0]
    assert (best.variance, best.risk_aversion, best.efold_time) == (0, math.inf, 0)


def test_just_below_that_limit_a_little_is_held() -> None:
    best = minimize_cost_at_risk(1e6, 5, PAPER, 4.999)

    assert 0 < best.holdings[1] < 1e4


@pytest.mark.parametrize("params", [PAPER, AlmgrenChrissParams(eta=1e-6, gamma=0.0, sigma=0.0)])
def test_nothing_to_choose_is_no_error(params: AlmgrenChrissParams) -> None:
    n = 1 if params.sigma else 4

    best = minimize_cost_at_risk(1000, n, params, 1.645)

    assert best.trade_sizes.tolist() == [1000 / n] * n
    assert best.risk_aversion == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((0, 5, PAPER, 1.0), "order_size is 0"),
        ((1e6, 0, PAPER, 1.0), "duration_periods is 0"),
        ((1e6, 5, PAPER, -1.0), "lambda_v is -1.0"),
        ((1e6, 5, PAPER, math.nan), "lambda_v is nan"),
        ((1e6, 5, AlmgrenChrissParams(eta=1, gamma=2, sigma=1), 1.0), r"eta - gamma\*tau/2 is 0"),
    ],
)
def test_a_bad_argument_is_named_with_its_value(
    arguments: tuple[float, int, AlmgrenChrissParams, float], complaint: str
) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}"):
        minimize_cost_at_risk(*arguments)


@pytest.mark.parametrize(
    ("aversions", "complaint"),
    [([], "risk_aversions is empty"), ([1e-6, math.nan], r"risk_aversions\[1\] is nan")],
)
def test_bad_aversions_are_named_with_their_value(aversions: list[float], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}"):
        efficient_frontier(1e6, 5, PAPER, aversions)
