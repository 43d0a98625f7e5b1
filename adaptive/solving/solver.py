"""What is tried for a wave, and in which order, until its bound is met or the effort is spent."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from adaptive.problem import Goal, Placement, Problem, Solution
from adaptive.solving import exhaustive
from adaptive.solving.balancing import balanced, filled, kicked
from adaptive.solving.heuristic import ENOUGH, SEED, Search
from adaptive.solving.relaxation import Relaxation, Relaxed
from adaptive.solving.rows import Rows, rows_of
from adaptive.solving.structure import Work, chosen, placeable
from adaptive.solving.timeline import UNPLACED, Timeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL, LARGEST_MILP = 20, 60
"""Tasks up to which the mixed relaxation is fast, and up to which it comes to anything in time."""
MILP_NODES = 6_000
"""Nodes of its search times tasks: a node of a larger wave takes longer."""
SMALL_GAP, LARGE_GAP = 0.002, 0.025
"""Gaps from which on it is worth its time, for a small wave and for a larger one."""
EFFORT, LAST_EFFORT, MOST_STEPS = 16_000, 40_000, 1_000
"""Steps of local search times tasks: before the exact methods, after them; and the most steps before them."""
MILP_SHARE = 0.7
"""Of the time left; the rest is for what local search makes of it."""
KICKS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A timeline of all tasks of a work. bound: in the goal's unit; method: as in Solution."""

    timeline: Timeline
    bound: float
    method: str


class Stopwatch:
    """The time that is left for one problem."""

    def __init__(self, seconds: float) -> None:
        self._end = time.perf_counter() + seconds

    def left(self) -> float:
        return self._end - time.perf_counter()

    def has_time(self) -> bool:
        return self.left() > 0


def solve(problem: Problem) -> Solution:
    """Return the best schedule found for the problem, with a proven bound.

    The bound holds up to a relative 1e-6, the solvers' tolerance; a schedule that near is taken for optimal
    and has its objective for a bound. For Goal.MAKESPAN with a window too short for all tasks, as many as can
    be are placed; objective and bound are of the makespan of those. The same problem gives the same
    solution, unless the deadline cuts the search short.

    Raises:
        ValueError: if a table's shape is wrong, an id comes twice, or a number is not one.
    """
    importlib.import_module("scipy.optimize")  # the first time takes longer than a whole wave
    watch = Stopwatch(problem.deadline_s)
    work, skipped = placeable(problem)
    if not work.tasks:
        return Solution(placements=(), objective=0.0, bound=0.0, method="assignment", skipped=skipped)
    if problem.goal is Goal.VALUE:
        answer = maximise(problem, work, watch)
        objective = answer.timeline.value(work)
    else:
        answer = hasten(problem, work, watch)
        objective = answer.timeline.makespan
    met = abs(answer.bound - objective) <= 2 * ENOUGH * abs(objective)
    return Solution(
        placements=placements_of(work, answer.timeline),
        objective=objective,
        bound=objective if met else answer.bound,
        method=answer.method,
        skipped=skipped | left_out(problem, work, answer.timeline),
    )


def placements_of(work: Work, timeline: Timeline) -> tuple[Placement, ...]:
    """Return what is placed, by start, numbered as in the problem."""
    found = [
        Placement(
            task=index, agent=timeline.agent[task], start_ms=timeline.start[task], end_ms=timeline.end[task]
        )
        for task, index in enumerate(work.tasks)
        if timeline.agent[task] != UNPLACED
    ]
    return tuple(sorted(found, key=lambda each: (each.start_ms, each.end_ms, each.agent)))


def left_out(problem: Problem, work: Work, timeline: Timeline) -> dict[str, str]:
    """Return why each task that could have been placed was not, by task id."""
    reasons = {}
    for task in work.order:
        name = problem.tasks[work.tasks[task]].task_id
        missing = [each for each in work.before[task] if timeline.agent[each] == UNPLACED]
        if missing:
            reasons[name] = f"depends on {problem.tasks[work.tasks[missing[0]]].task_id!r}, which is skipped"
        elif timeline.agent[task] == UNPLACED:
            reasons[name] = f"no room left in the window of {work.window:.0f} ms"
    return reasons


def hasten(problem: Problem, work: Work, watch: Stopwatch) -> Answer:
    """Return the shortest schedule of all tasks, or of as many as the window holds."""
    if least(work) <= work.window:
        answer = minimise(work, watch, until=work.window)
        if answer.timeline.makespan <= work.window:
            return answer
    one_each = replace(
        problem, goal=Goal.VALUE, value=tuple((1.0,) * len(problem.agents) for _ in problem.tasks)
    )
    # For a large wave the exact methods are better spent on the makespan of what was chosen.
    most = maximise(
        one_each, chosen(one_each, work.tasks), watch, exact=len(work.tasks) <= exhaustive.LARGEST
    )
    placed = [task for task, agent in enumerate(most.timeline.agent) if agent != UNPLACED]
    fewer = chosen(problem, [work.tasks[task] for task in placed])
    if not placed:
        return Answer(timeline=most.timeline, bound=0.0, method=most.method)
    answer = minimise(fewer, watch, known=_renumbered(most.timeline, placed))
    return replace(answer, timeline=_spread(answer.timeline, placed, len(work.tasks)))


def _renumbered(timeline: Timeline, placed: list[int]) -> Timeline:
    return Timeline(
        agent=tuple(timeline.agent[task] for task in placed),
        start=tuple(timeline.start[task] for task in placed),
        end=tuple(timeline.end[task] for task in placed),
    )


def _spread(timeline: Timeline, placed: list[int], count: int) -> Timeline:
    """Return the timeline of some tasks as one of all."""
    agent, start, end = [UNPLACED] * count, [0.0] * count, [0.0] * count
    for here, task in enumerate(placed):
        agent[task], start[task], end[task] = timeline.agent[here], timeline.start[here], timeline.end[here]
    return Timeline(agent=tuple(agent), start=tuple(start), end=tuple(end))


def least(work: Work) -> float:
    """Return a bound on the makespan [ms] without a solver: paths, cliques, agents' and memory's time."""
    tasks = range(len(work.tasks))
    bound = max(work.head[task] + work.fastest[task] + work.tail[task] for task in tasks)
    bound = max(bound, sum(work.fastest) / len(work.duration[0]))
    if 0 < work.memory_mb < math.inf:
        bound = max(bound, sum(work.memory[task] * work.fastest[task] for task in tasks) / work.memory_mb)
    for clique in work.cliques:
        ends = min(work.head[task] for task in clique) + min(work.tail[task] for task in clique)
        bound = max(bound, ends + sum(work.fastest[task] for task in clique))
    return bound


def minimise(
    work: Work,
    watch: Stopwatch,
    *,
    known: Timeline | None = None,
    until: float = math.inf,
    exact: bool = True,
) -> Answer:
    """Return the shortest schedule of all tasks, whatever the window. known: one of all tasks to begin with.

    until: ms; it goes on only for as long as a schedule that short may be found, and to the exact methods
    only where one was. exact: whether to go on to those at all.
    """
    work = work.without_window()
    search = Search(work, by_value=False, has_time=watch.has_time)
    search.raise_bound(least(work))
    if known is not None:
        search.offer(search.planned(known, sorted(work.order, key=lambda task: known.start[task])))
    if search.is_proven or search.bound > until:
        return _answer(search, "heuristic")
    rows = rows_of(work, limit=search.bound, tails=True)
    relaxation = Relaxation(work, rows, by_value=False, scale=search.bound)
    bound, relaxed = relaxation.shortest(search.bound, search.best.timeline.makespan, watch.has_time)
    search.raise_bound(bound)
    if search.bound > until:
        return _answer(search, "heuristic")
    spread = partial(_spread_evenly, search, rows)
    if relaxed is not None and not search.is_proven:
        spread(relaxed.share)
        if not search.is_over:
            spread(relaxation.dive(search.best.timeline.makespan, relaxed, watch.has_time).share)
    search.improve(search.best, min(MOST_STEPS, EFFORT // len(work.tasks)))
    if search.is_proven or search.best.timeline.makespan > until or not exact:
        return _answer(search, "heuristic")
    return _exactly(
        search,
        lambda: relaxation.solve(
            search.best.timeline.makespan,
            whole=True,
            nodes=MILP_NODES // len(work.tasks),
            seconds=MILP_SHARE * watch.left(),
        ),
        spread,
    )


def _spread_evenly(search: Search, rows: Rows, share: NDArray[Any]) -> None:
    """Offer the schedules of a relaxation's shares: each task to who does most of it, then balanced."""
    agents = _nearest(rows, share)
    search.try_orders(agents.tolist())
    if search.is_over:
        return
    agents = balanced(rows, agents, search.bound, search.has_time)
    search.try_orders(agents.tolist())
    for each in kicked(rows, agents, search.bound, KICKS, SEED, search.has_time):
        if search.is_proven or not search.has_time():
            return
        search.try_orders(each.tolist())


def _nearest(rows: Rows, share: NDArray[Any]) -> NDArray[Any]:
    """Return the agent that does most of each task."""
    import numpy as np

    return np.asarray(np.where(rows.allowed, share, -1.0).argmax(axis=1))


def _answer(search: Search, method: str) -> Answer:
    best = search.best
    bound = min(search.bound, best.badness[0])
    return Answer(timeline=best.timeline, bound=-bound if search.by_value else bound, method=method)


def _exactly(
    search: Search, solved: Callable[[], Relaxed | None], spread: Callable[[NDArray[Any]], None]
) -> Answer:
    """Go on to what proves an optimum: tasks undivided for a small wave, the whole tree for a tiny one."""
    count, method = len(search.work.tasks), "heuristic"
    worthwhile = search.gap > (SMALL_GAP if count <= SMALL else LARGE_GAP)
    if count <= LARGEST_MILP and worthwhile and search.has_time():
        relaxed, method = solved(), "milp"
        if relaxed is not None:
            search.raise_bound(-relaxed.bound if search.by_value else relaxed.bound)
            if not search.is_proven:
                spread(relaxed.share)
                for again in range(1, 5):
                    search.improve(search.best, LAST_EFFORT // count, SEED + again)
                    if search.gap <= LARGE_GAP:
                        break
    if count <= exhaustive.LARGEST and not search.is_proven and search.has_time():
        found = exhaustive.search(
            search.work,
            by_value=search.by_value,
            known=search.best.badness[0],
            enough=search.bound + ENOUGH * abs(search.bound),
            has_time=search.has_time,
        )
        if found.timeline is not None:
            search.offer(search.planned(found.timeline, search.best.order))
        if found.complete:
            search.raise_bound(search.best.badness[0])
            method = "exhaustive"
    return _answer(search, method)


def maximise(problem: Problem, work: Work, watch: Stopwatch, *, exact: bool = True) -> Answer:
    """Return the schedule of the largest value within the window; of equal ones a shorter one.

    problem: what the work is of, with Goal.VALUE. exact: whether to go on to the exact methods.
    """
    allowed = [
        [agent for agent in work.agents_of(task) if work.head[task] + row[agent] <= work.window]
        for task, row in enumerate(work.duration)
    ]
    most = math.fsum(max(row[agent] for agent in on) for row, on in zip(work.value, allowed, strict=True))
    at_best = _at_best(problem, work, allowed)
    freely = minimise(at_best, watch, until=work.window, exact=False).timeline
    if freely.makespan <= work.window:
        return Answer(timeline=freely, bound=most, method="assignment")
    search = Search(work, by_value=True, has_time=watch.has_time)
    search.raise_bound(-most)
    search.try_orders(freely.agent)
    rows = rows_of(work, limit=work.window, tails=False)
    relaxation = Relaxation(work, rows, by_value=True, scale=work.window or 1.0)
    spread = partial(_spread_by_value, search, rows)
    relaxed = relaxation.solve(work.window)
    if relaxed is not None:
        search.raise_bound(-relaxed.bound)
        spread(relaxed.share)
        if not search.is_over:
            spread(relaxation.dive(work.window, relaxed, watch.has_time).share)
    search.improve(search.best, min(MOST_STEPS, EFFORT // len(work.tasks)))
    if search.is_proven or not exact:
        return _answer(search, "heuristic")
    return _exactly(
        search,
        lambda: relaxation.solve(
            work.window, whole=True, nodes=MILP_NODES // len(work.tasks), seconds=MILP_SHARE * watch.left()
        ),
        spread,
    )


def _at_best(problem: Problem, work: Work, allowed: list[list[int]]) -> Work:
    """Return the work with each task on those agents alone where it is worth most."""
    duration = list(problem.duration_ms)
    for task, index in enumerate(work.tasks):
        row = work.value[task]
        most = max(row[agent] for agent in allowed[task])
        duration[index] = tuple(
            took if agent in allowed[task] and row[agent] == most else math.inf
            for agent, took in enumerate(work.duration[task])
        )
    return chosen(replace(problem, goal=Goal.MAKESPAN, duration_ms=tuple(duration)), work.tasks)


def _spread_by_value(search: Search, rows: Rows, share: NDArray[Any]) -> None:
    """Offer the schedules of a relaxation's shares: the undivided tasks alone, then as many as fit beside."""
    agents = _whole(rows, share)
    search.try_orders(agents.tolist())
    if not search.is_proven:
        search.try_orders(_filled(search.work, rows, agents).tolist())


def _whole(rows: Rows, share: NDArray[Any]) -> NDArray[Any]:
    """Return the agents of the tasks that one agent does whole; the others are UNPLACED."""
    import numpy as np

    share = np.where(rows.allowed, share, 0.0)
    return np.asarray(np.where(share.max(axis=1) > 1 - ENOUGH, share.argmax(axis=1), UNPLACED))


def _filled(work: Work, rows: Rows, agents: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    needs = np.zeros((len(work.tasks), len(work.tasks)), dtype=bool)
    for task, needed in enumerate(work.before):
        needs[task, list(needed)] = True
    return filled(rows, np.array(work.value), needs, agents, work.window)
