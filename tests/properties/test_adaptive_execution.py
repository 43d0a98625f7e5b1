"""Executions of random waves, schedules, durations and failures never break what holds in a wave."""

from __future__ import annotations

import os
from dataclasses import dataclass
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from adaptive.execution import carry_out
from adaptive.scheduler import AdaptiveScheduler
from adaptive.types import Pool, ScheduledTask, Status, Wave, WaveTask
from tests.scripted_waves import Attempt, ScriptedRuns, broken_rules, place

AGENTS = ("a/1", "a/2", "a/3")
THOROUGH = settings(max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "120")))


@dataclass(frozen=True)
class Case:
    """A wave, a schedule of it that need not be a good one, and what befalls its attempts."""

    pool: Pool
    wave: Wave
    schedule: tuple[ScheduledTask, ...]
    lasts: dict[str, float]
    fails: dict[str, int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Tasks depend on earlier ones only; places overlap, and stand in any order, as they like."""
    rng = Random(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, 14))
    names = [f"t{k}" for k in range(count)]
    tasks = tuple(
        WaveTask(
            task_id=name,
            memory_mb=rng.choice((0, 10, 40, 60, 100, 120)),
            expected_ms=rng.choice((1.0, 50.0, 100.0, 400.0)),
            priority=rng.randint(1, 5),
            dependencies=frozenset(rng.sample(names[:k], min(k, rng.choice((0, 0, 1, 2))))),
            conflicts=frozenset(rng.sample(names, rng.choice((0, 0, 1)))) - {name},
        )
        for k, name in enumerate(names)
    )
    starts = {name: rng.choice((0.0, 100.0, 250.0, 1000.0)) for name in names}
    return Case(
        pool=Pool(agents=AGENTS, memory_mb=rng.choice((100.0, 150.0, float("inf")))),
        wave=Wave(number=1, tasks=tasks, window_ms=rng.choice((None, None, 300.0, 1000.0))),
        schedule=tuple(
            place(
                task.task_id,
                rng.choice(AGENTS),
                starts[task.task_id],
                starts[task.task_id] + task.expected_ms,
            )
            for task in tasks
            if rng.random() < 0.95
        ),
        lasts={name: rng.choice((0.0, 20.0, 100.0, 900.0)) for name in names if rng.random() < 0.7},
        fails={name: rng.randint(1, 4) for name in names if rng.random() < 0.2},
    )


def _scheduler(case: Case, seed: int = 1) -> AdaptiveScheduler:
    return AdaptiveScheduler(case.pool, seed=seed)


def _carried_out(case: Case) -> tuple[ScriptedRuns, tuple[ScheduledTask, ...]]:
    runs = ScriptedRuns(lasts=case.lasts, fails=case.fails)
    judge = _scheduler(case).handle_task_failure
    return runs, carry_out(case.schedule, case.wave, case.pool, runs, judge).scheduled


@THOROUGH
@given(cases())
def test_no_execution_breaks_a_rule_of_its_wave(case: Case) -> None:
    runs, _ = _carried_out(case)

    assert broken_rules(runs.attempts, case.pool) == []


@THOROUGH
@given(cases())
def test_every_task_ends_once_with_the_status_that_its_attempts_tell(case: Case) -> None:
    runs, executed = _carried_out(case)

    assert sorted(each.task_id for each in executed) == sorted(each.task_id for each in case.schedule)
    for each in executed:
        mine = [attempt for attempt in runs.attempts if attempt.task.task_id == each.task_id]
        if not mine:
            expected = Status.SKIPPED
        elif not mine[-1].success:
            expected = Status.FAILED
        else:
            expected = Status.COMPLETED if len(mine) == 1 else Status.RETRIED
        assert each.status is expected
        assert (each.actual_start_time is None) == (not mine)


@THOROUGH
@given(cases())
def test_the_places_that_are_given_and_moved_break_no_rule(case: Case) -> None:
    scheduler = _scheduler(case)
    tasks = {task.task_id: task for task in case.wave.tasks}
    plan = scheduler.assign_tasks_to_agents(case.wave)
    moved = scheduler.adjust_for_agent_load(plan, {"a/1": 500.0}, wave=case.wave)
    blindly = scheduler.adjust_for_agent_load(plan, {"a/1": 500.0})

    for assignments in (plan, moved, blindly):
        planned = [
            Attempt(
                tasks[each.task_id],
                agent_id,
                each.scheduled_start_time,
                each.scheduled_end_time,
                success=True,
            )
            for agent_id, mine in assignments.items()
            for each in mine
        ]
        assert broken_rules(planned, case.pool) == []


@THOROUGH
@given(cases())
def test_places_that_are_as_early_as_can_be_are_kept_to_the_millisecond(case: Case) -> None:
    scheduler = _scheduler(case)
    plan = scheduler.assign_tasks_to_agents(case.wave)
    moved = scheduler.adjust_for_agent_load(plan, {"a/1": 500.0}, wave=case.wave)

    for assignments in (plan, moved):
        places = [each for mine in assignments.values() for each in mine]
        judge = scheduler.handle_task_failure
        executed = carry_out(places, case.wave, case.pool, ScriptedRuns(), judge).scheduled
        assert scheduler.calculate_schedule_adherence(executed) == 1.0


@THOROUGH
@given(cases(), st.integers(0, 1000))
def test_the_same_seed_simulates_the_same(case: Case, seed: int) -> None:
    one = _scheduler(case, seed).execute_schedule({"": case.schedule}, case.wave)
    same = _scheduler(case, seed).execute_schedule({"": case.schedule}, case.wave)

    assert one == same
