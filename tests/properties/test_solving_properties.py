"""What holds for the solution of every wave: sound, bounded, the same each time; the optimum of tiny ones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from itertools import chain, combinations, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptive.problem import Goal, Placement, Problem, Solution
from adaptive.solving import solve
from adaptive.types import WaveTask
from tests.properties.waves import faults, random_wave

UNHURRIED_S = 60.0
"""So that what is found is what the steps give, on however busy a box."""


@st.composite
def tiny_waves(draw: st.DrawFn) -> Problem:
    """Draw up to four tasks for two agents, in whole numbers, so that ties and exact fits are common."""
    count, goal = draw(st.integers(1, 4)), draw(st.sampled_from(Goal))
    ids = [f"t{number}" for number in range(count)]
    pairs = [(one, other) for other in range(count) for one in range(other)]
    needs = draw(st.sets(st.sampled_from(pairs), max_size=2)) if pairs else set()
    apart = draw(st.sets(st.sampled_from(pairs), max_size=2)) if pairs else set()
    tasks = tuple(
        WaveTask(
            task_id=name,
            memory_mb=draw(st.sampled_from([1.0, 2.0, 3.0])),
            dependencies=frozenset(ids[one] for one, other in needs if other == number),
            conflicts=frozenset(ids[one] for one, other in apart if other == number),
        )
        for number, name in enumerate(ids)
    )
    table = st.tuples(*[st.tuples(st.integers(1, 6), st.integers(1, 6))] * count)
    return Problem(
        goal=goal,
        tasks=tasks,
        agents=("a", "b"),
        duration_ms=tuple(tuple(map(float, row)) for row in draw(table)),
        value=tuple(tuple(map(float, row)) for row in draw(table)),
        memory_mb=draw(st.sampled_from([3.0, 4.0, math.inf])),
        window_ms=draw(st.sampled_from([None, None, 5.0, 8.0])),
        deadline_s=UNHURRIED_S,
    )


def every_schedule(problem: Problem, tasks: Sequence[int]) -> Iterator[list[Placement]]:
    """Yield the tasks' schedules of every order on every agent, each task as early as those before it let.

    One of them is the best for any measure that gains by earlier ends (Sprecher, Kolisch and Drexl 1995,
    "Semi-active, active, and non-delay schedules", European Journal of Operational Research 80).
    """
    for order in permutations(tasks):
        for agents in product(range(len(problem.agents)), repeat=len(order)):
            made: list[Placement] = []
            for task, agent in zip(order, agents, strict=True):
                took = problem.duration_ms[task][agent]
                for start in sorted({0.0, *(each.end_ms for each in made)}):
                    one = Placement(task=task, agent=agent, start_ms=start, end_ms=start + took)
                    if not broken(problem, [*made, one]):
                        made.append(one)
                        break
                else:
                    break
            else:
                yield made


def broken(problem: Problem, made: list[Placement]) -> bool:
    """Tell whether a part of a schedule breaks a promise, what is not placed yet left aside."""
    numbers = [each.task for each in made]
    part = Problem(
        goal=Goal.VALUE,
        tasks=tuple(problem.tasks[number] for number in numbers),
        agents=problem.agents,
        duration_ms=tuple(problem.duration_ms[number] for number in numbers),
        value=tuple(problem.value[number] for number in numbers),
        memory_mb=problem.memory_mb,
        window_ms=problem.window_ms,
    )
    again = tuple(
        Placement(task=here, agent=each.agent, start_ms=each.start_ms, end_ms=each.end_ms)
        for here, each in enumerate(made)
    )
    value = sum(part.value[each.task][each.agent] for each in again)
    return bool(faults(part, Solution(placements=again, objective=value, bound=value, method="")))


def best_value(problem: Problem) -> float:
    """Return the most value of any schedule of any of the tasks."""
    numbers = range(len(problem.tasks))
    subsets = chain.from_iterable(combinations(numbers, size) for size in range(len(numbers) + 1))
    return max(
        sum(problem.value[each.task][each.agent] for each in made)
        for subset in subsets
        for made in every_schedule(problem, subset)
    )


def most_and_shortest(problem: Problem) -> tuple[int, float]:
    """Return the most tasks that any schedule holds, and the least makespan of all tasks.

    The makespan is infinite unless all tasks can be placed: which of them are is the solver's to choose.
    """
    numbers = range(len(problem.tasks))
    for size in reversed(range(len(numbers) + 1)):
        spans = [
            max((each.end_ms for each in made), default=0.0)
            for subset in combinations(numbers, size)
            for made in every_schedule(problem, subset)
        ]
        if spans:
            return size, min(spans) if size == len(numbers) else math.inf
    raise AssertionError("no tasks at all are a schedule, too")


@given(tiny_waves())
@settings(max_examples=60)
def test_a_tiny_wave_gets_the_optimum_that_trying_everything_finds(problem: Problem) -> None:
    solution = solve(problem)

    assert faults(problem, solution) == []
    if problem.goal is Goal.VALUE:
        assert solution.objective == pytest.approx(best_value(problem))
    else:
        most, shortest = most_and_shortest(problem)
        assert len(solution.placements) == most
        assert solution.objective == pytest.approx(shortest) or shortest == math.inf
    assert solution.objective == solution.bound


@pytest.mark.parametrize("goal", Goal)
@given(seed=st.integers(0, 10_000), count=st.integers(5, 40))
@settings(max_examples=6)
def test_a_solution_keeps_every_promise_and_its_bound(goal: Goal, seed: int, count: int) -> None:
    problem = random_wave(seed, goal, count)

    assert faults(problem, solve(problem)) == []


@pytest.mark.slow
@pytest.mark.parametrize("goal", Goal)
def test_waves_are_solved_to_within_5_percent_of_the_bound(goal: Goal) -> None:
    for seed in range(200):
        problem = dataclasses.replace(random_wave(seed, goal), deadline_s=UNHURRIED_S)
        solution = solve(problem)

        assert faults(problem, solution) == []
        assert abs(solution.objective - solution.bound) <= 0.05 * abs(solution.bound), seed
