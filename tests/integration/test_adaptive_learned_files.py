"""What the feedback loop writes is what the next optimizer reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from adaptive.feedback import OptimizationFeedbackLoop
from adaptive.files import AdaptiveFileError, read_array, read_json, write_json, write_lines
from adaptive.monitor import OptimizationMonitor
from adaptive.types import OptimizationResult, ScheduledTask, Status, Strategy

AT = "2026-11-20T23:00:00Z"
RUN = ScheduledTask(
    task_id="a#1",
    agent_id="local/0",
    wave=1,
    scheduled_start_time=0.0,
    scheduled_end_time=10.0,
    priority=3,
    confidence=0.9,
    actual_start_time=0.0,
    actual_end_time=12.0,
    status=Status.COMPLETED,
)


def test_the_weights_in_force_are_written_with_their_instant(tmp_path: Path) -> None:
    OptimizationFeedbackLoop({"H16_001": 0.7}).update_heuristics(tmp_path, AT)

    assert read_json(tmp_path / "heuristic_weights.json", "heuristic_weights") == {
        "H16_001": 0.7,
        "H16_002": 0.3,
        "H16_003": 0.2,
        "H16_004": 0.1,
        "updated_at": AT,
    }


def test_patterns_of_two_waves_are_added_up_in_the_file(tmp_path: Path) -> None:
    loop = OptimizationFeedbackLoop()

    loop.update_coordination(tmp_path, [RUN], {"a#1": "a"})
    loop.update_coordination(tmp_path, [RUN], {"a#1": "a"})

    (pattern,) = read_array(tmp_path / "coordination_patterns.json", "coordination_patterns")
    assert pattern["agent_assignments"] == {"local/0": ["a"]}
    assert pattern["confidence"] == pytest.approx(0.5)


def test_a_broken_patterns_file_is_an_error_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "coordination_patterns.json"
    path.write_text(json.dumps([{"pattern_type": "pair"}]))

    with pytest.raises(AdaptiveFileError, match="agent_assignments"):
        OptimizationFeedbackLoop().update_coordination(tmp_path, [RUN])

    assert json.loads(path.read_text()) == [{"pattern_type": "pair"}]


@pytest.mark.parametrize(
    "executed",
    [
        [replace(RUN, task_id=str(k), actual_end_time=90.0, status=Status.FAILED) for k in range(8)],
        [replace(RUN, actual_start_time=None, actual_end_time=None, status=Status.SKIPPED)],
    ],
)
def test_every_record_is_one_that_its_schema_takes(tmp_path: Path, executed: list[ScheduledTask]) -> None:
    """Of a wave that went badly, and of one in which nothing was executed."""
    loop, monitor = OptimizationFeedbackLoop(), OptimizationMonitor()
    result = OptimizationResult(
        wave=1,
        strategy=Strategy.WEIGHTED,
        agent_assignments={"local/0": ("a#1",)},
        schedule=(RUN,),
        expected_success_rate=0.9,
        expected_throughput=90.0,
        makespan_ms=10.0,
        objective=1.0,
        bound=1.0,
        method="milp",
    )
    comparisons = [loop.evaluate_schedule_outcome(result, executed)] * 2
    metrics = monitor.calculate_metrics([result], {1: executed}, AT)
    anomalies = monitor.detect_anomalies({1: executed}, AT)

    write_lines(tmp_path / "comparisons.jsonl", comparisons, "schedule_comparison")
    write_lines(
        tmp_path / "feedback.jsonl", loop.generate_feedback_events(comparisons, AT), "optimization_feedback"
    )
    write_lines(tmp_path / "signals.jsonl", loop.generate_learning_signals(comparisons), "learning_signal")
    write_lines(tmp_path / "metrics.jsonl", metrics, "optimization_metric")
    write_lines(tmp_path / "anomalies.jsonl", anomalies, "scheduling_anomaly")
    health = monitor.generate_system_health(metrics, anomalies, AT)
    write_json(tmp_path / "system_health.json", health, "system_health")

    assert bool(anomalies) == (executed[0].status is Status.FAILED)
