"""What the dashboard knows: read from the databases beside the daemon, which is never asked and never waits.

The view is the daemon's own snapshot, evaluated in this process by the same functions. It is made anew when a
database has changed or the last one is old, however many readers there are.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from orchestration.ctl.beside import Used, used_by, view_beside
from orchestration.ctl.desk import Desk, View
from orchestration.errors import StoreError
from orchestration.halt import FILE_NAME
from orchestration.market_calendar import Calendars
from orchestration.types import TaskSpec

VIEW_LASTS_S = 5.0
"""How old a view may be while nothing is written: memory and heat change without a row."""
SHORTEST_S = 0.5
"""Between two views, however often something is written."""


class Source:
    """The one place the pages read from; safe to use from several threads.

    desk: the settings, the calendar and the tasks, as orchestratorctl has them. used: the resident MB of the
    open runs, by run id; `used_by` asks the kernel.
    """

    def __init__(self, desk: Desk, used: Used = used_by) -> None:
        self.desk, self._used = desk, used
        self._lock, self._watching = threading.RLock(), threading.Lock()
        self._view: View | None = None
        self._view_of: tuple[object, ...] = ()
        self._made_at = float("-inf")
        self._watched: dict[Path, tuple[int, sqlite3.Connection]] = {}

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

        It costs some 0.05 ms and reads nothing of the databases' content.
        """
        files = [self.state_dir / name for name in ("performance.db", "ledger.db")]
        halted = (self.state_dir / FILE_NAME).exists()
        holder = self.desk.daemon.holder()
        pid = None if holder is None else holder["pid"]
        # A lock of its own: who only asks whether something has changed never waits for a view.
        with self._watching:
            return (*(self._commits(path) for path in files), halted, pid)

    def _commits(self, path: Path) -> tuple[int, int] | None:
        """Return the file's inode and SQLite's count of commits by others; None: no such file."""
        try:
            inode = os.stat(path).st_ino
        except OSError:
            return None
        known = self._watched.get(path)
        if known is None or known[0] != inode:
            if known is not None:
                known[1].close()
            try:
                uri = f"{path.resolve().as_uri()}?mode=ro"
                connection = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
            except sqlite3.Error:
                return None
            self._watched[path] = known = inode, connection
        try:
            return inode, known[1].execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error:
            self._watched.pop(path)[1].close()
            return None

    # --- the view -----------------------------------------------------------------------------------------

    def view(self) -> View:
        """Return what the daemon knows; what is in it: `orchestration.ctl.beside.view_beside`.

        Raises:
            StoreError, CalendarError, SpecError, SettingsError: if there is nothing to show.
        """
        with self._lock:
            age = self.desk.clock.monotonic() - self._made_at
            if self._view is not None and age < SHORTEST_S:
                return self._view
            version = self.version()
            if self._view is None or age >= VIEW_LASTS_S or version != self._view_of:
                self._view = view_beside(self.desk, self._used)
                self._view_of, self._made_at = version, self.desk.clock.monotonic()
            return self._view
