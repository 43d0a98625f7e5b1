"""Whether there is enough to tell anything, and whether what was found can be found again."""

from __future__ import annotations

from typing import Final

from trading.research.validation.memory import MemoryBudget
from trading.research.validation.outcome import Question, Rule, TestOutcome
from trading.research.validation.subject import Subject
from trading.research.validation.thresholds import Thresholds

SAME: Final = 1e-6
"""How far apart two runs of the same may be: less than one in a million, more than rounding."""


def enough_trades(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TestOutcome:
    """Count the closed trades of the study's tests and of the new days."""
    asked = Question("enough_trades", Rule.AT_LEAST, thresholds.least_trades)
    count = len(subject.replay.trade_returns)
    return asked.unless_enough(count, f"{count} closed trades")


def enough_returns(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TestOutcome:
    """Count the days of the study's tests."""
    asked = Question("enough_returns", Rule.AT_LEAST, thresholds.least_returns)
    windows = subject.replay.tested
    count = len(subject.replay.tested_returns)
    return asked.unless_enough(count, f"{count} days in {len(windows)} windows")


def found_again(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TestOutcome:
    """Compare the objective of a run now with the search's: bars that were corrected since, or code that was
    changed, make the candidate another one than was found."""
    asked = Question("found_again", Rule.AT_MOST, SAME)
    if not subject.replay.tested:
        return asked.undecided("the bars are too few for one window")
    found, now = subject.candidate.objective, subject.replay.objective
    text = f"the search found {found:.4f}, a run now {now:.4f}"
    return asked.answered(abs(found - now) / max(1.0, abs(found)), text, found=found, now=now)
