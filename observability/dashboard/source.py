"""What the dashboard knows: read from the databases beside the daemon, which is never asked and never waits.

The view is the daemon's own snapshot, evaluated in this process by the same functions. It is made anew when a
database has changed or the last one is old, however many readers there are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from hardware.health import BoxHealth, read_health
from orchestration.ctl.beside import Used, used_by, view_beside
from orchestration.ctl.desk import Desk, View
from orchestration.errors import StoreError
from orchestration.halt import FILE_NAME
from orchestration.market_calendar import Calendars
from orchestration.snapshot import resources_dict
from orchestration.types import TaskSpec

WRITTEN = ("performance.db", "performance.db-wal", "ledger.db", "ledger.db-wal", FILE_NAME)
"""Files in the state directory of which one is written by whatever changes what is shown."""
VIEW_LASTS_S = 5.0
"""How old a view may be while nothing is written: memory and heat change without a row."""


class Source:
    """The one place the pages read from; safe to use from several threads.

    desk: the settings, the calendar and the tasks, as orchestratorctl has them. used: the resident MB of the
    open runs, by run id; `used_by` asks the kernel. health: how the box is; None: this machine is asked.
    """

    def __init__(
        self, desk: Desk, used: Used = used_by, health: Callable[[], BoxHealth] | None = None
    ) -> None:
        self.desk, self._used, self._health = desk, used, health
        self._lock = threading.RLock()
        self._view: View | None = None
        self._view_of: tuple[object, ...] = ()
        self._made_at = float("-inf")

    # --- time and places ----------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the instant, aware UTC."""
        return self.desk.clock.now()

    @property
    def zone(self) -> ZoneInfo:
        """The exchange's zone, in which instants are shown."""
        return self.desk.zone

    @property
    def state_dir(self) -> Path:
        """Where the databases, the halt file and the run files are."""
        return self.desk.settings.state_dir

    @property
    def ledger_file(self) -> Path:
        """The jobs' books. It may not exist."""
        return self.state_dir / "ledger.db"

    @property
    def engine(self) -> Engine:
        """performance.db, for `orchestration.state.history` to read. Raises StoreError if there is none."""
        with self._lock:
            found = self.desk.box.engine
            if found is None:
                self.desk.box.forget()
                raise StoreError(
                    f"no daemon has run with the state directory {self.state_dir} yet: nothing to show"
                )
            return found

    @property
    def specs(self) -> Mapping[str, TaskSpec]:
        """The checked tasks by name."""
        with self._lock:
            return self.desk.box.registry.specs

    @property
    def calendars(self) -> Calendars:
        """The sessions in force. Raises CalendarError."""
        with self._lock:
            return self.desk.box.calendars

    # --- what changes -------------------------------------------------------------------------------------

    def version(self) -> tuple[object, ...]:
        """Return a value that differs after every commit of the daemon or of a job, a start, an end, a halt.

        It costs some 0.03 ms and opens no database: a connection that stays would keep the write-ahead log
        of a stopped daemon, to be taken for that of a backup put in its place.
        """
        files = [self.state_dir / name for name in WRITTEN]
        holder = self.desk.daemon.holder()
        return (*map(_stamp, files), None if holder is None else holder["pid"])

    # --- the view -----------------------------------------------------------------------------------------

    def view(self) -> View:
        """Return what the daemon knows; what is in it: `orchestration.ctl.beside.view_beside`.

        Raises:
            StoreError, CalendarError, SpecError, SettingsError: if there is nothing to show.
        """
        with self._lock:
            age = self.desk.clock.monotonic() - self._made_at
            version = self.version()
            if self._view is None or age >= VIEW_LASTS_S or version != self._view_of:
                self._view = view_beside(self.desk, self._used)
                self._view_of, self._made_at = version, self.desk.clock.monotonic()
            return self._view

    def health(self) -> BoxHealth:
        """Return temperature, throttling, supply, disk and clock, now."""
        if self._health is not None:
            return self._health()
        synced = self.desk.settings.assume_clock_synced
        return read_health(disk=self.state_dir, now=self.now(), assume_clock_synced=synced)

    def resources(self) -> Mapping[str, object]:
        """Return what the box has, as a view has it, where there is no view."""
        with self._lock:
            return resources_dict(self.desk.box.resources())


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written or replaced; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
