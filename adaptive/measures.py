"""What was planned of a wave against what came of it, as numbers. Pure.

A task was executed if it has an actual end; a skipped one was not. It succeeded if it completed in the end,
at the first attempt or a later one. A plan foretells single attempts: its confidences are held against the
first ones. Where nothing was executed there is no number: None.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from adaptive.types import Executed, OptimizationResult, ScheduledTask, Status

SUCCESSES = frozenset({Status.COMPLETED, Status.RETRIED})


class Span(NamedTuple):
    """One executed task: planned and actual start and end, ms from the wave's start."""

    task: ScheduledTask
    start: float
    end: float

    @property
    def actual_ms(self) -> float:
        return self.end - self.start

    @property
    def planned_ms(self) -> float:
        return self.task.planned_ms

    @property
    def succeeded(self) -> bool:
        return self.task.status in SUCCESSES

    @property
    def succeeded_at_once(self) -> bool:
        return self.task.status is Status.COMPLETED


def executed_spans(tasks: Iterable[ScheduledTask]) -> tuple[Span, ...]:
    """Return the tasks that were executed, in the order of their actual start.

    Raises:
        ValueError: if a task ended before it started.
    """
    spans = []
    for task in tasks:
        start, end = task.actual_start_time, task.actual_end_time
        if start is None or end is None or task.status in (None, Status.SKIPPED):
            continue
        if end < start:
            raise ValueError(
                f"actual_end_time of {task.task_id!r} is {end}: expected at least its start, {start}"
            )
        spans.append(Span(task, start, end))
    return tuple(sorted(spans, key=lambda span: (span.start, span.task.task_id)))


def timed_spans(tasks: Iterable[ScheduledTask]) -> tuple[Span, ...]:
    """Return those whose duration can be held against the plan's: completed at the first attempt, with both
    durations above 0. A failure says when, not how long; a retry may hold two attempts."""
    return tuple(
        span
        for span in executed_spans(tasks)
        if span.task.status is Status.COMPLETED and span.planned_ms > 0 and span.actual_ms > 0
    )


def success_rate(tasks: Iterable[ScheduledTask]) -> float | None:
    """Return the share of the executed tasks that succeeded."""
    spans = executed_spans(tasks)
    return fmean(span.succeeded for span in spans) if spans else None


def first_success_rate(tasks: Iterable[ScheduledTask]) -> float | None:
    """Return the share of the executed tasks whose first attempt succeeded, which is what a plan foretells.

    How many attempts a task would get is not known beforehand, as some failures are final and a window may
    have no time left; a first one each has had.
    """
    spans = executed_spans(tasks)
    return fmean(span.succeeded_at_once for span in spans) if spans else None


def elapsed_ms(tasks: Iterable[ScheduledTask]) -> float:
    """Return when the last executed task ended, ms from the wave's start; 0 if none was."""
    return max((span.end for span in executed_spans(tasks)), default=0.0)


def throughput(tasks: Iterable[ScheduledTask]) -> float | None:
    """Return the tasks that succeeded per second until the last one ended; None also if that took no time."""
    tasks = tuple(tasks)
    until = elapsed_ms(tasks)
    return 1000.0 * sum(span.succeeded for span in executed_spans(tasks)) / until if until > 0 else None


def confidence_delta(tasks: Iterable[ScheduledTask]) -> float | None:
    """Return `first_success_rate` less the executed tasks' mean confidence: below 0 is over-confident."""
    spans = executed_spans(tasks)
    return fmean(span.succeeded_at_once - span.task.confidence for span in spans) if spans else None


def accuracy_score(tasks: Iterable[ScheduledTask]) -> float | None:
    """Return how good the predictions were, 0 to 1: the mean of two parts.

    Durations: the mean over `timed_spans` of the shorter over the longer of planned and actual, which is
    exp(-|ln error|): 0.5 for half as long and for twice as long. Left out if no run can be timed.
    Successes: 1 less the Brier score (Brier 1950), the mean squared difference of confidence and success (1
    or 0): 1 if each was foretold, 0.75 for saying 0.5 always, 0 if each was foretold the other way round.
    """
    tasks = tuple(tasks)
    spans = executed_spans(tasks)
    if not spans:
        return None
    foretold = 1.0 - fmean((span.succeeded - span.task.confidence) ** 2 for span in spans)
    likeness = [
        min(span.planned_ms, span.actual_ms) / max(span.planned_ms, span.actual_ms)
        for span in timed_spans(tasks)
    ]
    return (fmean(likeness) + foretold) / 2 if likeness else foretold


def adherence(tasks: Iterable[ScheduledTask]) -> float | None:
    """Return `kept_starts`, of all tasks whose start was planned; None if none of them was executed."""
    planned = tuple(task for task in tasks if task.has_planned_start)
    return kept_starts(planned) if executed_spans(planned) else None


def kept_starts(tasks: Sequence[ScheduledTask]) -> float:
    """Return how closely the starts of these tasks, at least one, kept to the plan: 1 exactly, 0 not at all.

    The mean over tasks of 1 - min(1, |actual - scheduled start| / L), L the planned length of the task's wave
    (its last scheduled end): 0.97 means that tasks started 3 % of the wave's length away from their places. A
    task that never started counts 0.
    """
    lengths: dict[int, float] = {}
    for task in tasks:
        lengths[task.wave] = max(lengths.get(task.wave, 0.0), task.scheduled_end_time)
    return fmean(_kept(task, lengths[task.wave]) for task in tasks)


def _kept(task: ScheduledTask, length: float) -> float:
    if task.actual_start_time is None:
        return 0.0
    shift = abs(task.actual_start_time - task.scheduled_start_time)
    return 1.0 - min(1.0, shift / length) if length > 0 else float(shift == 0)


def utilization(tasks: Iterable[ScheduledTask], agents: Sequence[str]) -> dict[str, float] | None:
    """Return the share of the waves' elapsed time in which each agent ran a task; a wave lasts until its last
    executed task ends."""
    until: dict[int, float] = {}
    tasks = tuple(tasks)
    for span in executed_spans(tasks):
        until[span.task.wave] = max(until.get(span.task.wave, 0.0), span.end)
    elapsed, busy = sum(until.values()), busy_ms(tasks)
    return {agent: busy.get(agent, 0.0) / elapsed for agent in agents} if elapsed > 0 else None


def busy_ms(tasks: Iterable[ScheduledTask]) -> dict[str, float]:
    """Return how long each agent ran tasks, by agent."""
    busy: dict[str, float] = {}
    for span in executed_spans(tasks):
        busy[span.task.agent_id] = busy.get(span.task.agent_id, 0.0) + span.actual_ms
    return busy


def throughput_efficiency(results: Sequence[OptimizationResult], executed_by_wave: Executed) -> float | None:
    """Return actual over expected throughput of all executed waves together.

    Each is a number of successes over the seconds until the waves' last ends, summed over the waves.
    """
    done, took_ms, expected, expected_ms = 0, 0.0, 0.0, 0.0
    for result in results:
        executed = executed_by_wave.get(result.wave, ())
        until = elapsed_ms(executed)
        if not (until > 0 and result.expected_throughput > 0):
            continue
        done += sum(span.succeeded for span in executed_spans(executed))
        took_ms += until
        expected += result.expected_throughput * result.makespan_ms / 1000.0
        expected_ms += result.makespan_ms
    return (done / took_ms) / (expected / expected_ms) if expected > 0 else None
