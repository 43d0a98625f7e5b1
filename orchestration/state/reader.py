"""Reading back everything that a start needs, from any connection to performance.db."""

from __future__ import annotations

import json
from datetime import date, datetime
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from orchestration.changes import OpenRun, Stored
from orchestration.runs import ActiveRun, Estimate, RunKey, RunStatus, TaskRecord
from orchestration.state import schema
from orchestration.state.codec import (
    ESTIMATE,
    RECORD,
    RECORD_PREFIX,
    from_instant,
    from_optional_instant,
    read_stop_cause,
)
from orchestration.types import Session

STOPPED = "daemon.stopped"
"""The event that an orderly end of the daemon leaves."""
LATELY = 50
"""Of so many runs, the latest planned, the ends are looked at."""


class Trace(NamedTuple):
    """The last sign of life in the database. orderly: it is that the daemon was stopped."""

    at: datetime
    orderly: bool


def read_trace(connection: Connection) -> Trace | None:
    """Return the daemon's last sign of life; None: it left none. Raises ValueError if one cannot be read."""
    runs, events, waits = schema.task_runs.c, schema.events.c, schema.decisions.c
    lately = select(runs.planned_at, runs.ended_at).order_by(runs.planned_at.desc()).limit(LATELY)
    signs = [at for row in connection.execute(lately) for at in row if at is not None]
    signs += connection.execute(select(waits.at).order_by(waits.id.desc()).limit(1)).scalars()
    event = connection.execute(
        select(events.at, events.name).order_by(events.at.desc(), events.id.desc()).limit(1)
    ).first()
    last = max([*signs, *([event.at] if event else [])], default=None)
    if last is None:
        return None
    return Trace(from_instant(last), event is not None and event.at == last and event.name == STOPPED)


def read_stored(connection: Connection) -> Stored:
    """Return everything that the daemon knew.

    Raises:
        ValueError: if a row cannot be understood; it names the table and the row.
    """
    estimates = _estimates(connection)
    records, values = _state(connection, estimates)
    sessions, sources = _sessions(connection)
    return Stored(
        records=records,
        open_runs=_open_runs(connection),
        values=values,
        sessions=sessions,
        session_source=sources,
        alerts=_open_alerts(connection),
    )


def _estimates(connection: Connection) -> dict[str, Estimate]:
    rows = connection.execute(select(schema.task_estimates)).mappings()
    return {row["task"]: ESTIMATE.from_dict(dict(row)) for row in rows}


def _state(
    connection: Connection, estimates: dict[str, Estimate]
) -> tuple[dict[str, TaskRecord], dict[str, str]]:
    records: dict[str, TaskRecord] = {}
    values: dict[str, str] = {}
    state = schema.scheduler_state.c
    for key, value in connection.execute(select(state.key, state.value)):
        if not key.startswith(RECORD_PREFIX):
            values[key] = value
            continue
        task = key.removeprefix(RECORD_PREFIX)
        estimate = estimates.pop(task, Estimate())
        try:
            raw: dict[str, Any] = json.loads(value)
            records[task] = RECORD.from_dict({**raw, "estimate": ESTIMATE.to_dict(estimate)})
        except (TypeError, ValueError) as error:
            raise ValueError(f"scheduler_state, key {key!r}: {error}") from error
    return records, values


def _open_runs(connection: Connection) -> tuple[OpenRun, ...]:
    runs = schema.task_runs
    # The same words as the partial index has, so that it is used; and put in order here, for with an ORDER BY
    # SQLite goes through the whole history by its index on planned_at instead (0.25 s of 500,000 runs).
    rows = connection.execute(select(runs).where(schema.IS_OPEN)).mappings()
    return tuple(_open_run(row) for row in sorted(rows, key=itemgetter("planned_at", "run_id")))


def _open_run(row: Any) -> OpenRun:
    try:
        started_at = from_instant(row["started_at"] or row["planned_at"])
        run = ActiveRun(
            key=RunKey(row["task"], row["cycle"], row["slot"], row["attempt"]),
            started_at=started_at,
            predicted_end=from_optional_instant(row["predicted_end"]) or started_at,
            reserved_mb=row["reserved_mb"],
            cpus=row["cpus"],
            stop_at=from_optional_instant(row["stop_at"]),
            stopping=read_stop_cause(row["stop_cause"]),
            stop_asked_at=from_optional_instant(row["stop_asked_at"]),
            filler=bool(row["filler"]),
            pool=row["pool"],
        )
        return OpenRun(run=run, status=RunStatus(row["status"]), pid=row["pid"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"task_runs, run {row['run_id']!r}: {error}") from error


def _sessions(connection: Connection) -> tuple[dict[str, tuple[Session, ...]], dict[str, str]]:
    table = schema.sessions
    found: dict[str, list[Session]] = {}
    sources: dict[str, str] = {}
    for row in connection.execute(select(table).order_by(table.c.exchange, table.c.day)):
        try:
            session = Session(
                exchange=row.exchange,
                day=date.fromisoformat(row.day),
                open=from_instant(row.open),
                close=from_instant(row.close),
                break_start=from_optional_instant(row.break_start),
                break_end=from_optional_instant(row.break_end),
                is_early_close=bool(row.early_close),
            )
        except (TypeError, ValueError) as error:
            raise ValueError(f"sessions, {row.exchange} {row.day}: {error}") from error
        found.setdefault(row.exchange, []).append(session)
        sources[row.exchange] = row.source
    return {exchange: tuple(days) for exchange, days in found.items()}, sources


def _open_alerts(connection: Connection) -> frozenset[str]:
    alerts = schema.alerts.c
    return frozenset(connection.execute(select(alerts.key).where(alerts.cleared_at.is_(None))).scalars())
