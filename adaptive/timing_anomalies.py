"""Durations and delays that are no longer noise. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log, pi, sqrt
from statistics import median

from adaptive import surprise
from adaptive.anomaly import CHANCE, LEAST_BIAS, LEAST_RUNS, Anomaly, AnomalyType, severity_of
from adaptive.measures import Span, executed_spans, timed_spans
from adaptive.types import Executed, ScheduledTask

LEAST_TIMED = 8
"""A median absolute deviation of fewer is hardly one."""
LEAST_SCALE = 0.03
"""Of ln(duration): plans that are kept to a few percent are not to be broken by a few percent."""
LEAST_FACTOR = 3.0
"""A duration off by less is no anomaly, however steady the others are."""
LEAST_DRIFT = 0.25
"""Delay of the median task, as a share of the planned makespan."""
DRIFT_ERRORS = 4.0
LOGISTIC_DEVIATION = pi / sqrt(3)
"""The standard deviation of a logistic law per unit of its scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionError:
    """A run whose duration nobody could expect. factor: actual over planned duration."""

    task_id: str
    agent_id: str
    wave: int
    factor: float


def prediction_errors(tasks: Sequence[ScheduledTask]) -> list[PredictionError]:
    """Return the runs whose ln(actual / planned) lies farther from the median than any of so many should.

    The spread is taken from the runs themselves (median absolute deviation) and their law to be logistic,
    which has heavier tails than the normal.
    """
    spans = timed_spans(tasks)
    if len(spans) < LEAST_TIMED:
        return []
    errors = [log_factor(span) for span in spans]
    centre = median(errors)
    # The deviation of few is itself uncertain: by a factor of 1.5 for 8, 1.04 for 100.
    widened = _scale(errors) * (1 + 4 / len(errors))
    limit = max(log(LEAST_FACTOR), widened * surprise.farthest_of(len(errors), CHANCE))
    return [
        PredictionError(
            task_id=span.task.task_id, agent_id=span.task.agent_id, wave=span.task.wave, factor=exp(error)
        )
        for span, error in zip(spans, errors, strict=True)
        if abs(error - centre) > limit
    ]


def misjudged(waves: Executed, everything: Sequence[ScheduledTask]) -> Iterator[Anomaly]:
    """Waves with runs that nobody could expect, or whose runs all took longer, or shorter, than planned."""
    wild = prediction_errors(everything)
    for wave, tasks in waves.items():
        spans = timed_spans(tasks)
        errors = [log_factor(span) for span in spans]
        freaks = [each for each in wild if each.wave == wave]
        bias = median(errors) if len(errors) >= LEAST_TIMED else 0.0
        slower = sum(error > 0 for error in errors)
        is_biased = abs(bias) > log(LEAST_BIAS) and surprise.sign_test(slower, len(errors)) < CHANCE
        if not (freaks or is_biased):
            continue
        agents = {each.agent_id for each in freaks} | (
            {s.task.agent_id for s in spans} if is_biased else set()
        )
        said = [f"{each.task_id} took {each.factor:.2g} times the planned time" for each in freaks]
        said += [f"the median run took {exp(bias):.2g} times the planned time"] if is_biased else []
        size = max(len(freaks) / len(errors), (exp(abs(bias)) - 1) / 4 if is_biased else 0.0)
        yield Anomaly(
            kind=AnomalyType.PREDICTION_ERROR,
            severity=severity_of(size, 0.1, 0.25),
            description=f"Wave {wave}: " + "; ".join(said) + ".",
            recommendation="Estimate the durations again from the recorded runs, and see what changed.",
            waves=(wave,),
            agents=tuple(sorted(agents)),
        )


def drifting(waves: Executed, everything: Sequence[ScheduledTask]) -> Iterator[Anomaly]:
    """Waves that run later and later behind their plan.

    A task's delay is held against what errors of its agent's earlier tasks add up to at random: the square
    root of the sum of their squared planned durations times the spread. Agents' first tasks tell nothing.
    """
    timed = timed_spans(everything)
    if len(timed) < LEAST_TIMED:
        return
    spread = LOGISTIC_DEVIATION * _scale([log_factor(span) for span in timed])
    for wave, tasks in waves.items():
        delays, surprises = _delays(tasks, spread)
        if len(delays) < LEAST_RUNS:
            continue
        makespan = max(task.scheduled_end_time for task in tasks)
        drift = median(delays) / makespan
        if drift > LEAST_DRIFT and median(surprises) > DRIFT_ERRORS:
            yield Anomaly(
                kind=AnomalyType.SCHEDULE_DRIFT,
                severity=severity_of(drift, 0.5, 1.0),
                description=f"Wave {wave}: the median task starts {drift:.0%} of the planned makespan late.",
                recommendation="Plan fewer tasks or longer durations; see what the agents wait for.",
                waves=(wave,),
                agents=_late_agents(tasks, LEAST_DRIFT * makespan),
            )


def _delays(tasks: Sequence[ScheduledTask], spread: float) -> tuple[list[float], list[float]]:
    """Return by how many ms each agent's later tasks started late, and by how many standard errors."""
    squares: dict[str, float] = {}
    delays, surprises = [], []
    for span in executed_spans(tasks):
        agent = span.task.agent_id
        if squares.get(agent, 0.0) > 0.0:
            delay = span.start - span.task.scheduled_start_time
            delays.append(delay)
            surprises.append(delay / (spread * sqrt(squares[agent])))
        squares[agent] = squares.get(agent, 0.0) + span.planned_ms**2
    return delays, surprises


def _late_agents(tasks: Sequence[ScheduledTask], tolerance_ms: float) -> tuple[str, ...]:
    spans = executed_spans(tasks)
    late = {
        span.task.agent_id for span in spans if span.start - span.task.scheduled_start_time > tolerance_ms
    }
    return tuple(sorted(late))


def log_factor(span: Span) -> float:
    """Return ln(actual / planned duration)."""
    return log(span.actual_ms / span.planned_ms)


def _scale(errors: Sequence[float]) -> float:
    return max(LEAST_SCALE, surprise.logistic_scale(errors))
