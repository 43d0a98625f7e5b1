"""What the search maximises."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission
from trading.backtest.history import PriceHistory
from trading.backtest.strategies.registry import made
from trading.research.objective import (
    IDLE,
    ResearchSettings,
    annual_sharpe,
    objective,
    window_scores,
)
from trading.research.walk_forward import Training, WalkForward

PLAN = WalkForward(train=60, test=30, embargo=0)


def test_the_objective_is_the_median_window() -> None:
    assert objective([9.0, -1.0, 0.5], fills=12) == 0.5


def test_a_strategy_that_never_trades_is_worse_than_any_that_loses() -> None:
    assert objective([0.0, 0.0], fills=0) == IDLE
    assert objective([-5.0, -5.0], fills=4) > IDLE


def test_an_objective_of_no_window_is_refused() -> None:
    with pytest.raises(ValueError, match="sharpes is empty"):
        objective([], fills=0)


def test_the_sharpe_ratio_of_a_year_by_hand() -> None:
    """Returns 0.01, 0.03: mean 0.02, deviation (ddof 1) 0.0141421; 0.02 / 0.0141421 * sqrt(252) = 22.4499."""
    assert annual_sharpe(np.array([0.01, 0.03])) == pytest.approx(math.sqrt(2) * math.sqrt(252))


def test_a_window_in_which_nothing_happens_has_the_ratio_zero() -> None:
    assert annual_sharpe(np.zeros(30)) == 0.0


def test_every_window_is_scored_in_time_order(sample_history: PriceHistory) -> None:
    settings = ResearchSettings(plan=PLAN)

    scores = list(window_scores(made("buy_and_hold"), sample_history, settings))

    # 250 instants: (250 - 60) // 30 = 6 windows; one purchase of each of two symbols in each.
    assert [len(score.returns) for score in scores] == [30] * 6
    assert [score.fills for score in scores] == [2] * 6


def test_costs_are_in_the_objective(sample_history: PriceHistory) -> None:
    strategy = made("moving_average", fast=2, slow=5)
    free = ResearchSettings(plan=PLAN, config=BacktestConfig())
    dear = ResearchSettings(plan=PLAN, config=BacktestConfig(commission=Commission(bps=20)))

    totals = [
        sum(score.sharpe for score in window_scores(strategy, sample_history, settings))
        for settings in (free, dear)
    ]

    assert totals[1] < totals[0] - 1


def test_settings_are_read_back_from_their_json() -> None:
    settings = ResearchSettings(
        plan=WalkForward(train=100, test=20, embargo=3, training=Training.ANCHORED), capital=5000.0
    )

    assert ResearchSettings.from_dict(settings.to_dict()) == settings


def test_capital_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="capital is 0"):
        ResearchSettings(capital=0)
