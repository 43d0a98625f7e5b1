"""What becomes of the candidate a step beside its parameters, and where trading costs more."""

from __future__ import annotations

from trading.backtest.errors import BacktestError
from trading.research.objective import annual_sharpe
from trading.research.statistics.sensitivity import parameter_sensitivity
from trading.research.validation.memory import MemoryBudget
from trading.research.validation.neighbours import neighbours_in
from trading.research.validation.outcome import Question, Rule, TestOutcome
from trading.research.validation.stress import has_costs
from trading.research.validation.subject import Subject
from trading.research.validation.thresholds import Thresholds


def sensitivity(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TestOutcome:
    """Ask which part of the Sharpe ratio of the study's tests is lost to the neighbours, at the median
    (`statistics.sensitivity`). Each number that was searched is moved a step down and a step up."""
    asked = Question("sensitivity", Rule.AT_MOST, thresholds.sensitivity)
    near = neighbours_in(subject.space, subject.candidate.parameters)
    if not near:
        return asked.answered(
            0.0, "no number was searched: there is nothing to be sensitive to", neighbours=0
        )
    scores = []
    for parameters in near:
        try:
            replay = subject.run(parameters, with_new=False)
        except (ValueError, BacktestError):
            # Not every combination of searched values has to be one that can run.
            continue
        scores.append(annual_sharpe(replay.tested_returns))
    if not scores:
        return asked.undecided(f"none of the {len(near)} neighbours can be run")
    found = parameter_sensitivity(annual_sharpe(subject.replay.tested_returns), scores)
    return asked.answered(
        found.fall,
        f"Sharpe ratio {found.best:.2f}, of {found.neighbours} neighbours {found.median:.2f} at the median "
        f"and {found.worst:.2f} at the worst",
        best=found.best,
        median=found.median,
        worst=found.worst,
        worst_fall=found.worst_fall,
        neighbours=found.neighbours,
    )


def costs_doubled(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TestOutcome:
    """Ask for the Sharpe ratio, per year, of all days with twice the costs."""
    return _costs("costs_doubled", 2.0, subject, thresholds)


def costs_tripled(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TestOutcome:
    """Ask for the Sharpe ratio, per year, of all days with three times the costs."""
    return _costs("costs_tripled", 3.0, subject, thresholds)


def _costs(name: str, factor: float, subject: Subject, thresholds: Thresholds) -> TestOutcome:
    asked = Question(name, Rule.ABOVE, thresholds.stressed_sharpe)
    if not has_costs(subject.settings.config):
        return asked.undecided("the search assumed that trading costs nothing: there is nothing to multiply")
    ratio = annual_sharpe(subject.run(cost_factor=factor).returns)
    plain = annual_sharpe(subject.replay.returns)
    return asked.answered(
        ratio, f"Sharpe ratio {ratio:.2f} at {factor:g} times the costs, {plain:.2f} at once", at_once=plain
    )
