"""What each metric means, as data: carried in results and printed in the docs. Imports nothing heavy.

Words: E[0..n-1] equity after each bar and E[-1] the initial capital; r the n returns per period, r[i] =
E[i] / E[i-1] - 1 (a period is a UTC date with bars: of intraday bars the day's last equity counts); A the
periods of a year, 252 by default; mean, percentile (linear interpolation) over all n.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """How a metric is worked out.

    formula: in the words of the module. source: whose definition it is. unit: of the number. degenerate: what
    it is where the formula has no answer; such a value has a word in `PerformanceMetrics.remarks`.
    """

    formula: str
    source: str
    unit: str
    degenerate: str


EMPYRICAL = "empyrical-reloaded 0.7.1"
OWN = "common usage; no single source"
ALWAYS = "always defined"

DEFINITIONS: Mapping[str, Definition] = MappingProxyType(
    {
        "total_return": Definition(
            formula="E[n-1] / E[-1] - 1",
            source=f"{EMPYRICAL}, cum_returns_final",
            unit="fraction, 0.02 = 2 %",
            degenerate="-1 or less once equity is 0 or negative at the end",
        ),
        "cagr": Definition(
            formula="(E[n-1] / E[-1]) ** (A / n) - 1, n the periods",
            source=f"{EMPYRICAL}, annual_return",
            unit="fraction per year; of less than a year, extrapolated",
            degenerate="-1 by convention if the final equity is not above 0; infinite if it exceeds a float",
        ),
        "volatility": Definition(
            formula="standard deviation of r (n - 1 in the denominator) * sqrt(A)",
            source=f"{EMPYRICAL}, annual_volatility",
            unit="fraction per year",
            degenerate="NaN for fewer than two returns",
        ),
        "sharpe_ratio": Definition(
            formula="mean(r) / standard deviation of r (n - 1) * sqrt(A), risk-free rate 0",
            source=f"{EMPYRICAL}, sharpe_ratio; Sharpe 1994",
            unit="per square root of a year",
            degenerate="NaN for fewer than two returns or if all are 0; infinite with the sign of the mean "
            "if all are equal (to the rounding of equity, 2e-15: there empyrical divides by the residue)",
        ),
        "sortino_ratio": Definition(
            formula="mean(r) * A / (sqrt(mean(min(r, 0) ** 2)) * sqrt(A)), all n returns counted, target 0",
            source=f"{EMPYRICAL}, sortino_ratio; Sortino and Price 1994",
            unit="per square root of a year",
            degenerate="NaN for fewer than two returns or if all are 0; infinite if none is below 0",
        ),
        "max_drawdown": Definition(
            formula="min over i of E[i] / max(E[-1..i]) - 1, over every bar, intraday ones too",
            source=f"{EMPYRICAL}, max_drawdown; the initial capital is the first peak",
            unit="fraction, 0 or negative",
            degenerate="0 if equity never falls; below -1 if it becomes negative",
        ),
        "max_drawdown_length": Definition(
            formula="bars from the peak of the deepest drawdown (the first of equals) to the bar that is "
            "back at its height, or to the last bar; the initial capital counts as the bar before the first",
            source=OWN,
            unit="bars",
            degenerate="0 if there was no drawdown",
        ),
        "max_drawdown_days": Definition(
            formula="time between the stamps of the same two bars; from the first bar's stamp if the peak is "
            "the initial capital",
            source=OWN,
            unit="calendar days of 24 h",
            degenerate="without stamps a bar counts as a day; 0 if there was no drawdown",
        ),
        "calmar_ratio": Definition(
            formula="cagr / |max_drawdown|",
            source=f"{EMPYRICAL}, calmar_ratio, whose drawdown is that of the daily returns; Young 1991 uses "
            "the last 36 months only",
            unit="per year",
            degenerate="NaN if there was no drawdown; infinite if cagr is (empyrical: NaN)",
        ),
        "win_rate": Definition(
            formula="closed trades with a profit above 0 after costs / closed trades: per trade, not period",
            source=OWN,
            unit="fraction of trades",
            degenerate="NaN without trades",
        ),
        "profit_factor": Definition(
            formula="sum of the profits of winning trades / sum of the losses of losing ones, after costs",
            source=OWN,
            unit="ratio",
            degenerate="NaN without trades, or if none won or lost; infinite if none lost",
        ),
        "exposure": Definition(
            formula="bars at whose close a position was open / bars",
            source=OWN,
            unit="fraction of bars",
            degenerate="NaN if the bars in the market were not given",
        ),
        "turnover": Definition(
            formula="value of all fills, bought and sold / mean(E[0..n-1]) / (n / A), n the periods: a "
            "position of the whole equity opened and closed once a year is 2",
            source=OWN,
            unit="multiple of the mean equity per year, both sides counted",
            degenerate="NaN if the mean equity is not above 0",
        ),
        "average_holding_bars": Definition(
            formula="mean of the bars from entry fill to exit fill over the closed trades",
            source=OWN,
            unit="bars",
            degenerate="NaN without trades, or if their lengths were not given",
        ),
        "skew": Definition(
            formula="g1 = m3 / m2 ** 1.5, population moments of r about its mean (biased)",
            source="scipy.stats.skew, bias=True, as empyrical",
            unit="none; 0 for a normal distribution",
            degenerate="NaN if all returns are equal",
        ),
        "kurtosis": Definition(
            formula="g2 = m4 / m2 ** 2 - 3, population moments of r about its mean (excess, Fisher, biased)",
            source="scipy.stats.kurtosis, fisher=True, bias=True, as empyrical",
            unit="none; 0 for a normal distribution",
            degenerate="NaN if all returns are equal",
        ),
        "tail_ratio": Definition(
            formula="|95th percentile of r| / |5th percentile of r|",
            source=f"{EMPYRICAL}, tail_ratio",
            unit="ratio",
            degenerate="infinite if only the 5th percentile is 0, NaN if both are",
        ),
        "value_at_risk": Definition(
            formula="5th percentile of r (95 %, historical): one period in twenty falls short of it",
            source=f"{EMPYRICAL}, value_at_risk",
            unit="fraction per period, negative where it is a loss",
            degenerate=ALWAYS,
        ),
        "trades": Definition(formula="number of closed trades", source=OWN, unit="trades", degenerate=ALWAYS),
        "periods": Definition(
            formula="number of returns n: UTC dates with bars, or bars if there are no stamps",
            source=OWN,
            unit="periods",
            degenerate=ALWAYS,
        ),
        "periods_per_year": Definition(
            formula="A, as given to the calculator", source=OWN, unit="periods per year", degenerate=ALWAYS
        ),
        "initial_equity": Definition(
            formula="E[-1]", source="the run's initial capital", unit="money", degenerate=ALWAYS
        ),
        "final_equity": Definition(
            formula="E[n-1], open positions marked", source="the run", unit="money", degenerate=ALWAYS
        ),
    }
)


def definitions_to_dict() -> dict[str, dict[str, str]]:
    """Return the definitions by metric as plain dictionaries: what a result carries beside its numbers."""
    return {name: asdict(definition) for name, definition in DEFINITIONS.items()}


def definitions_as_markdown() -> str:
    """Return the definitions as a Markdown table, a row per metric in the order of the result's fields."""
    rows = ["| metric | formula | unit | where the formula has no answer | source |", "|---|---|---|---|---|"]
    rows += [_row(name, definition) for name, definition in DEFINITIONS.items()]
    return "\n".join(rows) + "\n"


def _row(name: str, definition: Definition) -> str:
    cells = (definition.formula, definition.unit, definition.degenerate, definition.source)
    return f"| `{name}` | " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
