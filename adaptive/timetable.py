"""A wave's places, given away one by one, each at the earliest start that breaks no rule of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import NamedTuple

from adaptive.execution import SLACK_MB, SLACK_MS, conflicts_of
from adaptive.types import Pool, Wave, WaveTask


class Taken(NamedTuple):
    """A place that is given away; ms from the wave's start."""

    start_ms: float
    end_ms: float
    task: WaveTask
    agent_id: str


class Timetable:
    """Serial schedule generation (Kelley 1963): tasks are placed in turn, each after its agent's last one."""

    def __init__(self, pool: Pool, wave: Wave) -> None:
        self.taken: list[Taken] = []
        self._pool = pool
        self._window_ms = inf if wave.window_ms is None else wave.window_ms
        self._conflicts = conflicts_of(wave.tasks)
        self._free_at = dict.fromkeys(pool.agents, 0.0)
        self._end_of: dict[str, float] = {}

    def earliest_ms(self, task: WaveTask, agent_id: str, takes_ms: float) -> float | None:
        """Return when `task` can start on an agent; None if it does not fit, or waits for one not placed."""
        if task.memory_mb > self._pool.memory_mb or not task.dependencies <= self._end_of.keys():
            return None
        ready = max([self._free_at[agent_id], *(self._end_of[before] for before in task.dependencies)])
        for start in (ready, *sorted(place.end_ms for place in self.taken if place.end_ms > ready)):
            if start + takes_ms > self._window_ms + SLACK_MS:
                return None
            if self._has_room(task, start, start + takes_ms):
                return start
        return None

    def place(self, task: WaveTask, agent_id: str, start_ms: float, takes_ms: float) -> Taken:
        """Give a place away, as `earliest_ms` found it."""
        place = Taken(start_ms, start_ms + takes_ms, task, agent_id)
        self.taken.append(place)
        self._free_at[agent_id] = self._end_of[task.task_id] = place.end_ms
        return place

    def _has_room(self, task: WaveTask, start: float, end: float) -> bool:
        beside = [place for place in self.taken if place.start_ms < end and place.end_ms > start]
        if any(place.task.task_id in self._conflicts[task.task_id] for place in beside):
            return False
        most = self._pool.memory_mb - task.memory_mb + SLACK_MB
        # Memory is highest at some start.
        instants = [start, *(place.start_ms for place in beside if place.start_ms > start)]
        return all(_memory_mb(beside, instant) <= most for instant in instants)


def _memory_mb(places: Iterable[Taken], instant: float) -> float:
    return sum(place.task.memory_mb for place in places if place.start_ms <= instant < place.end_ms)
