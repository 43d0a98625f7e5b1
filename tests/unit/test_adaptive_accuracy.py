"""How near the plans of whole waves came."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adaptive.accuracy import prediction_accuracy
from adaptive.types import OptimizationResult, Status, Strategy
from tests.scripted_waves import place


def a_result(wave: int, expected_success_rate: float) -> OptimizationResult:
    return OptimizationResult(
        wave=wave,
        strategy=Strategy.WEIGHTED,
        agent_assignments={},
        schedule=(),
        expected_success_rate=expected_success_rate,
        expected_throughput=1.0,
        makespan_ms=2000.0,
        objective=1.0,
        bound=1.0,
        method="milp",
    )


COMPLETED = replace(
    place("a", "x", 0.0, 1000.0), actual_start_time=0.0, actual_end_time=800.0, status=Status.COMPLETED
)
FAILED = replace(
    place("b", "x", 1000.0, 2000.0), actual_start_time=800.0, actual_end_time=900.0, status=Status.FAILED
)


@pytest.mark.parametrize("took_ms", [800.0, 1250.0])
def test_the_accuracy_of_a_wave_is_the_mean_of_its_successes_and_its_work(took_ms: float) -> None:
    completed = replace(COMPLETED, actual_end_time=took_ms)

    found = prediction_accuracy([a_result(1, 0.8)], {1: (completed, FAILED)})

    # 0.8 expected, half succeeded: 0.7. Work of what completed: 1000 planned, 800 or 1250 taken: 0.8.
    assert found == pytest.approx((0.7 + 0.8) / 2)


def test_work_that_cannot_be_timed_is_left_out() -> None:
    assert prediction_accuracy([a_result(1, 0.2)], {1: (FAILED,)}) == pytest.approx(0.8)


def test_waves_count_alike_and_those_not_executed_not_at_all() -> None:
    results = [a_result(1, 0.2), a_result(2, 0.6), a_result(3, 0.5)]
    failed = replace(FAILED, wave=2)

    assert prediction_accuracy(results, {1: (FAILED,), 2: (failed,)}) == pytest.approx((0.8 + 0.4) / 2)
    assert prediction_accuracy(results[2:], {}) is None
