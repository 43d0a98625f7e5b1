"""Which attempts were made in the pools and how each ended: what the daemon's database would hold of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from threading import Lock

from adaptive.runs import PoolRun, Pools
from adaptive.types import ScheduledTask, Status, WaveTask


class CountedPools:
    """Pools that remember every attempt of one wave.

    A task that was carried out tells its last attempt alone; an earlier one has failed, perhaps on another
    agent, whose record it belongs to.
    """

    def __init__(self, pools: Pools) -> None:
        self._pools, self._lock = pools, Lock()
        self._made: list[tuple[str, str, bool]] = []

    def run(self, task: WaveTask, agent_id: str) -> PoolRun:
        """See `runs.Pools`."""
        run = self._pools.run(task, agent_id)
        with self._lock:
            self._made.append((task.task_id, agent_id, run.success))
        return run

    def attempts(self, executed: Iterable[ScheduledTask]) -> tuple[ScheduledTask, ...]:
        """Return every attempt at these tasks, completed or failed on its agent; in the order of their ends.

        Its times are those of the task's last one.
        """
        tasks = {task.task_id: task for task in executed}
        return tuple(
            replace(tasks[task_id], agent_id=agent, status=Status.COMPLETED if success else Status.FAILED)
            for task_id, agent, success in self._made
        )
