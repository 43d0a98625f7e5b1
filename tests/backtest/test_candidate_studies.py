"""Closer looks at a candidate: quarter by quarter, chosen anew, and with intervals."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest

from trading.backtest.engine import BacktestEngine
from trading.backtest.history import PriceHistory
from trading.backtest.strategies.registry import made
from trading.research.candidate_studies import FORWARD, bootstrap_study, walk_forward_study
from trading.research.candidates import Candidate
from trading.research.objective import ResearchSettings
from trading.research.walk_forward import WalkForward, run_window, stitched

SETTINGS = ResearchSettings(plan=WalkForward(train=50, test=40, embargo=0))


def candidate(family: str = "moving_average", **parameters: int) -> Candidate:
    return Candidate(
        family=family,
        parameters=parameters,
        symbols=("UP", "DOWN"),
        settings=SETTINGS.to_dict(),
        data_fingerprint="0",
        data_from=date(2000, 1, 1),
        data_to=date(2000, 9, 6),
        code_version="0",
        code_hash="0",
        seed=3,
        study="search-moving_average-0",
        trials=1,
        trial_sharpe_variance=0.0,
        objective=0.1,
        created_at=datetime(2026, 11, 21, tzinfo=UTC),
    )


def test_quarters_are_those_of_the_strategy_run_from_cash_in_each(sample_history: PriceHistory) -> None:
    """250 instants, 50 to learn, quarters of 63: three, the first from instant 61 on."""
    look = walk_forward_study(candidate(fast=3, slow=20), sample_history, np.empty((0, 0)))

    engine, strategy = BacktestEngine(SETTINGS.config), made("moving_average", fast=3, slow=20)
    windows = WalkForward(train=50, test=63, embargo=0).windows(250)
    runs = [run_window(engine, strategy, sample_history, each, SETTINGS.capital) for each in windows]
    totals = [each.result.final_equity / SETTINGS.capital - 1 for each in runs]
    assert (look["quarters"], look["positive_quarters"]) == (3, sum(total > 0 for total in totals))
    assert (look["worst_quarter"], look["best_quarter"]) == pytest.approx((min(totals), max(totals)))
    assert look["total_return"] == pytest.approx(stitched([each.returns for each in runs])[-1] - 1)
    assert (look["first_bar"], look["last_bar"]) == ("2000-03-02", "2000-09-06")


def test_a_search_whose_trials_are_forgotten_is_not_chosen_from_anew(sample_history: PriceHistory) -> None:
    look = walk_forward_study(candidate(fast=3, slow=20), sample_history, np.empty((0, 0)))

    assert look["chosen_anew"] == {"rolling": None, "anchored": None}


def test_choosing_anew_earns_what_the_trial_that_was_best_until_then_earns(
    sample_history: PriceHistory,
) -> None:
    """The first trial gains 0.1 % a day, give or take as much, the second loses it: the first is chosen."""
    swings = 0.001 * np.cos(np.arange(FORWARD.instants(2)))
    trials = np.column_stack([0.001 + swings, -0.001 + swings])

    look = walk_forward_study(candidate(fast=3, slow=20), sample_history, trials)

    earned = np.prod(1.001 + swings[-2 * FORWARD.test :]) - 1
    for chosen in look["chosen_anew"].values():
        assert chosen["periods"] == 2 * FORWARD.test
        assert chosen["total_return"] == pytest.approx(earned)


def test_a_history_without_a_whole_quarter_has_no_figures(sample_history: PriceHistory) -> None:
    look = walk_forward_study(candidate(fast=3, slow=20), sample_history.head(60), np.empty((0, 0)))

    assert (look["quarters"], look["first_bar"], look["sharpe"]) == (0, None, 0.0)


def test_intervals_lie_around_the_figures_and_are_the_same_each_time(sample_history: PriceHistory) -> None:
    looks = [bootstrap_study(candidate(fast=3, slow=20), sample_history, np.empty((0, 0))) for _ in range(2)]

    assert looks[0] == looks[1]
    assert looks[0]["periods"] == 200
    for each in looks[0]["intervals"].values():
        assert each["low"] <= each["estimate"] <= each["high"]


def test_a_candidate_that_did_nothing_has_no_intervals(sample_history: PriceHistory) -> None:
    look = bootstrap_study(candidate("rsi", low=1, bars=30), sample_history, np.empty((0, 0)))

    assert look == {"periods": 200, "intervals": {}}
