"""Waves small enough to be solved by hand; what is skipped and why; the bounds; what is refused."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.optimize import linprog

from adaptive.problem import Goal, Problem, Solution
from adaptive.solving import solve
from adaptive.solving.balancing import kicked
from adaptive.solving.relaxation import Relaxation
from adaptive.solving.rows import rows_of
from adaptive.solving.solver import least
from adaptive.solving.structure import placeable
from adaptive.types import WaveTask
from tests.properties.waves import faults, random_wave


def wave(
    durations: Sequence[Sequence[float]],
    *,
    goal: Goal = Goal.MAKESPAN,
    values: Sequence[Sequence[float]] | None = None,
    memory: Sequence[float] | None = None,
    needs: dict[int, set[int]] | None = None,
    apart: dict[int, set[int]] | None = None,
    memory_mb: float = math.inf,
    window_ms: float | None = None,
) -> Problem:
    """Return a problem of tasks t0, t1, ... with these durations [ms], one column an agent."""
    tasks = tuple(
        WaveTask(
            task_id=f"t{number}",
            memory_mb=memory[number] if memory else 1.0,
            dependencies=frozenset(f"t{each}" for each in (needs or {}).get(number, ())),
            conflicts=frozenset(f"t{each}" for each in (apart or {}).get(number, ())),
        )
        for number in range(len(durations))
    )
    return Problem(
        goal=goal,
        tasks=tasks,
        agents=tuple(f"a{agent}" for agent in range(len(durations[0]) if durations else 2)),
        duration_ms=tuple(map(tuple, durations)),
        value=tuple(map(tuple, values)) if values else tuple((1.0,) * len(row) for row in durations),
        memory_mb=memory_mb,
        window_ms=window_ms,
        deadline_s=60.0,
    )


def alike(*durations: float, agents: int = 2) -> list[list[float]]:
    """Return the durations of tasks that take every agent the same."""
    return [[each] * agents for each in durations]


def starts(problem: Problem, solution: Solution) -> dict[str, float]:
    return {problem.tasks[each.task].task_id: each.start_ms for each in solution.placements}


def agents(problem: Problem, solution: Solution) -> dict[str, str]:
    return {problem.tasks[each.task].task_id: problem.agents[each.agent] for each in solution.placements}


def test_two_agents_share_the_work_evenly() -> None:
    problem = wave(alike(3, 3, 2, 2, 2))  # 3 + 3 and 2 + 2 + 2: 12 ms of work, 6 for each

    solution = solve(problem)

    assert faults(problem, solution) == []
    assert (solution.objective, solution.bound) == (6.0, 6.0)


def test_an_uneven_split_is_proven_to_be_the_best() -> None:
    problem = wave(alike(5, 5, 4, 4, 3, 3, 3))  # 27 ms of work: 14 for one of the two, as 5 + 5 + 4

    solution = solve(problem)

    assert (solution.objective, solution.bound) == (14.0, 14.0)


def test_each_task_goes_where_it_is_fast() -> None:
    problem = wave([[1, 9], [9, 1], [1, 9], [9, 1]])

    solution = solve(problem)

    assert agents(problem, solution) == {"t0": "a0", "t1": "a1", "t2": "a0", "t3": "a1"}
    assert solution.objective == 2.0


def test_a_task_starts_when_what_it_depends_on_has_ended() -> None:
    problem = wave(alike(4, 2, 1), needs={1: {0}, 2: {1}})

    solution = solve(problem)

    assert starts(problem, solution) == {"t0": 0.0, "t1": 4.0, "t2": 6.0}
    assert solution.bound == solution.objective == 7.0


def test_tasks_in_conflict_never_overlap_whatever_their_agents() -> None:
    problem = wave(alike(4, 3, 2, agents=3), apart={0: {1}, 1: {2}, 2: {0}})

    assert solve(problem).objective == 9.0


def test_a_conflict_named_by_one_side_alone_holds_for_both() -> None:
    problem = wave(alike(4, 3), apart={0: {1}})

    assert solve(problem).objective == 7.0


def test_the_memory_of_what_runs_together_stays_within_the_pool() -> None:
    # Two of 40 MB fit into 100 MB, three do not: two rounds of 5 ms, though there are four agents.
    problem = wave(alike(5, 5, 5, 5, agents=4), memory=[40, 40, 40, 40], memory_mb=100)

    solution = solve(problem)

    assert faults(problem, solution) == []
    assert solution.objective == solution.bound == 10.0


def test_an_agent_that_cannot_run_a_task_does_not_get_it() -> None:
    problem = wave([[math.inf, 5.0], [math.inf, 5.0], [5.0, math.inf]])

    assert agents(problem, solve(problem)) == {"t0": "a1", "t1": "a1", "t2": "a0"}


def test_without_a_window_each_task_goes_where_it_is_worth_most() -> None:
    problem = wave(alike(9, 9, 9), goal=Goal.VALUE, values=[[2, 1], [3, 1], [1, 4]])

    solution = solve(problem)

    assert agents(problem, solution) == {"t0": "a0", "t1": "a0", "t2": "a1"}
    assert (solution.objective, solution.bound, solution.method) == (9.0, 9.0, "assignment")


def test_among_equal_values_the_load_is_spread() -> None:
    problem = wave(alike(3, 3, 2, 2, 2), goal=Goal.VALUE)

    solution = solve(problem)

    assert max(each.end_ms for each in solution.placements) == 6.0


def test_a_short_window_holds_the_most_valuable_tasks_that_fit() -> None:
    # A knapsack of 10 ms on one agent: 6 + 4 ms for 7 + 5 beats 9 ms for 11, and 5 + 4 ms for 6 + 5.
    problem = wave(alike(9, 6, 5, 4, agents=1), goal=Goal.VALUE, values=[[11], [7], [6], [5]], window_ms=10.0)

    solution = solve(problem)

    assert set(starts(problem, solution)) == {"t1", "t3"}
    assert (solution.objective, solution.bound) == (12.0, 12.0)


def test_what_others_need_is_placed_for_their_sake() -> None:
    # t0 is worth nothing, but t1 needs it: both in 10 ms bring 9, t2 alone 8.
    problem = wave(
        alike(5, 5, 10, agents=1),
        goal=Goal.VALUE,
        values=[[0], [9], [8]],
        needs={1: {0}},
        window_ms=10.0,
    )

    assert starts(problem, solve(problem)) == {"t0": 0.0, "t1": 5.0}


def test_the_shortest_schedule_in_a_short_window_is_of_as_many_tasks_as_fit() -> None:
    problem = wave(alike(6, 3, 3, 8, agents=1), window_ms=12.0)  # 3 + 3 + 6 ms fill it with three tasks

    solution = solve(problem)

    assert set(solution.skipped) == {"t3"}
    assert solution.objective == solution.bound == 12.0


def test_all_tasks_are_placed_where_the_shortest_schedule_fills_the_window() -> None:
    problem = wave(alike(3, 3, 2, 2, 2), window_ms=6.0)

    assert not solve(problem).skipped


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (wave(alike(1), memory=[200], memory_mb=100), "needs 200 MB, the pool has 100 MB"),
        (wave([[9, 8]], window_ms=7.0), "takes 8 ms at least, the window lasts 7 ms"),
        (wave([[math.inf, math.inf]]), "no agent can run it"),
        (wave(alike(1), needs={0: {7}}), "depends on 't7', which is not in the wave"),
        (wave(alike(1), needs={0: {0}}), "it depends on itself, in a cycle"),
    ],
)
def test_a_task_that_cannot_be_placed_is_skipped_with_the_reason(problem: Problem, reason: str) -> None:
    solution = solve(problem)

    assert solution.skipped == {"t0": reason}
    assert (solution.objective, solution.bound) == (0.0, 0.0)


def test_what_depends_on_a_skipped_task_is_skipped_with_it() -> None:
    problem = wave(alike(1, 1, 1), needs={1: {0}, 2: {1}}, memory=[9, 1, 1], memory_mb=5)

    assert solve(problem).skipped == {
        "t0": "needs 9 MB, the pool has 5 MB",
        "t1": "depends on 't0', which is skipped",
        "t2": "depends on 't1', which is skipped",
    }


def test_every_task_of_a_cycle_is_skipped_and_the_others_are_not() -> None:
    problem = wave(alike(1, 1, 1), needs={0: {1}, 1: {0}})

    solution = solve(problem)

    assert set(solution.skipped) == {"t0", "t1"}
    assert set(starts(problem, solution)) == {"t2"}


def test_a_chain_too_long_for_the_window_loses_its_end_alone() -> None:
    problem = wave(alike(4, 4, 4), needs={1: {0}, 2: {1}}, window_ms=10.0)

    solution = solve(problem)

    assert solution.skipped == {
        "t2": "ends after 12 ms at least with all it depends on, the window lasts 10 ms"
    }
    assert solution.objective == 8.0


@pytest.mark.parametrize("goal", Goal)
def test_a_wave_without_tasks_has_an_empty_schedule(goal: Goal) -> None:
    solution = solve(wave([], goal=goal))

    assert (solution.placements, solution.objective, solution.bound) == ((), 0.0, 0.0)


@pytest.mark.parametrize("goal", Goal)
def test_tasks_that_take_no_time_are_placed(goal: Goal) -> None:
    problem = wave(alike(0, 0, 0), goal=goal, needs={1: {0}}, window_ms=0.0)

    solution = solve(problem)

    assert faults(problem, solution) == []
    assert not solution.skipped


@pytest.mark.parametrize("goal", Goal)
def test_without_any_time_the_solution_is_sound_and_bounded_all_the_same(goal: Goal) -> None:
    problem = dataclasses.replace(random_wave(1, goal, 40), deadline_s=0.0)

    assert faults(problem, solve(problem)) == []


def test_no_task_is_kicked_once_the_time_is_up() -> None:
    work, _ = placeable(wave(alike(5, 4, 3, 3, 3)))
    rows = rows_of(work, limit=0.0, tails=True)
    crowded = np.zeros(5, dtype=int)

    assert list(kicked(rows, crowded, 9.0, 30, 1, lambda: True))
    assert not list(kicked(rows, crowded, 9.0, 30, 1, lambda: False))


def test_a_makespan_is_bounded_by_as_much_of_the_search_as_there_was_time_for() -> None:
    work, _ = placeable(wave([[9, 2], [8, 3], [3, 7], [4, 6]]))
    relaxation = Relaxation(work, rows_of(work, limit=0.0, tails=True), by_value=False, scale=least(work))

    at_once, _ = relaxation.shortest(0.0, 100.0, lambda: False)
    in_full, _ = relaxation.shortest(0.0, 100.0, lambda: True)

    assert 0.0 < at_once <= in_full <= 7.0  # 2 + 3 on the one agent, 3 + 4 on the other


@pytest.mark.parametrize("goal", Goal)
def test_the_same_problem_has_the_same_solution(goal: Goal) -> None:
    problem = dataclasses.replace(random_wave(4, goal, 14), deadline_s=60.0)

    assert solve(problem) == solve(problem)


def test_the_longest_path_bounds_the_makespan() -> None:
    work, _ = placeable(wave([[4, 6], [5, 2], [1, 1]], needs={1: {0}}))

    assert least(work) == 6.0  # 4 on a0 and 2 on a1


def test_memory_over_time_bounds_the_makespan() -> None:
    work, _ = placeable(wave(alike(4, 4, 4, agents=3), memory=[2, 2, 2], memory_mb=4))

    assert least(work) == 6.0  # 3 x 2 MB x 4 ms in 4 MB


def test_of_tasks_that_need_more_than_a_third_of_the_memory_two_run_at_once() -> None:
    work, _ = placeable(wave(alike(4, 4, 4, 4, agents=4), memory=[35] * 4, memory_mb=100))
    relaxation = Relaxation(work, rows_of(work, limit=0.0, tails=True), by_value=False, scale=least(work))

    relaxed = relaxation.solve(100.0)

    assert relaxed is not None
    assert relaxed.bound == pytest.approx(8.0, rel=1e-5)  # 4 x 4 ms / 2, where memory over time says 5.6


def test_the_relaxation_of_unrelated_agents_is_the_linear_program_of_the_textbook() -> None:
    rng = np.random.default_rng(3)
    took = rng.integers(1, 20, (6, 3)).astype(float)
    work, _ = placeable(wave(took.tolist()))
    # min T: every task is done once, no agent works longer than T (Lenstra, Shmoys and Tardos 1990).
    once = np.hstack([np.kron(np.eye(6), np.ones(3)), np.zeros((6, 1))])
    loads = np.zeros((3, 19))
    for agent in range(3):
        loads[agent, agent:18:3], loads[agent, 18] = took[:, agent], -1.0
    textbook = linprog(np.eye(19)[18], A_ub=loads, b_ub=np.zeros(3), A_eq=once, b_eq=np.ones(6))

    relaxed = Relaxation(work, rows_of(work, limit=0.0, tails=True), by_value=False, scale=least(work)).solve(
        1000.0
    )

    assert relaxed is not None
    assert relaxed.bound == pytest.approx(textbook.fun, rel=1e-5)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("duration_ms", {"duration_ms": ((1.0, -1.0), (1.0, 1.0))}),
        ("duration_ms", {"duration_ms": ((1.0,), (1.0,))}),
        ("value", {"goal": Goal.VALUE, "value": ((1.0, math.nan), (1.0, 1.0))}),
        ("window_ms", {"window_ms": -1.0}),
        ("memory_mb", {"memory_mb": math.nan}),
        ("task_id", {"tasks": (WaveTask(task_id="t0"), WaveTask(task_id="t0"))}),
    ],
)
def test_a_problem_that_is_none_is_refused_by_field(field: str, change: dict[str, object]) -> None:
    problem = dataclasses.replace(wave(alike(1, 1)), **change)  # type: ignore[arg-type]  # wrong on purpose

    with pytest.raises(ValueError, match=field):
        solve(problem)
