"""Random waves, and a judge of their solutions that shares nothing with the solvers but the contract."""

from __future__ import annotations

import math
import random

from adaptive.problem import Goal, Placement, Problem, Solution
from adaptive.types import WaveTask

ROUNDING_MS = 1e-6


def random_wave(seed: int, goal: Goal, count: int | None = None) -> Problem:
    """Return a wave of 5 to 100 tasks for four agents of unequal speed, all of it drawn from the seed.

    Log-normal durations (median a minute, sigma 0.8); no, 10 % or 30 % of the tasks with dependencies, and
    with conflicts; memory unlimited or tight for some; half of the waves in a window that may be too short.
    """
    rng = random.Random(seed)
    count = count or rng.randint(5, 100)
    speeds = [rng.uniform(0.5, 2.0) for _ in range(4)]
    memory_mb = math.inf if rng.random() < 0.2 else 4000.0
    dependent, conflicting, largest = (
        rng.choice((0, 0.1, 0.3)),
        rng.choice((0, 0.1, 0.3)),
        rng.choice((300, 1500)),
    )
    ids = [f"t{number:03}" for number in range(count)]
    tasks, durations, values = [], [], []
    for number, name in enumerate(ids):
        needs = rng.sample(ids[:number], min(number, rng.randint(1, 2))) if rng.random() < dependent else []
        apart = rng.sample(ids, rng.randint(1, 2)) if rng.random() < conflicting else []
        expected = rng.lognormvariate(math.log(60_000), 0.8)
        tasks.append(
            WaveTask(
                task_id=name,
                expected_ms=expected,
                memory_mb=float(rng.randint(50, largest)),
                priority=rng.randint(1, 5),
                dependencies=frozenset(needs),
                conflicts=frozenset(apart) - {name, *needs},
            )
        )
        durations.append(tuple(expected / speed * rng.lognormvariate(0, 0.15) for speed in speeds))
        values.append(tuple(tasks[-1].priority * rng.uniform(0.5, 1.0) for _ in speeds))
    window = sum(map(min, durations)) / 4 * rng.uniform(0.4, 1.6) if rng.random() < 0.5 else None
    return Problem(
        goal=goal,
        tasks=tuple(tasks),
        agents=("a", "b", "c", "d"),
        duration_ms=tuple(durations),
        value=tuple(values),
        memory_mb=memory_mb,
        window_ms=window,
    )


def faults(problem: Problem, solution: Solution) -> list[str]:
    """Return every promise of a problem that the solution breaks, in words; none for a sound one."""
    placed = {each.task: each for each in solution.placements}
    names = [task.task_id for task in problem.tasks]
    found = [] if len(placed) == len(solution.placements) else ["a task is placed twice"]
    for number, name in enumerate(names):
        if (number in placed) == bool(solution.skipped.get(name)):
            found.append(f"{name} is neither placed nor skipped with a reason, or both")
    for each in solution.placements:
        found += _faults_of(problem, placed, each)
    value = sum(problem.value[each.task][each.agent] for each in solution.placements)
    makespan = max((each.end_ms for each in solution.placements), default=0.0)
    reached = value if problem.goal is Goal.VALUE else makespan
    if not math.isclose(reached, solution.objective, rel_tol=1e-9, abs_tol=1e-9):
        found.append(f"the objective is {solution.objective}, the placements come to {reached}")
    better = solution.objective - solution.bound
    if (better if problem.goal is Goal.VALUE else -better) > 1e-9 * abs(solution.bound):
        found.append(f"the objective {solution.objective} is better than its bound {solution.bound}")
    return found


def _faults_of(problem: Problem, placed: dict[int, Placement], one: Placement) -> list[str]:
    """Return what is wrong with one placement among all."""
    task, found = problem.tasks[one.task], []
    number = {each.task_id: index for index, each in enumerate(problem.tasks)}
    if abs(one.end_ms - one.start_ms - problem.duration_ms[one.task][one.agent]) > ROUNDING_MS:
        found.append(f"{task.task_id} does not last as long as it takes")
    if one.start_ms < 0 or (problem.window_ms is not None and one.end_ms > problem.window_ms + ROUNDING_MS):
        found.append(f"{task.task_id} lies outside the window")
    for name in task.dependencies:
        needed = placed.get(number[name]) if name in number else None
        if needed is None or needed.end_ms > one.start_ms + ROUNDING_MS:
            found.append(f"{task.task_id} starts before {name} has ended")
    beside = [
        other
        for other in placed.values()
        if other.task != one.task and other.start_ms <= one.start_ms < other.end_ms - ROUNDING_MS
    ]
    # What overlaps does so at the later start, so that looking at every start is enough.
    for other in beside:
        name = problem.tasks[other.task].task_id
        if other.agent == one.agent:
            found.append(f"{task.task_id} and {name} overlap on one agent")
        if name in task.conflicts or task.task_id in problem.tasks[other.task].conflicts:
            found.append(f"{task.task_id} and {name} conflict and overlap")
    if sum(problem.tasks[each.task].memory_mb for each in [one, *beside]) > problem.memory_mb + 1e-9:
        found.append(f"too much memory is needed when {task.task_id} starts")
    return found
