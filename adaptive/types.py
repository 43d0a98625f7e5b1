"""The words of the adaptive layer: tasks, agents, waves, schedules, and what is learned from them. Pure.

An agent is a slot of the pool. A wave is a batch of tasks of one window. Times inside a wave are milliseconds
from its start; instants are ISO 8601 texts in UTC; rates and confidences lie in [0, 1]; throughput is tasks
per second; memory is MB. What tasks, pools, waves and outcomes are made of is checked on construction: a
ValueError names the field, its value and what was expected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf, isfinite
from types import MappingProxyType
from typing import TypeAlias

LEAST_PRIORITY, MOST_PRIORITY = 1, 5


class Strategy(StrEnum):
    """What a schedule is optimised for."""

    SUCCESS = "maximize_success"
    THROUGHPUT = "maximize_throughput"
    CONFIDENCE = "maximize_confidence"
    WEIGHTED = "weighted"

    @classmethod
    def _missing_(cls, value: object) -> Strategy:
        raise ValueError(f"strategy is {value!r}: expected one of {', '.join(cls)}")


class Status(StrEnum):
    """How a scheduled task ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    RETRIED = "retried"  # it failed first, and a later attempt completed
    SKIPPED = "skipped"  # never started: no room in the window, or what it depends on failed


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveTask:
    """One task to place. task_id: unique in its wave.

    kind: what it is a run of (the daemon's task name); learning is per kind. None: its task_id.
    expected_ms: stated duration, for as long as nothing is learned of its kind.
    priority: 1 (BACKGROUND) to 5 (CRITICAL).
    dependencies, conflicts: task ids of the same wave that must have completed before, that must not overlap.
    windows: the phases it may use (OVERNIGHT, WEEKEND, HOLIDAY, ...); empty means any.
    """

    task_id: str
    kind: str | None = None
    expected_ms: float = 60_000.0
    memory_mb: float = 100.0
    priority: int = 3
    dependencies: AbstractSet[str] = frozenset()
    conflicts: AbstractSet[str] = frozenset()
    windows: AbstractSet[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.task_id:
            raise ValueError("task_id is '': expected a text that is not empty")
        for name, value in (("expected_ms", self.expected_ms), ("memory_mb", self.memory_mb)):
            if not 0.0 <= value < inf:
                raise ValueError(
                    f"{name} of {self.task_id!r} is {value}: expected a finite number of at least 0"
                )
        if self.priority not in range(LEAST_PRIORITY, MOST_PRIORITY + 1):
            raise ValueError(
                f"priority of {self.task_id!r} is {self.priority}: "
                f"expected a whole number from {LEAST_PRIORITY} to {MOST_PRIORITY}"
            )

    @property
    def learns_as(self) -> str:
        """The name that outcomes of it are learned under."""
        return self.kind or self.task_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Where a wave runs. agents: ids of its slots, at least one, one task at a time each; memory_mb: for all
    together."""

    agents: tuple[str, ...]
    memory_mb: float = inf

    def __post_init__(self) -> None:
        if not self.agents or not all(self.agents) or len(set(self.agents)) < len(self.agents):
            raise ValueError(
                f"agents of the pool is {self.agents}: expected one id or more, each once and none empty"
            )
        if not self.memory_mb >= 0.0:
            raise ValueError(f"memory_mb of the pool is {self.memory_mb}: expected a number of at least 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """A batch of tasks of one window.

    number: from 1. tasks: each id once. window: the phase it lies in, empty if that does not matter.
    window_ms: how long the window lasts; None: as long as needed.
    """

    number: int
    tasks: tuple[WaveTask, ...]
    window: str = ""
    window_ms: float | None = None

    def __post_init__(self) -> None:
        if not self.number >= 1:
            raise ValueError(f"number of a wave is {self.number}: expected a whole number from 1")
        if self.window_ms is not None and not self.window_ms >= 0.0:
            raise ValueError(
                f"window_ms of wave {self.number} is {self.window_ms}: expected None or at least 0"
            )
        counts = Counter(task.task_id for task in self.tasks)
        twice = [task_id for task_id, count in counts.items() if count > 1]
        if twice:
            raise ValueError(
                f"tasks of wave {self.number} have task_id {twice[0]!r} more than once: expected unique ids"
            )

    def bars(self, task: WaveTask) -> str:
        """Return why the task may not run in this wave's window; empty if it may, or there is no window."""
        if not self.window or not task.windows or self.window in task.windows:
            return ""
        return f"may not run in {self.window}, only in {', '.join(sorted(task.windows))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One recorded run, as the history tells it.

    started_ms, ended_ms: from the wave's start, finite, the end not before the start. attempts: how many it
    took.
    """

    task_id: str
    kind: str
    agent_id: str
    wave: int
    started_ms: float
    ended_ms: float
    success: bool
    attempts: int = 1

    def __post_init__(self) -> None:
        if not (isfinite(self.started_ms) and self.started_ms <= self.ended_ms < inf):
            raise ValueError(
                f"ended_ms of {self.task_id!r} is {self.ended_ms}: "
                f"expected a finite time that is not before its start, {self.started_ms}"
            )

    @property
    def duration_ms(self) -> float:
        return self.ended_ms - self.started_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledTask:
    """One task in its place. Times: milliseconds from the wave's start.

    actual_start_time, actual_end_time, status: None until it was executed or simulated. confidence: the
    probability of success that was expected.
    """

    task_id: str
    agent_id: str
    wave: int
    scheduled_start_time: float
    scheduled_end_time: float
    priority: int
    confidence: float
    actual_start_time: float | None = None
    actual_end_time: float | None = None
    status: Status | None = None

    @property
    def planned_ms(self) -> float:
        """How long it was to take."""
        return self.scheduled_end_time - self.scheduled_start_time

    @property
    def has_planned_start(self) -> bool:
        """Whether anybody chose its start beforehand."""
        return True


Executed: TypeAlias = Mapping[int, Sequence[ScheduledTask]]
"""What was executed, by wave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizationResult:
    """What was chosen for a wave, and how good it can be at most.

    agent_assignments: task ids by agent, in the order in which they run. schedule: the same with times.
    skipped: the reason by task id. expected_throughput: tasks per second. objective, bound: the value reached
    and a proven limit on it, in the strategy's own unit (a sum of values to make large; for throughput the
    makespan in ms, to make small). method: what found it, as in `problem.Solution` and `recorded.RECORDED`.
    """

    wave: int
    strategy: Strategy
    agent_assignments: Mapping[str, tuple[str, ...]]
    schedule: tuple[ScheduledTask, ...]
    expected_success_rate: float
    expected_throughput: float
    makespan_ms: float
    objective: float
    bound: float
    method: str
    skipped: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    solve_ms: float = 0.0

    @property
    def gap(self) -> float:
        """How far from the bound, as a share of it: 0 is proven optimal, inf if the bound alone is 0."""
        distance = abs(self.objective - self.bound)
        if not distance:
            return 0.0
        return distance / abs(self.bound) if self.bound else inf
