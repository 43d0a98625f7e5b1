"""All tests in their order, and making them one after the other, so that a run can stop in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from trading.research.validation import (
    of_other_runs,
    of_the_data,
    of_the_returns,
    of_the_study,
    of_the_trades,
)
from trading.research.validation.memory import MemoryBudget
from trading.research.validation.outcome import TestOutcome
from trading.research.validation.subject import Subject
from trading.research.validation.thresholds import Thresholds

Test = Callable[[Subject, Thresholds, MemoryBudget], TestOutcome]

TESTS: Final[dict[str, Test]] = {
    each.__name__: each
    for each in (
        of_the_data.enough_trades,
        of_the_data.enough_returns,
        of_the_data.found_again,
        of_the_returns.out_of_sample,
        of_the_study.walk_forward,
        of_the_returns.deflated_sharpe,
        of_the_study.overfitting,
        of_the_returns.bootstrap,
        of_the_trades.ruin,
        of_the_trades.drawdown,
        of_other_runs.sensitivity,
        of_other_runs.costs_doubled,
        of_other_runs.costs_tripled,
    )
}
"""By the name that their outcomes have. All are required."""


def make_tests(
    subject: Subject,
    thresholds: Thresholds,
    budget: MemoryBudget,
    *,
    done: Mapping[str, TestOutcome] | None = None,
    keep: Callable[[TestOutcome], None] = lambda outcome: None,
    stopped: Callable[[], bool] = lambda: False,
) -> list[TestOutcome] | None:
    """Return the outcomes in the order of `TESTS`; None if it was stopped before the last.

    done: what an earlier run found, which is not done again. keep: is given each outcome as soon as it is
    there. stopped: asked before each test.
    """
    found = []
    for name, test in TESTS.items():
        outcome = (done or {}).get(name)
        if outcome is None:
            if stopped():
                return None
            outcome = test(subject, thresholds, budget)
            keep(outcome)
        found.append(outcome)
    return found
