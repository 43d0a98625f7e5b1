"""Strategies in use against what their validation promised, by hand calculation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trading.research.validation.in_use import Check, Since, check_since, cost, fall, frequency, performance
from trading.research.validation.promise import Promise

PROMISE = Promise(sharpe=1.5, sharpe_error=0.3, periods=2520, drawdown=-0.2, trades=400, cost_bps=3.0)


def year_of(sharpe: float, days: int = 252) -> np.ndarray:
    """Returns of exactly this Sharpe ratio per year."""
    swing = np.tile([0.01, -0.01], days // 2)
    return swing + sharpe / math.sqrt(252) * float(swing.std(ddof=1))


def test_performance_may_fall_by_chance_but_not_further() -> None:
    # 1.5 - 1.96 sqrt(0.3^2 + 252/252) = 1.5 - 1.96 * 1.04403 = -0.54630
    kept, broken = performance(PROMISE, year_of(-0.54)), performance(PROMISE, year_of(-0.55))

    assert kept.bound == pytest.approx(-0.54630, abs=1e-5)
    assert (kept.kept, broken.kept) == (True, False)
    assert broken.value == pytest.approx(-0.55)


def test_fewer_days_allow_more() -> None:
    # A quarter: 1.5 - 1.96 sqrt(0.09 + 4) = -2.46388
    assert performance(PROMISE, year_of(0.0, 63 + 1)).bound > -2.47
    assert performance(PROMISE, year_of(-2.0, 62)).kept


def test_a_few_days_are_not_judged_by_their_ratio() -> None:
    check = performance(PROMISE, year_of(-9.0, 20))

    assert (check.kept, check.value) == (True, None)
    assert "21 are needed" in check.text


def test_a_deeper_fall_than_promised_is_told() -> None:
    # 0.9 * 0.88 = 0.792: 20.8 % below the start.
    assert not fall(PROMISE, np.array([-0.1, -0.12, 0.3])).kept
    assert fall(PROMISE, np.array([-0.1, -0.11, 0.3])).kept
    assert fall(PROMISE, np.empty(0)).value is None


def test_trades_are_neither_many_more_nor_many_fewer() -> None:
    # 400 in 2520 days are 40 in 252. Poisson(40): P(N <= 24) = 0.0045, P(N <= 25) = 0.0076,
    # P(N >= 58) = 0.0044, P(N >= 57) = 0.0066.
    kept = [n for n in range(80) if frequency(PROMISE, n, 252).kept]

    assert (kept[0], kept[-1]) == (25, 57)
    assert frequency(PROMISE, 0, 5).kept


def test_own_fills_may_cost_twice_what_was_assumed() -> None:
    assert cost(PROMISE, 20, 6.0).kept
    assert not cost(PROMISE, 20, 6.1).kept
    assert cost(PROMISE, 19, 60.0).value is None
    assert cost(PROMISE, 0, None).kept


def test_all_four_are_checked() -> None:
    checks = check_since(PROMISE, Since(returns=year_of(1.0), trades=40))

    assert [check.name for check in checks] == ["performance", "drawdown", "trade_frequency", "cost"]
    assert all(isinstance(check, Check) and check.kept for check in checks)
