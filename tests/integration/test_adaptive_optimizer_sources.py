"""What the optimizer takes from a folder of inputs and from the daemon's database."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adaptive.files import AdaptiveFileError
from adaptive.heuristics import DEFAULT_WEIGHTS
from adaptive.history import REVISIONS
from adaptive.optimizer import AdaptiveOptimizer
from adaptive.types import Pool, Wave, WaveTask

NOW = "2026-11-20T23:00:00Z"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of inputs in which agent b did better, and a pattern that has worked on agent a."""
    keep(
        tmp_path / "multi_agent_summary.json",
        {
            "total_agents": 2,
            "total_tasks": 50,
            "total_waves": 3,
            "success_rate": 0.8,
            "avg_execution_time_ms": 900.0,
            "avg_confidence_delta": 0.05,
            "retry_rate": 0.1,
            "agent_performance": {
                "a": {"success_rate": 0.7, "tasks": 30},
                "b": {"success_rate": 0.95, "tasks": 20},
            },
            "timestamp": NOW,
        },
    )
    pattern = {
        "pattern_type": "worked",
        "agent_assignments": {"a": ["fit"]},
        "success_rate": 1.0,
        "confidence": 0.5,
    }
    keep(tmp_path / "coordination_patterns.json", [pattern])
    health = {"overall_health_score": 90, "health_status": "EXCELLENT", "component_scores": {"any": 90}}
    keep(tmp_path / "system_health.json", health)
    signal = {"signal_id": "s1", "type": "any", "confidence": 0.5, "description": "d", "recommendation": "r"}
    keep(tmp_path / "learning_signals.jsonl", signal)
    return tmp_path


def keep(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value) + "\n")


def test_a_summary_seeds_the_posteriors_with_the_agents_records(folder: Path) -> None:
    optimizer = AdaptiveOptimizer(Pool(agents=("a", "b")))

    optimizer.load_data(folder)

    # The pattern is worth 0.5 x 2 = 1 run that succeeded. overall (21 + 19 + 1 + 1) / (51 + 2) = 42/53;
    # an unknown kind on b: 2 * 42/53 + 19 successes in 22 runs
    other = optimizer.beliefs.success("other", "b")
    assert other.mean == pytest.approx((84 / 53 + 19) / 22)
    # the kind "fit" (1 + 84/53) / 3 = 137/159; on a: 2 * 137/159 + 21 + 1 in 2 + 30 + 1
    fit = optimizer.beliefs.success("fit", "a")
    assert fit.mean == pytest.approx((274 / 159 + 22) / 33)


def test_the_agent_with_the_better_record_gets_the_work(folder: Path) -> None:
    optimizer = AdaptiveOptimizer(Pool(agents=("a", "b")))
    optimizer.load_data(folder)

    result = optimizer.optimize_for_success(Wave(number=1, tasks=(WaveTask(task_id="other"),)))

    assert result.agent_assignments == {"a": (), "b": ("other",)}


def test_weights_in_the_folder_replace_the_optimizers_own(folder: Path) -> None:
    keep(folder / "heuristic_weights.json", {"H16_001": 0.9, "updated_at": NOW})
    optimizer = AdaptiveOptimizer(Pool(agents=("a", "b")), weights={"H16_001": 0.1})

    optimizer.load_data(folder)

    assert optimizer.weights == {**DEFAULT_WEIGHTS, "H16_001": 0.9}


def test_a_folder_without_weights_leaves_the_optimizers_own(folder: Path) -> None:
    optimizer = AdaptiveOptimizer(Pool(agents=("a", "b")), weights={"H16_001": 0.1})

    optimizer.load_data(folder)

    assert optimizer.weights["H16_001"] == 0.1


def test_weights_of_an_unknown_heuristic_are_refused_by_line_and_field(folder: Path) -> None:
    stored = {"H16_001": 0.4, "H99_001": 0.4, "updated_at": NOW}
    (folder / "heuristic_weights.json").write_text(json.dumps(stored, indent=1))

    # The brace is line 1.
    words = r"heuristic_weights\.json, line 3, field H99_001: is not known here, expected only H16_001, H16_"
    with pytest.raises(AdaptiveFileError, match=words):
        AdaptiveOptimizer(Pool(agents=("a", "b"))).load_data(folder)


def test_the_runs_of_a_database_are_learned(tmp_path: Path) -> None:
    database = tmp_path / "performance.db"
    columns = (
        "run_id, task, cycle, slot, attempt, pool, status, outcome, stop_cause, planned_at, started_at, "
        "ended_at, duration_s, peak_memory_mb, predicted_minutes"
    )
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (REVISIONS[-1],))
        connection.execute(f"CREATE TABLE task_runs ({columns})")
        for hour, outcome in enumerate(("succeeded", "succeeded", "failed")):
            at = f"2026-11-20T0{hour}:00:00+00:00"
            row = (
                f"r{hour}",
                "fit",
                "2026-11-20",
                str(hour),
                1,
                "local",
                "ended",
                outcome,
                None,
                at,
                at,
                at,
                90.0,
                50.0,
                1.0,
            )
            connection.execute(f"INSERT INTO task_runs VALUES ({','.join('?' * len(row))})", row)
    optimizer = AdaptiveOptimizer(Pool(agents=("local/1",)))

    optimizer.load_data(database)

    # overall and kind (2 + 1) / 5 and (2 + 2 * 3/5) / 5 = 16/25; (2 * 16/25 + 2) / 5
    assert optimizer.beliefs.success("fit", "local/1").mean == pytest.approx(82 / 125)
    assert optimizer.beliefs.duration_ms(WaveTask(task_id="fit"), "local/1") == pytest.approx(90_000.0)
