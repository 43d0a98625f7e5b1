"""Metrics by hand: those that empyrical has not, days out of intraday bars, and what is refused."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trading.backtest.performance.calculator import PerformanceCalculator
from trading.backtest.performance.metrics import PerformanceMetrics

RATIOS = ["total_return", "cagr", "volatility", "sharpe_ratio", "sortino_ratio", "periods"]
RATIOS += ["skew", "kurtosis", "tail_ratio", "value_at_risk"]


def metrics_of(equity: Any, capital: float = 100.0, **more: Any) -> PerformanceMetrics:
    return PerformanceCalculator().calculate_metrics(equity, initial_capital=capital, **more)


def stamps_at(*instants: datetime) -> list[int]:
    return [round(instant.timestamp()) * 10**9 for instant in instants]


def days_from(first: datetime, count: int) -> list[int]:
    return stamps_at(*(first + timedelta(days=day) for day in range(count)))


def test_a_loss_on_the_first_day_is_a_drawdown() -> None:
    metrics = metrics_of([90.0, 95.0, 99.0])

    assert metrics.max_drawdown == pytest.approx(-0.10, abs=1e-15)
    assert metrics.max_drawdown_length == 3


def test_the_length_of_a_drawdown_runs_from_the_peak_to_the_recovery() -> None:
    # Peak in bar 1, recovered in bar 4; the shallower fall from bar 5 on is longer and does not count.
    metrics = metrics_of([110.0, 120.0, 90.0, 100.0, 120.0, 130.0, 125.0, 125.0, 125.0, 125.0, 125.0])

    assert metrics.max_drawdown == -0.25
    assert metrics.max_drawdown_length == 3


def test_a_drawdown_without_recovery_lasts_to_the_end() -> None:
    assert metrics_of([120.0, 90.0, 100.0, 110.0]).max_drawdown_length == 3


def test_days_of_a_drawdown_are_those_of_the_calendar() -> None:
    friday = datetime(2026, 11, 20, tzinfo=UTC)
    monday, tuesday = friday + timedelta(days=3), friday + timedelta(days=4)

    metrics = metrics_of([120.0, 90.0, 120.0], stamps=stamps_at(friday, monday, tuesday))

    assert (metrics.max_drawdown_length, metrics.max_drawdown_days) == (2, 4.0)
    assert "max_drawdown_days" not in metrics.remarks


def test_a_fall_from_the_initial_capital_is_dated_from_the_first_bar() -> None:
    metrics = metrics_of([90.0, 95.0, 101.0], stamps=days_from(datetime(2026, 11, 2, tzinfo=UTC), 3))

    assert metrics.max_drawdown_days == 2.0
    assert metrics.remarks["max_drawdown_days"].startswith("by convention: counted from the first bar")


def test_trade_figures_by_hand() -> None:
    metrics = metrics_of([101.0, 102.0], trade_pnls=[30.0, -10.0, 0.0, 20.0], trade_bars=[1, 2, 3, 8])

    assert metrics.trades == 4
    assert metrics.win_rate == 2 / 4  # a trade that comes to nothing is not won
    assert metrics.profit_factor == 50 / 10
    assert metrics.average_holding_bars == 14 / 4


def test_exposure_is_the_share_of_bars_in_the_market() -> None:
    assert metrics_of([100.0, 101.0, 102.0, 103.0], exposed_bars=3).exposure == 0.75


def test_turnover_is_the_traded_value_a_year_over_the_mean_equity() -> None:
    # 126 days are half a year; 300 bought and sold on a mean of 150: 2 in half a year.
    assert metrics_of([100.0, 200.0] * 63, traded_value=300.0).turnover == pytest.approx(4.0, rel=1e-12)


def test_ratios_of_intraday_bars_are_those_of_the_days_last_equity() -> None:
    first = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)
    instants = [first + timedelta(days=day, hours=hour) for day in range(4) for hour in range(6)]
    closes = [101.0, 99.5, 103.0, 102.0]
    hourly = [close + wiggle for close in closes for wiggle in (3.0, -20.0, 1.0, 9.0, -2.0, 0.0)]

    intraday, daily = metrics_of(hourly, stamps=stamps_at(*instants)), metrics_of(closes)

    assert {name: intraday.values()[name] for name in RATIOS} == {
        name: daily.values()[name] for name in RATIOS
    }


def test_drawdowns_of_intraday_bars_count_every_bar() -> None:
    first = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)

    metrics = metrics_of(
        [100.0, 80.0, 100.0], stamps=stamps_at(*(first + timedelta(hours=h) for h in range(3)))
    )

    assert metrics.max_drawdown == -0.2
    assert metrics.periods == 1


def test_stamps_of_daily_bars_change_no_ratio() -> None:
    equity = [101.0, 99.0, 104.0, 103.0]

    stamped = metrics_of(equity, stamps=days_from(datetime(2026, 11, 16, tzinfo=UTC), 4))

    plain = metrics_of(equity)
    assert {name: stamped.values()[name] for name in RATIOS} == {
        name: plain.values()[name] for name in RATIOS
    }


def test_the_year_may_have_other_than_252_periods() -> None:
    equity = [101.0, 99.0, 104.0]

    crypto = PerformanceCalculator(periods_per_year=365).calculate_metrics(equity, initial_capital=100.0)

    assert crypto.volatility == pytest.approx(metrics_of(equity).volatility * math.sqrt(365 / 252), rel=1e-14)
    assert crypto.periods_per_year == 365


@pytest.mark.parametrize("kind", [tuple, np.array, pd.Series])
def test_any_sequence_of_numbers_is_a_curve(kind: Any) -> None:
    assert metrics_of(kind([101.0, 99.0, 104.0])) == metrics_of([101.0, 99.0, 104.0])


def test_the_curve_given_is_not_changed() -> None:
    equity = np.array([101.0, -5.0, 104.0])

    metrics_of(equity)

    assert equity.tolist() == [101.0, -5.0, 104.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"equity": []}, "equity is empty: expected at least one bar"),
        ({"equity": [[1.0], [2.0]]}, r"equity has the shape \(2, 1\): expected one dimension"),
        ({"equity": [1.0, math.nan]}, r"equity\[1\] is nan: expected a finite number"),
        ({"equity": [1.0, 2.0, -math.inf]}, r"equity\[2\] is -inf: expected a finite number"),
        ({"capital": 0.0}, "initial_capital is 0.0: expected a finite number above 0"),
        ({"capital": -5}, "initial_capital is -5: expected a finite number above 0"),
        ({"capital": math.nan}, "initial_capital is nan: expected a finite number above 0"),
        ({"stamps": [1, 2]}, r"stamps have the shape \(2,\): expected \(3,\), one per bar of equity"),
        ({"stamps": [1, 3, 3]}, r"stamps\[2\] is 3: expected one later than 3 before it"),
        ({"stamps": [1.0, 2.0, 3.0]}, "stamps are float64: expected whole numbers"),
        ({"trade_pnls": [1.0, math.inf]}, r"trade_pnls\[1\] is inf: expected a finite number"),
        ({"trade_pnls": [1.0], "trade_bars": [1, 2]}, "trade_bars has 2 entries: expected none or 1"),
        ({"trade_pnls": [1.0], "trade_bars": [-1]}, r"trade_bars\[0\] is -1.0: expected a number from 0 up"),
        ({"traded_value": -1.0}, "traded_value is -1.0: expected a finite number from 0 up"),
        ({"exposed_bars": 4}, "exposed_bars is 4: expected None or 0 to 3"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics_of(**{"equity": [101.0, 99.0, 104.0]} | arguments)


@pytest.mark.parametrize("periods", [0, -252, math.inf, math.nan])
def test_a_year_without_periods_is_refused(periods: float) -> None:
    with pytest.raises(ValueError, match=f"periods_per_year is {periods}: expected a finite number above 0"):
        PerformanceCalculator(periods_per_year=periods)
