"""Where a formula has no answer: the value by convention, and the word that goes with it."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import fields, replace
from typing import Any

import pytest

from trading.backtest.performance.calculator import PerformanceCalculator
from trading.backtest.performance.definitions import (
    DEFINITIONS,
    definitions_as_markdown,
    definitions_to_dict,
)
from trading.backtest.performance.metrics import PerformanceMetrics

ORDINARY = [101.0, 99.0, 104.0]


def metrics_of(equity: list[float], **more: Any) -> PerformanceMetrics:
    return PerformanceCalculator().calculate_metrics(equity, initial_capital=100.0, **more)


def test_without_trades_their_figures_say_so() -> None:
    metrics = metrics_of(ORDINARY)

    assert math.isnan(metrics.win_rate)
    assert math.isnan(metrics.profit_factor)
    assert math.isnan(metrics.average_holding_bars)
    for name in ("win_rate", "profit_factor", "average_holding_bars"):
        assert metrics.remarks[name] == "undefined: no trades"


def test_trades_without_a_loss_have_an_infinite_profit_factor() -> None:
    metrics = metrics_of(ORDINARY, trade_pnls=[1.0, 0.0])

    assert metrics.profit_factor == math.inf
    assert metrics.remarks["profit_factor"] == "infinite: no losing trade"


def test_trades_that_all_come_to_nothing_have_no_profit_factor() -> None:
    assert math.isnan(metrics_of(ORDINARY, trade_pnls=[0.0, 0.0]).profit_factor)


def test_constant_equity_has_no_ratios_and_no_drawdown() -> None:
    metrics = metrics_of([100.0] * 20)

    assert (metrics.total_return, metrics.volatility, metrics.max_drawdown) == (0.0, 0.0, 0.0)
    assert (metrics.max_drawdown_length, metrics.max_drawdown_days) == (0, 0.0)
    for name in ("sharpe_ratio", "sortino_ratio", "skew", "kurtosis", "tail_ratio"):
        assert math.isnan(getattr(metrics, name))
        assert metrics.remarks[name] == "undefined: constant equity"
    assert metrics.remarks["calmar_ratio"] == "undefined: no drawdown"


def test_interest_alone_has_an_infinite_sharpe_ratio_though_its_returns_are_rounded() -> None:
    # Equal growth, rounded: the returns differ in their last bits, and empyrical gives some 1e12.
    equity = [100.0 * 1.0001 ** (day + 1) for day in range(500)]

    metrics = metrics_of(equity)

    assert metrics.sharpe_ratio == math.inf
    assert metrics.remarks["sharpe_ratio"] == "infinite: all returns are equal"


def test_a_curve_that_only_gains_has_an_infinite_sortino_ratio() -> None:
    metrics = metrics_of([101.0, 103.0, 104.0])

    assert metrics.sortino_ratio == math.inf
    assert metrics.remarks["sortino_ratio"] == "infinite: no losing period"


def test_one_bar_has_no_spread() -> None:
    metrics = metrics_of([101.0])

    for name in ("volatility", "sharpe_ratio", "sortino_ratio", "skew", "kurtosis"):
        assert math.isnan(getattr(metrics, name))
        assert metrics.remarks[name] == "undefined: only one return"


def test_a_yearly_return_that_no_float_holds_is_infinite() -> None:
    # (10 ** 3) ** 252 = 10 ** 756.
    metrics = metrics_of([1e5])

    assert metrics.cagr == math.inf
    assert metrics.remarks["cagr"] == "infinite: beyond what a float can hold"


def test_unknown_exposure_says_so() -> None:
    assert metrics_of(ORDINARY).remarks["exposure"] == "undefined: the bars in the market were not given"


def test_an_account_below_zero_has_lost_more_than_all() -> None:
    metrics = metrics_of([110.0, 50.0, -11.0])

    assert metrics.total_return == pytest.approx(-1.11, abs=1e-15)
    assert metrics.max_drawdown == pytest.approx(-1.1, abs=1e-15)
    assert metrics.cagr == -1.0
    assert metrics.remarks["cagr"] == "by convention: bankrupt, so the yearly return counts as -1"


def test_returns_after_ruin_count_as_nothing() -> None:
    # 0.10, then (-11 - 110) / 110 = -1.1, then 0 twice: what is earned on a debt is no return.
    metrics = metrics_of([110.0, -11.0, -22.0, 44.0])

    mean = (0.10 - 1.1) / 4
    variance = ((0.10 - mean) ** 2 + (-1.1 - mean) ** 2 + 2 * mean**2) / 3
    assert metrics.sharpe_ratio == pytest.approx(mean / math.sqrt(variance) * math.sqrt(252), rel=1e-12)
    assert metrics.remarks["sharpe_ratio"].startswith("by convention: equity was not above 0 after period 2")


def test_an_account_that_comes_back_from_a_debt_keeps_its_true_total() -> None:
    metrics = metrics_of([-10.0, 44.0])

    assert metrics.total_return == pytest.approx(-0.56, abs=1e-15)
    assert metrics.cagr == pytest.approx(0.44**126 - 1.0, rel=1e-12)
    assert "cagr" not in metrics.remarks


def test_an_ordinary_run_with_all_its_facts_needs_no_remark() -> None:
    day = 86_400 * 10**9
    facts = {
        "trade_pnls": [3.0, -1.0],
        "trade_bars": [1, 1],
        "exposed_bars": 2,
        "stamps": [day, 2 * day, 3 * day],
    }

    assert metrics_of(ORDINARY, **facts).remarks == {}


def test_metrics_cannot_be_made_with_a_nan_that_says_nothing() -> None:
    with pytest.raises(ValueError, match="sharpe_ratio is nan: expected a finite number, or a remark"):
        replace(metrics_of(ORDINARY), sharpe_ratio=math.nan)


def test_metrics_cannot_carry_a_remark_on_nothing() -> None:
    metrics = metrics_of(ORDINARY)

    with pytest.raises(ValueError, match="remarks name 'sharpe': expected names of metrics"):
        replace(metrics, remarks={**metrics.remarks, "sharpe": "x"})


def test_json_has_none_for_what_is_no_number_and_keeps_the_remark() -> None:
    metrics = metrics_of([101.0, 102.5])

    read = json.loads(json.dumps(metrics.to_dict(), allow_nan=False))

    assert read["sortino_ratio"] is None
    assert read["remarks"]["sortino_ratio"] == "infinite: no losing period"
    assert read["total_return"] == metrics.total_return
    assert list(read) == [each.name for each in fields(PerformanceMetrics)]


def test_equal_runs_have_equal_metrics_although_some_are_nan() -> None:
    assert metrics_of(ORDINARY) == metrics_of(ORDINARY)
    assert metrics_of(ORDINARY) != metrics_of([101.0, 99.0, 104.1])
    assert metrics_of(ORDINARY) != 1


def test_metrics_survive_the_way_to_another_process() -> None:
    metrics = metrics_of(ORDINARY)

    assert pickle.loads(pickle.dumps(metrics)) == metrics


def test_every_metric_has_its_definition_in_the_order_of_the_fields() -> None:
    assert list(DEFINITIONS) == [each.name for each in fields(PerformanceMetrics) if each.name != "remarks"]


def test_every_definition_says_all_four_things() -> None:
    assert [name for name, parts in definitions_to_dict().items() if not all(parts.values())] == []


def test_the_printed_definitions_have_a_row_of_five_cells_per_metric() -> None:
    rows = definitions_as_markdown().splitlines()[2:]

    # Bars inside a formula (|max_drawdown|) are escaped, as they would end the cell.
    assert [row.replace("\\|", "").count("|") for row in rows] == [6] * len(DEFINITIONS)
    assert [row.split("`")[1] for row in rows] == list(DEFINITIONS)
