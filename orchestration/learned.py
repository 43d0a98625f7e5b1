"""What a job learned from the history, taken up within bounds. Pure.

A result file proposes durations and preferences by task:

    {"estimates": {TASK: {"log_mean": ..., "log_error": ...}}, "weights": {TASK: 0 to 1}}

The daemon's own learning stays the judge: a proposal moves a level that rests on enough runs, by a bounded
factor, and teaches no run count. Learning reorders and re-estimates; no gate is bypassed by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import log
from typing import NamedTuple

from orchestration.runs import SchedulerState, TaskRecord, TaskResult

LEAST_RUNS = 5
"""The daemon must have seen this many completed runs before it takes another's word on a duration."""
MOST_SHIFT = log(4.0)
"""Of ln(minutes), by one proposal: a factor 4 either way."""
LEAST_ERROR = 0.01
MOST_PREFERENCE_STEP = 0.25
"""How far one proposal moves a preference: an order changes over several windows, not at a stroke."""


class LearnedDuration(NamedTuple):
    """Of ln(duration in minutes): its level, and its mean absolute error."""

    log_mean: float
    log_error: float


@dataclass(frozen=True, slots=True)
class Lessons:
    """What a job proposes, by task."""

    durations: Mapping[str, LearnedDuration] = field(default_factory=dict)
    preferences: Mapping[str, float] = field(default_factory=dict)


NO_LESSONS = Lessons()


def lessons(result: TaskResult) -> tuple[Lessons, str | None]:
    """Return what a successful run says it has learned, and why it is refused if it is.

    One figure that is no number refuses the whole: a job that is wrong there is wrong elsewhere.
    """
    report = result.report
    if not result.success or not ("estimates" in report or "weights" in report):
        return NO_LESSONS, None
    try:
        durations = {
            task: LearnedDuration(
                _number(told, "log_mean", f"estimates.{task}", -20.0, 20.0),
                _number(told, "log_error", f"estimates.{task}", 0.0, 10.0),
            )
            for task, told in _table(report, "estimates").items()
        }
        weights = _table(report, "weights")
        preferences = {task: _number(weights, task, "weights", 0.0, 1.0) for task in weights}
    except ValueError as error:
        return NO_LESSONS, f"what it learned was refused: {error}"
    return Lessons(durations, preferences), None


def after_lessons(state: SchedulerState, taught: Lessons) -> SchedulerState:
    """Return the state with what was learned taken up; what names no task that has run changes nothing."""
    records = dict(state.records)
    for task in sorted(taught.durations.keys() | taught.preferences.keys()):
        record = records.get(task)
        if record is not None:
            records[task] = _taught(record, taught.durations.get(task), taught.preferences.get(task))
    changed = any(records[task] is not state.records[task] for task in records)
    return replace(state, records=records) if changed else state


def _taught(record: TaskRecord, duration: LearnedDuration | None, preference: float | None) -> TaskRecord:
    estimate, liking = record.estimate, record.preference
    if duration is not None and estimate.runs >= LEAST_RUNS:
        estimate = replace(
            estimate,
            log_mean=estimate.log_mean + _within(duration.log_mean - estimate.log_mean, MOST_SHIFT),
            log_error=max(LEAST_ERROR, duration.log_error),
        )
    if preference is not None:
        liking += _within(preference - liking, MOST_PREFERENCE_STEP)
    if estimate == record.estimate and liking == record.preference:
        return record
    return replace(record, estimate=estimate, preference=liking)


def _within(shift: float, most: float) -> float:
    return max(-most, min(most, shift))


def _table(report: Mapping[str, object], name: str) -> Mapping[str, object]:
    table = report.get(name, {})
    if not isinstance(table, Mapping):
        raise ValueError(f"{name} is {table!r}: expected an object by task")
    return table


def _number(table: object, name: str, where: str, least: float, most: float) -> float:
    value = table.get(name) if isinstance(table, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{where}.{name} is {value!r}: expected a number from {least:g} to {most:g}")
    return float(value)
