"""How numbers are written in a report: the same in tiles, tables and pictures."""

from __future__ import annotations

import math

PERCENT = frozenset(
    ("total_return", "cagr", "volatility", "max_drawdown", "win_rate", "exposure", "value_at_risk")
)
MONEY = frozenset({"initial_equity", "final_equity"})
COUNTS = frozenset({"trades", "periods", "max_drawdown_length", "periods_per_year"})
LABELS = {"cagr": "CAGR", "value_at_risk": "Value at risk (5 %)", "periods_per_year": "Periods per year"}
NONE = "–"
LONGEST_NAME = 20


def label(metric: str) -> str:
    """Return a metric's name for people: "Sharpe ratio"."""
    return LABELS.get(metric) or metric.replace("_", " ").capitalize()


def metric(name: str, value: float) -> str:
    """Return a metric's value in its unit: fractions in percent, money with cents, ratios with three
    decimals; "–" for NaN, and infinity as its sign."""
    if not math.isfinite(value):
        return infinite(value)
    if name in PERCENT:
        return percent(value)
    if name in MONEY:
        return money(value)
    if name in COUNTS:
        return f"{value:,g}" if value < 1e6 else f"{value:,.0f}"
    return f"{value:,.1f}" if name in ("max_drawdown_days", "average_holding_bars") else f"{value:,.3f}"


def percent(fraction: float | None) -> str:
    """Return a fraction in percent with two decimals: 0.0213 is "2.13 %"; None is "–"."""
    return NONE if fraction is None else f"{_no_minus_zero(100 * fraction, 2):,.2f} %"


def money(amount: float) -> str:
    """Return an amount with cents: "1,234.50"."""
    return f"{_no_minus_zero(amount, 2):,.2f}"


def short_money(amount: float) -> str:
    """Return an amount with cents, without them from 10,000 up."""
    return money(amount) if abs(amount) < 1e4 else f"{amount:,.0f}"


def infinite(value: float) -> str:
    """Return what is written for a value that is no number."""
    return NONE if math.isnan(value) else "∞" if value > 0 else "-∞"


def short_name(name: str) -> str:
    """Return a name as a picture has room for it, at most `LONGEST_NAME` letters."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def shares(quantity: float) -> str:
    """Return a count of shares with the decimals that it has, four at most."""
    return f"{_no_minus_zero(quantity, 4):,.4f}".rstrip("0").rstrip(".")


def _no_minus_zero(value: float, digits: int) -> float:
    return round(value, digits) + 0.0
