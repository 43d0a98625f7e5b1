"""Write tests/golden/performance.json: what empyrical-reloaded 0.7.1 answers to made-up equity curves.

Runs in the peers' environment (`make setup-peers`), which alone has empyrical:
    .venv-peers/bin/python tests/backtest/peers/make_performance_golden.py tests/golden/performance.json
"""

from __future__ import annotations

import json
import math
import random
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import empyrical  # type: ignore[import-not-found]
import numpy as np
from scipy import stats

CAPITAL = 100_000.0


def walk(seed: int, days: int, mean: float, deviation: float, first: float | None = None) -> list[float]:
    """Return equity after each day in whole cents; `first`: the first day's return, None for a random one."""
    draw, equity, curve = random.Random(seed), CAPITAL, []
    for day in range(days):
        change = first if day == 0 and first is not None else draw.gauss(mean, deviation)
        equity = round(equity * (1.0 + change), 2)
        curve.append(equity)
    return curve


def rising(seed: int, days: int) -> list[float]:
    """Return a curve that gains every day, never twice the same fraction."""
    draw, equity, curve = random.Random(seed), CAPITAL, []
    for _ in range(days):
        equity = round(equity * (1.0 + draw.uniform(0.0005, 0.01)), 2)
        curve.append(equity)
    return curve


CURVES = {
    "gains": walk(1, 252, 0.0012, 0.009),
    "losses": walk(2, 252, -0.0010, 0.012),
    "loss_on_the_first_day": walk(3, 120, 0.0010, 0.004, first=-0.15),
    "gain_on_the_first_day": walk(4, 120, -0.0005, 0.006, first=0.08),
    "constant": [CAPITAL] * 30,
    "doubled_every_day": [CAPITAL * 2.0**day for day in range(1, 11)],
    "halved_every_day": [CAPITAL / 2.0**day for day in range(1, 11)],
    "all_positive": rising(5, 60),
    "all_negative": [CAPITAL - 137.5 * day for day in range(1, 41)],
    "flat_then_one_gain": [CAPITAL] * 40 + [CAPITAL * 1.01],
    "one_day": [98_765.43],
    "two_days": [101_000.0, 99_500.0],
    "three_days": [101_000.0, 99_500.0, 102_345.67],
    "wild": walk(6, 400, 0.001, 0.08),
    "ten_years": walk(7, 2520, 0.0004, 0.011),
}


def answers(equity: list[float]) -> dict[str, float | str]:
    """Return every metric that empyrical knows, of returns that start from the initial capital."""
    returns = empyrical.simple_returns(np.array([CAPITAL, *equity]))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = {
            "total_return": empyrical.cum_returns_final(returns),
            "cagr": empyrical.annual_return(returns),
            "volatility": empyrical.annual_volatility(returns),
            "sharpe_ratio": empyrical.sharpe_ratio(returns),
            "sortino_ratio": empyrical.sortino_ratio(returns),
            "max_drawdown": empyrical.max_drawdown(returns),
            "calmar_ratio": empyrical.calmar_ratio(returns),
            "skew": stats.skew(returns),
            "kurtosis": stats.kurtosis(returns),
            "tail_ratio": empyrical.tail_ratio(returns),
            "value_at_risk": empyrical.value_at_risk(returns),
        }
    return {name: in_json(float(value)) for name, value in found.items()}


def in_json(value: float) -> float | str:
    """Return the number, or "nan", "inf", "-inf", which JSON does not know."""
    return value if math.isfinite(value) else str(value)


def golden() -> dict[str, Any]:
    return {
        "made_by": f"tests/backtest/peers/{Path(__file__).name}",
        "empyrical-reloaded": version("empyrical-reloaded"),
        "initial_capital": CAPITAL,
        "curves": {name: {"equity": curve, "answers": answers(curve)} for name, curve in CURVES.items()},
    }


def as_text(found: dict[str, Any]) -> str:
    """Return JSON with one line per curve, so that a difference can be read."""
    curves = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(curve)}" for name, curve in found["curves"].items()
    )
    rest = "".join(f" {json.dumps(k)}: {json.dumps(v)},\n" for k, v in found.items() if k != "curves")
    return f'{{\n{rest} "curves": {{\n{curves}\n }}\n}}\n'


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(as_text(golden()), encoding="utf-8")
