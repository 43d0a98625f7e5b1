"""Write tests/golden/validation.json: what ffn 1.4.1 answers to made-up returns, with the returns themselves.

Runs in the peers' environment (`make setup-peers`), which alone has ffn:
    .venv-peers/bin/python tests/backtest/peers/make_validation_golden.py tests/golden/validation.json
"""

from __future__ import annotations

import json
import math
import random
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Only there; pandas, too, is the peers' own.
import ffn  # type: ignore[import-not-found]
import pandas as pd


def returns_of(seed: int, periods: int, mean: float, jump: float = 0.0) -> list[float]:
    """Return normal returns with, in one period of twenty, `jump` on top (which makes them skewed)."""
    draw = random.Random(seed)
    return [
        round(draw.gauss(mean, 0.01) + (jump if draw.random() < 0.05 else 0.0), 6) for _ in range(periods)
    ]


def deflated(returns: list[float], trial_sharpes: list[float]) -> dict[str, Any]:
    """Return ffn's deflated Sharpe ratio, everything per period, with the parts it is made of."""
    series = pd.Series(returns)
    # Any: pandas' stubs allow for every kind of column.
    skew: Any = series.skew()
    excess_kurtosis: Any = series.kurt()
    return {
        "returns": returns,
        "trial_sharpes": trial_sharpes,
        "sharpe": float(ffn.calc_sharpe(series, annualize=False)),
        "skew": skew,
        "kurtosis": excess_kurtosis + 3.0,
        "expected_maximum": float(
            ffn.calc_expected_max_sharpe(len(trial_sharpes), pd.Series(trial_sharpes).std(ddof=1))
        ),
        "probability": float(ffn.calc_deflated_sharpe_ratio(series, trial_sharpes, annualized_trials=False)),
    }


def overfitting(columns: list[list[float]], splits: int, with_logits: bool) -> dict[str, Any]:
    """Return ffn's probability of backtest overfitting; `columns`: one list of returns per trial."""
    frame = pd.DataFrame(dict(enumerate(columns)))
    found = ffn.calc_prob_backtest_overfitting(frame, n_blocks=splits, full_output=True)
    logits = [float(logit) for logit in found["logits"]]
    return {
        "trials": columns,
        "splits": splits,
        "pbo": float(found["pbo"]),
        "mean_rank": float(found["mean_oos_rank"]),
        "logit_sum": math.fsum(logits),
        "logit_square_sum": math.fsum(logit**2 for logit in logits),
        # All of them where they are few; their sums tell on the rest.
        "logits": logits if with_logits else None,
    }


def answers() -> dict[str, Any]:
    draw = random.Random(8)
    sharpes = [round(draw.gauss(0.01, 0.04), 6) for _ in range(60)]
    noise = [returns_of(100 + i, 83, 0.0) for i in range(7)]
    skilled = [returns_of(200 + i, 96, 0.004 if i == 2 else 0.0, jump=-0.02) for i in range(6)]
    return {
        "made_by": {"ffn": version("ffn")},
        "deflated": {
            "skill": deflated(returns_of(1, 300, 0.0015), sharpes),
            "crashes": deflated(returns_of(2, 250, 0.002, jump=-0.03), sharpes[:25]),
            "windfalls": deflated(returns_of(3, 120, 0.0, jump=0.04), sharpes[:5]),
            "one trial": deflated(returns_of(4, 200, 0.001), sharpes[:1]),
            "loss": deflated(returns_of(5, 200, -0.001), sharpes[:40]),
        },
        "overfitting": {
            "noise, periods left out": overfitting(noise, 8, with_logits=True),
            "one with skill": overfitting(skilled, 8, with_logits=True),
            "equal trials": overfitting([*noise[:4], noise[1], noise[3]], 6, with_logits=True),
            "two blocks": overfitting(noise, 2, with_logits=True),
            "sixteen blocks": overfitting(skilled, 16, with_logits=False),
        },
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(answers(), separators=(",", ":")) + "\n")
