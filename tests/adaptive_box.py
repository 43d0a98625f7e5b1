"""What the adaptive layer's tests begin from: a folder of inputs, a wave of twelve, recorded histories."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from adaptive.files import read_array, read_json, read_lines
from adaptive.outputs import LINES
from adaptive.types import Pool, Wave, WaveTask
from orchestration.changes import Change, RecordSaved, RunEnded, RunPlanned, RunStarted
from orchestration.estimates import after_duration
from orchestration.runs import ActiveRun, Estimate, Outcome, RunKey, TaskRecord, TaskResult
from orchestration.state.store import SqlStore

AGENTS = ("local/1", "local/2", "local/3", "local/4")
POOL = Pool(agents=AGENTS, memory_mb=2000.0)
FIRST = datetime(2026, 9, 1, 22, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def write_inputs(folder: Path) -> Path:
    """Put four inputs into `folder`, valid and unremarkable; return it."""
    performance = {agent: {"success_rate": 0.9, "tasks": 30} for agent in AGENTS}
    documents: dict[str, Any] = {
        "multi_agent_summary.json": {
            "total_agents": 4,
            "total_tasks": 120,
            "total_waves": 10,
            "success_rate": 0.9,
            "avg_execution_time_ms": 60_000.0,
            "avg_confidence_delta": 0.0,
            "retry_rate": 0.05,
            "agent_performance": performance,
            "timestamp": "2026-11-20T22:00:00Z",
        },
        "coordination_patterns.json": [
            {
                "pattern_type": "sequence",
                "agent_assignments": {"local/1": ["kind0", "kind1"]},
                "success_rate": 0.95,
                "confidence": 0.6,
            }
        ],
        "system_health.json": {
            "overall_health_score": 90,
            "health_status": "EXCELLENT",
            "component_scores": {"memory": 88.0},
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))
    signal = {"signal_id": "s1", "type": "slow", "confidence": 0.7, "description": "late at night"}
    (folder / "learning_signals.jsonl").write_text(json.dumps(signal) + "\n")
    return folder


def wave_of_twelve(number: int) -> Wave:
    """Return twelve tasks of four kinds in a night of ten hours, with dependencies, conflicts and memory."""
    tasks = tuple(
        WaveTask(
            task_id=f"w{number}t{n}",
            kind=f"kind{n % 4}",
            expected_ms=600_000.0 * (1 + n % 3),
            memory_mb=300.0 + 100.0 * (n % 4),
            priority=1 + n % 5,
            dependencies=frozenset({f"w{number}t{n - 4}"} if n >= 8 else ()),
            conflicts=frozenset({f"w{number}t{n - 1}"} if n % 6 == 5 else ()),
            windows=frozenset({"OVERNIGHT", "WEEKEND"}),
        )
        for n in range(12)
    )
    return Wave(number=number, tasks=tasks, window="OVERNIGHT", window_ms=36_000_000.0)


def read_outputs(folder: Path) -> dict[str, Any]:
    """Return every output file by its path within `folder`, each read by its schema."""
    found: dict[str, Any] = {
        "optimization_summary.json": read_json(folder / "optimization_summary.json", "optimization_summary"),
        "system_health.json": read_json(folder / "system_health.json", "system_health"),
        "heuristic_weights.json": read_json(folder / "heuristic_weights.json", "heuristic_weights"),
    }
    found |= {name: read_lines(folder / name, schema, least=0) for name, schema in LINES.items()}
    patterns = folder / "coordination_patterns.json"
    if patterns.exists():
        found[patterns.name] = read_array(patterns, "coordination_patterns")
    for path in sorted(folder.glob("wave_*/agent_*/scheduled_tasks.jsonl")):
        found[str(path.relative_to(folder))] = read_lines(path, "scheduled_task", least=0)
    return found


# --- recorded histories -----------------------------------------------------------------------------------


def cycle_of(night: int) -> str:
    """The cycle that the night leads up to; nights are counted from FIRST, weekends among them."""
    return (FIRST + (night + 1) * DAY).date().isoformat()


def a_run(
    task: str,
    night: int,
    minutes: float,
    outcome: Outcome = Outcome.SUCCEEDED,
    *,
    after: float = 0.0,
    cycle: str | None = None,
) -> list[Change]:
    """Return what the daemon commits of a run that starts `after` minutes into a night. cycle: if it is not
    the night's, as that of a weekly task."""
    key = RunKey(task, cycle or cycle_of(night), "once", 1)
    start = FIRST + night * DAY + timedelta(minutes=after)
    end = start + timedelta(minutes=minutes)
    return [
        RunPlanned(run=ActiveRun(key=key, started_at=start, predicted_end=end, reserved_mb=100.0)),
        RunStarted(run_id=key.run_id, pid=4711, started_at=start),
        RunEnded(
            result=TaskResult(
                key=key,
                outcome=outcome,
                started_at=start,
                ended_at=end,
                duration_s=minutes * 60.0,
                peak_memory_mb=80.0,
            )
        ),
    ]


def learned(minutes: Iterable[float]) -> Estimate:
    """Return what the daemon itself learns from completed runs of these lengths."""
    estimate = Estimate()
    for each in minutes:
        estimate = after_duration(estimate, each)
    return estimate


def nights_of(task: str, minutes: Sequence[float], *, after: float = 0.0) -> list[Change]:
    """Return a completed run for every night, and the record that the daemon has of the task then."""
    runs = [change for night, each in enumerate(minutes) for change in a_run(task, night, each, after=after)]
    return [*runs, RecordSaved(task=task, record=TaskRecord(estimate=learned(minutes)))]


def record(state: Path, changes: Iterable[Change]) -> Path:
    """Commit changes to the performance.db of a state directory; return its path."""
    state.mkdir(parents=True, exist_ok=True)
    path = state / "performance.db"
    with closing(SqlStore(path)) as store:
        store.commit(list(changes))
    return path
