"""What the same trades could have done in another order, or others like them."""

from __future__ import annotations

import numpy as np

from trading.research.statistics.trade_monte_carlo import TradeMonteCarlo, trade_monte_carlo
from trading.research.validation.memory import MemoryBudget
from trading.research.validation.outcome import Question, Rule, TestOutcome
from trading.research.validation.subject import Subject
from trading.research.validation.thresholds import Thresholds

DEEP = 0.05
"""The drawdown that one run in twenty falls deeper than is `drawdown`."""


def ruin(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TestOutcome:
    """Ask how many sequences of trades drawn with replacement ever fall below half of the capital."""
    asked = Question("ruin", Rule.AT_MOST, thresholds.ruin)
    drawn = _drawn(subject, thresholds, budget)
    if drawn is None:
        return asked.undecided("fewer than two closed trades")
    return asked.answered(
        drawn.ruin_probability,
        f"{drawn.ruin_probability:.2%} of {thresholds.runs} sequences of {drawn.trades} trades fall below "
        f"{drawn.ruin_below:.0%} of the capital",
        trades=drawn.trades,
        ruin_below=drawn.ruin_below,
        median_growth=float(np.median(drawn.final_equity)),
    )


def drawdown(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TestOutcome:
    """Ask for the fall from a peak that 95 % of those sequences do not exceed."""
    asked = Question("drawdown", Rule.AT_LEAST, thresholds.drawdown)
    drawn = _drawn(subject, thresholds, budget)
    if drawn is None:
        return asked.undecided("fewer than two closed trades")
    median, deep = (float(np.quantile(drawn.max_drawdown, share)) for share in (0.5, DEEP))
    return asked.answered(
        deep,
        f"one sequence in twenty falls {-deep:.0%} or more from its peak, half of them {-median:.0%}",
        trades=drawn.trades,
        median=median,
    )


def _drawn(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TradeMonteCarlo | None:
    returns = subject.replay.trade_returns
    if len(returns) < 2:
        return None
    return trade_monte_carlo(
        returns,
        seed=subject.candidate.seed,
        runs=thresholds.runs,
        ruin_below=thresholds.ruin_below,
        memory_limit_mb=budget.piece_mb(),
    )
