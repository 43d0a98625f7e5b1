"""The optimum of a tiny wave by trying everything that could be better: depth-first branch and bound. Pure.

A schedule is built by its starts, one after another in time: each branch starts one more task on one agent,
as early as everything before it lets, but not before the last start. Every schedule with nothing to gain from
an earlier start of one task alone is built that way, and one of those is an optimum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from adaptive.solving.structure import Work
from adaptive.solving.timeline import UNPLACED, Timeline

LARGEST = 10
"""Tasks: above it the search rarely ends within its nodes."""
NODES = 30_000
"""About 150 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """timeline: one better than what was known, None if none was found. complete: nothing was left out."""

    timeline: Timeline | None
    complete: bool


def search(
    work: Work, *, by_value: bool, known: float, enough: float, has_time: Callable[[], bool]
) -> Finding:
    """Return a better schedule than the known one, if there is one.

    known: its makespan [ms], or minus its value; what is found is less. enough: at that it stops.
    """
    tree = _Tree(work, by_value=by_value, known=known, enough=enough, has_time=has_time)
    tree.explore(0, 0.0, 0.0)
    return Finding(timeline=tree.best, complete=tree.nodes <= NODES and not tree.is_cut)


class _Tree:
    def __init__(
        self, work: Work, *, by_value: bool, known: float, enough: float, has_time: Callable[[], bool]
    ) -> None:
        self.work, self.by_value, self.has_time = work, by_value, has_time
        self.known, self.enough = known, enough
        self.count, self.agents = len(work.tasks), range(len(work.duration[0]))
        self.every = range(self.count)
        self.agent = [UNPLACED] * self.count
        self.start, self.end = [0.0] * self.count, [0.0] * self.count
        self.free = [0.0] * len(self.agents)
        self.last_on = [UNPLACED] * len(self.agents)
        beside = math.fsum(sorted(work.memory)[1 - len(self.agents) :]) if len(self.agents) > 1 else 0.0
        self.is_free = [
            mb + beside <= work.memory_mb and not (work.before[task] or work.after[task] or work.apart[task])
            for task, mb in enumerate(work.memory)
        ]
        self.seen: dict[tuple[float, ...], tuple[float, float, float]] = {}
        # A convex combination of the agents' ends is a bound on the last one. The faster an agent, the more
        # it weighs: with agents that differ by a factor alone that is the optimum of the linear relaxation.
        total = [
            math.fsum(row[agent] for row in work.duration if row[agent] < math.inf) for agent in self.agents
        ]
        speed = [1 / (each or 1.0) for each in total]
        self.weight = [each / math.fsum(speed) for each in speed]
        self.least_load = [
            min(self.weight[agent] * work.duration[task][agent] for agent in work.agents_of(task))
            for task in self.every
        ]
        self.best: Timeline | None = None
        self.nodes, self.is_cut = 0, False

    def explore(self, placed: int, now: float, badness: float) -> None:
        """Try all that can follow. placed: the tasks as bits; now: the last start; badness: so far."""
        self.nodes += 1
        if self.nodes > NODES or (self.nodes % 256 == 0 and not self.has_time()):
            self.is_cut = True
            return
        if (self.by_value or placed == (1 << self.count) - 1) and badness < self.known:
            self.known = badness
            self.best = Timeline(agent=tuple(self.agent), start=tuple(self.start), end=tuple(self.end))
        if self._is_known_worse(placed, now, badness) or self._limit(placed, now, badness) >= self._goal():
            return
        for start, _, task, agent in self._branches(placed, now):
            if self.is_cut or self.known <= self.enough:
                return
            end = start + self.work.duration[task][agent]
            free, last_on = self.free[agent], self.last_on[agent]
            self.agent[task], self.start[task], self.end[task] = agent, start, end
            self.free[agent], self.last_on[agent] = end, task
            after = badness - self.work.value[task][agent] if self.by_value else max(badness, end)
            self.explore(placed | 1 << task, start, after)
            self.agent[task], self.start[task], self.end[task] = UNPLACED, 0.0, 0.0
            self.free[agent], self.last_on[agent] = free, last_on

    def _goal(self) -> float:
        """Return what a branch has to be able to get below."""
        return self.known - 1e-9 * abs(self.known)

    def _is_known_worse(self, placed: int, now: float, badness: float) -> bool:
        """Tell whether the same tasks and agents' ends were reached before, as early and as well.

        What follows here could follow there. With the starts' sum no larger there, nothing goes in circles:
        what is left out is for a schedule with smaller starts, or with the same and looked at before.
        """
        key = (
            placed,
            *(max(free, now) for free in self.free),
            *(self.last_on[agent] if self.free[agent] > now else UNPLACED for agent in self.agents),
        )
        before = self.seen.get(key)
        starts = sum(self.start)
        if before is not None and before[0] <= now and before[1] <= badness and before[2] <= starts:
            return True
        self.seen[key] = (now, badness, starts)
        return False

    def _earliest(self, placed: int, now: float) -> list[float]:
        """Return for each task not placed yet when it can start at the earliest."""
        work, starts = self.work, [now] * self.count
        for task in work.order:
            if placed >> task & 1:
                continue
            for each in work.before[task]:
                done = self.end[each] if placed >> each & 1 else starts[each] + work.fastest[each]
                starts[task] = max(starts[task], done)
        return starts

    def _limit(self, placed: int, now: float, badness: float) -> float:
        """Return a badness that nothing that follows gets below."""
        left = [task for task in self.every if not placed >> task & 1]
        starts = self._earliest(placed, now)
        if self.by_value:
            return badness - self._most(left, starts, now)
        work = self.work
        limit = badness
        for task in left:
            limit = max(limit, starts[task] + work.fastest[task] + work.tail[task])
        ends = sum(weight * max(free, now) for weight, free in zip(self.weight, self.free, strict=True))
        limit = max(limit, ends + sum(self.least_load[task] for task in left))
        for clique in work.cliques:
            rest = [task for task in clique if not placed >> task & 1]
            if len(rest) > 1:
                until = min(starts[task] for task in rest) + sum(work.fastest[task] for task in rest)
                limit = max(limit, until + min(work.tail[task] for task in rest))
        return limit

    def _most(self, left: list[int], starts: list[float], now: float) -> float:
        """Return a limit on the value that can still be added: a knapsack of all agents' time, divisible."""
        work, items = self.work, []
        for task in left:
            worth = max(
                (
                    value
                    for agent, value in enumerate(work.value[task])
                    if max(starts[task], self.free[agent]) + work.duration[task][agent] <= work.window
                ),
                default=0.0,
            )
            if worth > 0:
                items.append((worth, work.fastest[task]))
        room = sum(max(0.0, work.window - max(free, now)) for free in self.free)
        total = 0.0
        for worth, took in sorted(items, key=lambda item: -item[0] / (item[1] or 1e-300)):
            if took > room:
                return total + worth * room / took
            total, room = total + worth, room - took
        return total

    def _branches(self, placed: int, now: float) -> list[tuple[float, float, int, int]]:
        """Return what can start next: start, rank, task, agent; the earliest and longest first."""
        work, found = self.work, []
        for task in self.every:
            if placed >> task & 1 or any(not placed >> each & 1 for each in work.before[task]):
                continue
            needed = max([0.0, *(self.end[each] for each in work.before[task])])
            ready = max([needed, *(self.end[each] for each in work.apart[task] if placed >> each & 1)])
            for agent in work.agents_of(task):
                if self._is_dominated(task, agent, max(ready, self.free[agent]), now):
                    continue
                start = self._with_memory(task, max(now, ready, self.free[agent]))
                end = start + work.duration[task][agent]
                if end > work.window:
                    continue
                gain = -work.value[task][agent] if self.by_value else -work.tail[task] + end
                found.append((start, gain, task, agent))
        found.sort(key=lambda each: each[1:] if self.by_value else each)
        return found

    def _is_dominated(self, task: int, agent: int, ready: float, now: float) -> bool:
        """Tell whether another branch holds a schedule as good as each that starts the task here now.

        So it is if the task could have started before the last start with nothing else moved, or if it
        and the one before it on its agent are free to change places and the shorter one is not first.
        """
        if ready < now and self._has_memory_from(ready, task):
            return True
        last = self.last_on[agent]
        if not (self.is_free[task] and last != UNPLACED and self.is_free[last]):
            return False
        return self._turn(task, agent) < self._turn(last, agent)

    def _has_memory_from(self, ready: float, task: int) -> bool:
        """Tell whether the task fits beside all that runs at any time from then on, even all at once."""
        work = self.work
        beside = sum([mb for mb, end in zip(work.memory, self.end, strict=True) if end > ready])
        return beside + work.memory[task] <= work.memory_mb

    def _turn(self, task: int, agent: int) -> tuple[float, float, int]:
        """Return the order of tasks that are free to change places: the shorter first, then as branched."""
        worth = -self.work.value[task][agent] if self.by_value else 0.0
        return self.work.duration[task][agent], worth, task

    def _with_memory(self, task: int, start: float) -> float:
        """Return the first instant from start on at which the memory suffices."""
        work = self.work
        if math.isinf(work.memory_mb):
            return start
        while True:
            running = [each for each in self.last_on if each != UNPLACED and self.end[each] > start]
            if sum([work.memory[each] for each in running], work.memory[task]) <= work.memory_mb:
                return start
            start = min(self.end[each] for each in running)
