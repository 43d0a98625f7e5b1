"""What each kind of change writes: one statement or two.

SQL is rendered once from Core constructs and then sent as it is: compiling it anew, or looking it up in
SQLAlchemy's cache, would cost as much again as the commit itself. An upsert is an update and, if that touched
nothing, an insert, which every database understands; there is one writer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Dialect, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.sql.elements import ClauseElement

from orchestration.changes import (
    AlertAcknowledged,
    AlertSaved,
    BlockedSaved,
    Change,
    EventLogged,
    RecordSaved,
    RunEnded,
    RunPlanned,
    RunStarted,
    RunStopping,
    SessionsSaved,
    ValueSaved,
)
from orchestration.runs import NO_ESTIMATE, Estimate, RunStatus
from orchestration.state import schema
from orchestration.state.codec import (
    RECORD,
    RECORD_PREFIX,
    check_key,
    gate_to_dict,
    optional_instant,
    to_instant,
)

_PREFIX = "b_"  # Core reserves a column's own name for the values of an UPDATE
_ENDED = RunStatus.ENDED.value

Values = Mapping[str, object]


def dump(value: object) -> str:
    """Return `value` as JSON text; what JSON does not know is written as its text."""
    return json.dumps(value, separators=(",", ":"), default=str)


class Prepared:
    """A statement rendered for one dialect; its parameters are the names given to `_bind`."""

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        names = getattr(compiled, "positiontup", None)
        self._names: list[str] | None = None if names is None else [n.removeprefix(_PREFIX) for n in names]

    def run(self, connection: Connection, values: Values) -> int:
        """Execute it once; return how many rows it touched."""
        return connection.exec_driver_sql(self.sql, self._parameters(values)).rowcount

    def run_many(self, connection: Connection, rows: list[Values]) -> None:
        """Execute it for every one of `rows`."""
        if rows:
            connection.exec_driver_sql(self.sql, [self._parameters(values) for values in rows])

    def _parameters(self, values: Values) -> Any:
        if self._names is None:
            return {_PREFIX + name: value for name, value in values.items()}
        return tuple([values[name] for name in self._names])


def _bind(*names: str) -> dict[str, Any]:
    return {name: bindparam(_PREFIX + name) for name in names}


def _text(member: StrEnum | None) -> str | None:
    # Some drivers write an enum's name, not its value.
    return None if member is None else member.value


def _is(column: Any) -> Any:
    return column == bindparam(_PREFIX + column.name)


def _columns(table: Table, *without: str) -> list[str]:
    return [column.name for column in table.columns if column.name not in without]


_PLANNED = _columns(
    schema.task_runs,
    *("pid", "started_at", "ended_at", "outcome", "exit_code", "duration_s", "peak_memory_mb"),
)
_FOUND = _columns(schema.task_runs, "pid", "predicted_minutes", "predicted_end", "stop_at", "stop_asked_at")
_ESTIMATE = _columns(schema.task_estimates)
_SESSION = _columns(schema.sessions)


class Writer:
    """Writes changes inside a transaction that the caller has begun and will commit.

    now: what `updated_at` says of records, whose change carries no instant.
    """

    def __init__(self, dialect: Dialect, now: Callable[[], datetime]) -> None:
        self._now = now
        self._known_estimates: dict[str, Estimate] = {}
        self._new_estimates: dict[str, Estimate] = {}
        # What a task without an entry has: until the table was read that is not known.
        self._otherwise: Estimate | None = None
        self._prepare_runs(dialect)
        self._prepare_state(dialect)
        self._write: dict[type, Callable[[Connection, Any], None]] = {
            RunPlanned: self._run_planned,
            RunStarted: self._run_started,
            RunStopping: self._run_stopping,
            RunEnded: self._run_ended,
            RecordSaved: self._record,
            BlockedSaved: self._blocked,
            EventLogged: self._event,
            AlertSaved: self._alert,
            AlertAcknowledged: self._acknowledged,
            ValueSaved: self._value,
            SessionsSaved: self._sessions,
        }

    def _prepare_runs(self, dialect: Dialect) -> None:
        runs, columns = schema.task_runs, schema.task_runs.c
        still_open = (_is(columns.run_id), schema.IS_OPEN)
        started_at: Any = func.coalesce(bindparam(_PREFIX + "started_at"), columns.started_at)
        stop_cause: Any = func.coalesce(bindparam(_PREFIX + "stop_cause"), columns.stop_cause)
        ended = _bind("ended_at", "outcome", "exit_code", "duration_s", "peak_memory_mb", "detail", "report")
        self._insert_planned = Prepared(insert(runs).values(_bind(*_PLANNED)), dialect)
        self._insert_found = Prepared(insert(runs).values(_bind(*_FOUND)), dialect)
        self._update_started = Prepared(
            update(runs).where(*still_open).values(_bind("status", "pid", "started_at")), dialect
        )
        self._update_stopping = Prepared(
            update(runs).where(*still_open).values(_bind("stop_cause", "stop_asked_at")), dialect
        )
        self._update_ended = Prepared(
            update(runs)
            .where(*still_open)
            .values(**ended, **_bind("status"), started_at=started_at, stop_cause=stop_cause),
            dialect,
        )
        self._select_run = Prepared(select(columns.run_id).where(_is(columns.run_id)), dialect)

    def _prepare_state(self, dialect: Dialect) -> None:
        state, estimates = schema.scheduler_state, schema.task_estimates
        alerts, sessions = schema.alerts, schema.sessions
        open_alert = (_is(alerts.c.key), alerts.c.cleared_at.is_(None))
        self._update_value = Prepared(
            update(state).where(_is(state.c.key)).values(_bind("value", "updated_at")), dialect
        )
        self._insert_value = Prepared(insert(state).values(_bind("key", "value", "updated_at")), dialect)
        self._update_estimate = Prepared(
            update(estimates).where(_is(estimates.c.task)).values(_bind(*_ESTIMATE[1:])), dialect
        )
        self._insert_estimate = Prepared(insert(estimates).values(_bind(*_ESTIMATE)), dialect)
        self._insert_decision = Prepared(
            insert(schema.decisions).values(_bind("at", "task", "slot", "reason", "failures", "until")),
            dialect,
        )
        self._insert_event = Prepared(insert(schema.events).values(_bind("at", "name", "detail")), dialect)
        self._update_alert = Prepared(
            update(alerts).where(*open_alert).values(_bind("severity", "text", "task")), dialect
        )
        self._clear_alert = Prepared(update(alerts).where(*open_alert).values(_bind("cleared_at")), dialect)
        self._acknowledge_alert = Prepared(
            update(alerts)
            .where(*open_alert, alerts.c.acknowledged_at.is_(None))
            .values(_bind("acknowledged_at")),
            dialect,
        )
        self._insert_alert = Prepared(
            insert(alerts).values(_bind("key", "severity", "text", "task", "raised_at")), dialect
        )
        self._delete_sessions = Prepared(delete(sessions).where(_is(sessions.c.exchange)), dialect)
        self._insert_session = Prepared(insert(sessions).values(_bind(*_SESSION)), dialect)

    def write(self, connection: Connection, change: Change) -> None:
        """Write `change`. Raises StoreError for one that can never be written, else the driver's errors."""
        self._write[type(change)](connection, change)

    def knows(self, estimates: Mapping[str, Estimate]) -> None:
        """Take note of what the table of estimates holds."""
        self._known_estimates = dict(estimates)
        self._otherwise = NO_ESTIMATE

    def committed(self) -> None:
        """Take note that what was written since the last call is there to stay."""
        self._known_estimates.update(self._new_estimates)
        self._new_estimates.clear()

    def rolled_back(self) -> None:
        """Take note that what was written since the last `committed` is not there."""
        self._new_estimates.clear()

    def _run_planned(self, connection: Connection, change: RunPlanned) -> None:
        run = change.run
        self._insert_planned.run(
            connection,
            {
                **run.key._asdict(),
                "run_id": run.run_id,
                "status": RunStatus.PLANNED.value,
                "pool": change.pool,
                "planned_at": to_instant(run.started_at),
                "reserved_mb": run.reserved_mb,
                "cpus": run.cpus,
                "predicted_minutes": change.predicted_minutes,
                "predicted_end": to_instant(run.predicted_end),
                "stop_at": optional_instant(run.stop_at),
                "stop_cause": _text(run.stopping),
                "stop_asked_at": optional_instant(run.stop_asked_at),
                "filler": int(run.filler),
                "detail": "",
                "report": "{}",
                "log": change.log,
            },
        )

    def _run_started(self, connection: Connection, change: RunStarted) -> None:
        started_at = to_instant(change.started_at)
        values = {"run_id": change.run_id, "status": RunStatus.RUNNING.value}
        self._update_started.run(connection, {**values, "pid": change.pid, "started_at": started_at})

    def _run_stopping(self, connection: Connection, change: RunStopping) -> None:
        values = {"stop_cause": str(change.cause), "stop_asked_at": to_instant(change.asked_at)}
        self._update_stopping.run(connection, {"run_id": change.run_id, **values})

    def _run_ended(self, connection: Connection, change: RunEnded) -> None:
        result = change.result
        values = {
            "run_id": result.key.run_id,
            "status": _ENDED,
            "started_at": optional_instant(result.started_at),
            "ended_at": optional_instant(result.ended_at),
            "outcome": _text(result.outcome),
            "exit_code": result.exit_code,
            "duration_s": result.duration_s,
            "peak_memory_mb": result.peak_memory_mb,
            "stop_cause": _text(result.stop_cause),
            "detail": result.detail,
            "report": dump(dict(result.report)),
        }
        if self._update_ended.run(connection, values):
            return
        found = connection.exec_driver_sql(self._select_run.sql, self._select_run._parameters(values))
        if found.first() is None:
            planned_at = values["started_at"] or values["ended_at"] or to_instant(self._now())
            added = {"pool": "local", "planned_at": planned_at, "reserved_mb": 0.0, "cpus": 1, "filler": 0}
            self._insert_found.run(connection, {**result.key._asdict(), **values, **added, "log": ""})

    def _record(self, connection: Connection, change: RecordSaved) -> None:
        task, estimate, at = change.task, change.record.estimate, to_instant(self._now())
        record = RECORD.to_dict(change.record)
        record.pop("estimate", None)
        self._upsert_value(connection, RECORD_PREFIX + task, dump(record), at)
        known = self._new_estimates.get(task) or self._known_estimates.get(task, self._otherwise)
        if estimate != known:
            values = {name: getattr(estimate, name) for name in _ESTIMATE[1:-1]}
            values = {"task": task, "updated_at": at, **values}
            if not self._update_estimate.run(connection, values):
                self._insert_estimate.run(connection, values)
            self._new_estimates[task] = estimate

    def _upsert_value(self, connection: Connection, key: str, value: str, at: str) -> None:
        values = {"key": key, "value": value, "updated_at": at}
        if not self._update_value.run(connection, values):
            self._insert_value.run(connection, values)

    def _value(self, connection: Connection, change: ValueSaved) -> None:
        check_key(change.key)
        self._upsert_value(connection, change.key, change.value, to_instant(change.at))

    def _blocked(self, connection: Connection, change: BlockedSaved) -> None:
        blocked = change.blocked
        failures = () if blocked is None else blocked.failures
        values = {
            "at": to_instant(change.at),
            "task": change.task,
            "slot": change.slot,
            "reason": _text(failures[0].reason) if failures else None,
            "failures": dump([gate_to_dict(gate) for gate in failures]),
            "until": None if blocked is None else optional_instant(blocked.until),
        }
        self._insert_decision.run(connection, values)

    def _event(self, connection: Connection, change: EventLogged) -> None:
        values = {"at": to_instant(change.at), "name": change.name, "detail": dump(dict(change.detail))}
        self._insert_event.run(connection, values)

    def _alert(self, connection: Connection, change: AlertSaved) -> None:
        at, key = to_instant(change.at), change.key
        if change.cleared:
            self._clear_alert.run(connection, {"key": key, "cleared_at": at})
            return
        values = {"key": key, "severity": change.severity, "text": change.text, "task": change.task}
        if not self._update_alert.run(connection, values):
            self._insert_alert.run(connection, {**values, "raised_at": at})

    def _acknowledged(self, connection: Connection, change: AlertAcknowledged) -> None:
        values = {"key": change.key, "acknowledged_at": to_instant(change.at)}
        self._acknowledge_alert.run(connection, values)

    def _sessions(self, connection: Connection, change: SessionsSaved) -> None:
        self._delete_sessions.run(connection, {"exchange": change.exchange})
        rows: list[Values] = [
            {
                "exchange": change.exchange,
                "day": session.day.isoformat(),
                "open": to_instant(session.open),
                "close": to_instant(session.close),
                "break_start": optional_instant(session.break_start),
                "break_end": optional_instant(session.break_end),
                "early_close": int(session.is_early_close),
                "source": change.source,
            }
            for session in change.sessions
        ]
        self._insert_session.run_many(connection, rows)
