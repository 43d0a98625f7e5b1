"""Reading the history beside the running daemon, for orchestratorctl, reports and the dashboard.

Whatever reads raises StoreError where the file is damaged or of another version, and says what to do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, or_, select
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from orchestration.changes import Stored
from orchestration.decisions import Gate
from orchestration.errors import StoreError
from orchestration.runs import Outcome, RunKey, RunStatus, StopCause
from orchestration.state import schema
from orchestration.state.backups import connect_readonly
from orchestration.state.codec import (
    from_instant,
    from_optional_instant,
    gate_from_dict,
    read_stop_cause,
    to_instant,
)
from orchestration.state.reader import read_stored
from orchestration.state.unread import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run as recorded. outcome: None while it is open; report: the JSON object of its result file."""

    key: RunKey
    status: RunStatus
    pool: str
    planned_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    outcome: Outcome | None
    exit_code: int | None
    duration_s: float | None
    peak_memory_mb: float | None
    reserved_mb: float
    predicted_minutes: float | None
    predicted_end: datetime | None
    stop_cause: StopCause | None
    filler: bool
    detail: str
    report: Mapping[str, Any]
    log: str
    pid: int | None

    @property
    def run_id(self) -> str:
        return self.key.run_id


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitRow:
    """Why a task waited from `at` on, until its next row.

    failures: every failing gate, the worst first; none: it no longer waited. slot: the skipped slot that this
    explains. until: when it could run, as far as was known then.
    """

    task: str
    at: datetime
    slot: str | None
    reason: str | None
    failures: tuple[Gate, ...]
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """Something that happened."""

    at: datetime
    name: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """An alert. cleared_at: None while it is open. acknowledged_at: None until a person has seen it."""

    key: str
    severity: str
    text: str
    task: str | None
    raised_at: datetime
    cleared_at: datetime | None
    acknowledged_at: datetime | None


def load_readonly(path: str | Path) -> Engine:
    """Return an engine that can only read the SQLite file `path`, also while the daemon writes.

    Raises:
        StoreError: if there is no such file, or it cannot be read.
    """
    file = Path(path)
    if not file.is_file():
        raise StoreError(f"no database at {file}: the daemon has not run with this state directory yet")
    # The URL only names the file: what opens it is `creator`.
    url = URL.create("sqlite", database=str(file.absolute()))
    engine = create_engine(url, creator=lambda: connect_readonly(file), poolclass=NullPool)
    with reading(engine) as connection:
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    return engine


def load_stored(engine: Engine) -> Stored:
    """Return what a daemon that started now would know. Raises StoreError if a row cannot be understood."""
    with reading(engine) as connection:
        return read_stored(connection)


def revision(engine: Engine) -> str | None:
    """Return the schema's revision; None if there is none. Raises StoreError if it cannot be read."""
    with reading(engine) as connection:
        return connection.execute(select(schema.alembic_version.c.version_num)).scalar()


def run_named(engine: Engine, run_id: str) -> RunRow | None:
    """Return the run called `run_id`, None if there is none. Raises StoreError if it cannot be understood."""
    query = select(schema.task_runs).where(schema.task_runs.c.run_id == run_id)
    with reading(engine) as connection:
        row = connection.execute(query).mappings().first()
    try:
        return None if row is None else _run(row)
    except ValueError as error:
        raise StoreError(f"the run {run_id} cannot be read: {error}") from error


def recent_runs(
    engine: Engine,
    task: str | None = None,
    limit: int = 50,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[RunRow]:
    """Return the newest `limit` runs, newest first, of one task or of all, planned in [since, until)."""
    runs = schema.task_runs
    query = select(runs).order_by(runs.c.planned_at.desc(), runs.c.run_id.desc()).limit(limit)
    if task is not None:
        query = query.where(runs.c.task == task)
    if since is not None:
        query = query.where(runs.c.planned_at >= to_instant(since))
    if until is not None:
        query = query.where(runs.c.planned_at < to_instant(until))
    with reading(engine) as connection:
        return [_run(row) for row in connection.execute(query).mappings()]


def why_rows(
    engine: Engine, task: str, since: datetime | None = None, until: datetime | None = None
) -> list[WaitRow]:
    """Return why `task` waited or was skipped in [since, until), oldest first.

    The row before `since` comes first if there is one: its reason still held then.
    """
    table = schema.decisions
    query = select(table).where(table.c.task == task).order_by(table.c.at, table.c.id)
    if until is not None:
        query = query.where(table.c.at < to_instant(until))
    if since is not None:
        start = to_instant(since)
        before = (
            select(table.c.id)
            .where(table.c.task == task, table.c.at < start, table.c.slot.is_(None))
            .order_by(table.c.at.desc(), table.c.id.desc())
            .limit(1)
        )
        query = query.where(or_(table.c.at >= start, table.c.id == before.scalar_subquery()))
    with reading(engine) as connection:
        return [wait_row(row) for row in connection.execute(query).mappings()]


def alerts_open(engine: Engine) -> list[AlertRow]:
    """Return the alerts that have not cleared, oldest first."""
    alerts = schema.alerts
    query = select(alerts).where(alerts.c.cleared_at.is_(None)).order_by(alerts.c.raised_at, alerts.c.id)
    with reading(engine) as connection:
        return [_alert(row) for row in connection.execute(query).mappings()]


def recent_alerts(engine: Engine, limit: int = 50, since: datetime | None = None) -> list[AlertRow]:
    """Return the newest `limit` alerts, open and cleared, newest first, raised since an instant if given."""
    alerts = schema.alerts
    query = select(alerts).order_by(alerts.c.raised_at.desc(), alerts.c.id.desc()).limit(limit)
    if since is not None:
        query = query.where(alerts.c.raised_at >= to_instant(since))
    with reading(engine) as connection:
        return [_alert(row) for row in connection.execute(query).mappings()]


def recent_events(
    engine: Engine, limit: int = 50, since: datetime | None = None, name: str | None = None
) -> list[EventRow]:
    """Return the newest `limit` events, newest first, since an instant and of one name if given."""
    events = schema.events
    query = select(events).order_by(events.c.at.desc(), events.c.id.desc()).limit(limit)
    if since is not None:
        query = query.where(events.c.at >= to_instant(since))
    if name is not None:
        query = query.where(events.c.name == name)
    with reading(engine) as connection:
        rows = connection.execute(query)
        return [EventRow(at=from_instant(r.at), name=r.name, detail=json.loads(r.detail)) for r in rows]


def _run(row: Any) -> RunRow:
    outcome = row["outcome"]
    return RunRow(
        key=RunKey(row["task"], row["cycle"], row["slot"], row["attempt"]),
        status=RunStatus(row["status"]),
        pool=row["pool"],
        planned_at=from_instant(row["planned_at"]),
        started_at=from_optional_instant(row["started_at"]),
        ended_at=from_optional_instant(row["ended_at"]),
        outcome=None if outcome is None else Outcome(outcome),
        exit_code=row["exit_code"],
        duration_s=row["duration_s"],
        peak_memory_mb=row["peak_memory_mb"],
        reserved_mb=row["reserved_mb"],
        predicted_minutes=row["predicted_minutes"],
        predicted_end=from_optional_instant(row["predicted_end"]),
        stop_cause=read_stop_cause(row["stop_cause"]),
        filler=bool(row["filler"]),
        detail=row["detail"],
        report=json.loads(row["report"]),
        log=row["log"],
        pid=row["pid"],
    )


def wait_row(row: Any) -> WaitRow:
    """Return a row of the table `decisions`."""
    return WaitRow(
        task=row["task"],
        at=from_instant(row["at"]),
        slot=row["slot"],
        reason=row["reason"],
        failures=tuple(gate_from_dict(gate) for gate in json.loads(row["failures"])),
        until=from_optional_instant(row["until"]),
    )


def _alert(row: Any) -> AlertRow:
    return AlertRow(
        key=row["key"],
        severity=row["severity"],
        text=row["text"],
        task=row["task"],
        raised_at=from_instant(row["raised_at"]),
        cleared_at=from_optional_instant(row["cleared_at"]),
        acknowledged_at=from_optional_instant(row["acknowledged_at"]),
    )
