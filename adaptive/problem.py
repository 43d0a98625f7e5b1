"""A wave as a problem of numbers, and its solution: what the optimizer asks and the solvers answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from adaptive.types import WaveTask


class Goal(StrEnum):
    """What a solution is judged by."""

    VALUE = "value"  # the sum of the placed tasks' values, to make large
    MAKESPAN = "makespan"  # every task placed, the last one done as early as possible


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Place every task on one agent at one time.

    An agent runs one task at a time and no task is interrupted. Tasks that conflict never overlap, whatever
    their agents; a task starts when all it depends on have ended; the memory of the tasks running at one
    instant never exceeds memory_mb; all end by window_ms (None: no limit). A task that cannot be placed is
    skipped with the reason, and so is what depends on it.

    duration_ms[i][j], value[i][j]: of task i on agent j. value: at least 0; not read for Goal.MAKESPAN.
    """

    goal: Goal
    tasks: tuple[WaveTask, ...]
    agents: tuple[str, ...]
    duration_ms: tuple[tuple[float, ...], ...]
    value: tuple[tuple[float, ...], ...]
    memory_mb: float = float("inf")
    window_ms: float | None = None
    deadline_s: float = 0.3
    """Seconds that may be spent; the best found by then is returned with its bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One task in its place: the agent's index, and milliseconds from the wave's start."""

    task: int
    agent: int
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """placements by start. skipped: the reason by task id. objective, bound: in the goal's unit (a sum of
    values; ms). method: "assignment", "milp", "exhaustive" or "heuristic"."""

    placements: tuple[Placement, ...]
    objective: float
    bound: float
    method: str
    skipped: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
