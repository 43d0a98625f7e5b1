"""The harness step by step, its safety gates, and recorded waves as plans. Nothing here touches a disk."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import pytest

from adaptive.accuracy import prediction_accuracy
from adaptive.attempts import CountedPools
from adaptive.harness import AdaptiveHarness, overall_metrics
from adaptive.heuristics import DEFAULT_WEIGHTS
from adaptive.optimizer import AdaptiveOptimizer
from adaptive.recorded import recorded_plans
from adaptive.runs import PoolRun
from adaptive.safety import violations
from adaptive.types import (
    OptimizationResult,
    Outcome,
    Pool,
    ScheduledTask,
    Status,
    Strategy,
    Wave,
    WaveTask,
)
from orchestration.clock import SystemClock, VirtualClock

AT = datetime(2026, 11, 20, 23, tzinfo=UTC)
NOWHERE = Path("never-read")
POOL = Pool(agents=("a", "b"), memory_mb=1000.0)
TASKS = (
    WaveTask(task_id="fetch", memory_mb=600.0),
    WaveTask(task_id="fit", memory_mb=600.0, dependencies=frozenset({"fetch"})),
    WaveTask(task_id="sweep", memory_mb=300.0, conflicts=frozenset({"fit"})),
    WaveTask(task_id="study", memory_mb=100.0, windows=frozenset({"WEEKEND"})),
)
WAVE = Wave(number=1, tasks=TASKS, window="WEEKEND", window_ms=1000.0)


def place(task_id: str, agent: str, start: float, end: float, confidence: float = 0.9) -> ScheduledTask:
    return ScheduledTask(
        task_id=task_id,
        agent_id=agent,
        wave=1,
        scheduled_start_time=start,
        scheduled_end_time=end,
        priority=3,
        confidence=confidence,
    )


def planned(*places: ScheduledTask, wave: int = 1) -> OptimizationResult:
    makespan = max((each.scheduled_end_time for each in places), default=0.0)
    expected = sum(each.confidence for each in places)
    return OptimizationResult(
        wave=wave,
        strategy=Strategy.WEIGHTED,
        agent_assignments={
            agent: tuple(each.task_id for each in places if each.agent_id == agent) for agent in POOL.agents
        },
        schedule=tuple(replace(each, wave=wave) for each in places),
        expected_success_rate=expected / len(places) if places else 0.0,
        expected_throughput=expected / (makespan / 1000.0) if makespan else 0.0,
        makespan_ms=makespan,
        objective=1.0,
        bound=1.0,
        method="by hand",
    )


SOUND = (
    place("fetch", "a", 0.0, 400.0),
    place("sweep", "b", 0.0, 400.0),
    place("fit", "a", 400.0, 900.0),
    place("study", "b", 400.0, 500.0),
)
UNSOUND = {
    "starts before fetch has ended": (SOUND[0], place("fit", "b", 300.0, 900.0)),
    "depends on fetch, which is not in the schedule": (place("fit", "b", 300.0, 900.0),),
    # 600 + 600 of 1000 MB.
    "1200 MB are needed when fit starts": (SOUND[0], place("fit", "b", 300.0, 900.0)),
    "fetch and study overlap on a, which is one slot": (SOUND[0], place("study", "a", 399.0, 500.0)),
    "study is on c; the pool has a, b": (place("study", "c", 0.0, 10.0),),
    "fit and sweep overlap, which conflict": (SOUND[0], SOUND[2], place("sweep", "b", 899.0, 950.0)),
    "study ends 1 ms after the window of 1000 ms": (place("study", "a", 500.0, 1001.0),),
    "study starts 5 ms before the window": (place("study", "a", -5.0, 10.0),),
    "study is scheduled twice": (SOUND[3], SOUND[3]),
    "nap is not a task of wave 1": (place("nap", "a", 0.0, 10.0),),
}


class CountingPools:
    """Runs nothing, and remembers who was to run what. fails: kinds or agents whose runs fail for good."""

    def __init__(self, fails: frozenset[str] = frozenset()) -> None:
        self.asked: list[tuple[str, str]] = []
        self._fails, self._lock = fails, Lock()

    def run(self, task: WaveTask, agent_id: str) -> PoolRun:
        with self._lock:
            self.asked.append((task.task_id, agent_id))
        success = self._fails.isdisjoint((task.learns_as, agent_id))
        return PoolRun(success=success, duration_ms=0.0, is_final=True)


def a_harness(
    *waves: Wave, pool: Pool = POOL, dry_run: bool = True, pools: CountingPools | None = None
) -> AdaptiveHarness:
    clock = VirtualClock(AT) if dry_run else SystemClock()
    return AdaptiveHarness(
        NOWHERE, NOWHERE, pool=pool, waves=waves or (WAVE,), clock=clock, dry_run=dry_run, pools=pools
    )


# --- the gates --------------------------------------------------------------------------------------------


def test_a_schedule_that_keeps_every_rule_passes_the_gates() -> None:
    assert violations(planned(*SOUND), WAVE, POOL) == ()


@pytest.mark.parametrize("reason", UNSOUND)
def test_a_schedule_that_breaks_a_rule_is_refused_with_the_reason(reason: str) -> None:
    refused = a_harness().apply_safety_gates([planned(*UNSOUND[reason])])

    assert any(reason in said for said in refused[1])


def test_a_task_in_a_window_it_may_not_use_is_refused() -> None:
    overnight = replace(WAVE, window="OVERNIGHT")

    assert violations(planned(SOUND[3]), overnight, POOL) == (
        "study may not run in OVERNIGHT, only in WEEKEND",
    )


def test_what_the_optimizer_plans_passes_the_gates() -> None:
    tasks = tuple(
        WaveTask(
            task_id=f"t{n}",
            expected_ms=100.0 * (n + 1),
            memory_mb=100.0 * (n % 7),
            dependencies=frozenset({f"t{n - 3}"} if n % 4 == 3 else ()),
            conflicts=frozenset({f"t{n - 1}"} if n % 5 == 4 else ()),
        )
        for n in range(20)
    )
    wave = Wave(number=1, tasks=tasks, window_ms=9000.0)

    for strategy in Strategy:
        result = AdaptiveOptimizer(POOL, strategy=strategy).calculate_optimal_schedule(wave)
        assert violations(result, wave, POOL) == ()


# --- executing --------------------------------------------------------------------------------------------


def test_a_dry_run_is_the_default_and_asks_no_pool() -> None:
    pools = CountingPools()

    executed = a_harness(pools=pools).execute([planned(*SOUND)])

    assert pools.asked == []
    assert all(each.status is not None for each in executed[1])


def test_for_real_every_task_runs_in_the_pools_on_its_agent() -> None:
    pools = CountingPools()

    executed = a_harness(dry_run=False, pools=pools).execute([planned(*SOUND)])

    assert sorted(pools.asked) == sorted((each.task_id, each.agent_id) for each in SOUND)
    assert {each.status for each in executed[1]} == {Status.COMPLETED}


def test_for_real_without_pools_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="pools is None: expected pools"):
        a_harness(dry_run=False)


def test_every_attempt_counts_on_the_agent_that_made_it() -> None:
    counted, task = CountedPools(CountingPools(fails=frozenset({"a"}))), WaveTask(task_id="fit")
    counted.run(task, "a")
    counted.run(task, "b")
    retried = replace(place("fit", "b", 0.0, 500.0), status=Status.RETRIED)

    attempts = counted.attempts([retried])

    assert [(each.task_id, each.agent_id, each.status) for each in attempts] == [
        ("fit", "a", Status.FAILED),
        ("fit", "b", Status.COMPLETED),
    ]


def test_a_refused_wave_is_skipped_as_a_whole_and_the_others_run() -> None:
    pools = CountingPools()
    harness = a_harness(WAVE, replace(WAVE, number=2), dry_run=False, pools=pools)
    results = [planned(*UNSOUND["study is scheduled twice"]), planned(*SOUND, wave=2)]

    executed = harness.execute(results, harness.apply_safety_gates(results))

    assert {each.status for each in executed[1]} == {Status.SKIPPED}
    assert {each.status for each in executed[2]} == {Status.COMPLETED}
    assert len(pools.asked) == len(SOUND)


def test_the_same_seed_simulates_the_same() -> None:
    first, second = (a_harness().execute([planned(*SOUND)]) for _ in range(2))

    assert first == second


def test_two_waves_of_one_number_are_refused() -> None:
    with pytest.raises(ValueError, match=r"numbers \[1, 1\]: expected each once"):
        a_harness(WAVE, WAVE)


# --- feeding back, and reporting --------------------------------------------------------------------------


def test_a_refusal_is_a_learning_signal_with_the_reason() -> None:
    harness = a_harness()
    results = [planned(*UNSOUND["study is scheduled twice"])]
    refused = harness.apply_safety_gates(results)

    signals = harness.feed_back(results, harness.execute(results, refused), refused).signals

    assert [(s["type"], s["description"]) for s in signals if s["type"] == "schedule_refused"] == [
        ("schedule_refused", "wave 1 was not executed: study is scheduled twice")
    ]


def waves_that_fell_short(
    *failed: str,
) -> tuple[list[OptimizationResult], dict[int, tuple[ScheduledTask, ...]]]:
    """Two waves of four tasks; some of each ("fit", if none is named) failed, at their planned instants."""
    results = [planned(*SOUND, wave=number) for number in (1, 2)]
    executed = {
        result.wave: tuple(
            replace(
                each,
                actual_start_time=each.scheduled_start_time,
                actual_end_time=each.scheduled_end_time,
                status=Status.FAILED if each.task_id in (failed or ("fit",)) else Status.COMPLETED,
            )
            for each in result.schedule
        )
        for result in results
    }
    return results, executed


def test_feeding_back_moves_the_weights_and_to_compare_alone_does_not() -> None:
    results, executed = waves_that_fell_short("fit", "study")
    learned, told = a_harness(dry_run=False, pools=CountingPools()), a_harness()
    compared, simulated = a_harness(dry_run=False, pools=CountingPools()), a_harness()

    learned.feed_back(results, executed)
    told.feed_back(results, executed, learn=True)
    compared.feed_back(results, executed, learn=False)
    simulated.feed_back(results, executed)

    # Missing are 0.9 - 0.5 of the rate, 0.25 beyond the error of four tasks, 0.15: a full step, which is a
    # tenth of the way from 0.4 to 1.
    assert learned.feedback.weights["H16_001"] == pytest.approx(0.46)
    assert told.feedback.weights == learned.feedback.weights
    assert compared.feedback.weights == simulated.feedback.weights == DEFAULT_WEIGHTS


def test_the_overall_figures_are_those_of_all_executed_waves() -> None:
    results, executed = waves_that_fell_short()

    overall = overall_metrics(results, executed)

    # 3 of 4 succeed, each expected at 0.9. 6 in 2 x 0.9 s; expected 2 x 4 x 0.9 in the same time.
    assert overall["expected_success_rate"] == pytest.approx(0.9)
    assert overall["actual_success_rate"] == 0.75
    assert overall["actual_throughput"] == pytest.approx(6 / 1.8)
    assert overall["expected_throughput"] == pytest.approx(7.2 / 1.8)
    assert overall["schedule_adherence"] == 1.0
    # Successes: 1 - 0.15. The work of what completed was foretold exactly: 1.
    assert overall["prediction_accuracy"] == pytest.approx((0.85 + 1.0) / 2)


def test_what_was_not_executed_has_no_actual_figures() -> None:
    result = planned(*SOUND)

    (comparison,) = a_harness().feed_back([result], {1: result.schedule}).comparisons

    assert comparison["planned_success_rate"] == pytest.approx(0.9)
    assert comparison["actual_success_rate"] is comparison["accuracy_score"] is None
    assert prediction_accuracy([result], {1: result.schedule}) is None
    assert overall_metrics([result], {1: result.schedule})["actual_throughput"] == 0.0


def test_the_monitor_sees_what_was_executed() -> None:
    results, executed = waves_that_fell_short()

    watched = a_harness(WAVE, replace(WAVE, number=2)).monitor(results, executed)

    efficiency = next(m for m in watched.metrics if m["metric_name"] == "throughput_efficiency")
    assert efficiency["value"] == pytest.approx(6 / 7.2)
    assert watched.health["timestamp"] == "2026-11-20T23:00:00Z"


# --- recorded waves ---------------------------------------------------------------------------------------


def a_run(wave: int, minutes: float, success: bool = True, attempt: int = 1, kind: str = "fit") -> Outcome:
    return Outcome(
        task_id=kind,
        kind=kind,
        agent_id="local/1",
        wave=wave,
        started_ms=1000.0,
        ended_ms=1000.0 + minutes * 60_000.0,
        success=success,
        attempts=attempt,
    )


KNOWN = {"fit": WaveTask(task_id="fit", expected_ms=60_000.0, priority=2)}


def test_a_recorded_wave_is_foretold_from_those_before_it_alone() -> None:
    waves = {1: [a_run(1, 10.0)], 2: [a_run(2, 10.0)], 3: [a_run(3, 40.0)]}

    (newest,) = recorded_plans(waves, KNOWN, 1)

    (foretold,) = newest.result.schedule
    assert foretold.scheduled_end_time - foretold.scheduled_start_time == pytest.approx(600_000.0)
    # Two successes of two: overall 3/4, of the kind (2 + 2 x 3/4) / 4 = 7/8, of the pair (7/4 + 2) / 4.
    assert foretold.confidence == pytest.approx(0.9375)
    assert foretold.priority == 2
    (ran,) = newest.executed
    assert (ran.actual_end_time, ran.status) == (2_401_000.0, Status.COMPLETED)


def test_the_first_wave_is_never_foretold() -> None:
    assert recorded_plans({1: [a_run(1, 10.0)]}, KNOWN, 5) == []
    assert [
        each.result.wave for each in recorded_plans({1: [a_run(1, 1.0)], 4: [a_run(4, 1.0)]}, KNOWN, 5)
    ] == [4]


def test_a_task_that_failed_first_counts_once_as_retried() -> None:
    waves = {1: [a_run(1, 10.0)], 2: [a_run(2, 3.0, success=False), a_run(2, 10.0, attempt=2)]}

    (newest,) = recorded_plans(waves, KNOWN, 1)

    assert [each.status for each in newest.executed] == [Status.RETRIED]


def test_runs_of_other_kinds_are_no_part_of_the_plans() -> None:
    waves = {1: [a_run(1, 10.0)], 2: [a_run(2, 0.1, kind="watch")], 3: [a_run(3, 9.0)]}

    assert [each.result.wave for each in recorded_plans(waves, KNOWN, 5)] == [3]
