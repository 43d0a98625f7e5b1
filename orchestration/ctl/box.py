"""The box as its settings and its database describe it: what orchestratorctl knows without a daemon.

Everything is read when first asked for, so that `calendar` need not read the tasks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from config import Settings
from orchestration.calendar_source import read_overrides
from orchestration.changes import Stored
from orchestration.errors import CalendarError, SpecError, StoreError
from orchestration.ports import Clock, Sensors
from orchestration.reports import SessionTables
from orchestration.state.stored_sessions import read_sessions
from orchestration.types import Session

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from orchestration.decisions import Policy, Resources
    from orchestration.market_calendar import Calendars
    from orchestration.registry import Registry
    from orchestration.runs import SchedulerState


NO_USE: Mapping[str, float] = MappingProxyType({})
FROM_FILES = ("tables", "calendars", "registry")
"""What follows from the files and the sessions in force."""


class Box:
    """Reads the settings' files and the database, and writes nothing.

    complaints: what could not be read and was done without, in words.
    """

    def __init__(self, settings: Settings, clock: Clock, sensors: Sensors | None = None) -> None:
        self.settings = settings
        self.clock = clock
        self.complaints: list[str] = []
        self._sensors = sensors
        self._read_at: tuple[object, ...] = ()

    @property
    def today(self) -> date:
        return self.clock.now().date()

    @property
    def database(self) -> Path | None:
        """The file of the daemon's state; None where it is kept elsewhere."""
        url = self.settings.database_url
        if url is None:
            return self.settings.state_dir / "performance.db"
        return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None

    @cached_property
    def engine(self) -> Engine | None:
        """The database, for reading; None if there is none yet. Raises StoreError."""
        from orchestration.state.history import load_readonly

        if self.database is None:
            from sqlalchemy import create_engine

            return create_engine(self.settings.state_url)
        return load_readonly(self.database) if self.database.exists() else None

    @cached_property
    def stored(self) -> Stored:
        """What a daemon that started now would know. Raises StoreError."""
        from orchestration.state.history import load_stored

        return Stored() if self.engine is None else load_stored(self.engine)

    @cached_property
    def tables(self) -> SessionTables:
        """The session tables in force. Raises CalendarError."""
        settings = self.settings
        sessions, overrides = self._stored_sessions(), read_overrides(settings.overrides)
        return SessionTables(sessions, overrides, settings.exchange, settings.offsets, settings.broker)

    def _stored_sessions(self) -> Mapping[str, tuple[Session, ...]]:
        try:
            if self.database is None:
                return self.stored.sessions
            return read_sessions(self.database) if self.database.exists() else {}
        except (StoreError, sqlite3.Error, ValueError) as error:
            self.complaints.append(f"the stored sessions cannot be read ({error}); the shipped list answers")
            return {}

    @cached_property
    def calendars(self) -> Calendars:
        """Raises CalendarError."""
        return self.tables.calendars(self.today)

    @cached_property
    def sensors(self) -> Sensors:
        from orchestration.assembly import sensors_of

        return self._sensors or sensors_of(self.settings, self.clock)

    @cached_property
    def registry(self) -> Registry:
        """Raises SpecError with every problem."""
        from orchestration.assembly import registry_of

        return registry_of(self.settings, self.sensors, self.calendars, self.today)

    @cached_property
    def policy(self) -> Policy:
        return self.policy_called(self.settings.policy_name)

    def policy_called(self, name: str) -> Policy:
        """Return a policy with this box's numbers; the daemon may have other flags than this shell."""
        from orchestration.assembly import rules_of
        from orchestration.policies import policy_for

        return policy_for(name, rules_of(self.settings))

    def state(self) -> SchedulerState:
        """Return what the daemon wrote down, its open runs among it. Raises StoreError."""
        from orchestration.runs import SchedulerState

        stored = self.stored
        runs = {open_.run.task: open_.run for open_ in stored.open_runs}
        return SchedulerState(
            records=dict(stored.records),
            running_tasks=runs,
            estimated_memory_used=sum(run.reserved_mb for run in runs.values()),
            paused=stored.values.get("paused") or None,
        )

    def resources(self, used_mb: Mapping[str, float] = NO_USE) -> Resources:
        """Return what the box has, as seen from here. used_mb: by run id, where it is known."""
        return self.sensors.read(used_mb)

    def forget(self) -> None:
        """Let what is asked for next be read anew: the state always, files and sessions if they have changed.

        For a process that stays. A task file that has become invalid leaves its old content in force, and
        `complaints` says so, as the daemon does it.
        """
        self.complaints.clear()
        self.__dict__.pop("stored", None)
        if self.__dict__.get("engine") is None:
            self.__dict__.pop("engine", None)
        stamp = self._stamp()
        if stamp == self._read_at:
            return
        before = {name: self.__dict__.pop(name) for name in FROM_FILES if name in self.__dict__}
        try:
            self.registry  # noqa: B018  (read here, where the old one is at hand)
        except (SpecError, CalendarError, OSError) as error:
            if "registry" not in before:
                raise
            self.__dict__.update(before)
            self.complaints.append(f"a file cannot be used and the old one is shown: {error}")
            return
        self._read_at = stamp

    def _stamp(self) -> tuple[object, ...]:
        """Return what the calendar and the tasks follow from, without reading it."""
        files = (self.settings.tasks_file, self.settings.overrides)
        stamps = [path.stat().st_mtime_ns if path and path.is_file() else None for path in files]
        sessions = {name: (len(days), days[-1].day) for name, days in self.stored.sessions.items() if days}
        return (self.today, *stamps, repr(sessions), repr(dict(self.stored.session_source)))
