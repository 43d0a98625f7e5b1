"""What holds of the metrics of any curve."""

from __future__ import annotations

import json
import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.backtest.performance import ratios
from trading.backtest.performance.calculator import PerformanceCalculator
from trading.backtest.performance.drawdowns import drawdown_periods, drawdown_series
from trading.backtest.performance.metrics import PerformanceMetrics

EXAMPLES = settings(max_examples=100)
CAPITAL = 100.0

positive_curves = st.lists(st.floats(1.0, 1e6), min_size=1, max_size=40)
any_curves = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=40)
# Whole hundredths of a percent, so that rounding does not decide which return is above another.
some_returns = st.lists(st.integers(-5_000, 5_000), min_size=2, max_size=40).map(lambda r: np.array(r) / 1e4)
pnls = st.lists(st.integers(-1_000_000, 1_000_000), max_size=20)


def metrics_of(equity: list[float], capital: float = CAPITAL) -> PerformanceMetrics:
    return PerformanceCalculator().calculate_metrics(equity, initial_capital=capital)


@EXAMPLES
@given(positive_curves)
def test_drawdowns_of_a_positive_curve_lie_between_all_and_nothing(equity: list[float]) -> None:
    drawdowns = drawdown_series(equity, CAPITAL)

    assert drawdowns.min() > -1.0
    assert drawdowns.max() <= 0.0


@EXAMPLES
@given(positive_curves)
def test_the_deepest_period_is_the_maximum_drawdown(equity: list[float]) -> None:
    metrics, periods = metrics_of(equity), drawdown_periods(drawdown_series(equity, CAPITAL))

    assert metrics.max_drawdown == min((period.depth for period in periods), default=0.0)


@EXAMPLES
@given(positive_curves)
def test_periods_share_no_bar_below_the_peak(equity: list[float]) -> None:
    drawdowns = drawdown_series(equity, CAPITAL)

    periods = drawdown_periods(drawdowns)

    below = [bar for each in periods for bar in range(each.start + 1, each.recovery or len(equity))]
    assert sorted(below) == np.flatnonzero(drawdowns < 0).tolist()


@EXAMPLES
@given(positive_curves, st.integers(-20, 20))
def test_the_currency_changes_no_ratio(equity: list[float], exponent: int) -> None:
    # A power of two scales without rounding, so the ratios agree to the last bit.
    scale = 2.0**exponent

    scaled = metrics_of([value * scale for value in equity], CAPITAL * scale)

    amounts = {"initial_equity": CAPITAL * scale, "final_equity": equity[-1] * scale}
    assert repr(scaled.values()) == repr(metrics_of(equity).values() | amounts)


@EXAMPLES
@given(any_curves)
def test_no_curve_leaves_a_number_without_a_word_and_all_go_into_json(equity: list[float]) -> None:
    metrics = metrics_of(equity)

    unanswered = {name for name, value in metrics.values().items() if not math.isfinite(value)}
    assert unanswered <= set(metrics.remarks)
    json.dumps(metrics.to_dict(), allow_nan=False)


@EXAMPLES
@given(some_returns)
def test_turning_every_return_round_turns_the_sharpe_ratio_and_the_skew_round(returns: np.ndarray) -> None:
    for turned in (ratios.sharpe_ratio, ratios.skew):
        assert turned(-returns) == pytest.approx(-turned(returns), rel=1e-9, abs=1e-9, nan_ok=True)
    for same in (ratios.volatility, ratios.kurtosis):
        assert same(-returns) == pytest.approx(same(returns), rel=1e-9, abs=1e-9, nan_ok=True)


@EXAMPLES
@given(some_returns, st.randoms(use_true_random=False))
def test_the_order_of_the_returns_changes_no_ratio(returns: np.ndarray, order: Random) -> None:
    mixed = np.array(order.sample(returns.tolist(), len(returns)))

    for ratio in (ratios.sharpe_ratio, ratios.sortino_ratio, ratios.tail_ratio, ratios.value_at_risk):
        assert ratio(mixed) == pytest.approx(ratio(returns), rel=1e-9, abs=1e-9, nan_ok=True)


@EXAMPLES
@given(some_returns)
def test_the_sharpe_and_the_sortino_ratio_have_the_sign_of_the_mean(returns: np.ndarray) -> None:
    total = int(np.rint(returns * 10_000).sum())

    for ratio in (ratios.sharpe_ratio(returns), ratios.sortino_ratio(returns)):
        if total:
            assert math.copysign(1, ratio) == math.copysign(1, total)
        else:
            assert math.isnan(ratio) or abs(ratio) < 1e-9


@EXAMPLES
@given(pnls)
def test_the_profit_factor_is_above_one_exactly_if_the_trades_made_money(pnls: list[int]) -> None:
    metrics = PerformanceCalculator().calculate_metrics([CAPITAL], initial_capital=CAPITAL, trade_pnls=pnls)

    assert (metrics.profit_factor > 1.0) == (sum(pnls) > 0)
