"""The harness from its inputs to its files: three waves of twelve tasks on four agents."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adaptive.files import AdaptiveFileError
from adaptive.harness import AdaptiveHarness
from adaptive.optimizer import AdaptiveOptimizer
from adaptive.types import Strategy
from orchestration.clock import VirtualClock
from tests.adaptive_box import AGENTS, POOL, a_run, read_outputs, record, wave_of_twelve, write_inputs

AT = datetime(2026, 11, 20, 23, tzinfo=UTC)
UNHURRIED_S = 60.0
WAVES = tuple(wave_of_twelve(number) for number in (1, 2, 3))


def a_harness(source: Path, folder: Path, waves: int = 3, **changes: Any) -> AdaptiveHarness:
    harness = AdaptiveHarness(
        source, folder, pool=POOL, waves=WAVES[:waves], clock=VirtualClock(AT), **changes
    )
    # A busy box may take longer than the solver's 0.3 s; what is found by then is not the same each time.
    harness.optimizer = AdaptiveOptimizer(POOL, strategy=harness.strategy, deadline_s=UNHURRIED_S)
    return harness


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    a_harness(write_inputs(folder / "in"), folder / "out").run()
    return folder / "out"


def test_every_output_file_is_there_and_valid_by_its_schema(outputs: Path) -> None:
    found = read_outputs(outputs)

    assert sorted(name for name in found if "/" not in name) == [
        "heuristic_weights.json",
        "learning_signals.jsonl",
        "optimization_feedback.jsonl",
        "optimization_metrics.jsonl",
        "optimization_summary.json",
        "schedule_comparisons.jsonl",
        "scheduling_anomalies.jsonl",
        "system_health.json",
    ]
    assert sorted(name for name in found if "/" in name) == [
        f"wave_{wave}/agent_{agent}/scheduled_tasks.jsonl" for wave in (1, 2, 3) for agent in (1, 2, 3, 4)
    ]
    # Nothing half written, and nothing else, is beside them.
    assert {str(path.relative_to(outputs)) for path in outputs.rglob("*") if path.is_file()} == set(found)


def test_every_task_is_in_the_file_of_its_agent_once_and_was_executed(outputs: Path) -> None:
    lines = {name: told for name, told in read_outputs(outputs).items() if "/" in name}
    tasks = [task for told in lines.values() for task in told]

    assert sorted(task["task_id"] for task in tasks) == sorted(t.task_id for w in WAVES for t in w.tasks)
    assert {task["status"] for task in tasks} <= {"completed", "failed", "retried", "skipped"}
    for name, told in lines.items():
        wave, agent = (int(part.split("_")[1]) for part in name.split("/")[:2])
        assert {(task["wave"], task["agent_id"]) for task in told} <= {(wave, AGENTS[agent - 1])}


def test_the_summary_tells_of_all_waves_what_the_files_tell_of_each(outputs: Path) -> None:
    found = read_outputs(outputs)
    summary = found["optimization_summary.json"]

    assert (summary["total_waves_optimized"], summary["total_agents"], summary["total_tasks"]) == (3, 4, 36)
    assert (summary["phase"], summary["optimization_strategy"]) == ("dry_run", "weighted")
    assert summary["timestamp"] == "2026-11-20T23:00:00Z"
    assert [each["wave"] for each in found["schedule_comparisons.jsonl"]] == [1, 2, 3]
    tasks = [task for name, told in found.items() if "/" in name for task in told]
    ran = [task for task in tasks if task["actual_end_time"] is not None]
    succeeded = sum(task["status"] in ("completed", "retried") for task in ran)
    assert summary["overall_metrics"]["actual_success_rate"] == pytest.approx(succeeded / len(ran))
    assert summary["system_health_score"] == found["system_health.json"]["overall_health_score"]
    assert len(found["optimization_metrics.jsonl"]) == 5


def test_the_same_seed_writes_the_same_files(tmp_path: Path, outputs: Path) -> None:
    a_harness(write_inputs(tmp_path / "in"), tmp_path / "out").run()

    for path in sorted(outputs.rglob("*")):
        if path.is_file():
            assert (tmp_path / "out" / path.relative_to(outputs)).read_bytes() == path.read_bytes(), path


def test_another_seed_brings_other_luck(tmp_path: Path, outputs: Path) -> None:
    a_harness(write_inputs(tmp_path / "in"), tmp_path / "out", seed=2).run()

    name = "schedule_comparisons.jsonl"
    assert (tmp_path / "out" / name).read_text() != (outputs / name).read_text()


@pytest.mark.parametrize("strategy", Strategy)
def test_each_strategy_is_named_where_it_was_used(tmp_path: Path, strategy: Strategy) -> None:
    summary = a_harness(write_inputs(tmp_path / "in"), tmp_path / "out", waves=1, strategy=strategy).run()

    assert summary["optimization_strategy"] == strategy.value
    assert {each["strategy"] for each in summary["optimization_results"]} == {strategy.value}


def test_files_of_an_earlier_run_with_more_waves_do_not_stay(tmp_path: Path) -> None:
    source = write_inputs(tmp_path / "in")
    a_harness(source, tmp_path / "out").run()

    a_harness(source, tmp_path / "out", waves=1).run()

    assert {name.split("/")[0] for name in read_outputs(tmp_path / "out") if "/" in name} == {"wave_1"}


def test_a_broken_input_is_named_with_line_and_field_and_nothing_is_written(tmp_path: Path) -> None:
    source = write_inputs(tmp_path / "in")
    path = source / "multi_agent_summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "retry_rate": "often"}, indent=1))

    with pytest.raises(AdaptiveFileError, match=r"multi_agent_summary\.json, line \d+, field retry_rate"):
        a_harness(source, tmp_path / "out").run()

    assert not (tmp_path / "out").exists()


def test_broken_weights_of_an_earlier_run_are_an_error_and_stay_as_they_are(tmp_path: Path) -> None:
    weights = tmp_path / "out" / "heuristic_weights.json"
    weights.parent.mkdir()
    weights.write_text('{"H16_001": 0.4, "upda')

    with pytest.raises(AdaptiveFileError, match=r"heuristic_weights\.json, line 1"):
        a_harness(write_inputs(tmp_path / "in"), tmp_path / "out").run()

    assert weights.read_text() == '{"H16_001": 0.4, "upda'


def test_a_database_is_a_source_too(tmp_path: Path) -> None:
    """kind0 took 90 min in every recorded night; so it does in the plan."""
    history = [change for night in range(8) for change in a_run("kind0", night, 90.0)]
    harness = a_harness(record(tmp_path, history), tmp_path / "out", waves=1)

    harness.run()

    assert len(harness.outcomes) == 8
    lines = [t for name, told in read_outputs(tmp_path / "out").items() if "/" in name for t in told]
    (first,) = [task for task in lines if task["task_id"] == "w1t0"]
    planned_ms = first["scheduled_end_time"] - first["scheduled_start_time"]
    assert planned_ms == pytest.approx(90 * 60_000.0, rel=1e-6)
