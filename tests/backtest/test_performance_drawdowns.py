"""Drawdown series and periods, and monthly tables: by hand, and by a second method."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from trading.backtest.performance.drawdowns import DrawdownPeriod, drawdown_periods, drawdown_series
from trading.backtest.performance.monthly import monthly_table


def stamp(year: int, month: int, day: int) -> int:
    return round(datetime(year, month, day, tzinfo=UTC).timestamp()) * 10**9


def test_the_series_is_the_distance_from_the_highest_equity_so_far() -> None:
    drawdowns = drawdown_series([90.0, 120.0, 60.0, -12.0, 150.0], 100.0)

    assert drawdowns.tolist() == pytest.approx([-0.10, 0.0, -0.50, -1.10, 0.0], abs=1e-15)


def test_periods_come_deepest_first_with_start_trough_and_recovery() -> None:
    #          0      1     2     3      4      5      6     7
    equity = [95.0, 100.0, 80.0, 75.0, 110.0, 110.0, 99.0, 104.5]

    periods = drawdown_periods(drawdown_series(equity, 100.0))

    assert [(p.start, p.trough, p.recovery, p.length) for p in periods] == [
        (1, 3, 4, 3),
        (5, 6, None, 2),
        (-1, 0, 1, 2),
    ]
    assert [p.depth for p in periods] == pytest.approx([-0.25, -0.10, -0.05], abs=1e-15)


def test_only_the_deepest_are_listed_when_asked() -> None:
    drawdowns = drawdown_series([95.0, 100.0, 75.0, 110.0, 99.0], 100.0)

    everything = drawdown_periods(drawdowns)

    assert drawdown_periods(drawdowns, top=1) == everything[:1]
    assert drawdown_periods(drawdowns, top=2) == everything[:2]
    assert len(everything) == 3


def test_of_equally_deep_periods_the_earlier_comes_first() -> None:
    drawdowns = drawdown_series([50.0, 100.0, 50.0, 100.0], 100.0)

    assert [period.start for period in drawdown_periods(drawdowns)] == [-1, 1]
    assert drawdown_periods(drawdowns, top=1)[0].start == -1


def test_a_curve_that_never_falls_has_no_period() -> None:
    assert drawdown_periods(drawdown_series([100.0, 100.0, 101.0], 100.0)) == ()


def test_periods_of_a_long_walk_equal_those_of_a_plain_loop() -> None:
    equity = 100.0 * np.cumprod(1.0 + np.random.default_rng(3).normal(0.0005, 0.01, 2_000))
    drawdowns = drawdown_series(equity, 100.0)

    expected, start = [], -1
    for bar, depth in enumerate([*drawdowns.tolist(), 0.0]):
        if depth < 0:
            continue
        if bar - start > 1:
            inside = drawdowns[start + 1 : bar]
            ended = bar < len(drawdowns)
            expected.append(
                DrawdownPeriod(
                    start=start,
                    trough=start + 1 + inside.tolist().index(min(inside)),
                    recovery=bar if ended else None,
                    depth=min(inside.tolist()),
                    length=len(inside) + ended,
                )
            )
        start = bar
    assert drawdown_periods(drawdowns) == tuple(sorted(expected, key=lambda period: period.depth))


def test_months_multiply_to_the_years_and_start_from_the_capital() -> None:
    days = [(2025, 11, 3), (2025, 11, 28), (2025, 12, 31), (2026, 1, 2), (2026, 3, 2)]
    stamps = [stamp(*day) for day in days]

    table = monthly_table([90.0, 110.0, 121.0, 133.1, 66.55], stamps, 100.0)

    assert [row.year for row in table] == [2025, 2026]
    assert table[0].months[:10] == (None,) * 10
    assert table[0].months[10:] == pytest.approx((0.10, 0.10), abs=1e-12)
    assert table[0].total == pytest.approx(0.21, abs=1e-12)
    # No bar in February: March is measured from the end of January.
    assert table[1].months[1] is None
    assert (table[1].months[0], table[1].months[2]) == pytest.approx((0.10, -0.50), abs=1e-12)
    assert table[1].total == pytest.approx(-0.45, abs=1e-12)


def test_a_month_that_begins_with_nothing_has_no_return() -> None:
    table = monthly_table([0.0, 10.0, 20.0], [stamp(2026, 1, 5), stamp(2026, 2, 5), stamp(2026, 3, 5)], 100.0)

    assert table[0].months[:3] == (-1.0, None, 1.0)
    assert table[0].total == pytest.approx(-0.8, abs=1e-15)


def test_months_equal_those_that_pandas_makes() -> None:
    days = pd.date_range("1968-12-20", periods=800, freq="D", tz="UTC")
    equity = 100.0 * np.cumprod(1.0 + np.random.default_rng(4).normal(0.0005, 0.01, 800))
    ends = pd.Series(equity, index=days).resample("ME").last()

    table = monthly_table(equity, days.as_unit("ns").asi8, 100.0)

    ours = [value for row in table for value in row.months if value is not None]
    assert ours == pytest.approx((ends / ends.shift(fill_value=100.0) - 1.0).tolist(), rel=1e-9, abs=1e-13)
    assert [row.year for row in table] == [1968, 1969, 1970, 1971]
