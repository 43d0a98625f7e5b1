"""A TradingOrchestrator on a box that stands still, for tests of the facade."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from config import Settings
from daily_orchestrator import TradingOrchestrator
from orchestration.clock import VirtualClock
from orchestration.simulation.stand_ins import SteadySensors
from orchestration.task_scheduler import TaskScheduler

OWN_TASKS = """
[[task]]
name = "first"
argv = ["/bin/true"]
priority = "critical"

[[task]]
name = "second"
argv = ["/bin/true"]
dependencies = ["first"]

[[task]]
name = "study"
argv = ["/bin/true"]
category = "research"
interruptible = true
extendable = true
opportunistic = true
min_slice_minutes = 30
estimated_minutes = 600
timeout_minutes = 1200

[[task]]
name = "filler"
argv = ["/bin/true"]
priority = "low"
opportunistic = true
estimated_minutes = 10
"""


class Facade:
    """An orchestrator at an instant, its clock and its scheduler. The box: 4000 MB, 400 taken, four slots."""

    def __init__(
        self, folder: Path, at: datetime, policy: str = "unified", *, tasks: str = OWN_TASKS
    ) -> None:
        environ = {
            "ORCHESTRATOR_STATE_DIR": str(folder / "state"),
            "ORCHESTRATOR_LOG_DIR": str(folder / "logs"),
            "ORCHESTRATOR_TASKS": str(folder / "tasks.toml"),
            "USE_TASK_SCHEDULER": str(policy == "phases"),
            "USE_UNIFIED_SCHEDULER": str(policy == "unified"),
        }
        (folder / "tasks.toml").write_text(tasks)
        self.clock = VirtualClock(at)
        self.sensors = SteadySensors()
        self.orch = TradingOrchestrator(Settings.from_env(environ), clock=self.clock, sensors=self.sensors)
        self.sched = TaskScheduler(self.orch)

    def ready(self) -> list[str]:
        """Return the names of the ready tasks."""
        return [spec.name for spec in self.sched.get_ready_tasks()]
