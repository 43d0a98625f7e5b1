"""What has happened so far, counted so that it never falls: rows are deleted in time, counts are not.

Each row is counted once, when it is first seen to have ended. Where the counting stood is kept in a small
file; whoever reads it goes on from there, so that the dashboard, the job that writes the textfile and the
next start of either come to the same figures. A counter begins at 0 at `since`, not with the rows there were.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Engine, func, select

from orchestration.state import schema
from orchestration.state.codec import from_instant, to_instant

FILE_NAME = "metrics.json"
"""In the state directory."""
SAVE_EVERY = timedelta(hours=1)
"""How often the file is written: the card is spared, and rows are kept for days."""
AT_ONCE = 500
"""Open runs asked for in one statement."""
LATENESS_BOUNDS_S = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the histogram of how late duties start."""


class LastRun(NamedTuple):
    """How a task's newest run ended. None: not known."""

    seconds: float | None
    peak_mb: float | None


@dataclass(slots=True, kw_only=True)
class Totals:
    """Counts since `since`. runs: by (task, outcome); skipped: by (task, reason); alerts: by severity.

    durations, seconds: how many ended runs of a task had a duration, and their sum. lateness: how many duties
    started within each of `LATENESS_BOUNDS_S` (the last: later than all); lateness_s: their sum.
    planned_to: the newest planning that was seen; open: runs seen but not ended; counted: when each run that
    would be read again was planned; wait_id, alert_id: the newest rows seen.
    """

    since: datetime
    planned_to: datetime
    saved_at: datetime | None = None
    runs: Counter[tuple[str, str]] = field(default_factory=Counter)
    durations: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    last: dict[str, LastRun] = field(default_factory=dict)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)
    lateness: list[int] = field(default_factory=lambda: [0] * (len(LATENESS_BOUNDS_S) + 1))
    lateness_s: float = 0.0
    open: set[str] = field(default_factory=set)
    counted: dict[str, datetime] = field(default_factory=dict)
    wait_id: int = 0
    alert_id: int = 0

    def catch_up(self, engine: Engine, now: datetime, duties: Collection[str]) -> None:
        """Count what has been written since the last time. duties: the tasks whose lateness is measured.

        Raises what SQLAlchemy raises; then nothing is lost, as what was not counted is seen next time.
        """
        waits, alerts = schema.decisions.c, schema.alerts.c
        skips = (waits.id, waits.task, waits.slot, waits.reason)
        with engine.connect() as connection:
            rows = self._unsettled(connection, now)
            self.wait_id, waited = _newer(connection, self.wait_id, *skips)
            self.alert_id, raised = _newer(connection, self.alert_id, alerts.id, alerts.severity)
        is_set_back = now < self.planned_to
        for row in rows:
            self._see(row, duties, is_set_back)
        self._settle(now, [row.run_id for row in rows])
        for row in waited:
            if row.slot is not None and row.reason is not None:
                self.skipped[row.task, row.reason] += 1
        self.alerts.update(row.severity for row in raised)

    def _unsettled(self, connection: Connection, now: datetime) -> list[Any]:
        """Return the runs planned since, and those that were open."""
        runs = schema.task_runs.c
        query = select(
            runs.run_id, runs.task, runs.slot, runs.attempt, runs.planned_at, runs.status, runs.outcome,
            runs.duration_s, runs.peak_memory_mb,
        )  # fmt: skip
        rows = list(connection.execute(query.where(runs.planned_at >= to_instant(min(self.planned_to, now)))))
        left = sorted(self.open - {row.run_id for row in rows})
        for start in range(0, len(left), AT_ONCE):
            rows += connection.execute(query.where(runs.run_id.in_(left[start : start + AT_ONCE])))
        return rows

    def _see(self, row: Any, duties: Collection[str], is_set_back: bool) -> None:
        planned_at = from_instant(row.planned_at)
        self.planned_to = max(self.planned_to, planned_at)
        if row.run_id in self.counted:
            return
        has_ended = row.status == "ended"
        if row.run_id not in self.open:
            if is_set_back and has_ended:
                # The clock was set back to before this run, which was counted in its time. One that ran since
                # looks the same and is lost to the count: nothing is ever counted twice.
                self.counted[row.run_id] = planned_at
                return
            self.open.add(row.run_id)
            if row.task in duties and row.attempt == 1:
                self._measure(row.slot, planned_at)
        if not has_ended:
            return
        self.open.discard(row.run_id)
        self.counted[row.run_id] = planned_at
        self.runs[row.task, row.outcome] += 1
        self.last[row.task] = LastRun(row.duration_s, row.peak_memory_mb)
        if row.duration_s is not None:
            self.durations[row.task] += 1
            self.seconds[row.task] = self.seconds.get(row.task, 0.0) + row.duration_s

    def _measure(self, slot: str, planned_at: datetime) -> None:
        """Add how late a duty was planned, if its slot is an instant."""
        try:
            late_s = (planned_at - datetime.fromisoformat(slot)).total_seconds()
        except (ValueError, TypeError):
            return
        place = sum(late_s > bound for bound in LATENESS_BOUNDS_S)
        self.lateness[place] += 1
        self.lateness_s += max(0.0, late_s)

    def _settle(self, now: datetime, found: Iterable[str]) -> None:
        """Forget what can never be read again: runs counted long ago, open ones whose row is gone."""
        self.planned_to = min(self.planned_to, now)
        self.counted = {run: at for run, at in self.counted.items() if at >= self.planned_to}
        self.open &= set(found)


def _newer(
    connection: Connection, last: int, number: Column[int], *others: Column[Any]
) -> tuple[int, list[Any]]:
    """Return the newest row's number, and the rows after `last`. A table that was put back to an older state
    is counted on from there."""
    newest = connection.execute(select(func.max(number))).scalar() or 0
    if newest <= last:
        return newest, []
    return newest, list(connection.execute(select(number, *others).where(number > last)))


def begin(engine: Engine, now: datetime) -> Totals:
    """Return totals that count from `now` on; runs that are open now count when they end."""
    with engine.connect() as connection:
        runs, waits, alerts = schema.task_runs.c, schema.decisions.c, schema.alerts.c
        open_ = connection.execute(select(runs.run_id).where(schema.IS_OPEN)).scalars().all()
        wait_id = connection.execute(select(func.max(waits.id))).scalar() or 0
        alert_id = connection.execute(select(func.max(alerts.id))).scalar() or 0
    return Totals(since=now, planned_to=now, open=set(open_), wait_id=wait_id, alert_id=alert_id)


# --- the file ---------------------------------------------------------------------------------------------


def load(path: Path) -> Totals | None:
    """Return what was kept; None if there is nothing, or it cannot be understood: counting then begins anew,
    which a reader of counters takes for a restart."""
    try:
        return _read(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def save(totals: Totals, path: Path, now: datetime) -> bool:
    """Keep `totals`, whole or not at all; False if it cannot be written."""
    text = json.dumps(_written(totals, now))
    name: str | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError:
        if name is not None:
            with suppress(OSError):
                os.unlink(name)
        return False
    totals.saved_at = now
    return True


def _written(totals: Totals, now: datetime) -> dict[str, object]:
    return {
        "version": 1,
        "saved_at": to_instant(now),
        "since": to_instant(totals.since),
        "planned_to": to_instant(totals.planned_to),
        "runs": [[*key, count] for key, count in sorted(totals.runs.items())],
        "durations": totals.durations,
        "seconds": totals.seconds,
        "last": totals.last,
        "skipped": [[*key, count] for key, count in sorted(totals.skipped.items())],
        "alerts": totals.alerts,
        "lateness": totals.lateness,
        "lateness_s": totals.lateness_s,
        "open": sorted(totals.open),
        "counted": {run: to_instant(at) for run, at in totals.counted.items()},
        "wait_id": totals.wait_id,
        "alert_id": totals.alert_id,
    }


def _read(kept: Any) -> Totals:
    if kept["version"] != 1 or len(kept["lateness"]) != len(LATENESS_BOUNDS_S) + 1:
        raise ValueError("kept by another version")
    return Totals(
        since=from_instant(kept["since"]),
        planned_to=from_instant(kept["planned_to"]),
        saved_at=from_instant(kept["saved_at"]),
        runs=Counter({(task, outcome): int(count) for task, outcome, count in kept["runs"]}),
        durations=Counter({task: int(count) for task, count in kept["durations"].items()}),
        seconds={task: float(seconds) for task, seconds in kept["seconds"].items()},
        last={task: LastRun(*values) for task, values in kept["last"].items()},
        skipped=Counter({(task, reason): int(count) for task, reason, count in kept["skipped"]}),
        alerts=Counter({severity: int(count) for severity, count in kept["alerts"].items()}),
        lateness=[int(count) for count in kept["lateness"]],
        lateness_s=float(kept["lateness_s"]),
        open=set(kept["open"]),
        counted={run: from_instant(at) for run, at in kept["counted"].items()},
        wait_id=int(kept["wait_id"]),
        alert_id=int(kept["alert_id"]),
    )
