"""What the candidate's returns are worth: on new days, after so many trials, and had time been dealt anew."""

from __future__ import annotations

import math

from trading.research.objective import DAYS_PER_YEAR, annual_sharpe
from trading.research.statistics.block_length import optimal_block_length
from trading.research.statistics.bootstrap import bootstrap_intervals, max_drawdown, sharpe
from trading.research.statistics.deflated_sharpe import deflated_sharpe_ratio
from trading.research.validation.memory import MemoryBudget
from trading.research.validation.outcome import Question, Rule, TestOutcome
from trading.research.validation.subject import Subject
from trading.research.validation.thresholds import Thresholds

PER_YEAR = math.sqrt(DAYS_PER_YEAR)


def out_of_sample(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TestOutcome:
    """Ask for the Sharpe ratio, per year, of the days that came after those the search was given."""
    asked = Question("out_of_sample", Rule.ABOVE, thresholds.new_sharpe)
    new = subject.replay.new
    days = 0 if new is None else len(new.returns)
    if new is None or days < thresholds.least_new_returns:
        return asked.undecided(
            f"{days} days that the search has not seen: expected {thresholds.least_new_returns} or more",
            days=days,
        )
    ratio = annual_sharpe(new.returns)
    total = float((1.0 + new.returns).prod() - 1.0)
    return asked.answered(
        ratio,
        f"Sharpe ratio {ratio:.2f}, {total:+.1%} in {days} days after the search's",
        days=days,
        total_return=total,
    )


def deflated_sharpe(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TestOutcome:
    """Ask for the probability that the Sharpe ratio is above what the best of so many trials shows by luck
    (`statistics.deflated_sharpe`), with the number of trials and the variance of its own study."""
    asked = Question("deflated_sharpe", Rule.AT_LEAST, thresholds.deflated_sharpe)
    candidate, returns = subject.candidate, subject.replay.tested_returns
    if len(returns) < 4 or not returns.any():
        return asked.undecided(f"{len(returns)} returns, none that is not 0")
    try:
        found = deflated_sharpe_ratio(
            returns, trials=candidate.trials, trial_sharpe_variance=candidate.trial_sharpe_variance
        )
    except ValueError as error:
        return asked.undecided(str(error))
    annual, luck = found.sharpe * PER_YEAR, found.expected_maximum * PER_YEAR
    return asked.answered(
        found.probability,
        f"Sharpe ratio {annual:.2f} where the best of {candidate.trials} trials shows {luck:.2f} by luck",
        sharpe=annual,
        expected_maximum=luck,
        trials=candidate.trials,
        trial_sharpe_variance=candidate.trial_sharpe_variance,
        periods=found.periods,
        skew=found.skew,
        kurtosis=found.kurtosis,
    )


def bootstrap(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TestOutcome:
    """Ask for the lower end of the Sharpe ratio's interval, per year, over stationary blocks of all days
    (`statistics.bootstrap`)."""
    asked = Question("bootstrap", Rule.ABOVE, thresholds.bootstrap_low)
    returns = subject.replay.returns
    if len(returns) < 10 or not returns.any():
        return asked.undecided(f"{len(returns)} returns, none that is not 0")
    found = bootstrap_intervals(
        returns,
        {"sharpe": sharpe, "drawdown": max_drawdown},
        seed=subject.candidate.seed,
        resamples=thresholds.resamples,
        confidence=thresholds.confidence,
        block_length=optimal_block_length(returns).stationary,
        memory_limit_mb=budget.piece_mb(),
    )
    ratio, fall = found["sharpe"], found["drawdown"]
    low, high = ratio.low * PER_YEAR, ratio.high * PER_YEAR
    return asked.answered(
        low,
        f"Sharpe ratio {ratio.estimate * PER_YEAR:.2f}, {thresholds.confidence:.0%} of the resamples from "
        f"{low:.2f} to {high:.2f}",
        estimate=ratio.estimate * PER_YEAR,
        high=high,
        standard_error=ratio.standard_error * PER_YEAR,
        periods=len(returns),
        block_length=ratio.block_length,
        drawdown=fall.estimate,
        deep_drawdown=fall.low,
    )
