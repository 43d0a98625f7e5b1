"""The word that goes with a number which its formula alone does not explain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

OF_SPREAD = ("volatility", "sharpe_ratio", "sortino_ratio", "skew", "kurtosis")
OF_RETURNS = (*OF_SPREAD, "tail_ratio", "value_at_risk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What of a run decides which formulas have an answer.

    fell_from: the bar of the peak before the deepest drawdown, -1 for the initial capital, None if there was
    no drawdown. constant: all returns are equal; idle: all are 0 (to rounding). ruin: the first period (from
    0) after which equity was not above 0, None if there is none; bankrupt: it is not above 0 at the end.
    """

    periods: int
    trades: int
    has_stamps: bool
    fell_from: int | None
    constant: bool
    idle: bool
    ruin: int | None
    bankrupt: bool


def remarks_on(values: Mapping[str, float], run: Circumstances) -> dict[str, str]:
    """Return why metrics are NaN or infinite ("infinite: no losing period"), or which convention holds."""
    reasons, conventions = _reasons(run), _conventions(run)
    remarks = {name: f"by convention: {text}" for name, text in conventions.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            remarks[name] = _word(value) + reasons.get(name, "beyond what a float can hold")
    return remarks


def _word(value: float) -> str:
    if math.isnan(value):
        return "undefined: "
    return "infinite: " if value > 0 else "minus infinite: "


def _reasons(run: Circumstances) -> dict[str, str]:
    reasons = {
        "exposure": "the bars in the market were not given",
        "turnover": "the mean equity is not above 0",
        "profit_factor": "no losing trade",
        "average_holding_bars": "the lengths of the trades were not given",
        "sortino_ratio": "no losing period",
        "tail_ratio": "the 5th percentile of the returns is 0",
    }
    if run.fell_from is None:
        reasons["calmar_ratio"] = "no drawdown"
    if not run.trades:
        reasons |= dict.fromkeys(("win_rate", "profit_factor", "average_holding_bars"), "no trades")
    if run.constant:
        reasons |= dict.fromkeys(("sharpe_ratio", "skew", "kurtosis"), "all returns are equal")
    if run.idle:
        reasons |= dict.fromkeys(OF_RETURNS, "constant equity")
    if run.periods < 2:
        reasons |= dict.fromkeys(OF_SPREAD, "only one return")
    return reasons


def _conventions(run: Circumstances) -> dict[str, str]:
    conventions: dict[str, str] = {}
    if run.ruin is not None:
        after = f"equity was not above 0 after period {run.ruin + 1}, so the returns after it count as 0"
        conventions |= dict.fromkeys(OF_RETURNS, after)
    if run.bankrupt:
        conventions |= dict.fromkeys(("cagr", "calmar_ratio"), "bankrupt, so the yearly return counts as -1")
    if run.fell_from is not None and not run.has_stamps:
        conventions["max_drawdown_days"] = "without stamps a bar counts as a day"
    elif run.fell_from == -1:
        conventions["max_drawdown_days"] = "counted from the first bar, as the initial capital has no stamp"
    return conventions
