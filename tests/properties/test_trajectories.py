"""Invariants of schedules over random orders, parameters and aversions."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from trading.execution.model.almgren_chriss import generate_ac_trajectory
from trading.execution.model.baselines import generate_twap_trajectory
from trading.execution.model.costs import costed, expected_cost, variance
from trading.execution.model.frontier import cost_at_risk, minimize_cost_at_risk
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.model.trajectory import ExecutionTrajectory


def _powers(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers spread evenly over powers of ten."""
    return st.floats(low, high).map(lambda exponent: 10.0**exponent)


@st.composite
def _params(draw: st.DrawFn) -> AlmgrenChrissParams:
    """Any model whose eta~ is positive: gamma tau / 2 is a part of eta."""
    eta, tau = draw(_powers(-9, -1)), draw(_powers(-3, 1))
    gamma = draw(st.floats(0, 0.99)) * 2 * eta / tau
    return AlmgrenChrissParams(
        eta=eta, gamma=gamma, sigma=draw(_powers(-3, 1)), epsilon=draw(st.floats(0, 1)), tau=tau
    )


SIZES = _powers(0, 8)
PERIODS = st.integers(1, 60)
AVERSIONS = st.one_of(st.just(0.0), _powers(-30, 10))


def _objective(trajectory: ExecutionTrajectory) -> float:
    return trajectory.expected_cost + trajectory.risk_aversion * trajectory.variance


@given(size=SIZES, n=PERIODS, params=_params(), aversion=AVERSIONS)
@example(
    size=1.0,
    n=60,
    params=AlmgrenChrissParams(eta=1e-9, gamma=0.0, sigma=10.0, tau=10.0),
    aversion=1e10,
)
def test_every_optimum_works_off_the_order_and_never_reverses(
    size: float, n: int, params: AlmgrenChrissParams, aversion: float
) -> None:
    trajectory = generate_ac_trajectory(size, n, params, aversion)

    assert trajectory.holdings[0] == size
    assert trajectory.holdings[-1] == 0
    assert trajectory.trade_sizes.sum() == pytest.approx(size, rel=1e-13)
    assert (trajectory.trade_sizes >= 0).all()
    assert -np.diff(trajectory.holdings) == pytest.approx(trajectory.trade_sizes, abs=1e-13 * size)
    # Front-loaded: risk is nearer than cost. Equal but for rounding where nothing urges.
    assert (np.diff(trajectory.trade_sizes) <= 1e-13 * size).all()


@given(size=SIZES, n=PERIODS, params=_params(), aversion=AVERSIONS)
def test_no_optimum_is_worse_than_twap(
    size: float, n: int, params: AlmgrenChrissParams, aversion: float
) -> None:
    twap = generate_twap_trajectory(size, n, params)

    best = generate_ac_trajectory(size, n, params, aversion)

    assert _objective(best) <= (twap.expected_cost + aversion * twap.variance) * (1 + 1e-12)


@given(
    size=SIZES,
    n=st.integers(2, 30),
    params=_params(),
    aversion=AVERSIONS,
    push=st.lists(st.floats(-1, 1), min_size=30, max_size=30),
)
def test_no_neighbour_with_the_same_total_is_better(
    size: float, n: int, params: AlmgrenChrissParams, aversion: float, push: list[float]
) -> None:
    best = generate_ac_trajectory(size, n, params, aversion)
    step = np.array(push[:n]) - np.mean(push[:n])
    # Without the half-spread: the push may make a tiny size negative, which is another question.
    free = dataclasses.replace(params, epsilon=0.0)

    # Along the push U is a parabola; its slope here is 0 next to its bend.
    def objective(scale: float) -> float:
        moved = best.trade_sizes + scale * size * step
        return expected_cost(moved, free) + aversion * variance(moved, free)

    slope = (objective(1.0) - objective(-1.0)) / 2
    bend = (objective(1.0) + objective(-1.0)) / 2 - objective(0.0)
    assert abs(slope) <= 1e-6 * abs(bend) + 1e-11 * abs(objective(0.0)) + 1e-300


@given(size=SIZES, n=PERIODS, params=_params(), aversion=AVERSIONS, factor=_powers(-3, 3))
def test_a_larger_order_has_the_same_shape(
    size: float, n: int, params: AlmgrenChrissParams, aversion: float, factor: float
) -> None:
    one = generate_ac_trajectory(size, n, params, aversion)

    other = generate_ac_trajectory(size * factor, n, params, aversion)

    assert other.trade_sizes == pytest.approx(factor * one.trade_sizes, rel=1e-12)
    assert other.variance == pytest.approx(factor**2 * one.variance, rel=1e-11)


@given(size=SIZES, n=st.integers(2, 60), params=_params(), aversion=_powers(-12, 2), done=st.floats(0, 1))
def test_solving_the_tail_again_gives_the_tail(
    size: float, n: int, params: AlmgrenChrissParams, aversion: float, done: float
) -> None:
    whole = generate_ac_trajectory(size, n, params, aversion)
    k = min(n - 1, int(done * n))
    assume(whole.holdings[k] > 1e-250)

    rest = generate_ac_trajectory(whole.holdings[k], n - k, params, aversion)

    assert rest.trade_sizes == pytest.approx(whole.trade_sizes[k:], rel=1e-9, abs=1e-290)


@given(size=SIZES, n=PERIODS, params=_params(), aversion=_powers(-12, 2), more=_powers(0.01, 3))
def test_more_aversion_never_takes_more_risk_nor_costs_less(
    size: float, n: int, params: AlmgrenChrissParams, aversion: float, more: float
) -> None:
    calm = generate_ac_trajectory(size, n, params, aversion)
    wary = generate_ac_trajectory(size, n, params, aversion * more)

    assert wary.variance <= calm.variance * (1 + 1e-12)
    assert wary.expected_cost >= calm.expected_cost * (1 - 1e-12)


@given(size=st.integers(1, 10**8), n=PERIODS, params=_params(), aversion=AVERSIONS, lot=st.integers(1, 500))
def test_lots_conserve_the_order_in_whole_shares(
    size: int, n: int, params: AlmgrenChrissParams, aversion: float, lot: int
) -> None:
    trajectory = generate_ac_trajectory(size, n, params, aversion, lot_size=lot)

    sizes = trajectory.trade_sizes.tolist()
    assert sum(sizes) == size
    assert all(share == int(share) >= 0 for share in sizes)
    assert sum(share % lot != 0 for share in sizes) <= 1
    assert (trajectory.holdings[:-1] - trajectory.holdings[1:]).tolist() == sizes


@given(size=SIZES, n=PERIODS, params=_params(), aversion=AVERSIONS)
def test_costing_an_optimum_again_changes_nothing(
    size: float, n: int, params: AlmgrenChrissParams, aversion: float
) -> None:
    trajectory = generate_ac_trajectory(size, n, params, aversion)

    again = costed(trajectory, params)

    assert (again.expected_cost, again.variance) == (trajectory.expected_cost, trajectory.variance)
    assert again.times.tolist() == trajectory.times.tolist()


@given(size=SIZES, n=st.integers(1, 20), params=_params(), lambda_v=st.floats(0, 5))
def test_least_cost_at_risk_is_never_above_twap_or_all_at_once(
    size: float, n: int, params: AlmgrenChrissParams, lambda_v: float
) -> None:
    best = minimize_cost_at_risk(size, n, params, lambda_v)

    at_risk = cost_at_risk(best, lambda_v)
    at_once = expected_cost([size], params)
    assert math.isfinite(at_risk)
    assert at_risk <= cost_at_risk(generate_twap_trajectory(size, n, params), lambda_v) * (1 + 1e-12)
    assert at_risk <= at_once * (1 + 1e-12)
