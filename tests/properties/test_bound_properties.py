"""No schedule beats the bound: neither the best of all there are, on tiny demands, nor a greedy one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.simulation.bound import Demanded, bound_of, least_minutes

SLOTS, MEMORY_MB = 3, 10.0
State = tuple[int, ...]
"""Minutes left, by task."""


@st.composite
def demands(draw: st.DrawFn, most: int, longest: int) -> list[Demanded]:
    """Tasks of 1 to `longest` whole minutes that each fit the box, with dependencies on earlier ones and
    conflicts at random."""
    names = [f"t{i}" for i in range(draw(st.integers(1, most)))]
    return [
        Demanded(
            task=name,
            minutes=draw(st.integers(1, longest)),
            cpus=draw(st.sampled_from((1, 1, 2, 3))),
            memory_mb=draw(st.sampled_from((0, 2, 4, 6, 10))),
            dependencies=frozenset(draw(st.sets(st.sampled_from(names[:i]), max_size=2)) if i else ()),
            conflicts=frozenset(draw(st.sets(st.sampled_from(names), max_size=2))) - {name},
        )
        for i, name in enumerate(names)
    ]


def may_run_together(some: Sequence[Demanded]) -> bool:
    return (
        sum(d.cpus for d in some) <= SLOTS
        and sum(d.memory_mb for d in some) <= MEMORY_MB
        and not any(a.task in b.conflicts or b.task in a.conflicts for a, b in combinations(some, 2))
    )


def next_states(tasks: Sequence[Demanded], left: State) -> set[State]:
    """Return what can be left a minute later, if any set of tasks may run in it and none need go on."""
    done = {d.task for d, minutes in zip(tasks, left, strict=True) if minutes == 0}
    demanded = {d.task for d in tasks}
    ready = [i for i, d in enumerate(tasks) if left[i] > 0 and d.dependencies & demanded <= done]
    return {
        tuple(minutes - (i in some) for i, minutes in enumerate(left))
        for size in range(len(ready) + 1)
        for some in combinations(ready, size)
        if may_run_together([tasks[i] for i in some])
    }


def reachable(tasks: Sequence[Demanded], minutes: int) -> set[State]:
    """Return everything that can be left after `minutes`, by every schedule there is."""
    states = {tuple(int(d.minutes) for d in tasks)}
    for _ in range(minutes):
        states = {after for left in states for after in next_states(tasks, left)}
    return states


def greedy_minutes(tasks: Sequence[Demanded], dice: random.Random) -> float:
    """Return the makespan of list scheduling in a random order: what can start does, to its end."""
    waiting = sorted(tasks, key=lambda d: dice.random())
    demanded = {d.task for d in tasks}
    done: set[str] = set()
    running: list[tuple[float, Demanded]] = []
    now = 0.0
    while waiting or running:
        for d in list(waiting):
            if d.dependencies & demanded <= done and may_run_together([d, *(r for _, r in running)]):
                waiting.remove(d)
                running.append((now + d.minutes, d))
        first = min(running, key=lambda end_and_task: end_and_task[0])
        running.remove(first)
        now = first[0]
        done.add(first[1].task)
    return now


@settings(max_examples=60)
@given(demands(most=4, longest=3), st.integers(0, 8))
def test_no_schedule_of_a_window_finishes_more_than_the_bound(tasks: list[Demanded], minutes: int) -> None:
    bound = bound_of(tasks, minutes, SLOTS, MEMORY_MB)

    for left in reachable(tasks, minutes):
        finished = [d for d, still in zip(tasks, left, strict=True) if still == 0]
        assert len(finished) <= bound.most
        assert sum(d.minutes for d in finished) / 60 <= bound.hours + 1e-9


@settings(max_examples=60)
@given(demands(most=4, longest=3))
def test_no_schedule_finishes_a_set_before_its_least_time(tasks: list[Demanded]) -> None:
    least = least_minutes(tasks, SLOTS, MEMORY_MB)

    # The last whole minute before it, after which something must be left whatever was run.
    assert tuple(0 for _ in tasks) not in reachable(tasks, ceil(least - 1e-9) - 1)


@given(demands(most=9, longest=300), st.integers(0, 2**32))
def test_a_greedy_schedule_is_never_faster_than_the_least_time(tasks: list[Demanded], seed: int) -> None:
    least = least_minutes(tasks, SLOTS, MEMORY_MB)

    assert greedy_minutes(tasks, random.Random(seed)) >= least - 1e-6


@given(demands(most=7, longest=300), st.integers(0, 600))
def test_the_possible_set_fits_its_window_and_holds_what_it_depends_on(
    tasks: list[Demanded], minutes: int
) -> None:
    bound = bound_of(tasks, minutes, SLOTS, MEMORY_MB)

    chosen = [d for d in tasks if d.task in bound.possible]
    demanded = {d.task for d in tasks}
    assert least_minutes(chosen, SLOTS, MEMORY_MB) == bound.minutes <= minutes + 1e-6
    assert all(d.dependencies & demanded <= bound.possible for d in chosen)
    assert len(chosen) <= bound.most


@given(demands(most=7, longest=300), st.data())
def test_fewer_tasks_never_take_longer(tasks: list[Demanded], data: st.DataObject) -> None:
    some = data.draw(st.lists(st.sampled_from(tasks), unique_by=lambda d: d.task))

    assert least_minutes(some, SLOTS, MEMORY_MB) <= least_minutes(tasks, SLOTS, MEMORY_MB) + 1e-6


@given(demands(most=7, longest=300), st.integers(0, 600), st.randoms(use_true_random=False))
def test_the_order_in_which_tasks_are_named_does_not_matter(
    tasks: list[Demanded], minutes: int, dice: random.Random
) -> None:
    shuffled = list(tasks)
    dice.shuffle(shuffled)

    assert bound_of(shuffled, minutes, SLOTS, MEMORY_MB) == bound_of(tasks, minutes, SLOTS, MEMORY_MB)
