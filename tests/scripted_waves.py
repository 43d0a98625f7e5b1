"""Waves whose executions go by a script: how long each attempt takes, which fail; tasks carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush

from adaptive.execution import Ended
from adaptive.types import Outcome, Pool, ScheduledTask, Status, WaveTask


@dataclass(frozen=True)
class Attempt:
    """One attempt as it was carried out; ms from the wave's start."""

    task: WaveTask
    agent_id: str
    start_ms: float
    end_ms: float
    success: bool


@dataclass
class ScriptedRuns:
    """Attempts that last what `lasts` says (else as planned) and fail the first `fails` times."""

    lasts: Mapping[str, float] = field(default_factory=dict)
    fails: Mapping[str, int] = field(default_factory=dict)
    final: frozenset[str] = frozenset()
    attempts: list[Attempt] = field(default_factory=list)
    _ends: list[tuple[float, int, Ended]] = field(default_factory=list)

    def start(self, task: WaveTask, place: ScheduledTask, attempt: int) -> None:
        assert place.actual_start_time is not None
        planned = place.scheduled_end_time - place.scheduled_start_time
        end = place.actual_start_time + self.lasts.get(task.task_id, planned)
        success = attempt > self.fails.get(task.task_id, 0)
        self.attempts.append(Attempt(task, place.agent_id, place.actual_start_time, end, success))
        ended = Ended(
            task_id=task.task_id,
            started_ms=place.actual_start_time,
            ended_ms=end,
            success=success,
            detail="" if success else "exit code 1",
            is_final=task.task_id in self.final,
        )
        heappush(self._ends, (end, len(self.attempts), ended))

    def wait(self) -> Ended:
        return heappop(self._ends)[-1]


def place(task_id: str, agent_id: str, start_ms: float, end_ms: float, *, wave: int = 1) -> ScheduledTask:
    return ScheduledTask(
        task_id=task_id,
        agent_id=agent_id,
        wave=wave,
        scheduled_start_time=start_ms,
        scheduled_end_time=end_ms,
        priority=3,
        confidence=0.9,
    )


def carried_out(
    task_id: str,
    agent: str,
    planned: tuple[float, float],
    actual: tuple[float, float] | None,
    status: Status = Status.COMPLETED,
    *,
    confidence: float = 0.95,
    wave: int = 1,
) -> ScheduledTask:
    """Return a task with its planned and actual start and end; actual: None if it never started."""
    return ScheduledTask(
        task_id=task_id,
        agent_id=agent,
        wave=wave,
        scheduled_start_time=planned[0],
        scheduled_end_time=planned[1],
        priority=3,
        confidence=confidence,
        actual_start_time=actual[0] if actual else None,
        actual_end_time=actual[1] if actual else None,
        status=status,
    )


def outcome(kind: str, agent_id: str, *, success: bool = True, took_ms: float = 1000.0) -> Outcome:
    return Outcome(
        task_id=kind, kind=kind, agent_id=agent_id, wave=1, started_ms=0.0, ended_ms=took_ms, success=success
    )


def broken_rules(attempts: list[Attempt], pool: Pool) -> list[str]:
    """Return what these attempts break: agents, conflicts, dependencies, memory; by comparing all pairs."""
    found = []
    succeeded = {each.task.task_id: each.end_ms for each in attempts if each.success}
    for number, one in enumerate(attempts):
        for before in one.task.dependencies:
            if succeeded.get(before, float("inf")) > one.start_ms:
                found.append(f"{one.task.task_id} started before {before} had completed")
        for other in attempts[number + 1 :]:
            if not (one.start_ms < other.end_ms and other.start_ms < one.end_ms):
                continue
            pair = f"{one.task.task_id} and {other.task.task_id}"
            if one.agent_id == other.agent_id:
                found.append(f"{pair} at once on {one.agent_id}")
            if other.task.task_id in one.task.conflicts or one.task.task_id in other.task.conflicts:
                found.append(f"{pair} conflict and overlap")
        beside = [each for each in attempts if each.start_ms <= one.start_ms < each.end_ms]
        if sum(each.task.memory_mb for each in beside) > pool.memory_mb + 1e-6:
            found.append(f"too much memory at the start of {one.task.task_id}")
    return found
