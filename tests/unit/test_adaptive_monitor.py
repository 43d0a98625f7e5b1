"""Metrics with their targets, anomalies that noise does not raise, and one figure for the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import exp
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive import surprise
from adaptive.metrics import Target, health_word
from adaptive.monitor import OptimizationMonitor
from adaptive.recorded import recorded_plans
from adaptive.types import OptimizationResult, Outcome, ScheduledTask, Status, Strategy, WaveTask
from tests.scripted_waves import carried_out

AT = "2026-11-20T23:00:00Z"
AGENTS = ("a0", "a1", "a2", "a3")


def result(
    wave: int = 1, *, bound: float = 10.0, throughput: float = 2.0, makespan_ms: float = 2000.0
) -> OptimizationResult:
    return OptimizationResult(
        wave=wave,
        strategy=Strategy.SUCCESS,
        agent_assignments={"a0": ("t0", "t1"), "a1": ("t2", "t3")},
        schedule=(),
        expected_success_rate=1.0,
        expected_throughput=throughput,
        makespan_ms=makespan_ms,
        objective=10.0,
        bound=bound,
        method="milp",
    )


FOUR = (
    carried_out("t0", "a0", (0, 1000), (0, 1000)),
    carried_out("t1", "a0", (1000, 2000), (1000, 2500)),
    carried_out("t2", "a1", (0, 1000), (0, 1000)),
    carried_out("t3", "a1", (1000, 2000), (1200, 2200), Status.FAILED),
)


def noisy_wave(
    wave: int, seed: int, tasks: int = 12, *, spread: float = 0.3, failures: float = 0.05
) -> list[ScheduledTask]:
    """Return a balanced wave in which durations are log-normal around the plan and some tasks fail.

    Nothing else is wrong; an agent starts its next task when the one before it has ended.
    """
    rng = Random(f"{wave}/{seed}")
    planned_end, actual_end = dict.fromkeys(AGENTS, 0.0), dict.fromkeys(AGENTS, 0.0)
    places = []
    for k in range(tasks):
        agent = min(AGENTS, key=lambda each: planned_end[each])
        planned = 1000.0 * exp(rng.gauss(0.0, 0.4))
        took = planned * exp(rng.gauss(0.0, spread))
        status = Status.FAILED if rng.random() < failures else Status.COMPLETED
        places.append(
            carried_out(
                f"t{k}",
                agent,
                (planned_end[agent], planned_end[agent] + planned),
                (actual_end[agent], actual_end[agent] + took),
                status,
                confidence=min(1.0, 1.0 - failures + rng.gauss(0.0, 0.02)),
                wave=wave,
            )
        )
        planned_end[agent] += planned
        actual_end[agent] += took
    return places


def slowed(tasks: Iterable[ScheduledTask], factor: float) -> list[ScheduledTask]:
    """Return the tasks with all actual times stretched by a factor."""
    return [
        replace(
            each,
            actual_start_time=(each.actual_start_time or 0.0) * factor,
            actual_end_time=(each.actual_end_time or 0.0) * factor,
        )
        for each in tasks
    ]


def kinds_of(waves: Mapping[int, Sequence[ScheduledTask]]) -> list[str]:
    return [each["anomaly_type"] for each in OptimizationMonitor().detect_anomalies(waves, AT)]


def metrics_of(
    results: Sequence[OptimizationResult], waves: Mapping[int, Sequence[ScheduledTask]]
) -> dict[str, dict[str, Any]]:
    return {
        metric["metric_name"]: metric
        for metric in OptimizationMonitor().calculate_metrics(results, waves, AT)
    }


# --- metrics ----------------------------------------------------------------------------------------------


def test_every_metric_comes_with_its_target_and_limits() -> None:
    metrics = metrics_of([result()], {1: FOUR})

    assert metrics["schedule_accuracy"] == {
        "metric_name": "schedule_accuracy",
        # Durations 1, 1 / 1.5 and 1; Brier (3 x 0.05 ** 2 + 0.95 ** 2) / 4 = 0.2275.
        "value": pytest.approx((8 / 9 + 0.7725) / 2),
        "unit": "share",
        "target_value": 0.90,
        "threshold_min": 0.85,
        "threshold_max": 1.0,
        "status": "below",
        "timestamp": AT,
    }
    limits = {
        name: (m["target_value"], m["threshold_min"], m["threshold_max"]) for name, m in metrics.items()
    }
    assert limits == {
        "schedule_accuracy": (0.90, 0.85, 1.0),
        "throughput_efficiency": (0.95, 0.90, 1.0),
        "schedule_adherence": (0.95, 0.85, 1.0),
        "agent_utilization": (0.80, 0.50, 1.0),
        "optimization_convergence": (0.99, 0.95, 1.0),
    }


def test_throughput_efficiency_is_actual_over_expected() -> None:
    metrics = metrics_of([result(throughput=2.0)], {1: FOUR})

    # 3 successes in 2.5 s are 1.2 per second, of 2 expected.
    assert metrics["throughput_efficiency"]["value"] == pytest.approx(0.6)
    assert metrics["throughput_efficiency"]["status"] == "below"


def test_more_done_than_expected_lies_above_the_limit() -> None:
    metrics = metrics_of([result(throughput=1.0)], {1: FOUR})

    assert metrics["throughput_efficiency"]["status"] == "above"


def test_a_value_short_of_its_target_is_in_order_down_to_the_least_of_it() -> None:
    # FOUR does 3 in 2.5 s, 1.2 per second; efficiency's target is 0.95 and its least 0.90.
    within = metrics_of([result(throughput=1.2 / 0.93)], {1: FOUR})
    short = metrics_of([result(throughput=1.2 / 0.89)], {1: FOUR})

    assert within["throughput_efficiency"]["status"] == "ok"
    assert short["throughput_efficiency"]["status"] == "below"


def test_waves_count_in_throughput_by_their_time_and_not_alike() -> None:
    long = [carried_out("t0", "a0", (0, 10_000), (0, 10_000), wave=2)]
    results = [result(1, throughput=2.0, makespan_ms=2000.0), result(2, throughput=0.1, makespan_ms=10_000.0)]

    metrics = metrics_of(results, {1: FOUR, 2: long})

    # Actual: 4 in 12.5 s; expected: 4 + 1 in 12 s.
    assert metrics["throughput_efficiency"]["value"] == pytest.approx((4 / 12.5) / (5 / 12))


def test_adherence_is_how_near_the_starts_were_in_lengths_of_the_wave() -> None:
    metrics = metrics_of(
        [result()], {1: [*FOUR, carried_out("t4", "a1", (1500, 2000), None, Status.SKIPPED)]}
    )

    # Of 2000 ms one of five starts was 200 away, and one task never started: (1 + 1 + 1 + 0.9 + 0) / 5.
    assert metrics["schedule_adherence"]["value"] == pytest.approx(0.78)


def test_utilization_is_busy_over_elapsed_time_and_idle_agents_count() -> None:
    monitor = OptimizationMonitor()

    shares = monitor.monitor_agent_utilization(FOUR, ("a0", "a1", "a2"))

    assert shares == {"a0": 1.0, "a1": 0.8, "a2": 0.0}
    assert metrics_of([result()], {1: FOUR})["agent_utilization"]["value"] == pytest.approx(0.9)


def test_convergence_is_one_less_the_mean_gap_to_the_bound() -> None:
    # 10 reached of 10 and of 12.5: gaps 0 and 0.2.
    results = [result(), result(2, bound=12.5)]

    assert OptimizationMonitor().monitor_optimization_convergence(results) == pytest.approx(0.9)
    assert metrics_of(results, {})["optimization_convergence"]["status"] == "below"


def test_convergence_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="results is empty"):
        OptimizationMonitor().monitor_optimization_convergence([])


def test_what_was_never_executed_is_missing_and_not_a_number() -> None:
    metrics = metrics_of([result()], {1: [carried_out("t0", "a0", (0, 1), None, Status.SKIPPED)]})

    missing = {name for name, metric in metrics.items() if metric["status"] == "missing"}
    assert missing == set(metrics) - {"optimization_convergence"}
    assert all(metrics[name]["value"] is None for name in missing)


def test_a_target_outside_its_limits_or_of_no_metric_is_refused() -> None:
    with pytest.raises(ValueError, match=r"targets\['schedule_accuracy'\] is"):
        OptimizationMonitor({"schedule_accuracy": Target(target=0.5, least=0.6)})
    with pytest.raises(ValueError, match="targets has 'speed'"):
        OptimizationMonitor({"speed": Target(target=0.5, least=0.1)})


# --- anomalies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks", [12, 40])
@pytest.mark.parametrize("spread", [0.1, 0.5])
def test_noise_raises_an_anomaly_in_fewer_than_one_wave_in_twenty(tasks: int, spread: float) -> None:
    """Of 90 waves of noise in groups of three."""
    flagged = 0
    for seed in range(30):
        waves = {wave: noisy_wave(wave, seed, tasks, spread=spread) for wave in (1, 2, 3)}
        found = OptimizationMonitor().detect_anomalies(waves, AT)
        flagged += len({wave for each in found for wave in each["affected_waves"]})

    assert flagged / 90 < 0.05


def test_four_runs_raise_nothing_however_bad_they_are() -> None:
    bad = [
        carried_out(f"t{k}", "a0", (1000 * k, 1000 * k + 1000), (9000 * k, 9000 * k + 9000), Status.FAILED)
        for k in range(4)
    ]

    assert kinds_of({1: bad}) == []


def test_one_run_far_off_among_steady_ones_is_a_prediction_error() -> None:
    wave = noisy_wave(1, seed=1, spread=0.1, failures=0.0)
    odd = wave[11]
    start = odd.actual_start_time or 0.0
    planned = odd.scheduled_end_time - odd.scheduled_start_time
    wave[11] = replace(odd, actual_end_time=start + 10.0 * planned)

    (error,) = OptimizationMonitor().detect_prediction_errors(wave)

    assert (error.task_id, error.agent_id, error.wave) == ("t11", odd.agent_id, 1)
    assert error.factor == pytest.approx(10.0)


@pytest.mark.parametrize(("runs", "found"), [(7, 0), (8, 1)])
def test_a_freak_among_fewer_than_eight_runs_is_no_prediction_error(runs: int, found: int) -> None:
    steady = [carried_out(f"t{k}", "a0", (k, k + 1), (k, k + 1)) for k in range(runs - 1)]
    freak = carried_out("freak", "a1", (0, 1), (0, 100))

    assert len(OptimizationMonitor().detect_prediction_errors([*steady, freak])) == found


def test_a_wave_in_which_everything_takes_twice_as_long_is_a_prediction_error() -> None:
    waves = {wave: noisy_wave(wave, seed=5, spread=0.1) for wave in (1, 2, 3)}
    waves[2] = slowed(waves[2], 2.0)

    found = OptimizationMonitor().detect_anomalies(waves, AT)

    errors = [each for each in found if each["anomaly_type"] == "prediction_error"]
    assert [each["affected_waves"] for each in errors] == [[2]]
    assert errors[0]["affected_agents"] == list(AGENTS)
    assert errors[0]["severity"] in {"medium", "high"}


def test_a_wave_that_starts_later_and_later_drifts() -> None:
    """Every run takes as long as planned, but each agent rests for a planned duration after each of them."""
    wave = [
        carried_out(f"t{k}{agent}", agent, (1000 * k, 1000 * k + 1000), (2000 * k, 2000 * k + 1000))
        for k in range(4)
        for agent in AGENTS
    ]

    (drift,) = OptimizationMonitor().detect_anomalies({1: wave}, AT)

    # Later tasks are 1, 2 and 3 s late, in the median 2 of 4 s planned.
    assert drift["anomaly_type"] == "schedule_drift"
    assert "50% of the planned makespan" in drift["description"]
    assert drift["affected_agents"] == list(AGENTS)


def one_agent_with(runs: int, planned_ms: float, actual_ms: float) -> list[ScheduledTask]:
    """Return a wave of so many runs of one length on a0, and of one run of 1 s, as planned, on each other."""
    busy = [
        carried_out(
            f"t{k}", "a0", (k * planned_ms, (k + 1) * planned_ms), (k * actual_ms, (k + 1) * actual_ms)
        )
        for k in range(runs)
    ]
    return busy + [carried_out(f"u{k}", agent, (0, 1000), (0, 1000)) for k, agent in enumerate(AGENTS[1:])]


def overloads(wave: list[ScheduledTask]) -> list[dict[str, Any]]:
    found = OptimizationMonitor().detect_anomalies({1: wave}, AT)
    return [each for each in found if each["anomaly_type"] == "agent_overload"]


def test_an_agent_that_has_far_more_to_do_than_the_plan_gave_it_is_overloaded() -> None:
    (overload,) = overloads(one_agent_with(5, planned_ms=400, actual_ms=1600))

    # 2 of 5 s planned; 8 of 11 s in all, over four agents: 2.91 times the mean.
    assert overload["affected_agents"] == ["a0"]
    assert "2.91" in overload["description"]
    assert overload["severity"] == "medium"


def test_an_agent_that_the_plan_favours_is_not_overloaded_by_keeping_to_it() -> None:
    assert overloads(one_agent_with(5, planned_ms=1600, actual_ms=1600)) == []


def test_an_agent_that_does_everything_while_the_pools_others_idle_is_overloaded() -> None:
    wave = [
        carried_out(f"t{k}", "a0", (k * 1000, k * 1000 + 1000), (k * 1000, k * 1000 + 1000)) for k in range(8)
    ]

    (overload,) = OptimizationMonitor().detect_anomalies({1: wave}, AT, AGENTS)

    assert (overload["affected_agents"], overload["severity"]) == (["a0"], "high")


def test_one_long_task_is_no_overload_as_nothing_of_it_could_be_given_away() -> None:
    long = carried_out("t0", "a0", (0, 8000), (0, 8000))
    rest = [carried_out(f"u{k}", agent, (0, 1000), (0, 1000)) for k, agent in enumerate(AGENTS[1:])]

    assert kinds_of({1: [long, *rest]}) == []


def test_an_agent_on_which_all_takes_longer_than_planned_is_overloaded() -> None:
    waves = {wave: noisy_wave(wave, seed=3, tasks=24, spread=0.1, failures=0.0) for wave in (1, 2, 3)}
    for wave, tasks in waves.items():
        waves[wave] = [slowed([each], 1.6)[0] if each.agent_id == "a2" else each for each in tasks]

    found = OptimizationMonitor().detect_anomalies(waves, AT)

    overload = next(each for each in found if each["anomaly_type"] == "agent_overload")
    assert overload["affected_agents"] == ["a2"]
    assert overload["affected_waves"] == [1, 2, 3]


def test_a_wave_that_fails_far_more_than_those_before_it_is_a_success_drop() -> None:
    waves = {wave: noisy_wave(wave, seed=1, failures=0.0) for wave in (1, 2, 3)}
    waves[3] = [replace(each, status=Status.FAILED) if k % 2 else each for k, each in enumerate(waves[3])]

    (drop,) = OptimizationMonitor().detect_anomalies(waves, AT)

    assert drop["anomaly_type"] == "success_drop"
    assert drop["affected_waves"] == [3]
    assert drop["severity"] == "high"
    assert drop["description"].startswith("Wave 3: 6 of 12 tasks succeeded")


def test_an_agent_on_which_far_more_fails_than_on_the_others_is_a_success_drop() -> None:
    waves = {wave: noisy_wave(wave, seed=2, tasks=16, failures=0.0) for wave in (1, 2, 3)}
    for wave, tasks in waves.items():
        waves[wave] = [
            replace(each, status=Status.FAILED) if each.agent_id == "a1" and k % 3 else each
            for k, each in enumerate(tasks)
        ]

    found = OptimizationMonitor().detect_anomalies(waves, AT)

    assert ("success_drop", ["a1"]) in [(each["anomaly_type"], each["affected_agents"]) for each in found]


def test_failures_that_were_foretold_are_no_success_drop() -> None:
    half = [replace(each, confidence=0.5) for each in noisy_wave(1, seed=4, failures=0.0)]
    half = [replace(each, status=Status.FAILED) if k % 2 else each for k, each in enumerate(half)]

    assert "success_drop" not in kinds_of({1: half})


def test_anomalies_have_ids_of_their_own_and_all_fields() -> None:
    waves = {wave: slowed(noisy_wave(wave, seed=5, spread=0.1), 3.0) for wave in (1, 2, 3)}

    found = OptimizationMonitor().detect_anomalies(waves, AT)

    assert len({each["anomaly_id"] for each in found}) == len(found) > 1
    assert set(found[0]) == {
        "anomaly_id",
        "anomaly_type",
        "severity",
        "description",
        "affected_waves",
        "affected_agents",
        "recommendation",
        "timestamp",
    }


# --- health -----------------------------------------------------------------------------------------------


def metric(name: str, value: float | None, target: float) -> dict[str, Any]:
    return {"metric_name": name, "value": value, "target_value": target}


def test_health_is_the_mean_of_its_components() -> None:
    metrics = [
        metric("schedule_accuracy", 0.45, 0.9),
        metric("schedule_adherence", 0.95, 0.95),
        metric("throughput_efficiency", 1.2, 0.95),
    ]

    record = OptimizationMonitor().generate_system_health(
        metrics, [{"severity": "low"}, {"severity": "medium"}, {"severity": "high"}], AT
    )

    # 50 + 100 + 100 + (100 - 5 - 15 - 30) = 300, over 4.
    assert record == {
        "overall_health_score": 75.0,
        "health_status": "GOOD",
        "component_scores": {
            "optimization_accuracy": 50.0,
            "schedule_adherence": 100.0,
            "throughput_efficiency": 100.0,
            "system_stability": 50.0,
        },
        "optimization_metrics": {
            "schedule_accuracy": 0.45,
            "schedule_adherence": 0.95,
            "throughput_efficiency": 1.2,
        },
        "detected_anomalies": 3,
        "timestamp": AT,
    }


def test_the_words_of_health_begin_where_they_are_said_to() -> None:
    words = [health_word(score) for score in (100.0, 85.0, 84.9, 70.0, 69.9, 50.0, 49.9, 0.0)]

    assert words == ["EXCELLENT", "EXCELLENT", "GOOD", "GOOD", "FAIR", "FAIR", "POOR", "POOR"]


def test_a_missing_metric_leaves_its_component_out_of_the_mean() -> None:
    metrics = [metric("schedule_accuracy", None, 0.9), metric("schedule_adherence", 0.475, 0.95)]

    record = OptimizationMonitor().generate_system_health(metrics, [], AT)

    assert record["component_scores"]["optimization_accuracy"] is None
    assert record["overall_health_score"] == pytest.approx(75.0)  # of 50 and a stability of 100


def test_of_recorded_waves_nothing_is_said_of_starts_that_nobody_planned() -> None:
    ran = Outcome(
        task_id="fit", kind="fit", agent_id="a", wave=1, started_ms=0.0, ended_ms=60_000.0, success=True
    )
    waves = {number: [replace(ran, wave=number)] for number in (1, 2)}
    (recorded,) = recorded_plans(waves, {"fit": WaveTask(task_id="fit")}, 1)
    monitor = OptimizationMonitor()

    metrics = monitor.calculate_metrics([recorded.result], {2: recorded.executed}, AT)

    (adherence,) = (each for each in metrics if each["metric_name"] == "schedule_adherence")
    assert (adherence["value"], adherence["status"]) == (None, "missing")
    health = monitor.generate_system_health(metrics, [], AT)
    scores = health["component_scores"]
    assert scores.pop("schedule_adherence") is None
    assert health["overall_health_score"] == pytest.approx(sum(scores.values()) / 3)


def test_a_system_that_shows_nothing_is_not_in_health() -> None:
    record = OptimizationMonitor().generate_system_health([], [], AT)

    assert (record["overall_health_score"], record["health_status"]) == (0.0, "POOR")
    assert set(record["component_scores"].values()) == {None}


@given(
    values=st.lists(st.none() | st.floats(0, 50), min_size=3, max_size=3),
    severities=st.lists(st.sampled_from(["low", "medium", "high"]), max_size=12),
)
def test_every_score_lies_between_nothing_and_a_hundred(
    values: list[float | None], severities: list[str]
) -> None:
    names = ("schedule_accuracy", "schedule_adherence", "throughput_efficiency")
    metrics = [metric(name, value, 0.9) for name, value in zip(names, values, strict=True)]

    record = OptimizationMonitor().generate_system_health(metrics, [{"severity": s} for s in severities], AT)

    scores = [record["overall_health_score"], *record["component_scores"].values()]
    assert all(score is None or 0.0 <= score <= 100.0 for score in scores)


# --- small samples ----------------------------------------------------------------------------------------


def test_the_beta_binomial_tail_is_laplaces_under_a_uniform_prior() -> None:
    # With Beta(1, 1) every count from 0 to n is as likely as any other.
    assert surprise.at_most(2, 9, 1.0, 1.0) == pytest.approx(0.3)


def test_fishers_tail_is_that_of_the_tea_tasting_lady() -> None:
    # Fisher 1935: she names all 4 of 8 cups that had milk first, by chance in 1 of 70; or none of the others.
    assert surprise.fisher_lower(0, 4, 4, 4) == pytest.approx(1 / 70)
    assert surprise.fisher_lower(1, 4, 3, 4) == pytest.approx(17 / 70)


def test_the_sign_test_counts_both_sides() -> None:
    # 1 of 8 coins or fewer, or 7 or more: (1 + 8) x 2 of 256.
    assert surprise.sign_test(1, 8) == pytest.approx(18 / 256)
    assert surprise.sign_test(4, 8) == 1.0


@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_fishers_tail_agrees_with_counting_every_draw(trials: int, others: int, data: st.DataObject) -> None:
    good, other_good = data.draw(st.integers(0, trials)), data.draw(st.integers(0, others))
    draws = list(combinations(range(trials + others), good + other_good))

    counted = sum(sum(each < trials for each in draw) <= good for draw in draws)

    assert surprise.fisher_lower(good, trials, other_good, others) == pytest.approx(counted / len(draws))
