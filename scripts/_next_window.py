"""The box's tasks as a wave of the adaptive layer: what may run in the next research window, and on what."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from adaptive.types import Pool, Wave, WaveTask
from config import Settings
from orchestration.assembly import registry_of, sensors_of
from orchestration.clock import SystemClock
from orchestration.errors import StoreError
from orchestration.estimates import reserve_mb
from orchestration.market_calendar import Calendars
from orchestration.registry import Registry
from orchestration.runs import NO_ESTIMATE, Estimate
from orchestration.state.backups import connect_readonly
from orchestration.types import TaskSpec
from scripts._session_hours import read_calendars

LOCAL = "local"
"""The box's own pool; the waves of the clusters' pools are theirs."""
MINUTE_MS = 60_000.0


@dataclass(frozen=True, slots=True)
class PlannedBox:
    """What this box may run, and where.

    registry: its tasks. calendars: its windows. estimates: what the daemon learned, by task. slots,
    memory_mb: what runs may take up together.
    """

    registry: Registry
    calendars: Calendars
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    slots: int = 1
    memory_mb: float = float("inf")

    @classmethod
    def read(cls, settings: Settings, database: Path, clock: SystemClock) -> PlannedBox:
        """Return the box of these settings and this performance.db, the daemon's reserve kept back.

        Raises:
            OrchestratorError: if its tasks, its calendar or the database cannot be used.
        """
        sensors, today = sensors_of(settings, clock), clock.now().date()
        calendars = read_calendars(settings, database, today)
        resources = sensors.read({})
        return cls(
            registry=registry_of(settings, sensors, calendars, today),
            calendars=calendars,
            estimates=read_estimates(database),
            slots=resources.slots,
            memory_mb=max(0.0, resources.total_mb - settings.memory_reserve_mb),
        )

    @property
    def pool(self) -> Pool:
        """The slots, by the names under which runs are learned (adaptive.history)."""
        agents = tuple(f"{LOCAL}/{number}" for number in range(1, self.slots + 1))
        return Pool(agents=agents, memory_mb=self.memory_mb)

    def tasks(self) -> dict[str, WaveTask]:
        """Return every task that does not recur, by name: duties of every minute would drown all others."""
        return {spec.name: self._task(spec) for spec in self.registry.enabled if not spec.recurs}

    def orderable(self) -> tuple[WaveTask, ...]:
        """Return the tasks whose order among equals may be learned: all that do not recur but duties.

        Not research alone: what is liked at all would go before every equal of which nothing was said.
        """
        known = self.tasks()
        return tuple(
            known[spec.name] for spec in self.registry.enabled if spec.name in known and not spec.is_duty
        )

    def next_wave(self, number: int, now: datetime) -> Wave:
        """Return the research tasks of the research window that begins next, as a wave of that length.

        A dependency on a task of another part of the day has been met by then; the daemon waits for it if
        not. Without a known window the wave has every research task and no end.
        """
        phase, length_ms = self._window(now)
        specs = [
            spec
            for spec in self.registry.enabled
            if spec.is_research
            and spec.pool == LOCAL
            and (not phase or not spec.phases or phase in spec.phases)
        ]
        names = frozenset(spec.name for spec in specs)
        return Wave(
            number=number,
            tasks=tuple(self._task(spec, names) for spec in specs),
            window=phase,
            window_ms=length_ms,
        )

    def _task(self, spec: TaskSpec, beside: frozenset[str] = frozenset()) -> WaveTask:
        conflicts = self.registry.conflicts_of(spec.name) - {spec.name}
        return WaveTask(
            task_id=spec.name,
            expected_ms=spec.estimated_minutes * MINUTE_MS,
            memory_mb=reserve_mb(spec, self.estimates.get(spec.name, NO_ESTIMATE)),
            priority=int(spec.priority),
            dependencies=spec.dependencies & beside,
            conflicts=conflicts & beside,
            windows=spec.phases,
        )

    def _window(self, now: datetime) -> tuple[str, float | None]:
        """Return the phase and the length of the next research window; "" and None if it is not known."""
        stretch = self.calendars.stretch(now)
        if stretch.is_known and now >= stretch.research_start:
            stretch = self.calendars.stretch(stretch.research_end)
        if not stretch.is_known:
            return "", None
        first = self.calendars.stretch(stretch.research_start)
        length = stretch.prep_start - stretch.research_start
        return first.window.phase, length.total_seconds() * 1000.0


def read_estimates(database: Path) -> dict[str, Estimate]:
    """Return what the daemon learned of each task. Raises StoreError."""
    names = ("log_mean", "log_error", "runs", "memory_mb", "memory_floor_mb", "at_least_minutes")
    try:
        with closing(connect_readonly(database)) as connection:
            rows = connection.execute(f"SELECT task, {', '.join(names)} FROM task_estimates").fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"{database}: the estimates cannot be read: {error}") from error
    return {task: Estimate(**dict(zip(names, numbers, strict=True))) for task, *numbers in rows}
