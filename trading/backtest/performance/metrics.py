"""The numbers of one run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PerformanceMetrics:
    """What an equity curve and its trades come to; definitions.py has each formula, unit and source.

    total_return, cagr, max_drawdown (0 or negative), exposure: fractions. volatility, sharpe_ratio,
    sortino_ratio, cagr, turnover: of a year of `periods_per_year` periods. max_drawdown_length: bars;
    max_drawdown_days: calendar days. win_rate: per TRADE, not per period. value_at_risk: the 5th percentile
    of the returns, negative where it is a loss. skew, kurtosis: population, the latter in excess of 3.
    periods: how many returns the ratios were taken of. trades: closed ones.

    remarks: by metric, why it is NaN or infinite, or which convention defined it.

    Two are equal if all fields are, NaN equalling NaN.

    Raises:
        ValueError: if a number is NaN or infinite and has no remark, or a remark names no metric.
    """

    total_return: float
    cagr: float
    volatility: float
    sharpe_ratio: float
    sortino_ratio: float
    max_drawdown: float
    max_drawdown_length: int
    max_drawdown_days: float
    calmar_ratio: float
    win_rate: float
    profit_factor: float
    exposure: float
    turnover: float
    average_holding_bars: float
    skew: float
    kurtosis: float
    tail_ratio: float
    value_at_risk: float
    trades: int
    periods: int
    periods_per_year: float
    initial_equity: float
    final_equity: float
    remarks: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self.values().items():
            if not math.isfinite(value) and not self.remarks.get(name):
                raise ValueError(f"{name} is {value!r}: expected a finite number, or a remark that says why")
        unknown = sorted(set(self.remarks) - set(METRICS))
        if unknown:
            raise ValueError(f"remarks name {', '.join(map(repr, unknown))}: expected names of metrics")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PerformanceMetrics):
            return NotImplemented
        # repr takes NaN for equal to NaN, and is exact for floats; 0.0 and -0.0 are the same here.
        mine, theirs = ({name: repr(v + 0.0) for name, v in each.values().items()} for each in (self, other))
        return mine == theirs and dict(self.remarks) == dict(other.remarks)

    __hash__ = None  # type: ignore[assignment]  # as the remarks are a dictionary

    def values(self) -> dict[str, float]:
        """Return every number by name, in the order of the fields, NaN and infinities as they are."""
        return {name: getattr(self, name) for name in METRICS}

    def to_dict(self) -> dict[str, float | dict[str, str] | None]:
        """Return the numbers and `remarks` for JSON: NaN and infinities as None, their remarks say which."""
        numbers = {name: value if math.isfinite(value) else None for name, value in self.values().items()}
        return {**numbers, "remarks": dict(self.remarks)}


METRICS: tuple[str, ...] = tuple(each.name for each in fields(PerformanceMetrics) if each.name != "remarks")
"""The names of all metrics, in the order of the fields."""
