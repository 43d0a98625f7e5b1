"""Recorded waves as plans that were carried out: what would have been foretold, and what came. Pure.

The daemon keeps no timetable, so the plan of a recorded wave has the daemon's own starts, and how well they
were kept is nothing that could be told (`RecordedTask.has_planned_start`). The plan's durations and
chances of success are those that the beliefs of all earlier waves gave, and of these alone: a prediction
that has seen its answer is worth nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from types import MappingProxyType

from adaptive.beliefs import Beliefs
from adaptive.types import OptimizationResult, Outcome, ScheduledTask, Status, Strategy, WaveTask

RECORDED = "recorded"
"""The method of such a result: no solver chose it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTask(ScheduledTask):
    """A task that the daemon started when it could: its scheduled start is its actual one."""

    @property
    def has_planned_start(self) -> bool:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedWave:
    """A wave that the daemon ran. result: as it was to be expected; executed: as it went."""

    result: OptimizationResult
    executed: tuple[ScheduledTask, ...]


def recorded_plans(
    waves: Mapping[int, Sequence[Outcome]], tasks: Mapping[str, WaveTask], newest: int
) -> list[RecordedWave]:
    """Return the newest waves, at most so many, in their order; each foretold from all before it.

    waves: outcomes by number, oldest first (`history.recorded_waves`). tasks: by kind, for stated durations
    and priorities; runs of other kinds are learned from, but are no part of the plans. The very first wave
    is never among them, as nothing could foretell it.

    Raises:
        ValueError: if `newest` is below 1.
    """
    if newest < 1:
        raise ValueError(f"newest is {newest}: expected 1 or more waves")
    beliefs, found = Beliefs(), []
    compared = list(waves)[1:][-newest:]
    for number, outcomes in waves.items():
        told = [outcome for outcome in outcomes if outcome.kind in tasks]
        if number in compared and told:
            found.append(_recorded(number, told, tasks, beliefs))
        for outcome in outcomes:
            beliefs.learn(outcome)
    return found


def _recorded(
    number: int, outcomes: Iterable[Outcome], tasks: Mapping[str, WaveTask], beliefs: Beliefs
) -> RecordedWave:
    last = {outcome.task_id: outcome for outcome in outcomes}  # a task's last attempt tells how it ended
    places = [
        _foretold(outcome, replace(tasks[outcome.kind], kind=outcome.kind), beliefs)
        for outcome in last.values()
    ]
    executed = [
        replace(
            place,
            actual_start_time=place.scheduled_start_time,
            actual_end_time=last[place.task_id].ended_ms,
            status=_status(last[place.task_id]),
        )
        for place in places
    ]
    return RecordedWave(result=_result(number, places), executed=tuple(executed))


def _foretold(outcome: Outcome, task: WaveTask, beliefs: Beliefs) -> RecordedTask:
    return RecordedTask(
        task_id=outcome.task_id,
        agent_id=outcome.agent_id,
        wave=outcome.wave,
        scheduled_start_time=outcome.started_ms,
        scheduled_end_time=outcome.started_ms + beliefs.duration_ms(task, outcome.agent_id),
        priority=task.priority,
        confidence=beliefs.success(outcome.kind, outcome.agent_id).mean,
    )


def _status(outcome: Outcome) -> Status:
    if not outcome.success:
        return Status.FAILED
    return Status.COMPLETED if outcome.attempts == 1 else Status.RETRIED


def _result(number: int, places: Sequence[ScheduledTask]) -> OptimizationResult:
    makespan_ms = max(place.scheduled_end_time for place in places)
    agents = sorted({place.agent_id for place in places})
    successes = sum(place.confidence for place in places)
    return OptimizationResult(
        wave=number,
        strategy=Strategy.WEIGHTED,
        agent_assignments=MappingProxyType(
            {agent: tuple(p.task_id for p in places if p.agent_id == agent) for agent in agents}
        ),
        schedule=tuple(places),
        expected_success_rate=fmean(place.confidence for place in places),
        expected_throughput=successes / (makespan_ms / 1000.0),
        makespan_ms=makespan_ms,
        objective=0.0,
        bound=0.0,
        method=RECORDED,
    )
