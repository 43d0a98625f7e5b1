"""From who does what to when: list scheduling with dependencies, conflicts, memory and window. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from adaptive.solving.structure import Work

UNPLACED = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A schedule. agent[i]: UNPLACED if task i is not in it; start[i], end[i]: ms, 0 for those."""

    agent: tuple[int, ...]
    start: tuple[float, ...]
    end: tuple[float, ...]

    @property
    def makespan(self) -> float:
        return max(self.end, default=0.0)

    def value(self, work: Work) -> float:
        """Return the sum of the values of what is placed."""
        return math.fsum(
            work.value[task][agent] for task, agent in enumerate(self.agent) if agent != UNPLACED
        )


class _Floor:
    """What runs at one instant, while a timeline is being made."""

    def __init__(self, work: Work) -> None:
        count = len(work.tasks)
        self.work = work
        self.now = 0.0
        self.running: dict[int, int] = {}  # task by agent
        self.agent = [UNPLACED] * count
        self.start = [0.0] * count
        self.end = [0.0] * count
        self.missing = [len(needed) for needed in work.before]

    def can_start(self, task: int, agent: int) -> bool:
        """Tell whether the task may start now on this idle agent."""
        work = self.work
        if self.missing[task] or self.now + work.duration[task][agent] > work.window:
            return False
        running = self.running.values()
        if work.apart[task] and not work.apart[task].isdisjoint(running):
            return False
        return sum([work.memory[each] for each in running], work.memory[task]) <= work.memory_mb

    def begin(self, task: int, agent: int) -> None:
        self.running[agent] = task
        self.agent[task], self.start[task] = agent, self.now
        self.end[task] = self.now + self.work.duration[task][agent]

    def advance(self) -> None:
        """Go on to the next end of a task, and end all that end then."""
        self.now = min([self.end[task] for task in self.running.values()])
        for agent, task in list(self.running.items()):
            if self.end[task] <= self.now:
                del self.running[agent]
                for each in self.work.after[task]:
                    self.missing[each] -= 1

    def timeline(self) -> Timeline:
        return Timeline(agent=tuple(self.agent), start=tuple(self.start), end=tuple(self.end))


def dispatch(work: Work, agent_of: Sequence[int], order: Sequence[int]) -> Timeline:
    """Return the schedule in which no agent waits while one of its tasks could start.

    agent_of[i]: the agent of task i; UNPLACED: left to whichever agent has done all of its own.
    order: which goes first where two could start. What does not fit into the window stays unplaced.
    """
    floor = _Floor(work)
    queues: list[list[int]] = [[] for _ in work.duration[0]] if work.duration else []
    spare: list[int] = []
    for task in order:
        (spare if agent_of[task] == UNPLACED else queues[agent_of[task]]).append(task)
    rank = {task: place for place, task in enumerate(order)}
    while True:
        _start_own(floor, queues, rank)
        if spare:
            _start_spare(floor, queues, spare)
        if not floor.running:
            return floor.timeline()
        floor.advance()


def _start_own(floor: _Floor, queues: Sequence[list[int]], rank: dict[int, int]) -> None:
    """Start whatever may start now on its own agent, the first in the order first."""
    while True:
        best = None
        for agent, queue in enumerate(queues):
            if agent in floor.running:
                continue
            for task in queue:
                if best is not None and rank[task] > rank[best[0]]:
                    break
                if floor.can_start(task, agent):
                    best = task, agent
                    break
        if best is None:
            return
        queues[best[1]].remove(best[0])
        floor.begin(*best)


def _start_spare(floor: _Floor, queues: Sequence[list[int]], spare: list[int]) -> None:
    """Start tasks of no agent where an agent has nothing of its own left that could still fit."""
    work = floor.work
    for agent, queue in enumerate(queues):
        if agent in floor.running or any(
            floor.now + work.duration[task][agent] <= work.window for task in queue
        ):
            continue
        for task in spare:
            if floor.can_start(task, agent):
                spare.remove(task)
                floor.begin(task, agent)
                break
