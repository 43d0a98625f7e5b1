"""The adaptive scheduler: order, places, load, executions by a script, failures, adherence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf, nan
from random import Random
from statistics import median
from typing import Any

import pytest

from adaptive.beliefs import Beliefs
from adaptive.execution import Execution, FailureAction, FailureDecision, carry_out
from adaptive.runs import PoolRun
from adaptive.scheduler import AdaptiveScheduler
from adaptive.types import OptimizationResult, Pool, ScheduledTask, Status, Strategy, Wave, WaveTask
from orchestration.clock import VirtualClock
from tests.scripted_waves import ScriptedRuns, broken_rules, outcome, place

TWO = Pool(agents=("a/1", "a/2"))


def scheduler(pool: Pool = TWO, beliefs: Beliefs | None = None, **settings: float) -> AdaptiveScheduler:
    return AdaptiveScheduler(pool, beliefs=beliefs, **settings)  # type: ignore[arg-type]  # numbers of any kind


def wave_of(*tasks: WaveTask, window_ms: float | None = None, window: str = "") -> Wave:
    return Wave(number=1, tasks=tasks, window_ms=window_ms, window=window)


def task(task_id: str, *, after: str = "", apart: str = "", ms: float = 1000.0, **fields: Any) -> WaveTask:
    return WaveTask(
        task_id=task_id,
        expected_ms=ms,
        dependencies=frozenset(after.split()),
        conflicts=frozenset(apart.split()),
        **fields,  # memory_mb, priority, kind
    )


def execute(
    runs: ScriptedRuns, wave: Wave, *places: ScheduledTask, pool: Pool = TWO, max_attempts: int = 3
) -> Execution:
    judge = scheduler(pool, max_attempts=max_attempts).handle_task_failure
    return carry_out(places, wave, pool, runs, judge)


def starts(executed: Sequence[ScheduledTask]) -> dict[str, float | None]:
    return {each.task_id: each.actual_start_time for each in executed}


def statuses(executed: Sequence[ScheduledTask]) -> dict[str, Status | None]:
    return {each.task_id: each.status for each in executed}


def ids(tasks: Sequence[WaveTask]) -> str:
    return " ".join(each.task_id for each in tasks)


# --- order ------------------------------------------------------------------------------------------------


def test_a_task_never_comes_before_what_it_depends_on() -> None:
    tasks = (task("a", after="b", priority=5), task("b", after="c"), task("c", priority=1), task("d"))

    # a is urgent, and so are b and c, which it waits for; d is not.
    assert ids(scheduler().prioritize_tasks(tasks)) == "c b a d"


def test_of_independent_tasks_the_higher_priority_comes_first() -> None:
    tasks = (task("low", priority=1), task("high", priority=5), task("middle", priority=3))

    assert ids(scheduler().prioritize_tasks(tasks)) == "high middle low"


def test_of_equal_priorities_the_likelier_success_comes_first() -> None:
    beliefs = Beliefs.from_outcomes([outcome("sure", "a/1"), outcome("risky", "a/1", success=False)])

    assert ids(scheduler(beliefs=beliefs).prioritize_tasks((task("risky"), task("sure")))) == "sure risky"


def test_of_equally_valuable_tasks_the_shorter_comes_first_and_then_the_id() -> None:
    tasks = (task("long", ms=9000), task("b"), task("a"))

    assert ids(scheduler().prioritize_tasks(tasks)) == "a b long"


def test_a_circle_of_dependencies_is_refused_with_the_names_in_it() -> None:
    with pytest.raises(ValueError, match="dependencies of a, b: expected no circle"):
        scheduler().prioritize_tasks((task("a", after="b"), task("b", after="a"), task("c")))


def test_a_task_that_comes_twice_is_refused_by_its_id() -> None:
    with pytest.raises(ValueError, match="tasks have 'a' more than once"):
        scheduler().prioritize_tasks((task("b"), task("a"), task("a")))


# --- places -----------------------------------------------------------------------------------------------


def test_a_wave_is_filled_so_that_each_task_ends_as_early_as_it_can() -> None:
    wave = wave_of(task("a", ms=3000, priority=5), task("b", ms=1000, priority=4), task("c", ms=1000))

    found = scheduler().assign_tasks_to_agents(wave)

    # a on the first agent; b ends first on the second, and c after it at 2 s, not at 4 s after a.
    assert {agent: [each.task_id for each in mine] for agent, mine in found.items()} == {
        "a/1": ["a"],
        "a/2": ["b", "c"],
    }
    assert found["a/2"][1].scheduled_end_time == pytest.approx(2000)


def test_a_filled_wave_keeps_conflicts_dependencies_and_memory_apart() -> None:
    pool = Pool(agents=("a/1", "a/2", "a/3"), memory_mb=100)
    wave = wave_of(
        task("a", memory_mb=60),
        task("b", memory_mb=60),
        task("c", apart="a b", memory_mb=10),
        task("d", after="c", memory_mb=10),
    )

    found = scheduler(pool).assign_tasks_to_agents(wave)

    # a and b need more memory together than there is, c may be beside neither, and d comes after c: a row.
    ends = sorted(each.scheduled_end_time for mine in found.values() for each in mine)
    assert ends == pytest.approx([1000, 2000, 3000, 4000])


def test_a_wave_leaves_out_what_finds_no_place() -> None:
    wave = wave_of(
        task("long", ms=5000),
        task("after", after="long"),
        task("big", memory_mb=500),
        WaveTask(task_id="elsewhere", expected_ms=1000, windows=frozenset({"WEEKEND"})),
        task("fits"),
        window="OVERNIGHT",
        window_ms=2000,
    )

    found = scheduler(Pool(agents=("a/1",), memory_mb=200)).assign_tasks_to_agents(wave)

    assert [each.task_id for each in found["a/1"]] == ["fits"]


def test_a_result_is_assigned_as_it_is() -> None:
    schedule = (place("b", "a/2", 0, 5), place("a", "a/2", 5, 9))
    result = OptimizationResult(
        wave=1,
        strategy=Strategy.SUCCESS,
        agent_assignments={"a/2": ("b", "a")},
        schedule=tuple(reversed(schedule)),
        expected_success_rate=1,
        expected_throughput=1,
        makespan_ms=9,
        objective=1,
        bound=1,
        method="milp",
    )

    assert scheduler().assign_tasks_to_agents(result) == {"a/1": (), "a/2": schedule}


def test_an_agent_that_is_not_in_the_pool_is_refused() -> None:
    with pytest.raises(ValueError, match="agent_id is 'b/1': expected one of a/1, a/2"):
        scheduler().adjust_for_agent_load({"b/1": (place("a", "b/1", 0, 5),)})


def test_a_wave_of_a_thousand_tasks_is_filled_and_carried_out_without_a_breach() -> None:
    rng = Random(7)
    wave = wave_of(
        *(
            task(
                f"t{i}",
                after=f"t{rng.randrange(i)}" if i % 3 else "",
                apart=f"t{rng.randrange(i)}" if i % 10 == 1 else "",
                ms=rng.uniform(100.0, 5000.0),
                memory_mb=rng.uniform(10.0, 400.0),
            )
            for i in range(1000)
        )
    )
    pool = Pool(agents=("a/1", "a/2", "a/3", "a/4"), memory_mb=1000.0)
    runs = ScriptedRuns()
    plan = scheduler(pool).assign_tasks_to_agents(wave)

    found = carry_out([p for places in plan.values() for p in places], wave, pool, runs, _never_asked)

    assert set(statuses(found.scheduled).values()) == {Status.COMPLETED}
    assert len(found.scheduled) == 1000
    assert broken_rules(runs.attempts, pool) == []


def _never_asked(*_: object, **__: object) -> FailureDecision:
    raise AssertionError("nothing fails here")


# --- load -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ms", [-1.0, nan, inf])
def test_a_load_that_is_no_time_is_refused_by_its_agent(ms: float) -> None:
    with pytest.raises(ValueError, match=r"load\['a/1'\] is .*: expected a finite number of ms"):
        scheduler().adjust_for_agent_load(row_on_one(), {"a/1": ms})


def row_on_one() -> dict[str, tuple[ScheduledTask, ...]]:
    """Four tasks of 1 s, one after the other on a/1; nothing on a/2."""
    return {"a/1": tuple(place(name, "a/1", 1000 * k, 1000 * (k + 1)) for k, name in enumerate("abcd"))}


def test_tasks_move_from_an_overloaded_agent_until_the_load_is_even() -> None:
    wave = wave_of(*(task(name) for name in "abcd"))

    found = scheduler().adjust_for_agent_load(row_on_one(), wave=wave)

    # 4 s against 0: twice the mean. Two moves make it even, and the wave takes 2 s.
    assert {agent: len(mine) for agent, mine in found.items()} == {"a/1": 2, "a/2": 2}
    assert max(each.scheduled_end_time for mine in found.values() for each in mine) == 2000


def test_nothing_moves_while_the_load_is_within_the_factor() -> None:
    assignments = {"a/1": (place("a", "a/1", 0, 1200),), "a/2": (place("b", "a/2", 0, 800),)}

    # 1.2 times the mean of 1 s; the factor is 1.25.
    assert scheduler().adjust_for_agent_load(assignments, wave=wave_of(task("a"), task("b"))) == assignments


def test_what_an_agent_has_to_do_besides_counts_as_load() -> None:
    assignments = {"a/1": (place("a", "a/1", 0, 1000),), "a/2": ()}

    found = scheduler().adjust_for_agent_load(assignments, {"a/1": 5000.0}, wave=wave_of(task("a")))

    assert [each.task_id for each in found["a/2"]] == ["a"]


def test_a_moved_task_takes_as_long_as_on_its_new_agent() -> None:
    beliefs = Beliefs()
    for _ in range(40):
        beliefs.learn(outcome("k", "a/1", took_ms=1000))
        beliefs.learn(outcome("k", "a/2", took_ms=2000))
    ratio = beliefs.speed("a/1") / beliefs.speed("a/2")

    moved = scheduler(beliefs=beliefs).adjust_for_agent_load(row_on_one())["a/2"][0]

    assert ratio > 1.5
    assert moved.scheduled_end_time - moved.scheduled_start_time == pytest.approx(1000 * ratio)


def test_a_moved_task_is_as_likely_to_succeed_as_on_its_new_agent() -> None:
    beliefs = Beliefs.from_outcomes(outcome("k", "a/2", success=k < 2) for k in range(8))
    wave = wave_of(*(task(name, kind="k") for name in "abcd"))

    found = scheduler(beliefs=beliefs).adjust_for_agent_load(row_on_one(), wave=wave)

    # overall 3/10; kind (2 + 2 * 3/10) / 10 = 0.26; on a/2 (2 * 0.26 + 2) / 10. row_on_one says 0.9.
    assert [each.confidence for each in found["a/2"]] == [pytest.approx(0.252)] * 2
    assert [each.confidence for each in found["a/1"]] == [0.9] * 2


def test_after_moves_dependencies_conflicts_and_memory_still_hold() -> None:
    pool = Pool(agents=("a/1", "a/2"), memory_mb=100)
    wave = wave_of(
        task("a"), task("b", after="a"), task("c", apart="d", memory_mb=30), task("d", memory_mb=30)
    )

    found = scheduler(pool).adjust_for_agent_load(row_on_one(), wave=wave)

    runs = ScriptedRuns()
    schedule = [each for mine in found.values() for each in mine]
    executed = carry_out(schedule, wave, pool, runs, scheduler(pool).handle_task_failure).scheduled
    assert broken_rules(runs.attempts, pool) == []
    # The new times can be kept: nothing starts before or after them.
    assert starts(executed) == {each.task_id: each.scheduled_start_time for each in schedule}


def test_without_the_wave_what_was_apart_in_the_plan_stays_apart() -> None:
    found = scheduler().adjust_for_agent_load(row_on_one())

    # The reason why a to d ran in a row is not known: two have moved, the row is the same.
    places = sorted((each for mine in found.values() for each in mine), key=lambda each: each.task_id)
    assert {agent: len(mine) for agent, mine in found.items()} == {"a/1": 2, "a/2": 2}
    assert [each.scheduled_start_time for each in places] == [0, 1000, 2000, 3000]


# --- execution --------------------------------------------------------------------------------------------


def test_with_the_planned_durations_everything_starts_exactly_as_planned() -> None:
    wave = wave_of(task("a"), task("b", after="a"), task("c"), task("d", apart="c"))
    plan = scheduler().assign_tasks_to_agents(wave)
    places = [each for mine in plan.values() for each in mine]

    executed = execute(ScriptedRuns(), wave, *places).scheduled

    assert starts(executed) == {each.task_id: each.scheduled_start_time for each in places}
    assert scheduler().calculate_schedule_adherence(executed) == 1.0


def test_an_early_end_lets_the_next_one_start_early() -> None:
    wave = wave_of(task("a"), task("b"))

    executed = execute(
        ScriptedRuns(lasts={"a": 400}), wave, place("a", "a/1", 0, 1000), place("b", "a/1", 1000, 2000)
    )

    assert starts(executed.scheduled) == {"a": 0, "b": 400}


def test_a_late_end_holds_back_what_conflicts_what_depends_and_what_needs_the_memory() -> None:
    pool = Pool(agents=("a/1", "a/2", "a/3", "a/4"), memory_mb=100)
    wave = wave_of(
        task("a", memory_mb=60),
        task("conflicts", apart="a", memory_mb=1),
        task("depends", after="a", memory_mb=1),
        task("big", memory_mb=50),
    )

    executed = execute(
        ScriptedRuns(lasts={"a": 7000}),
        wave,
        place("a", "a/1", 0, 1000),
        place("conflicts", "a/2", 1000, 2000),
        place("depends", "a/3", 1000, 2000),
        place("big", "a/4", 1000, 2000),
        pool=pool,
    )

    assert starts(executed.scheduled) == {"a": 0, "conflicts": 7000, "depends": 7000, "big": 7000}


def test_a_task_does_not_take_the_memory_that_an_earlier_planned_one_waits_for() -> None:
    pool = Pool(agents=("a/1", "a/2", "a/3"), memory_mb=100)
    wave = wave_of(task("a", memory_mb=60), task("big", memory_mb=90), task("small", memory_mb=40))

    executed = execute(
        ScriptedRuns(lasts={"small": 9000}),
        wave,
        place("a", "a/1", 0, 1000),
        place("big", "a/2", 1000, 2000),
        place("small", "a/3", 2000, 3000),
        pool=pool,
    )

    # small would fit beside a at once, and big would then wait for 9 s.
    assert starts(executed.scheduled) == {"a": 0, "big": 1000, "small": 2000}


def test_a_retried_success_is_told_apart_and_lets_its_dependents_run() -> None:
    wave = wave_of(task("a"), task("b", after="a"))
    runs = ScriptedRuns(fails={"a": 2})

    executed = execute(runs, wave, place("a", "a/1", 0, 1000), place("b", "a/2", 1000, 2000))

    assert statuses(executed.scheduled) == {"a": Status.RETRIED, "b": Status.COMPLETED}
    # The actual times are those of the attempt that counted.
    assert starts(executed.scheduled) == {"a": 2000, "b": 3000}
    assert executed.attempts == {"a": 3, "b": 1}


def test_what_depends_on_a_failed_task_is_skipped_all_the_way_down() -> None:
    wave = wave_of(task("a"), task("b", after="a"), task("c", after="b"), task("d"))
    places = [place(name, "a/1", 1000 * k, 1000 * (k + 1)) for k, name in enumerate("abcd")]

    executed = execute(ScriptedRuns(fails={"a": 9}), wave, *places)

    assert statuses(executed.scheduled) == {
        "a": Status.FAILED,
        "b": Status.SKIPPED,
        "c": Status.SKIPPED,
        "d": Status.COMPLETED,
    }
    assert executed.reasons["a"][-1] == "given up after 3 of 3 attempts (exit code 1)"
    assert executed.reasons["c"] == ("depends on b, which did not complete",)


def test_a_task_that_no_longer_fits_the_window_is_skipped_with_the_reason() -> None:
    wave = wave_of(task("a"), task("b"), window_ms=2500)

    executed = execute(
        ScriptedRuns(lasts={"a": 2000}), wave, place("a", "a/1", 0, 1000), place("b", "a/1", 1000, 2000)
    )

    assert statuses(executed.scheduled) == {"a": Status.COMPLETED, "b": Status.SKIPPED}
    assert executed.reasons["b"] == ("takes 1000 ms; 500 ms are left of the window",)


def test_a_task_that_failed_and_finds_no_time_for_another_attempt_has_failed() -> None:
    wave = wave_of(task("a"), task("b"), window_ms=1500)

    executed = execute(ScriptedRuns(fails={"a": 1}), wave, place("a", "a/1", 0, 1000))

    assert statuses(executed.scheduled) == {"a": Status.FAILED}
    assert executed.reasons["a"] == (
        "given up: it takes 1000 ms; 500 ms are left of the window (exit code 1)",
    )


def test_a_reassigned_task_for_which_the_new_agent_is_free_too_late_has_failed_where_it_ran() -> None:
    judge = scheduler(beliefs=beliefs_of((3, 17), (50, 2))).handle_task_failure
    runs = ScriptedRuns(lasts={"long": 4500}, fails={"k": 1})
    wave = wave_of(task("k"), task("long"), window_ms=5000)
    places = [place("k", "a/1", 0, 1000), place("long", "a/2", 0, 1000)]

    executed = carry_out(places, wave, TWO, runs, judge)

    assert statuses(executed.scheduled) == {"k": Status.FAILED, "long": Status.COMPLETED}
    (k,) = (each for each in executed.scheduled if each.task_id == "k")
    assert (k.agent_id, k.actual_end_time) == ("a/1", 1000)
    assert executed.reasons["k"][-1] == "takes 1000 ms; 500 ms are left of the window"


def test_a_task_whose_dependency_was_not_scheduled_is_skipped() -> None:
    executed = execute(ScriptedRuns(), wave_of(task("a"), task("b", after="a")), place("b", "a/1", 0, 1000))

    assert statuses(executed.scheduled) == {"b": Status.SKIPPED}
    assert executed.reasons["b"] == ("depends on a, which is not in the schedule",)


@pytest.mark.parametrize(
    ("places", "complaint"),
    [
        ([place("x", "a/1", 0, 1)], "schedule has task 'x': expected tasks of wave 1 only"),
        ([place("a", "b/1", 0, 1)], "agent_id of 'a' is 'b/1': expected one of a/1, a/2"),
        ([place("a", "a/1", 0, 1), place("a", "a/2", 0, 1)], "schedule has 'a' more than once"),
    ],
)
def test_a_schedule_that_does_not_fit_its_wave_is_refused(
    places: list[ScheduledTask], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        execute(ScriptedRuns(), wave_of(task("a")), *places)


# --- simulated --------------------------------------------------------------------------------------------


def test_simulated_durations_and_successes_follow_the_beliefs() -> None:
    beliefs = Beliefs.from_outcomes(
        outcome("k", "a/1", success=k % 5 != 0, took_ms=1000 + 10 * (k % 7)) for k in range(200)
    )
    rng = Random(7)
    simulate = scheduler(beliefs=beliefs).simulate_task_execution

    played = [simulate(task("k"), place("k", "a/1", 500, 1500), rng) for _ in range(2000)]

    rate = sum(each.status is Status.COMPLETED for each in played) / len(played)
    took = [(each.actual_end_time or 0) - 500 for each in played if each.status is Status.COMPLETED]
    # 4 of 5 runs succeeded; three standard errors of 2000 draws are 0.027.
    assert rate == pytest.approx(0.8, abs=0.03)
    # The recorded durations have their median at 1030 ms.
    assert median(took) == pytest.approx(1030, rel=0.02)


def test_a_simulated_failure_comes_at_an_even_chance_anywhere_within_the_run() -> None:
    beliefs = Beliefs.from_outcomes(outcome("k", "a/1", success=k % 2 == 0) for k in range(200))
    rng = Random(7)
    simulate = scheduler(beliefs=beliefs).simulate_task_execution

    played = [simulate(task("k"), place("k", "a/1", 0, 1000), rng) for _ in range(2000)]

    took = [each.actual_end_time or 0.0 for each in played if each.status is Status.FAILED]
    # The mean of an even spread over 1000 ms is 500; of 1000 draws its error is 289 / sqrt(1000) = 9.
    assert sum(took) / len(took) == pytest.approx(500, abs=30)


def test_an_execution_is_simulated_unless_told_otherwise() -> None:
    wave = wave_of(task("a"))
    untouched = RefusingPools()

    executed = scheduler().execute_schedule(scheduler().assign_tasks_to_agents(wave), wave, pools=untouched)

    assert executed[0].status is not None


def test_the_same_seed_gives_the_same_execution_and_another_one_another() -> None:
    wave = wave_of(*(task(f"t{k}") for k in range(30)))
    plan = scheduler().assign_tasks_to_agents(wave)

    one, same, other = (scheduler(seed=seed).execute_schedule(plan, wave) for seed in (1, 1, 2))

    assert one == same
    assert one != other


def test_two_schedules_of_a_wave_meet_the_same_luck() -> None:
    wave = wave_of(*(task(f"t{k}") for k in range(30)))
    plan = scheduler().assign_tasks_to_agents(wave)
    swapped = {
        "a/1": tuple(replace(each, agent_id="a/1") for each in plan["a/2"]),
        "a/2": tuple(replace(each, agent_id="a/2") for each in plan["a/1"]),
    }

    one, other = (scheduler().execute(each, wave).attempts for each in (plan, swapped))

    assert one == other
    assert max(one.values()) > 1


# --- for real ---------------------------------------------------------------------------------------------


class RefusingPools:
    """Pools in which nothing can be run."""

    def run(self, task: WaveTask, agent_id: str) -> PoolRun:
        raise OSError("no daemon is running")


class FlakyPools:
    """Pools in which each task fails once."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def run(self, task: WaveTask, agent_id: str) -> PoolRun:
        self.asked.append((task.task_id, agent_id))
        first = self.asked.count((task.task_id, agent_id)) == 1
        return PoolRun(success=not first, duration_ms=0.0, detail="exit code 1" if first else "")


def test_for_real_the_tasks_run_in_the_pools_with_the_same_rules() -> None:
    pools = FlakyPools()
    wave = wave_of(task("a"), task("b", after="a"))
    real = AdaptiveScheduler(TWO, clock=VirtualClock(datetime(2026, 11, 20, tzinfo=UTC)))

    executed = real.execute_schedule(
        {"a/1": (place("a", "a/1", 0, 1000),), "a/2": (place("b", "a/2", 1000, 2000),)},
        wave,
        dry_run=False,
        pools=pools,
    )

    assert pools.asked == [("a", "a/1"), ("a", "a/1"), ("b", "a/2"), ("b", "a/2")]
    assert statuses(executed) == {"a": Status.RETRIED, "b": Status.RETRIED}


def test_pools_in_which_nothing_can_run_are_an_error_and_not_a_failed_task() -> None:
    with pytest.raises(OSError, match="no daemon is running"):
        scheduler().execute_schedule(
            {"a/1": (place("a", "a/1", 0, 1000),)}, wave_of(task("a")), dry_run=False, pools=RefusingPools()
        )


def test_for_real_without_pools_is_refused() -> None:
    with pytest.raises(ValueError, match="pools is None: expected pools"):
        scheduler().execute_schedule({}, wave_of(), dry_run=False)


# --- failures ---------------------------------------------------------------------------------------------


def beliefs_of(one: tuple[int, int], two: tuple[int, int]) -> Beliefs:
    """What (good, bad) runs of k on a/1 and on a/2 teach."""
    beliefs = Beliefs()
    for agent_id, (good, bad) in (("a/1", one), ("a/2", two)):
        for number in range(good + bad):
            beliefs.learn(outcome("k", agent_id, success=number < good))
    return beliefs


def test_a_failure_is_retried_where_the_record_is_fine() -> None:
    found = scheduler(beliefs=beliefs_of((50, 2), (50, 2))).handle_task_failure(task("k"), "a/1", 1)

    assert (found.action, found.agent_id) == (FailureAction.RETRY, "a/1")
    assert found.reason.startswith("attempt 2 of 3 stays on a/1: no other agent is surely better")


def test_the_failure_itself_counts_in_what_is_expected_of_the_agent() -> None:
    found = scheduler().handle_task_failure(task("k"), "a/1", 1)

    # Nothing known is Beta(1, 1), a half; with one failure Beta(1, 2), a third.
    assert found.reason == "attempt 2 of 3 stays on a/1: no other agent is surely better than its 33%"


def test_a_failure_moves_to_the_agent_with_the_better_record() -> None:
    beliefs = beliefs_of((3, 17), (50, 2))

    found = scheduler(beliefs=beliefs).handle_task_failure(task("k"), "a/1", 1, "exit code 1")

    assert (found.action, found.agent_id) == (FailureAction.REASSIGN, "a/2")
    assert "attempt 2 of 3 goes to a/2" in found.reason
    assert found.reason.endswith("(exit code 1)")


def test_a_single_lucky_run_elsewhere_is_no_reason_to_move() -> None:
    found = scheduler(beliefs=beliefs_of((12, 8), (1, 0))).handle_task_failure(task("k"), "a/1", 1)

    assert found.action is FailureAction.RETRY


def test_the_last_attempt_is_the_last() -> None:
    found = scheduler(max_attempts=2).handle_task_failure(task("k"), "a/1", 2, "exit code 1")

    assert found.action is FailureAction.GIVE_UP
    assert found.reason == "given up after 2 of 2 attempts (exit code 1)"


def test_nothing_is_repeated_for_which_the_window_has_no_time() -> None:
    found = scheduler().handle_task_failure(task("k", ms=30_000), "a/1", 1, left_ms=12_000)

    assert found.action is FailureAction.GIVE_UP
    assert found.reason == "given up: it takes 30000 ms; 12000 ms are left of the window"


@pytest.mark.parametrize(
    ("agent_id", "attempt", "left_ms", "complaint"),
    [
        ("b/9", 1, None, "agent_id is 'b/9': expected one of a/1, a/2"),
        ("a/1", 0, None, "attempt is 0: expected at least 1"),
        ("a/1", 1, nan, "left_ms is nan: expected None or at least 0"),
    ],
)
def test_a_failure_that_cannot_have_been_is_refused(
    agent_id: str, attempt: int, left_ms: float | None, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        scheduler().handle_task_failure(task("k"), agent_id, attempt, left_ms=left_ms)


@pytest.mark.parametrize("duration_ms", [-1.0, nan])
def test_a_pool_cannot_say_that_a_run_took_no_possible_time(duration_ms: float) -> None:
    with pytest.raises(ValueError, match=f"duration_ms is {duration_ms}: expected a finite number"):
        PoolRun(success=True, duration_ms=duration_ms)


def test_what_must_not_be_repeated_is_not() -> None:
    found = scheduler().handle_task_failure(task("k"), "a/1", 1, "unknown", is_final=True)

    assert found.action is FailureAction.GIVE_UP
    assert found.reason == "given up: it must not be repeated (unknown)"


# --- adherence --------------------------------------------------------------------------------------------


def test_adherence_is_the_mean_distance_from_the_planned_starts_in_lengths_of_the_wave() -> None:
    executed = [
        replace(place("a", "a/1", 0, 500), actual_start_time=0.0),
        replace(place("b", "a/1", 500, 1000), actual_start_time=700.0),
        replace(place("c", "a/2", 0, 500), actual_start_time=0.0),
        place("d", "a/2", 500, 1000),
    ]

    # The wave is 1000 ms long: (1 + 0.8 + 1 + 0) / 4, d having never started.
    assert scheduler().calculate_schedule_adherence(executed) == pytest.approx(0.7)


def test_each_wave_is_measured_by_its_own_length() -> None:
    executed = [
        replace(place("a", "a/1", 0, 100, wave=1), actual_start_time=50.0),
        replace(place("a", "a/1", 0, 1000, wave=2), actual_start_time=500.0),
    ]

    assert scheduler().calculate_schedule_adherence(executed) == pytest.approx(0.5)


def test_without_tasks_the_plan_was_kept() -> None:
    assert scheduler().calculate_schedule_adherence([]) == 1.0


# --- settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"load_factor": 0.9}, "load_factor is 0.9: expected at least 1"),
        ({"max_attempts": 0}, "max_attempts is 0: expected at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        AdaptiveScheduler(**{"pool": TWO, **settings})  # type: ignore[arg-type]
