"""Names of tasks and agents that are no names of files: they stay in the lines, never in a path."""

from __future__ import annotations

from pathlib import Path

from adaptive.files import read_lines
from adaptive.outputs import write_schedules
from adaptive.types import ScheduledTask
from tests.scripted_waves import place

AGENTS = ("local/1", "../../up", "Größe …✓", "two\nlines")


def test_a_schedule_of_odd_names_is_written_within_its_folder_and_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "adaptive"
    tasks: list[ScheduledTask] = [
        place(f"../{agent}/täsk@2026-11-20T23:00Z", agent, 0.0, 1.0) for agent in AGENTS
    ]

    write_schedules(folder, {1: tasks}, AGENTS)

    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert written == [
        f"outputs/adaptive/wave_1/agent_{number}/scheduled_tasks.jsonl" for number in (1, 2, 3, 4)
    ]
    found = [read_lines(tmp_path / path, "scheduled_task") for path in written]
    assert [(line["agent_id"], line["task_id"]) for (line,) in found] == [
        (task.agent_id, task.task_id) for task in tasks
    ]
