"""Rules of sharing capital out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.backtest.budgets import (
    Budget,
    ConstantMix,
    DrawdownControl,
    EqualRiskContribution,
    InverseVolatility,
    equal_risk_shares,
)
from trading.backtest.history import Floats

HALVES = np.array([0.5, 0.5])


def values_of(returns: object) -> Floats:
    """What one unit becomes: shape (returns + 1, strategies)."""
    grown = np.cumprod(1 + np.asarray(returns, dtype=float), axis=0)
    return np.vstack([np.ones(grown.shape[1]), grown])


def swinging(*sizes: float, instants: int = 200) -> Floats:
    """Returns of strategies that swing up and down by these sizes, each at a time of its own."""
    random = np.random.default_rng(5)
    return values_of(random.choice([-1.0, 1.0], (instants, len(sizes))) * np.array(sizes))


def test_inverse_volatility_gives_twice_the_share_to_half_the_swing() -> None:
    # +-1 % and +-2 %, in pairs: deviations 1 : 2, so shares 2/3 and 1/3.
    returns = np.tile([[0.01, 0.02], [-0.01, -0.02]], (10, 1))

    shares = InverseVolatility(lookback=20).weights(values_of(returns), HALVES)

    assert shares == pytest.approx([2 / 3, 1 / 3], rel=1e-9)


def test_two_strategies_contribute_the_same_risk_at_inverse_volatility_whatever_their_correlation() -> None:
    """For two the solution is known: x1 s1 = x2 s2 (Maillard, Roncalli, Teiletche 2010, section 2.2)."""
    for correlation in (-0.5, 0.0, 0.9):
        covariance = np.array([[0.04, correlation * 0.2 * 0.1], [correlation * 0.2 * 0.1, 0.01]])

        assert equal_risk_shares(covariance) == pytest.approx([1 / 3, 2 / 3], rel=1e-9)


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_every_strategy_contributes_the_same_to_the_risk(seed: int, strategies: int) -> None:
    returns = np.random.default_rng(seed).normal(0, 0.01, (50, strategies))
    covariance = np.cov(returns, rowvar=False)

    shares = equal_risk_shares(covariance)

    contributions = shares * (covariance @ shares)
    assert contributions == pytest.approx(np.full(strategies, contributions.mean()), rel=1e-6)
    assert shares.sum() == pytest.approx(1.0)
    assert shares.min() > 0


def test_a_drawdown_of_half_the_limit_takes_half_of_the_share() -> None:
    values = np.array([[1.0, 1.0], [1.2, 1.1], [1.08, 1.1]])

    # 1.08 is 10 % below 1.2, half of 20 %.
    shares = DrawdownControl(limit=0.2, floor=0.1).weights(values, HALVES)

    assert shares == pytest.approx([0.25, 0.5])


def test_a_drawdown_beyond_the_limit_leaves_the_floor() -> None:
    values = np.array([[1.0, 1.0], [0.5, 1.0]])

    assert DrawdownControl(limit=0.2, floor=0.25).weights(values, HALVES) == pytest.approx([0.125, 0.5])


@pytest.mark.parametrize("budget", [InverseVolatility(lookback=30), EqualRiskContribution(lookback=30)])
def test_a_strategy_that_did_not_move_keeps_its_share(budget: Budget) -> None:
    shares = budget.weights(swinging(0.01, 0.0, 0.02), np.array([0.5, 0.2, 0.3]))

    assert shares[1] == 0.2
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] > shares[2]


@pytest.mark.parametrize("budget", [InverseVolatility(lookback=30), EqualRiskContribution(lookback=30)])
def test_too_little_history_leaves_the_initial_shares(budget: Budget) -> None:
    assert budget.weights(swinging(0.01, 0.02, instants=29), HALVES).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "budget",
    [ConstantMix(), InverseVolatility(), EqualRiskContribution(), DrawdownControl(base=InverseVolatility())],
)
def test_a_rule_never_shares_out_more_than_there_was(budget: Budget) -> None:
    initial = np.array([0.3, 0.2, 0.1])

    shares = budget.weights(swinging(0.03, 0.01, 0.02), initial)

    assert shares.sum() <= 0.6 + 1e-12
    assert shares.min() >= 0


def test_wrong_fields_are_named() -> None:
    with pytest.raises(ValueError, match="lookback is 1: expected a whole number from 2 up"):
        InverseVolatility(lookback=1)
    with pytest.raises(ValueError, match="floor is 0: expected a part above 0"):
        DrawdownControl(floor=0)
    with pytest.raises(ValueError, match="limit is 0: expected a number above 0"):
        DrawdownControl(limit=0)
