"""A wave's tasks as indices: what can be placed, what waits for what, what never overlaps. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from adaptive.problem import Goal, Problem

LARGEST_CLIQUES = 40
"""Cliques kept: the heaviest say nearly all that all of them say, and each costs a row of the relaxation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The tasks of a problem that can be placed, numbered anew from 0.

    tasks: their indices in the problem. duration[i][j]: ms, infinite where agent j cannot run task i.
    memory: MB; memory_mb: of the pool. window: ms, infinite if there is none.
    before, after: direct dependencies, both ways, and order: a topological order of them.
    apart[i]: tasks that never overlap with i, by conflict or because the two need more memory than there is.
    head[i]: ms before i can start, tail[i]: ms between its end and the end of the last that depends on it,
    both along the longest path with each task on its fastest agent; fastest[i]: ms.
    cliques: sets of tasks of which no two ever overlap, a path of dependencies included.
    """

    tasks: tuple[int, ...]
    duration: tuple[tuple[float, ...], ...]
    value: tuple[tuple[float, ...], ...]
    memory: tuple[float, ...]
    memory_mb: float
    window: float
    before: tuple[tuple[int, ...], ...]
    after: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]
    apart: tuple[frozenset[int], ...]
    head: tuple[float, ...]
    tail: tuple[float, ...]
    fastest: tuple[float, ...]
    cliques: tuple[tuple[int, ...], ...]

    def agents_of(self, task: int) -> list[int]:
        """Return the agents that can run it."""
        return [agent for agent, took in enumerate(self.duration[task]) if math.isfinite(took)]

    def without_window(self) -> Work:
        """Return the same with all the time there is."""
        return replace(self, window=math.inf)


def placeable(problem: Problem) -> tuple[Work, dict[str, str]]:
    """Return what can be placed at all, and why each other task cannot, by task id.

    Raises:
        ValueError: if a table's shape is wrong, an id comes twice, or a number is not one.
    """
    check(problem)
    skipped = impossible(problem)
    kept = [index for index, task in enumerate(problem.tasks) if task.task_id not in skipped]
    return chosen(problem, kept), skipped


def check(problem: Problem) -> None:
    """Raise ValueError where the problem is not one."""
    ids = [task.task_id for task in problem.tasks]
    for name in {each for each in ids if ids.count(each) > 1} if len(set(ids)) < len(ids) else ():
        raise ValueError(f"tasks: task_id {name!r} comes more than once; expected unique ids")
    for field, table in (("duration_ms", problem.duration_ms), ("value", problem.value)):
        if field == "value" and problem.goal is not Goal.VALUE:
            continue
        if [len(row) for row in table] != [len(problem.agents)] * len(ids):
            raise ValueError(f"{field}: expected {len(ids)} rows of {len(problem.agents)} numbers each")
        for name, row in zip(ids, table, strict=True):
            if any(math.isnan(each) or each < 0 for each in row):
                raise ValueError(f"{field} of {name!r} is {row}; expected numbers of at least 0")
    if problem.window_ms is not None and not problem.window_ms >= 0:
        raise ValueError(f"window_ms is {problem.window_ms}; expected None or at least 0")
    if not problem.memory_mb >= 0:
        raise ValueError(f"memory_mb is {problem.memory_mb}; expected at least 0")


def impossible(problem: Problem) -> dict[str, str]:
    """Return the reasons of the tasks that no schedule can place, by task id."""
    reasons: dict[str, str] = {}
    window = math.inf if problem.window_ms is None else problem.window_ms
    for task, row in zip(problem.tasks, problem.duration_ms, strict=True):
        fastest = min(row, default=math.inf)
        if not math.isfinite(fastest):
            reasons[task.task_id] = "no agent can run it"
        elif task.memory_mb > problem.memory_mb:
            reasons[task.task_id] = f"needs {task.memory_mb:g} MB, the pool has {problem.memory_mb:g} MB"
        elif fastest > window:
            reasons[task.task_id] = f"takes {fastest:.0f} ms at least, the window lasts {window:.0f} ms"
        elif unknown := sorted(task.dependencies - {each.task_id for each in problem.tasks}):
            reasons[task.task_id] = f"depends on {unknown[0]!r}, which is not in the wave"
    return after_dependencies(problem, reasons, window)


def after_dependencies(problem: Problem, reasons: dict[str, str], window: float) -> dict[str, str]:
    """Return the reasons, and those that follow from what a task depends on."""
    by_id = {task.task_id: index for index, task in enumerate(problem.tasks)}
    ends: dict[str, float] = {}
    waiting = [task for task in problem.tasks if task.task_id not in reasons]
    while True:
        left = []
        for task in waiting:
            row = problem.duration_ms[by_id[task.task_id]]
            if missing := sorted(task.dependencies & reasons.keys()):
                reasons[task.task_id] = f"depends on {missing[0]!r}, which is skipped"
            elif not task.dependencies - ends.keys():
                ends[task.task_id] = max((ends[each] for each in task.dependencies), default=0.0) + min(row)
                if ends[task.task_id] > window:
                    reasons[task.task_id] = (
                        f"ends after {ends[task.task_id]:.0f} ms at least with all it depends on, "
                        f"the window lasts {window:.0f} ms"
                    )
            else:
                left.append(task)
        if len(left) == len(waiting):
            return reasons | {task.task_id: "it depends on itself, in a cycle" for task in left}
        waiting = left


def chosen(problem: Problem, kept: Sequence[int]) -> Work:
    """Return the work of these tasks alone, in this order; what they depend on is among them."""
    number = {problem.tasks[index].task_id: here for here, index in enumerate(kept)}
    tasks = [problem.tasks[index] for index in kept]
    duration = tuple(problem.duration_ms[index] for index in kept)
    fastest = tuple(min(row) for row in duration)
    before = tuple(tuple(sorted(number[each] for each in task.dependencies)) for task in tasks)
    after = turned(before)
    order = topological(before, after)
    apart = never_together(problem, kept, number)
    head = longest(order, before, fastest)
    tail = longest(order[::-1], after, fastest)
    return Work(
        tasks=tuple(kept),
        duration=duration,
        value=tuple(problem.value[index] for index in kept) if problem.goal is Goal.VALUE else (),
        memory=tuple(task.memory_mb for task in tasks),
        memory_mb=problem.memory_mb,
        window=math.inf if problem.window_ms is None else problem.window_ms,
        before=before,
        after=after,
        order=order,
        apart=apart,
        head=head,
        tail=tail,
        fastest=fastest,
        cliques=heaviest_cliques(apart, order, before, fastest),
    )


def turned(before: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """Return who waits for each, from whom each waits for."""
    after: list[list[int]] = [[] for _ in before]
    for task, needed in enumerate(before):
        for each in needed:
            after[each].append(task)
    return tuple(tuple(each) for each in after)


def topological(before: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return the tasks, each after all it depends on."""
    missing = [len(needed) for needed in before]
    order = [task for task, count in enumerate(missing) if count == 0]
    for task in order:  # grows while it is read
        for each in after[task]:
            missing[each] -= 1
            if missing[each] == 0:
                order.append(each)
    return tuple(order)


def never_together(
    problem: Problem, kept: Sequence[int], number: dict[str, int]
) -> tuple[frozenset[int], ...]:
    """Return for each task those it never overlaps: conflicts, both ways, and too much memory for two."""
    apart: list[set[int]] = [set() for _ in kept]
    memory = [problem.tasks[index].memory_mb for index in kept]
    for here, index in enumerate(kept):
        others = {number[each] for each in problem.tasks[index].conflicts if each in number}
        others |= {there for there in range(len(kept)) if memory[here] + memory[there] > problem.memory_mb}
        for there in others - {here}:
            apart[here].add(there)
            apart[there].add(here)
    return tuple(frozenset(each) for each in apart)


def longest(
    order: Iterable[int], before: Sequence[Sequence[int]], took: Sequence[float]
) -> tuple[float, ...]:
    """Return the length of the longest path that leads to each task, itself left out."""
    reached = [0.0] * len(took)
    for task in order:
        reached[task] = max((reached[each] + took[each] for each in before[task]), default=0.0)
    return tuple(reached)


def heaviest_cliques(
    apart: Sequence[frozenset[int]],
    order: Sequence[int],
    before: Sequence[Sequence[int]],
    fastest: Sequence[float],
) -> tuple[tuple[int, ...], ...]:
    """Return cliques of tasks that never overlap, grown from each task by its longest neighbours."""
    beside = [set(each) for each in apart]
    ancestors: list[set[int]] = [set() for _ in apart]
    for task in order:
        ancestors[task].update(*(ancestors[each] | {each} for each in before[task]))
        for each in ancestors[task]:
            beside[task].add(each)
            beside[each].add(task)
    found = {grown(task, beside, fastest) for task in range(len(apart)) if beside[task]}
    weight = {clique: sum(fastest[task] for task in clique) for clique in found}
    return tuple(sorted(found, key=lambda clique: (-weight[clique], clique))[:LARGEST_CLIQUES])


def grown(first: int, beside: Sequence[set[int]], fastest: Sequence[float]) -> tuple[int, ...]:
    """Return a clique around one task that no task can join."""
    clique, candidates = [first], set(beside[first])
    while candidates:
        task = max(candidates, key=lambda each: (fastest[each], -each))
        clique.append(task)
        candidates &= beside[task]
    return tuple(sorted(clique))
