"""A schedule played through before it is carried out: durations and successes drawn from the beliefs. Pure.

A small event simulation. Every agent works its tasks off in their planned order; a task starts as soon as its
agent is free, what it depends on has completed, nothing that it conflicts with is running and its memory is
free. So an early end is used and a late one delays what follows, as it will be for real.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, inf
from random import Random

from adaptive.beliefs import Beliefs
from adaptive.types import Pool, ScheduledTask, Status, Wave, WaveTask


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One task of the schedule with what was drawn for it. place: its index in the schedule."""

    place: int
    planned: ScheduledTask
    task: WaveTask
    duration_ms: float
    succeeds: bool


def rehearse(
    schedule: Sequence[ScheduledTask], wave: Wave, pool: Pool, beliefs: Beliefs, seed: int
) -> tuple[ScheduledTask, ...]:
    """Return the schedule with actual times and a status for every task, in the same order.

    A duration is log-normal around the expected one with the kind's learned spread, whether the run succeeds
    or not; a success has the posterior's mean as its probability. SKIPPED tasks have no actual times: what
    they depend on did not complete, or the window had ended. What still runs when the window ends is stopped
    there and has FAILED. The draws belong to (seed, wave, task), so that two schedules of one wave meet the
    same luck.

    Raises:
        ValueError: if the schedule names a task that is not in the wave.
    """
    tasks = {task.task_id: task for task in wave.tasks}
    entries = [_drawn(i, planned, tasks, beliefs, seed) for i, planned in enumerate(schedule)]
    return _Rehearsal(entries, pool, wave.window_ms).played()


def _drawn(
    place: int, planned: ScheduledTask, tasks: dict[str, WaveTask], beliefs: Beliefs, seed: int
) -> _Entry:
    task = tasks.get(planned.task_id)
    if task is None:
        raise ValueError(f"schedule has task_id {planned.task_id!r}: expected a task of wave {planned.wave}")
    rng = Random(f"{seed}/{planned.wave}/{planned.task_id}")
    spread = beliefs.duration_spread(task.learns_as)
    return _Entry(
        place=place,
        planned=planned,
        task=task,
        duration_ms=beliefs.duration_ms(task, planned.agent_id) * exp(rng.gauss(0.0, spread)),
        succeeds=rng.random() < beliefs.success(task.learns_as, planned.agent_id).mean,
    )


class _Rehearsal:
    """The state of one play: what waits, what runs until when, what is over."""

    def __init__(self, entries: Sequence[_Entry], pool: Pool, window_ms: float | None) -> None:
        self._queues: dict[str, deque[_Entry]] = {}
        for entry in sorted(entries, key=lambda each: (each.planned.scheduled_start_time, each.place)):
            self._queues.setdefault(entry.planned.agent_id, deque()).append(entry)
        self._memory_mb = pool.memory_mb
        self._window_ms = inf if window_ms is None else window_ms
        self._pending = {entry.task.task_id for entry in entries}  # waiting or running
        self._completed: set[str] = set()
        self._running: dict[str, tuple[float, _Entry]] = {}  # by agent: the end, the task
        self._played: list[ScheduledTask] = [entry.planned for entry in entries]

    def played(self) -> tuple[ScheduledTask, ...]:
        """Play until nothing waits or runs."""
        now = 0.0
        while self._queues or self._running:
            self._start_what_can(now)
            if self._running:
                now = min(end for end, _ in self._running.values())
                self._end_what_ends(now)
            elif self._queues:  # nothing runs, so what its first task waits for never comes
                self._skip(self._heads()[0])
        return tuple(self._played)

    def _heads(self) -> list[_Entry]:
        heads = (queue[0] for agent, queue in self._queues.items() if agent not in self._running)
        return sorted(heads, key=lambda each: (each.planned.scheduled_start_time, each.place))

    def _start_what_can(self, now: float) -> None:
        """Start or skip the agents' next tasks until none of them can move; a skip may free the next one."""
        moved = True
        while moved:
            moved = False
            for entry in self._heads():
                if now >= self._window_ms or self._is_lost(entry.task):
                    self._skip(entry)
                    moved = True
                elif self._may_start(entry.task):
                    self._start(entry, now)

    def _is_lost(self, task: WaveTask) -> bool:
        return any(each not in self._completed and each not in self._pending for each in task.dependencies)

    def _may_start(self, task: WaveTask) -> bool:
        if not task.dependencies <= self._completed:
            return False
        running = [entry.task for _, entry in self._running.values()]
        if any(task.task_id in other.conflicts or other.task_id in task.conflicts for other in running):
            return False
        return sum(other.memory_mb for other in running) + task.memory_mb <= self._memory_mb

    def _start(self, entry: _Entry, now: float) -> None:
        self._take(entry)
        self._running[entry.planned.agent_id] = (min(now + entry.duration_ms, self._window_ms), entry)
        self._played[entry.place] = replace(entry.planned, actual_start_time=now)

    def _end_what_ends(self, now: float) -> None:
        for agent in [agent for agent, (end, _) in self._running.items() if end <= now]:
            _, entry = self._running.pop(agent)
            started = self._played[entry.place]
            was_stopped = (
                now >= self._window_ms and (started.actual_start_time or 0.0) + entry.duration_ms > now
            )
            completed = entry.succeeds and not was_stopped
            status = Status.COMPLETED if completed else Status.FAILED
            self._played[entry.place] = replace(started, actual_end_time=now, status=status)
            self._pending.discard(entry.task.task_id)
            if completed:
                self._completed.add(entry.task.task_id)

    def _skip(self, entry: _Entry) -> None:
        self._take(entry)
        self._pending.discard(entry.task.task_id)
        self._played[entry.place] = replace(entry.planned, status=Status.SKIPPED)

    def _take(self, entry: _Entry) -> None:
        queue = self._queues[entry.planned.agent_id]
        queue.popleft()
        if not queue:
            del self._queues[entry.planned.agent_id]
