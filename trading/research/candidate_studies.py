"""What fills idle research time: closer looks at the candidates and the strategies in use. Numbers to read;
validation judges by its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from trading.backtest.engine import BacktestEngine
from trading.backtest.history import Floats, PriceHistory, said
from trading.backtest.strategies.registry import made
from trading.research.candidates import Candidate
from trading.research.objective import (
    DAYS_PER_YEAR,
    ResearchSettings,
    annual_sharpe,
    window_scores,
)
from trading.research.statistics.bootstrap import (
    bootstrap_intervals,
    cagr,
    max_drawdown,
    sharpe,
)
from trading.research.walk_forward import Training, WalkForward, chosen_forward, run_window

CandidateStudy = Callable[[Candidate, PriceHistory, Floats], dict[str, Any]]

QUARTER: Final = 63
"""Instants."""

FORWARD: Final = WalkForward(train=504, test=126, embargo=5)
"""Two years to choose a trial by, half a year to use it."""

RESAMPLES: Final = 2000


def walk_forward_study(candidate: Candidate, history: PriceHistory, trials: Floats) -> dict[str, Any]:
    """Return how the candidate did quarter by quarter, each from cash, and what it would have earned to
    choose anew among its search's trials every half year.

    trials: `TrialLog.matrix` of its study, shape (periods, trials).
    """
    settings = ResearchSettings.from_dict(candidate.settings)
    strategy = made(candidate.family, **candidate.parameters)
    engine = BacktestEngine(settings.without_look_ahead_check().config)
    plan = replace(settings.plan, test=QUARTER)
    runs = [
        run_window(engine, strategy, history, window, settings.capital)
        for window in plan.windows(len(history))
    ]
    returns = np.concatenate([np.empty(0), *(run.returns for run in runs)])
    totals = [float(np.prod(1.0 + run.returns) - 1.0) for run in runs]
    return {
        "quarters": len(runs),
        "positive_quarters": sum(total > 0 for total in totals),
        "worst_quarter": min(totals, default=0.0),
        "best_quarter": max(totals, default=0.0),
        "first_bar": said(history.stamps[-len(returns)]) if len(returns) else None,
        "last_bar": said(history.stamps[-1]),
        **_figures(returns),
        "chosen_anew": {training.value: _chosen(trials, training) for training in Training},
    }


def bootstrap_study(candidate: Candidate, history: PriceHistory, trials: Floats) -> dict[str, Any]:
    """Return 95 % intervals of the candidate's figures in the windows that its search tested it on, by the
    stationary bootstrap with the candidate's seed. Sharpe ratio and growth are of a year."""
    settings = ResearchSettings.from_dict(candidate.settings).without_look_ahead_check()
    strategy = made(candidate.family, **candidate.parameters)
    scores = list(window_scores(strategy, history, settings))
    returns = np.concatenate([np.empty(0), *(score.returns for score in scores)])
    if not np.any(returns):
        return {"periods": len(returns), "intervals": {}}
    intervals = bootstrap_intervals(
        returns,
        {"sharpe": _annual, "cagr": cagr(DAYS_PER_YEAR), "max_drawdown": max_drawdown},
        seed=candidate.seed,
        resamples=RESAMPLES,
    )
    return {
        "periods": len(returns),
        "resamples": RESAMPLES,
        "intervals": {
            name: {"estimate": each.estimate, "low": each.low, "high": each.high}
            for name, each in intervals.items()
        },
    }


def _chosen(trials: Floats, training: Training) -> dict[str, Any] | None:
    """None: the search's trials are no longer kept, or there are too few returns."""
    returns = chosen_forward(trials, replace(FORWARD, training=training))
    return _figures(returns) | {"periods": len(returns)} if len(returns) else None


def _figures(returns: Floats) -> dict[str, float]:
    if not len(returns):
        return {"sharpe": 0.0, "total_return": 0.0, "max_drawdown": 0.0}
    return {
        "sharpe": annual_sharpe(returns),
        "total_return": float(np.prod(1.0 + returns) - 1.0),
        "max_drawdown": float(max_drawdown(returns[None, :])[0]),
    }


def _annual(samples: Floats) -> Floats:
    return sharpe(samples) * math.sqrt(DAYS_PER_YEAR)
