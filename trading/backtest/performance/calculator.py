"""From an equity curve and the trades of a run to its metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from trading.backtest.performance import ratios
from trading.backtest.performance.curves import (
    Floats,
    Stamps,
    checked_capital,
    checked_equity,
    checked_numbers,
    checked_stamps,
    first_ruin,
    last_of_each,
    simple_returns,
)
from trading.backtest.performance.drawdowns import DrawdownPeriod, drawdown_periods, drawdown_series
from trading.backtest.performance.metrics import PerformanceMetrics
from trading.backtest.performance.remarks import Circumstances, remarks_on

Values = dict[str, Any]
"""Metrics by name: counts are int, the rest float."""

NANOSECONDS_PER_DAY = 86_400_000_000_000


class PerformanceCalculator:
    """Works out metrics as definitions.py defines them.

    periods_per_year: dates with bars in a year: 252 of a stock exchange, 365 where every day trades.

    Raises:
        ValueError: if it is not a finite number above 0.
    """

    def __init__(self, periods_per_year: float = ratios.PERIODS_PER_YEAR) -> None:
        if not (math.isfinite(periods_per_year) and periods_per_year > 0):
            raise ValueError(f"periods_per_year is {periods_per_year!r}: expected a finite number above 0")
        self.periods_per_year = float(periods_per_year)

    def calculate_metrics(
        self,
        equity: ArrayLike,
        *,
        initial_capital: float,
        stamps: ArrayLike | None = None,
        trade_pnls: Sequence[float] | Floats = (),
        trade_bars: Sequence[float] | Floats = (),
        traded_value: float = 0.0,
        exposed_bars: int | None = None,
    ) -> PerformanceMetrics:
        """Return the metrics of one run.

        equity: after each bar, shape (n,), any sequence of numbers. initial_capital: equity before the first
        bar. stamps: each bar's label, shape (n,), nanoseconds since 1970-01-01 UTC; None: each bar is a day.
        With several bars a UTC date the ratios take the equity at the date's last bar, drawdowns every bar.
        trade_pnls: profit of each closed trade after costs. trade_bars: how many bars each was held, empty if
        unknown. traded_value: money of all fills, bought and sold, unsigned. exposed_bars: bars at whose
        close a position was open, None if unknown.

        Raises:
            ValueError: naming field and value: an empty or non-finite curve, a capital not above 0, stamps
                that do not ascend, another number of lengths than of trades, a negative value or count.
        """
        curve, capital = checked_equity(equity), checked_capital(initial_capital)
        labels = None if stamps is None else checked_stamps(stamps, len(curve))
        pnls, lengths = checked_numbers("trade_pnls", trade_pnls), checked_numbers("trade_bars", trade_bars)
        _check_activity(pnls, lengths, traded_value, exposed_bars, bars=len(curve))
        daily = curve if labels is None else curve[last_of_each(labels, "D")]
        deepest = next(iter(drawdown_periods(drawdown_series(curve, capital), top=1)), None)
        # What overflows is answered with an infinity or NaN and a remark.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            returns = simple_returns(daily, capital)
            values = self._growth(capital, float(curve[-1]), len(daily))
            values |= _ratios_of(returns, self.periods_per_year)
            values |= _fall(deepest, labels) | _trade_figures(pnls, lengths)
            values["turnover"] = self._turnover(traded_value, curve, len(daily))
        values["calmar_ratio"] = ratios.calmar_ratio(values["cagr"], values["max_drawdown"])
        values["exposure"] = math.nan if exposed_bars is None else exposed_bars / len(curve)
        circumstances = Circumstances(
            periods=len(returns),
            trades=len(pnls),
            has_stamps=labels is not None,
            fell_from=None if deepest is None else deepest.start,
            constant=ratios.is_constant(returns),
            idle=ratios.is_idle(returns),
            ruin=first_ruin(daily),
            bankrupt=values["final_equity"] <= 0,
        )
        return PerformanceMetrics(**values, remarks=remarks_on(values, circumstances))

    def _growth(self, initial: float, final: float, periods: int) -> Values:
        return {
            "initial_equity": initial,
            "final_equity": final,
            "total_return": (final - initial) / initial,
            "cagr": ratios.cagr(final / initial, periods, self.periods_per_year),
            "periods": periods,
            "periods_per_year": self.periods_per_year,
        }

    def _turnover(self, traded_value: float, equity: Floats, periods: int) -> float:
        mean = float(np.mean(equity))
        return traded_value / mean / (periods / self.periods_per_year) if mean > 0 else math.nan


def _ratios_of(returns: Floats, periods_per_year: float) -> Values:
    low, high = ratios.tails(returns)
    return {
        "volatility": ratios.volatility(returns, periods_per_year),
        "sharpe_ratio": ratios.sharpe_ratio(returns, periods_per_year),
        "sortino_ratio": ratios.sortino_ratio(returns, periods_per_year),
        "skew": ratios.skew(returns),
        "kurtosis": ratios.kurtosis(returns),
        "tail_ratio": ratios.ratio_of_tails(low, high),
        "value_at_risk": low,
    }


def _fall(period: DrawdownPeriod | None, stamps: Stamps | None) -> Values:
    if period is None:
        return {"max_drawdown": 0.0, "max_drawdown_length": 0, "max_drawdown_days": 0.0}
    days = float(period.length)
    if stamps is not None:
        end = len(stamps) - 1 if period.recovery is None else period.recovery
        days = int(stamps[end] - stamps[max(period.start, 0)]) / NANOSECONDS_PER_DAY
    return {"max_drawdown": period.depth, "max_drawdown_length": period.length, "max_drawdown_days": days}


def _trade_figures(pnls: Floats, lengths: Floats) -> Values:
    return {
        "trades": len(pnls),
        "win_rate": ratios.win_rate(pnls),
        "profit_factor": ratios.profit_factor(pnls),
        "average_holding_bars": float(np.mean(lengths)) if len(lengths) else math.nan,
    }


def _check_activity(
    pnls: Floats, lengths: Floats, traded_value: float, exposed_bars: int | None, *, bars: int
) -> None:
    if len(lengths) not in (0, len(pnls)):
        raise ValueError(
            f"trade_bars has {len(lengths)} entries: expected none or {len(pnls)}, one for each trade"
        )
    if len(lengths) and lengths.min() < 0:
        at = int(np.argmin(lengths))
        raise ValueError(f"trade_bars[{at}] is {float(lengths[at])!r}: expected a number from 0 up")
    if not (math.isfinite(traded_value) and traded_value >= 0):
        raise ValueError(f"traded_value is {traded_value!r}: expected a finite number from 0 up")
    if exposed_bars is not None and not 0 <= exposed_bars <= bars:
        raise ValueError(f"exposed_bars is {exposed_bars!r}: expected None or 0 to {bars} (bars of equity)")
