"""How the optimizer assigns a wave, what it expects of it, and what it plays through beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from math import nan
from random import Random
from statistics import fmean, median
from typing import Any

import pytest

from adaptive.optimizer import AdaptiveOptimizer
from adaptive.problem import Problem, Solution
from adaptive.scheduler import AdaptiveScheduler
from adaptive.types import OptimizationResult, Outcome, Pool, ScheduledTask, Status, Strategy, Wave, WaveTask


def some_runs(agent: str, successes: int, failures: int = 0, *, ms: float = 1000.0) -> list[Outcome]:
    """Runs of kind "fit", the successes first."""
    return [
        Outcome(
            task_id="fit",
            kind="fit",
            agent_id=agent,
            wave=1,
            started_ms=0.0,
            ended_ms=ms,
            success=i < successes,
        )
        for i in range(successes + failures)
    ]


def fits(number: int, *, memory_mb: float = 100.0) -> tuple[WaveTask, ...]:
    """Tasks of kind "fit", which take 1000 ms for as long as nothing is learned."""
    return tuple(
        WaveTask(task_id=f"fit{i}", kind="fit", expected_ms=1000.0, memory_mb=memory_mb)
        for i in range(number)
    )


def an_optimizer(
    *history: list[Outcome], agents: Sequence[str] = ("a", "b"), memory_mb: float = 1e6
) -> AdaptiveOptimizer:
    optimizer = AdaptiveOptimizer(Pool(agents=tuple(agents), memory_mb=memory_mb))
    optimizer.update_confidence_estimates(run for runs in history for run in runs)
    return optimizer


def a_wave(tasks: Iterable[WaveTask], window: str = "", window_ms: float | None = None) -> Wave:
    return Wave(number=1, tasks=tuple(tasks), window=window, window_ms=window_ms)


def agent_of(result: OptimizationResult, task_id: str) -> str:
    return next(agent for agent, tasks in result.agent_assignments.items() if task_id in tasks)


def planned(result: OptimizationResult, task_id: str) -> ScheduledTask:
    return next(each for each in result.schedule if each.task_id == task_id)


def a_mixed_wave(seed: int, tasks: int = 24) -> Wave:
    """Tasks of eight kinds, every third with a dependency, every fourth with a conflict."""
    rng = Random(seed)
    return a_wave(
        WaveTask(
            task_id=f"t{i}",
            kind=f"kind{i % 8}",
            expected_ms=rng.uniform(500.0, 5000.0),
            memory_mb=rng.choice([100.0, 300.0, 600.0]),
            priority=rng.randint(1, 5),
            dependencies=frozenset({f"t{rng.randrange(i)}"}) if i and i % 3 == 0 else frozenset(),
            conflicts=frozenset({f"t{rng.randrange(i)}"}) if i and i % 4 == 0 else frozenset(),
        )
        for i in range(tasks)
    )


# --- what is chosen ---


def test_success_is_maximised_by_the_agent_with_the_better_record() -> None:
    optimizer = an_optimizer(some_runs("a", 2, 8), some_runs("b", 9, 1))

    result = optimizer.optimize_for_success(a_wave(fits(3)))

    assert len(result.agent_assignments["b"]) == 3


def test_throughput_is_maximised_by_spreading_the_load() -> None:
    result = an_optimizer(agents="abcd").optimize_for_throughput(a_wave(fits(8)))

    assert [len(tasks) for tasks in result.agent_assignments.values()] == [2, 2, 2, 2]
    assert result.makespan_ms == pytest.approx(2000.0)


def test_throughput_gives_the_faster_agent_more() -> None:
    alternating = [run for _ in range(100) for run in some_runs("a", 1, ms=500.0) + some_runs("b", 1)]

    result = an_optimizer(alternating).optimize_for_throughput(a_wave(fits(6)))

    # 4 x 500 ms beside 2 x 1000 ms; 3 and 3 take 3000 ms, 5 and 1 2500 ms
    assert [len(result.agent_assignments[agent]) for agent in "ab"] == [4, 2]


def test_confidence_prefers_a_long_record_to_one_lucky_run() -> None:
    optimizer = an_optimizer(some_runs("proven", 95, 5), some_runs("fresh", 1), agents=("fresh", "proven"))
    wave = a_wave(fits(1))

    assert agent_of(optimizer.optimize_for_success(wave), "fit0") == "fresh"
    assert agent_of(optimizer.optimize_for_confidence(wave), "fit0") == "proven"


def test_the_weights_decide_between_a_fast_agent_and_a_sure_one() -> None:
    alternating = [run for _ in range(20) for run in some_runs("fast", 1, 1, ms=300.0) + some_runs("sure", 1)]
    optimizer = an_optimizer(alternating, agents=("fast", "sure"))
    wave = a_wave(fits(1))

    optimizer.weights.update(H16_001=0.0, H16_002=1.0, H16_003=0.0)
    assert agent_of(optimizer.optimize_weighted(wave), "fit0") == "fast"
    optimizer.weights.update(H16_001=1.0, H16_002=0.0, H16_003=0.0)
    assert agent_of(optimizer.optimize_weighted(wave), "fit0") == "sure"


def test_a_window_too_short_for_all_takes_what_is_more_important() -> None:
    low, high = (replace(task, priority=p) for task, p in zip(fits(2), (1, 5), strict=True))

    result = an_optimizer(agents="a").optimize_weighted(a_wave([low, high], window_ms=1500.0))

    assert result.agent_assignments["a"] == (high.task_id,)
    assert set(result.skipped) == {low.task_id}


def test_the_strategy_of_the_optimizer_is_used_where_none_is_named() -> None:
    optimizer = AdaptiveOptimizer(Pool(agents=("a",)), strategy=Strategy.THROUGHPUT)

    assert optimizer.calculate_optimal_schedule(a_wave(fits(1))).strategy is Strategy.THROUGHPUT


# --- what holds whatever is chosen ---


@pytest.mark.parametrize("strategy", Strategy)
def test_dependencies_conflicts_memory_and_agents_hold_in_every_plan(strategy: Strategy) -> None:
    wave = a_mixed_wave(7)
    result = an_optimizer(agents="abc", memory_mb=1000.0).calculate_optimal_schedule(wave, strategy)

    assert len(result.schedule) == 24
    spans = {each.task_id: (each.scheduled_start_time, each.scheduled_end_time) for each in result.schedule}
    check_promises(wave, spans, {each.task_id: each.agent_id for each in result.schedule}, memory_mb=1000.0)


def check_promises(
    wave: Wave, spans: dict[str, tuple[float, float]], agents: dict[str, str], memory_mb: float
) -> None:
    """Assert that what ran from and to these times kept every promise of the wave and the pool."""
    tasks = {task.task_id: task for task in wave.tasks if task.task_id in spans}
    for name, task in tasks.items():
        assert all(spans[other][1] <= spans[name][0] + 1e-6 for other in task.dependencies)
        running = [x for x, (start, end) in spans.items() if start <= spans[name][0] + 1e-6 < end - 1e-6]
        assert sum(tasks[x].memory_mb for x in running) <= memory_mb
    for one, other in combinations(tasks.values(), 2):
        start = max(spans[one.task_id][0], spans[other.task_id][0])
        if start + 1e-6 < min(spans[one.task_id][1], spans[other.task_id][1]):
            assert agents[one.task_id] != agents[other.task_id]
            assert one.task_id not in other.conflicts
            assert other.task_id not in one.conflicts


def test_a_task_larger_than_the_pool_is_skipped_with_the_reason() -> None:
    small, large = fits(2)
    result = an_optimizer(memory_mb=500.0).optimize_for_success(
        a_wave([small, replace(large, memory_mb=900.0)])
    )

    assert [each.task_id for each in result.schedule] == [small.task_id]
    assert result.skipped[large.task_id]


def test_a_task_is_left_out_of_a_window_that_it_may_not_use_and_so_is_what_needs_it() -> None:
    first, second, third = fits(3)
    first = replace(first, windows=frozenset({"HOLIDAY", "WEEKEND"}))
    second = replace(second, dependencies=frozenset({first.task_id}))

    result = an_optimizer().optimize_for_success(a_wave([first, second, third], window="OVERNIGHT"))

    assert [each.task_id for each in result.schedule] == [third.task_id]
    assert result.skipped == {
        "fit0": "may not run in OVERNIGHT, only in HOLIDAY, WEEKEND",
        "fit1": "depends on fit0, which is not in wave 1 or left out of it",
    }


@pytest.mark.parametrize("window", ["", "WEEKEND"])
def test_a_task_is_admitted_to_a_window_of_its_own_and_to_a_wave_without_one(window: str) -> None:
    task = replace(fits(1)[0], windows=frozenset({"WEEKEND"}))

    assert not an_optimizer().optimize_for_success(a_wave([task], window=window)).skipped


def test_an_empty_wave_has_an_empty_schedule() -> None:
    result = an_optimizer().optimize_weighted(a_wave([]))

    assert result.schedule == ()
    assert (result.expected_success_rate, result.expected_throughput, result.makespan_ms) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("tasks", "placed", "reasons"),
    [
        ([WaveTask(task_id="a", expected_ms=0.0)], "a", {}),
        ([WaveTask(task_id="a", conflicts={"a"})], "a", {}),
        ([WaveTask(task_id="a", conflicts={"not there"})], "a", {}),
        ([WaveTask(task_id="a", memory_mb=1000.0)], "a", {}),
        ([WaveTask(task_id="a", memory_mb=1000.5)], "", {"a": "needs 1000.5 MB, the pool has 1000 MB"}),
        (
            [WaveTask(task_id="a", dependencies={"not there"}), WaveTask(task_id="b")],
            "b",
            {"a": "depends on not there, which is not in wave 1"},
        ),
        (
            [
                WaveTask(task_id="a", dependencies={"b"}),
                WaveTask(task_id="b", dependencies={"a"}),
                WaveTask(task_id="c"),
            ],
            "c",
            {"a": "it depends on itself, in a cycle", "b": "it depends on itself, in a cycle"},
        ),
    ],
    ids=["no time", "own rival", "absent rival", "all memory", "more memory", "absent dependency", "cycle"],
)
@pytest.mark.parametrize("strategy", Strategy)
def test_an_odd_task_is_planned_or_skipped_with_the_reason_by_every_strategy(
    strategy: Strategy, tasks: list[WaveTask], placed: str, reasons: dict[str, str]
) -> None:
    result = an_optimizer(agents="xy", memory_mb=1000.0).calculate_optimal_schedule(a_wave(tasks), strategy)

    assert sorted(each.task_id for each in result.schedule) == list(placed)
    assert result.skipped.keys() == reasons.keys()
    assert all(result.skipped[task_id].startswith(reason) for task_id, reason in reasons.items())


def test_a_window_without_any_time_leaves_every_task_out_with_the_reason() -> None:
    result = an_optimizer().optimize_weighted(a_wave(fits(2), window_ms=0.0))

    assert result.schedule == ()
    assert set(result.skipped.values()) == {"takes 1000 ms at least, the window lasts 0 ms"}


def test_one_agent_runs_everything_one_by_one() -> None:
    result = an_optimizer(agents="a").optimize_for_throughput(a_wave(fits(3)))

    assert [(each.scheduled_start_time, each.scheduled_end_time) for each in result.schedule] == [
        (0.0, 1000.0),
        (1000.0, 2000.0),
        (2000.0, 3000.0),
    ]


@pytest.mark.parametrize(
    ("weights", "message"),
    [({"H99": 1.0}, "weights has 'H99'"), ({"H16_001": -1.0}, r"weights\['H16_001'\] is -1.0")],
)
def test_weights_that_mean_nothing_are_refused_by_name(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptiveOptimizer(Pool(agents=("a",)), weights=weights)


@pytest.mark.parametrize("deadline_s", [-0.1, nan])
def test_a_deadline_that_is_no_time_is_refused_by_name(deadline_s: float) -> None:
    with pytest.raises(ValueError, match=f"deadline_s is {deadline_s}: expected seconds of at least 0"):
        AdaptiveOptimizer(Pool(agents=("a",)), deadline_s=deadline_s)


def test_the_solver_gets_the_deadline_the_memory_and_the_window() -> None:
    asked: list[Problem] = []

    def solver(problem: Problem) -> Solution:
        asked.append(problem)
        return Solution(placements=(), objective=0.0, bound=0.0, method="heuristic")

    optimizer = AdaptiveOptimizer(Pool(agents=("a",), memory_mb=500.0), deadline_s=0.7, solver=solver)
    optimizer.optimize_for_success(a_wave(fits(1), window_ms=9000.0))

    assert [(each.deadline_s, each.memory_mb, each.window_ms) for each in asked] == [(0.7, 500.0, 9000.0)]


def test_a_strategy_may_be_named_by_its_text_and_an_unknown_one_is_refused() -> None:
    optimizer = AdaptiveOptimizer(Pool(agents=("a", "b")))
    by_text: Any = "maximize_throughput"
    unknown: Any = "fastest"

    result = optimizer.calculate_optimal_schedule(a_wave(fits(2)), by_text)

    assert result.strategy is Strategy.THROUGHPUT
    assert result.objective == 1000.0  # the makespan; a sum of values would be near 1
    expected = "strategy is 'fastest': expected one of maximize_success, maximize_throughput"
    with pytest.raises(ValueError, match=expected):
        optimizer.calculate_optimal_schedule(a_wave(fits(2)), unknown)
    with pytest.raises(ValueError, match=expected):
        AdaptiveOptimizer(Pool(agents=("a",)), strategy=unknown)


# --- what is expected ---


def test_the_expected_rate_and_throughput_are_those_of_the_posteriors() -> None:
    result = an_optimizer(some_runs("a", 3, 1), agents="a").optimize_for_success(a_wave(fits(2)))

    # overall (3 + 1) / 6 = 2/3; kind (3 + 2 * 2/3) / 6 = 13/18; mean (2 * 13/18 + 3) / 6 = 20/27
    assert result.expected_success_rate == pytest.approx(20 / 27)
    assert planned(result, "fit0").confidence == pytest.approx(20 / 27)
    # 2 tasks of 20/27 in 2 x 1 s
    assert result.expected_throughput == pytest.approx(20 / 27)


def test_outcomes_change_the_posteriors_that_are_returned() -> None:
    optimizer = an_optimizer(some_runs("a", 3, 1))

    posteriors = optimizer.update_confidence_estimates(some_runs("b", 0, 4))

    assert set(posteriors) == {("fit", "a"), ("fit", "b")}
    # overall 4/10; kind (3 + 2 * 4/10) / 10 = 19/50; (2 * 19/50 + 0) / 6 and (2 * 19/50 + 3) / 6
    assert posteriors["fit", "b"].mean == pytest.approx(19 / 150)
    assert posteriors["fit", "a"].mean == pytest.approx(94 / 150)


# --- what is played through ---


def test_the_same_seed_plays_the_same_and_another_one_does_not() -> None:
    optimizer = an_optimizer(agents="abc")
    wave = a_mixed_wave(3)
    result = optimizer.optimize_weighted(wave)

    assert optimizer.simulate_schedule(result, wave, seed=4) == optimizer.simulate_schedule(
        result, wave, seed=4
    )
    assert optimizer.simulate_schedule(result, wave, seed=4) != optimizer.simulate_schedule(
        result, wave, seed=5
    )


@pytest.mark.parametrize("seed", range(10))
def test_dependencies_conflicts_memory_and_agents_hold_in_every_play(seed: int) -> None:
    wave = a_mixed_wave(seed)
    optimizer = an_optimizer(agents="abc", memory_mb=1000.0)
    result = optimizer.optimize_weighted(wave)

    played = optimizer.simulate_schedule(result, wave, seed)

    ran = [each for each in played if each.status is not Status.SKIPPED]
    spans = {each.task_id: (times(each)) for each in ran}
    check_promises(wave, spans, {each.task_id: each.agent_id for each in ran}, memory_mb=1000.0)


def times(played: ScheduledTask) -> tuple[float, float]:
    assert played.actual_start_time is not None
    assert played.actual_end_time is not None
    return played.actual_start_time, played.actual_end_time


@pytest.mark.parametrize("seed", range(10))
def test_what_depends_on_a_failure_is_skipped_and_nothing_else(seed: int) -> None:
    wave = a_mixed_wave(seed)
    optimizer = an_optimizer(agents="abc")
    played = optimizer.simulate_schedule(optimizer.optimize_weighted(wave), wave, seed)

    statuses = {each.task_id: each.status for each in played}
    for task in wave.tasks:
        lost = any(statuses[other] is not Status.COMPLETED for other in task.dependencies)
        assert (statuses[task.task_id] is Status.SKIPPED) == lost


def test_an_agent_keeps_the_planned_order() -> None:
    wave = a_mixed_wave(2)
    optimizer = an_optimizer(agents="abc")
    result = optimizer.optimize_for_throughput(wave)

    played = {each.task_id: each for each in optimizer.simulate_schedule(result, wave)}

    for tasks in result.agent_assignments.values():
        ran = [played[task] for task in tasks if played[task].status is not Status.SKIPPED]
        assert all(times(one)[1] <= times(other)[0] for one, other in pairwise(ran))


def test_what_no_longer_fits_the_window_is_skipped_in_a_play() -> None:
    optimizer = an_optimizer(some_runs("a", 50), agents="a")
    result = optimizer.optimize_for_success(a_wave(fits(3)))

    played = optimizer.simulate_schedule(result, a_wave(fits(3), window_ms=1500.0))

    assert [each.status for each in played] == [Status.COMPLETED, Status.SKIPPED, Status.SKIPPED]


def test_a_play_and_a_dry_run_with_one_attempt_meet_the_same_luck() -> None:
    optimizer = an_optimizer(agents="abc")
    wave = a_mixed_wave(6)
    result = optimizer.optimize_weighted(wave)
    once = AdaptiveScheduler(optimizer.pool, beliefs=optimizer.beliefs, max_attempts=1, seed=9)

    assert optimizer.simulate_schedule(result, wave, seed=9) == once.execute_schedule(result, wave)


def test_plays_succeed_as_often_and_last_as_long_as_is_believed() -> None:
    rng = Random(1)
    history = [run for _ in range(400) for run in some_runs("a", 1, ms=1000.0 * rng.lognormvariate(0.0, 0.2))]
    optimizer = an_optimizer(history, some_runs("a", 0, 133), agents="a")  # 3 of 4 succeed
    wave = a_wave(fits(1))
    result = optimizer.optimize_for_success(wave)

    plays = [optimizer.simulate_schedule(result, wave, seed)[0] for seed in range(2000)]

    succeeded = fmean(play.status is Status.COMPLETED for play in plays)
    assert succeeded == pytest.approx(0.75, abs=0.04)  # four standard errors
    lengths = [times(play)[1] for play in plays if play.status is Status.COMPLETED]  # a failure cuts it short
    assert median(lengths) == pytest.approx(planned(result, "fit0").scheduled_end_time, rel=0.03)


def test_a_schedule_of_another_wave_is_refused_by_name() -> None:
    optimizer = an_optimizer()
    result = optimizer.optimize_for_success(a_wave(fits(2)))

    with pytest.raises(ValueError, match="schedule has task 'fit1'"):
        optimizer.simulate_schedule(result, a_wave(fits(1)))
    with pytest.raises(ValueError, match="wave of 'fit0' is 1: expected 2"):
        optimizer.simulate_schedule(result, replace(a_wave(fits(2)), number=2))


# --- what is recommended ---


def recommended(optimizer: AdaptiveOptimizer, result: OptimizationResult) -> dict[str, str]:
    """Return the descriptions by type."""
    return {each["type"]: each["description"] for each in optimizer.generate_schedule_recommendations(result)}


def test_nothing_is_recommended_of_an_even_and_likely_schedule() -> None:
    optimizer = an_optimizer(some_runs("a", 20), some_runs("b", 20))

    assert recommended(optimizer, optimizer.optimize_for_throughput(a_wave(fits(4)))) == {}


def test_a_task_that_will_more_likely_fail_is_pointed_out() -> None:
    optimizer = an_optimizer(some_runs("a", 1, 9), agents="a")

    found = recommended(optimizer, optimizer.optimize_for_success(a_wave(fits(1))))

    # overall 2/12; kind (1 + 2/6) / 12 = 1/9; (2/9 + 1) / 12 = 11/108
    assert found == {"low_success": "fit0 on a succeeds with probability 0.10"}


def test_a_slow_agent_is_pointed_out_with_how_sure_that_is() -> None:
    history = [
        run
        for _ in range(50)
        for agent in "abc"
        for run in some_runs(agent, 1, ms=3000.0 if agent == "c" else 1000.0)
    ]
    optimizer = an_optimizer(history, agents="abc")

    found = optimizer.generate_schedule_recommendations(optimizer.optimize_for_throughput(a_wave(fits(9))))

    slow = next(each for each in found if each["type"] == "slow_agent")
    assert slow["description"].startswith("c takes ")
    assert 0.8 < slow["confidence"] < 1.0


def test_a_task_without_a_place_is_pointed_out_with_the_reason() -> None:
    optimizer = an_optimizer(some_runs("a", 20), some_runs("b", 20))
    barred = replace(fits(1)[0], windows=frozenset({"HOLIDAY"}))

    found = recommended(optimizer, optimizer.optimize_for_success(a_wave([barred], window="WEEKEND")))

    assert found == {
        "task_not_placed": "fit0 has no place in wave 1: may not run in WEEKEND, only in HOLIDAY"
    }


def test_a_gap_to_the_bound_above_five_percent_is_pointed_out() -> None:
    optimizer = an_optimizer(some_runs("a", 20), some_runs("b", 20))
    result = optimizer.optimize_for_throughput(a_wave(fits(4)))

    assert "wide_gap" in recommended(optimizer, replace(result, bound=result.objective / 1.06))
    assert "wide_gap" not in recommended(optimizer, replace(result, bound=result.objective / 1.04))


def test_a_load_on_one_agent_alone_is_pointed_out() -> None:
    optimizer = an_optimizer(some_runs("a", 40), some_runs("b", 30, 10))

    found = recommended(optimizer, optimizer.optimize_for_success(a_wave(fits(4))))

    assert found == {"load_imbalance": "a is busy 2.00 times as long as the mean agent in wave 1"}


def test_recommendations_are_numbered_by_wave() -> None:
    optimizer = an_optimizer(some_runs("a", 1, 9), agents="a")

    found = optimizer.generate_schedule_recommendations(optimizer.optimize_for_success(a_wave(fits(2))))

    assert [each["signal_id"] for each in found] == ["OPT_1_001", "OPT_1_002"]
