"""Carries a schedule out: every task starts as soon as it may, in the plan's order, and failures are judged.

One loop for simulated and for real tasks; only `Runs` differs. Whatever the durations turn out to be, an
agent runs one task at a time, conflicting tasks never overlap, a task starts after what it depends on, and
what runs never needs more memory than the pool has. The plan's order decides who waits: a task never starts
where it could hold up one that is planned before it. So with the planned durations, a plan in which no task
can start earlier is carried out to the millisecond; with others nobody waits for a planned instant.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any, Protocol

from adaptive.types import Pool, ScheduledTask, Status, Wave, WaveTask

SLACK_MS = 1e-6
"""Sums of floats may miss a window's end by this much and still count as within it."""
SLACK_MB = 1e-6


class FailureAction(StrEnum):
    """What is done about a failed attempt."""

    RETRY = "retry"
    REASSIGN = "reassign"
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureDecision:
    """What follows a failed attempt. agent_id: who has the task from now on. reason: for people."""

    action: FailureAction
    agent_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one attempt ended. Times: ms from the wave's start. is_final: it must not be tried again."""

    task_id: str
    started_ms: float
    ended_ms: float
    success: bool
    detail: str = ""
    is_final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What became of a schedule.

    scheduled: every task of the schedule with its status, in the plan's order; the actual times are those of
    the last attempt, None if it never started. attempts: by task id, 0 if it never started. reasons: what was
    decided of a failed or skipped task, in words, by task id.
    """

    scheduled: tuple[ScheduledTask, ...]
    attempts: Mapping[str, int]
    reasons: Mapping[str, tuple[str, ...]]


class Runs(Protocol):
    """Where attempts run. Real: `runs.PoolRuns`; virtual: `runs.SimulatedRuns`."""

    def start(self, task: WaveTask, place: ScheduledTask, attempt: int) -> None:
        """Start an attempt on place.agent_id at place.actual_start_time; attempt: from 1."""
        ...

    def wait(self) -> Ended:
        """Return the next attempt that ends; it is called only while one runs."""
        ...


class Judge(Protocol):
    """Says what follows a failed attempt; left_ms: of the window, None without one."""

    def __call__(
        self,
        task: WaveTask,
        agent_id: str,
        attempt: int,
        detail: str = "",
        *,
        left_ms: float | None = None,
        is_final: bool = False,
    ) -> FailureDecision: ...


def carry_out(
    schedule: Sequence[ScheduledTask], wave: Wave, pool: Pool, runs: Runs, judge: Judge
) -> Execution:
    """Run every task of `schedule` to its end and return what became of each.

    A task that no longer fits the window is skipped, and so is what depends on a task that did not complete;
    one that has started is left to end.

    Raises:
        ValueError: if the schedule is of another wave, names a task twice, one that is not in the wave, or
            an agent that is not in the pool, or if tasks wait for each other in a circle.
    """
    _check(schedule, wave, pool)
    return _Course(schedule, wave, pool, runs, judge).run()


def in_dependency_order(
    tasks: Iterable[WaveTask], key: Callable[[WaveTask], tuple[Any, ...]]
) -> tuple[WaveTask, ...]:
    """Return the tasks by `key`, but none before what it depends on (Kahn 1962, with a heap).

    Dependencies on tasks that are not among them do not matter. Those of one key come by their ids.

    Raises:
        ValueError: if a task comes twice, or tasks wait for each other in a circle.
    """
    given = tuple(tasks)
    by_id = {task.task_id: task for task in given}
    if len(by_id) < len(given):
        raise ValueError(f"tasks have {_twice(given)!r} more than once: expected unique task ids")
    missing = {task_id: len(task.dependencies & by_id.keys()) for task_id, task in by_id.items()}
    dependents = dependents_of(by_id.values())
    ready = [(*key(by_id[task_id]), task_id) for task_id, count in missing.items() if not count]
    heapify(ready)
    found: list[WaveTask] = []
    while ready:
        task = by_id[heappop(ready)[-1]]
        found.append(task)
        for after in dependents.get(task.task_id, ()):
            missing[after] -= 1
            if not missing[after]:
                heappush(ready, (*key(by_id[after]), after))
    if len(found) < len(by_id):
        stuck = ", ".join(sorted(task_id for task_id, count in missing.items() if count))
        raise ValueError(f"dependencies of {stuck}: expected no circle, but these wait for each other")
    return tuple(found)


def dependents_of(tasks: Iterable[WaveTask]) -> dict[str, list[str]]:
    """Return, by task id, the ids of the tasks that depend on it directly, in the order of `tasks`."""
    found: dict[str, list[str]] = {}
    for task in tasks:
        for before in task.dependencies:
            found.setdefault(before, []).append(task.task_id)
    return found


def conflicts_of(tasks: Iterable[WaveTask]) -> dict[str, set[str]]:
    """Return, by task id, what it must not overlap, whichever of the two says so."""
    found: dict[str, set[str]] = {}
    for task in tasks:
        found.setdefault(task.task_id, set()).update(task.conflicts)
        for other in task.conflicts:
            found.setdefault(other, set()).add(task.task_id)
    return found


def _check(schedule: Sequence[ScheduledTask], wave: Wave, pool: Pool) -> None:
    known = {task.task_id for task in wave.tasks}
    for place in schedule:
        if place.wave != wave.number:
            raise ValueError(f"wave of {place.task_id!r} is {place.wave}: expected {wave.number}")
        if place.task_id not in known:
            raise ValueError(
                f"schedule has task {place.task_id!r}: expected tasks of wave {wave.number} only"
            )
        if place.agent_id not in pool.agents:
            raise ValueError(
                f"agent_id of {place.task_id!r} is {place.agent_id!r}: "
                f"expected one of {', '.join(pool.agents)}"
            )
    if len({place.task_id for place in schedule}) < len(schedule):
        raise ValueError(f"schedule has {_twice(schedule)!r} more than once: expected each task in one place")


def _twice(tasks: Iterable[WaveTask | ScheduledTask]) -> str:
    """Return the task id that comes more often than any other."""
    return Counter(task.task_id for task in tasks).most_common(1)[0][0]


class _Course:
    """The state of one execution: who waits, who runs, who is done."""

    def __init__(
        self, schedule: Sequence[ScheduledTask], wave: Wave, pool: Pool, runs: Runs, judge: Judge
    ) -> None:
        plan = {place.task_id: place for place in schedule}
        tasks = [task for task in wave.tasks if task.task_id in plan]
        self._order = in_dependency_order(
            tasks,
            lambda t: (plan[t.task_id].scheduled_start_time, plan[t.task_id].scheduled_end_time),
        )
        self._rank = {task.task_id: rank for rank, task in enumerate(self._order)}
        self._place = plan
        """Where each is or was last."""
        self._agent = {place.task_id: place.agent_id for place in schedule}
        """Who has it next."""
        self._conflicts = conflicts_of(tasks)
        self._dependents = dependents_of(tasks)
        self._window_ms = inf if wave.window_ms is None else wave.window_ms
        self._pool, self._runs, self._judge = pool, runs, judge
        self._waiting = list(range(len(self._order)))
        """Ranks, sorted."""
        self._queued = Counter(place.agent_id for place in schedule)
        """How many wait for each agent."""
        self._running: dict[str, str] = {}
        """Agents by task id."""
        self._done: set[str] = set()
        self._attempts = dict.fromkeys(plan, 0)
        self._reasons: dict[str, list[str]] = {}

    def run(self) -> Execution:
        now = 0.0
        self._skip_the_cut_off()
        while True:
            self._start_what_may(now)
            if self._running:
                ended = self._runs.wait()
                now = max(now, ended.ended_ms)
                self._take(ended, now)
            elif not self._waiting:
                break
        return Execution(
            scheduled=tuple(self._place[task.task_id] for task in self._order),
            attempts=self._attempts,
            reasons={task_id: tuple(reasons) for task_id, reasons in self._reasons.items()},
        )

    def _skip_the_cut_off(self) -> None:
        for task in self._order:
            absent = sorted(task.dependencies - self._place.keys())
            if absent and task.task_id not in self._done:
                self._drop(task.task_id, f"depends on {absent[0]}, which is not in the schedule")

    def _start_what_may(self, now: float) -> None:
        """Start, in the plan's order, whatever no rule holds back; drop what can never start."""
        idle = {agent for agent, count in self._queued.items() if count} - set(self._running.values())
        held_back: set[str] = set()
        # The most memory that each agent may need by the time all of held_back have started.
        peaks = {agent: self._task(task_id).memory_mb for task_id, agent in self._running.items()}
        for rank in tuple(self._waiting):
            if not idle:
                return
            task = self._order[rank]
            if task.task_id in self._done:
                continue  # dropped a moment ago
            agent = self._agent[task.task_id]
            if agent in idle:
                hopeless = self._hopeless(task, now)
                if hopeless:
                    self._drop(task.task_id, hopeless)
                    continue
                idle.discard(agent)
                if self._may_start(task, held_back, peaks):
                    self._start(task, rank, now)
                    peaks[agent] = task.memory_mb
                    continue
            held_back.add(task.task_id)
            peaks[agent] = max(peaks.get(agent, 0.0), task.memory_mb)

    def _may_start(self, task: WaveTask, held_back: set[str], peaks: Mapping[str, float]) -> bool:
        conflicts = self._conflicts[task.task_id]
        return (
            task.dependencies <= self._done
            and conflicts.isdisjoint(self._running)
            and conflicts.isdisjoint(held_back)
            and sum(peaks.values()) + task.memory_mb <= self._pool.memory_mb + SLACK_MB
        )

    def _hopeless(self, task: WaveTask, now: float) -> str:
        """Return why the task cannot start any more, empty if it can."""
        takes_ms = self._place[task.task_id].planned_ms
        if task.memory_mb > self._pool.memory_mb:
            return f"needs {task.memory_mb:g} MB; the pool has {self._pool.memory_mb:g} MB"
        if now + takes_ms > self._window_ms + SLACK_MS:
            left = max(0.0, self._window_ms - now)
            return f"takes {takes_ms:.0f} ms; {left:.0f} ms are left of the window"
        return ""

    def _start(self, task: WaveTask, rank: int, now: float) -> None:
        agent = self._agent[task.task_id]
        place = replace(self._place[task.task_id], agent_id=agent, actual_start_time=now)
        self._place[task.task_id] = place
        self._waiting.remove(rank)
        self._queued[agent] -= 1
        self._running[task.task_id] = agent
        self._attempts[task.task_id] += 1
        self._runs.start(task, place, self._attempts[task.task_id])

    def _take(self, ended: Ended, now: float) -> None:
        agent = self._running.pop(ended.task_id)
        self._place[ended.task_id] = replace(
            self._place[ended.task_id], actual_start_time=ended.started_ms, actual_end_time=ended.ended_ms
        )
        attempt = self._attempts[ended.task_id]
        if ended.success:
            self._finish(ended.task_id, Status.COMPLETED if attempt == 1 else Status.RETRIED)
            return
        left = None if self._window_ms == inf else max(0.0, self._window_ms - now)
        task = self._task(ended.task_id)
        decision = self._judge(task, agent, attempt, ended.detail, left_ms=left, is_final=ended.is_final)
        self._reasons.setdefault(ended.task_id, []).append(decision.reason)
        if decision.action is FailureAction.GIVE_UP:
            self._finish(ended.task_id, Status.FAILED)
            self._skip_dependents(ended.task_id)
        else:
            self._queue_again(ended.task_id, decision.agent_id)

    def _queue_again(self, task_id: str, agent: str) -> None:
        self._agent[task_id] = agent
        self._queued[agent] += 1
        insort(self._waiting, self._rank[task_id])

    def _drop(self, task_id: str, reason: str) -> None:
        """Take a waiting task out, and all that depends on it. One that had started before has failed."""
        self._drop_one(task_id, reason)
        self._skip_dependents(task_id)

    def _drop_one(self, task_id: str, reason: str) -> None:
        self._waiting.remove(self._rank[task_id])
        self._queued[self._agent[task_id]] -= 1
        self._reasons.setdefault(task_id, []).append(reason)
        self._finish(task_id, Status.FAILED if self._attempts[task_id] else Status.SKIPPED)

    def _skip_dependents(self, task_id: str) -> None:
        lost = deque([task_id])
        while lost:
            before = lost.popleft()
            for after in self._dependents.get(before, ()):
                if after not in self._done:
                    self._drop_one(after, f"depends on {before}, which did not complete")
                    lost.append(after)

    def _finish(self, task_id: str, status: Status) -> None:
        self._place[task_id] = replace(self._place[task_id], status=status)
        self._done.add(task_id)

    def _task(self, task_id: str) -> WaveTask:
        return self._order[self._rank[task_id]]
