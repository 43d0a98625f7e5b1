"""What the dashboard knows: read from the databases beside the daemon, which is never asked and never waits.

The view is the daemon's own snapshot, evaluated in this process by the same functions. It is made anew when a
database has changed or the last one is old, however many readers there are.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
from sqlalchemy import Engine

from orchestration.changes import OpenRun
from orchestration.ctl.desk import Desk, View, evaluate
from orchestration.errors import StoreError
from orchestration.halt import FILE_NAME, reason_of
from orchestration.slots import iso
from orchestration.state.history import AlertRow, alerts_open
from orchestration.types import TaskSpec

VIEW_LASTS_S = 5.0
"""How old a view may be while nothing is written: memory and heat change without a row."""
SHORTEST_S = 0.5
"""Between two views, however often something is written."""


class Source:
    """The one place the pages read from; safe to use from several threads.

    desk: the settings, the calendar and the tasks, as orchestratorctl has them. used: the resident MB of the
    open runs, by run id; None asks the kernel (`used_by`).
    """

    def __init__(
        self, desk: Desk, used: Callable[[tuple[OpenRun, ...]], Mapping[str, float]] | None = None
    ) -> None:
        self.desk, self._used = desk, used or used_by
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
        """Return the snapshot's dictionary (see `snapshot.snapshot`) with, beside what `Desk.view` adds:

        panel: what the LEDs show (mode, extended, error), None if no daemon has said it.
        alerts: the open ones, oldest first (key, severity, text, task, raised_at, acknowledged_at).
        halted: why trading is halted, or None. complaints: what could not be read and was done without.

        Raises:
            StoreError, CalendarError, SpecError, SettingsError: if there is nothing to show.
        """
        with self._lock:
            age = self.desk.clock.monotonic() - self._made_at
            if self._view is not None and age < SHORTEST_S:
                return self._view
            version = self.version()
            if self._view is None or age >= VIEW_LASTS_S or version != self._view_of:
                self._view = self._make_view()
                self._view_of, self._made_at = version, self.desk.clock.monotonic()
            return self._view

    def _make_view(self) -> View:
        box = self.desk.box
        box.forget()
        engine, stored = self.engine, box.stored
        said = _json(stored.values.get("daemon"))
        policy = box.policy_called(str(said.get("policy") or self.desk.settings.policy_name))
        view = evaluate(box, policy, self._used(stored.open_runs))
        who = self.desk.daemon.holder()
        view["daemon"] = who and {key: who.get(key) for key in ("pid", "since", "version")}
        view["source"] = "the database"
        view["rung"] = said.get("rung", view["rung"])
        view["panel"] = _json(stored.values.get("panel")) or None
        view["fault"] = view["panel"]["error"] if view["panel"] and who else None
        view["halted"] = reason_of(self.state_dir / FILE_NAME)
        view["alerts"] = [alert_dict(row) for row in alerts_open(engine)]
        view["complaints"] = list(box.complaints)
        return view


def used_by(runs: tuple[OpenRun, ...]) -> dict[str, float]:
    """Return the resident MB of each run's whole process tree, by run id; a run that is gone is left out."""
    found = {}
    for open_ in runs:
        if open_.pid is None:
            continue
        with suppress(psutil.Error):
            supervisor = psutil.Process(open_.pid)
            tree = [supervisor, *supervisor.children(recursive=True)]
            found[open_.run.run_id] = sum(map(_resident_mb, tree))
    return found


def _resident_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.Error:
        return 0.0


def alert_dict(row: AlertRow) -> dict[str, Any]:
    """Return an alert as JSON-ready values."""

    def instant(at: datetime | None) -> str | None:
        return None if at is None else iso(at)

    return {
        "key": row.key,
        "severity": row.severity,
        "text": row.text,
        "task": row.task,
        "raised_at": iso(row.raised_at),
        "acknowledged_at": instant(row.acknowledged_at),
        "cleared_at": instant(row.cleared_at),
    }


def _json(text: str | None) -> dict[str, Any]:
    """Return a JSON object that the daemon has left; empty for none, and for one that cannot be read."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
