"""The files of one run of the harness: which there are and where they lie. No older ones stay among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from adaptive.files import write_json, write_lines
from adaptive.types import Executed

OUTPUTS: Final = Path("outputs/adaptive")
SUMMARY: Final = "optimization_summary.json"
HEALTH: Final = "system_health.json"
SCHEDULE: Final = "scheduled_tasks.jsonl"
SIGNALS: Final = "learning_signals.jsonl"
COMPARISONS: Final = "schedule_comparisons.jsonl"
FEEDBACK: Final = "optimization_feedback.jsonl"
METRICS: Final = "optimization_metrics.jsonl"
ANOMALIES: Final = "scheduling_anomalies.jsonl"
LINES: Final[Mapping[str, str]] = {
    SIGNALS: "learning_signal",
    COMPARISONS: "schedule_comparison",
    FEEDBACK: "optimization_feedback",
    METRICS: "optimization_metric",
    ANOMALIES: "scheduling_anomaly",
}
"""Files of one record per line, and the schema of each."""


def write_schedules(folder: Path, executed: Executed, agents: Sequence[str]) -> None:
    """Write wave_N/agent_M/scheduled_tasks.jsonl for every agent of every wave, and remove those of earlier
    runs that had more of either.

    N is the wave's number, M the agent's place in `agents` from 1; what each line says of it is its id.
    """
    written = set()
    for wave, tasks in executed.items():
        for number, agent in enumerate(agents, start=1):
            path = folder / f"wave_{wave}" / f"agent_{number}" / SCHEDULE
            write_lines(path, (asdict(task) for task in tasks if task.agent_id == agent), "scheduled_task")
            written.add(path)
    for path in folder.glob(f"wave_*/agent_*/{SCHEDULE}"):
        if path not in written:
            path.unlink()


def write_records(folder: Path, records: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write the files of LINES; one that is not named is empty."""
    for name, schema in LINES.items():
        write_lines(folder / name, records.get(name, ()), schema)


def write_documents(folder: Path, summary: Mapping[str, Any], health: Mapping[str, Any]) -> None:
    """Write the summary and the health of a run."""
    write_json(folder / HEALTH, health, "system_health")
    write_json(folder / SUMMARY, summary, "optimization_summary")
