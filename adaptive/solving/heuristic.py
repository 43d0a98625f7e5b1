"""Good schedules of any wave: list scheduling by several rules, then local search. Pure.

Everything is drawn from one seed and bounded by steps, so that the same wave gives the same schedule; the
clock only ends a search that runs out of its time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adaptive.solving.structure import Work
from adaptive.solving.timeline import UNPLACED, Timeline, dispatch

SEED = 5
PATIENCE, RETURN = 10, 8
"""Steps in vain before a change for the worse is taken, and such changes before going back to the best."""
ENOUGH = 1e-6
"""A schedule this near its bound, as a share of it, is the optimum: the tolerance of the bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A timeline with the order that it was made from, and how bad it is: less is better."""

    timeline: Timeline
    order: tuple[int, ...]
    badness: tuple[float, float]


class Search:
    """The best plan of a wave so far, and the search for a better one.

    bound: no badness[0] lies below it. has_time: whether to go on.
    """

    def __init__(self, work: Work, *, by_value: bool, has_time: Callable[[], bool]) -> None:
        self.work, self.by_value, self.has_time = work, by_value, has_time
        self.agents = len(work.duration[0])
        self.bound = -float("inf")
        self.best = self.plan([UNPLACED] * len(work.tasks), work.order) if by_value else self._earliest()

    @property
    def is_proven(self) -> bool:
        """Whether the best plan is as good as its bound."""
        return self.best.badness[0] <= self.bound + ENOUGH * abs(self.bound)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to go on for, or no time."""
        return self.is_proven or not self.has_time()

    @property
    def gap(self) -> float:
        """How far the best plan is from its bound, as a share of it."""
        return (self.best.badness[0] - self.bound) / (abs(self.bound) or 1.0)

    def raise_bound(self, bound: float) -> None:
        self.bound = max(self.bound, bound)

    def plan(self, agent_of: Sequence[int], order: Sequence[int]) -> Plan:
        """Return the plan of an assignment and an order."""
        return self.planned(dispatch(self.work, agent_of, order), order)

    def planned(self, timeline: Timeline, order: Sequence[int]) -> Plan:
        """Return a timeline as a plan."""
        ends = [0.0] * self.agents
        for agent, end in zip(timeline.agent, timeline.end, strict=True):
            if agent != UNPLACED:
                ends[agent] = max(ends[agent], end)
        if self.by_value:
            badness = -timeline.value(self.work), max(ends)
        else:
            badness = max(ends), sum(end * end for end in ends)
        return Plan(timeline=timeline, order=tuple(order), badness=badness)

    def offer(self, plan: Plan) -> None:
        """Keep the plan if it is the best."""
        if plan.badness < self.best.badness:
            self.best = plan

    def _earliest(self) -> Plan:
        """Return the plan in which each task, longest path first, goes where the load then ends earliest."""
        work, loads = self.work, [0.0] * self.agents
        agent_of = [UNPLACED] * len(work.tasks)
        order = sorted(work.order, key=lambda task: -(work.fastest[task] + work.tail[task]))
        for task in order:
            agent = min(work.agents_of(task), key=lambda each: loads[each] + work.duration[task][each])
            loads[agent] += work.duration[task][agent]
            agent_of[task] = agent
        return self.plan(agent_of, order)

    def try_orders(self, agent_of: Sequence[int]) -> Plan:
        """Offer the assignment in several orders; return the best of those."""
        plans = [self.plan(agent_of, order) for order in orders_of(self.work, agent_of)]
        found = min(plans, key=lambda plan: plan.badness)
        self.offer(found)
        return found

    def improve(self, plan: Plan, steps: int, seed: int = SEED) -> None:
        """Go on from a plan by small changes, for so many steps; for the worse where all else is in vain."""
        rng = random.Random(seed)
        change = self._change_of_value if self.by_value else self._change_of_makespan
        vain = 0
        for _ in range(steps):
            if self.is_over:
                return
            tried = self.plan(*change(plan, rng))
            vain = 0 if tried.badness < plan.badness else vain + 1
            if tried.badness <= plan.badness or vain % PATIENCE == 0:
                plan = tried
                self.offer(plan)
            if vain == RETURN * PATIENCE:
                plan, vain = self.best, 0

    def _change_of_makespan(self, plan: Plan, rng: random.Random) -> tuple[list[int], list[int]]:
        """Move, swap or bring forward one of the tasks that hold up the end."""
        agent_of, order = list(plan.timeline.agent), list(plan.order)
        task = rng.choice(critical(plan.timeline, rng))
        kind = rng.random()
        if kind < 0.35:
            agent_of[task] = rng.choice(self.work.agents_of(task))
        elif kind < 0.7:
            other = rng.randrange(len(order))
            if agent_of[other] in self.work.agents_of(task) and agent_of[task] in self.work.agents_of(other):
                agent_of[task], agent_of[other] = agent_of[other], agent_of[task]
        if kind > 0.55:
            place = order.index(task)
            order.insert(rng.randrange(place + 1), order.pop(place))
        return agent_of, order

    def _change_of_value(self, plan: Plan, rng: random.Random) -> tuple[list[int], list[int]]:
        """Bring in a task left out, with all it depends on, and leave out up to two for it; or move one."""
        agent_of, order = list(plan.timeline.agent), list(plan.order)
        out = [task for task, agent in enumerate(agent_of) if agent == UNPLACED]
        task = rng.choice(out) if out and rng.random() < 0.7 else rng.randrange(len(order))
        for each in [*self._missing(task, agent_of), task]:
            agent_of[each] = rng.choice(self.work.agents_of(each))
            order.remove(each)
            order.insert(rng.randrange(len(order) + 1), each)
        beside = [each for each, agent in enumerate(agent_of) if agent == agent_of[task] and each != task]
        for each in rng.sample(beside, min(len(beside), rng.choice((0, 1, 1, 2)))):
            agent_of[each] = UNPLACED if rng.random() < 0.6 else rng.choice(self.work.agents_of(each))
        return agent_of, order

    def _missing(self, task: int, agent_of: Sequence[int]) -> list[int]:
        """Return what the task depends on and is not placed, first things first."""
        found: list[int] = []
        for each in self.work.before[task]:
            if agent_of[each] == UNPLACED:
                found += [first for first in [*self._missing(each, agent_of), each] if first not in found]
        return found


def orders_of(work: Work, agent_of: Sequence[int]) -> list[list[int]]:
    """Return orders by: what waits for a task; its path; its heaviest clique; its memory; its worth."""
    took = [
        row[agent] if agent != UNPLACED else work.fastest[task]
        for task, (row, agent) in enumerate(zip(work.duration, agent_of, strict=True))
    ]
    tail = [0.0] * len(took)
    for task in reversed(work.order):
        tail[task] = max((took[each] + tail[each] for each in work.after[task]), default=0.0)
    path = [ms + behind for ms, behind in zip(took, tail, strict=True)]
    squeeze = list(path)
    for clique in work.cliques:
        weight = sum(took[task] for task in clique)
        for task in clique:
            squeeze[task] = max(squeeze[task], weight)
    needs = [mb * ms for mb, ms in zip(work.memory, took, strict=True)]
    tasks = range(len(took))
    orders = [
        sorted(tasks, key=lambda task: (-tail[task], -took[task], task)),
        sorted(tasks, key=lambda task: (-path[task], task)),
        sorted(tasks, key=lambda task: (-squeeze[task], -path[task], task)),
        sorted(tasks, key=lambda task: (-work.memory[task], -path[task], task)),
        sorted(tasks, key=lambda task: (-needs[task], task)),
    ]
    if work.value:
        worth = [max(row) / (ms or 1.0) for row, ms in zip(work.value, took, strict=True)]
        orders.append(sorted(tasks, key=lambda task: (-worth[task], task)))
    return orders


def critical(timeline: Timeline, rng: random.Random) -> list[int]:
    """Return a chain of tasks that ends last, each of which starts the moment the one before it ends."""
    task = max(range(len(timeline.end)), key=lambda each: timeline.end[each])
    ends: dict[float, list[int]] = {}
    for each, end in enumerate(timeline.end):
        if timeline.start[each] < end:
            ends.setdefault(end, []).append(each)
    chain = [task]
    while before := ends.get(timeline.start[chain[-1]]):
        chain.append(rng.choice(before))
    return chain
