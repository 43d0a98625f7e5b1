"""A store that keeps nothing beyond the process: the simulation runs on it. Standard library only."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from orchestration.changes import (
    AlertAcknowledged,
    AlertSaved,
    BlockedSaved,
    Change,
    EventLogged,
    OpenRun,
    RecordSaved,
    RunEnded,
    RunPlanned,
    RunStarted,
    RunStopping,
    SessionsSaved,
    Stored,
    ValueSaved,
)
from orchestration.errors import StoreError
from orchestration.runs import Outcome, RunStatus, TaskRecord, TaskResult
from orchestration.state.codec import check_key, read_stop_cause
from orchestration.state.retention import RETENTION, Retention
from orchestration.types import Session


class MemoryStore:
    """A `Store` of dicts and lists, as fast as these are.

    stored: what it begins with.
    keep_rows: False folds what ended, waited and happened into `outcomes` and `counts`, so that a simulated
        year needs no memory; a run is then known by its identity only while it is open.

    results, decisions, events, alerts: the rows, oldest first (empty with keep_rows=False).
    acknowledged: since when each open alert that a person has seen is so.
    outcomes: how often each task ended how. counts: rows by kind: "decisions", "events", "alerts".
    """

    def __init__(
        self, stored: Stored | None = None, *, keep_rows: bool = True, retention: Retention = RETENTION
    ) -> None:
        start = stored or Stored()
        self.results: list[TaskResult] = []
        self.decisions: list[BlockedSaved] = []
        self.events: list[EventLogged] = []
        self.alerts: list[AlertSaved] = []
        self.acknowledged: dict[str, datetime] = {}
        self.outcomes: Counter[tuple[str, Outcome]] = Counter()
        self.counts: Counter[str] = Counter()
        self._keep_rows = keep_rows
        self._retention = retention
        self._records: dict[str, TaskRecord] = dict(start.records)
        self._values: dict[str, str] = dict(start.values)
        self._sessions: dict[str, tuple[Session, ...]] = dict(start.sessions)
        self._sources: dict[str, str] = dict(start.session_source)
        self._open: dict[str, OpenRun] = {found.run.run_id: found for found in start.open_runs}
        self._planned_at: dict[str, datetime] = {
            found.run.run_id: found.run.started_at for found in start.open_runs
        }
        self._ended: set[str] = set()
        self._open_alerts: dict[str, AlertSaved | None] = dict.fromkeys(start.alerts)
        self._write: dict[type, Callable[[Any], None]] = {
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
            SessionsSaved: self._session_table,
        }

    def load(self) -> Stored:
        """Return everything that was committed."""
        planned_at = self._planned_at
        in_order = sorted(
            self._open.values(), key=lambda found: (planned_at[found.run.run_id], found.run.run_id)
        )
        return Stored(
            records=dict(self._records),
            open_runs=tuple(in_order),
            values=dict(self._values),
            sessions={exchange: days for exchange, days in self._sessions.items() if days},
            session_source={
                exchange: self._sources[exchange] for exchange, days in self._sessions.items() if days
            },
            alerts=frozenset(self._open_alerts),
        )

    def commit(self, changes: Sequence[Change]) -> None:
        """Take all or nothing. Raises StoreError (errno EEXIST) if a run is planned twice."""
        self._check(changes)
        write = self._write
        for change in changes:
            write[type(change)](change)

    def _check(self, changes: Sequence[Change]) -> None:
        planned: set[str] = set()
        for change in changes:
            if isinstance(change, RunPlanned):
                run_id = change.run.run_id
                if run_id in self._open or run_id in self._ended or run_id in planned:
                    raise StoreError(
                        errno.EEXIST, "a run is never planned twice; nothing was written", run_id
                    )
                planned.add(run_id)
            elif isinstance(change, RunEnded) and self._keep_rows:
                planned.add(change.result.key.run_id)
            elif isinstance(change, ValueSaved):
                check_key(change.key)

    def prune(self, now: datetime) -> int:
        """Drop what is older than its retention; return how many rows went."""
        keep = self._retention
        before = len(self.results) + len(self.decisions) + len(self.events) + len(self.alerts)
        newest = {change.task: change for change in self.decisions}
        self.decisions = [
            change
            for change in self.decisions
            if change is newest[change.task]
            or change.at >= now - (keep.waits if change.slot is None else keep.skips)
        ]
        self.events = [event for event in self.events if event.at >= now - keep.events]
        self.alerts = [alert for alert in self.alerts if not alert.cleared or alert.at >= now - keep.alerts]
        self._prune_runs(now)
        after = len(self.results) + len(self.decisions) + len(self.events) + len(self.alerts)
        return before - after

    def _prune_runs(self, now: datetime) -> None:
        oldest = now - self._retention.runs
        kept: list[TaskResult] = []
        seen: Counter[str] = Counter(found.run.task for found in self._open.values())
        by_age = sorted(self.results, key=lambda result: self._planned_at[result.key.run_id], reverse=True)
        for result in by_age:
            seen[result.key.task] += 1
            run_id = result.key.run_id
            if self._planned_at[run_id] >= oldest and seen[result.key.task] <= self._retention.runs_per_task:
                kept.append(result)
            else:
                self._ended.discard(run_id)
                del self._planned_at[run_id]
        self.results = kept[::-1]

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def _run_planned(self, change: RunPlanned) -> None:
        run_id = change.run.run_id
        self._open[run_id] = OpenRun(run=change.run, status=RunStatus.PLANNED)
        self._planned_at[run_id] = change.run.started_at

    def _run_started(self, change: RunStarted) -> None:
        found = self._open.get(change.run_id)
        if found is not None:
            run = found.run
            if run.started_at != change.started_at:
                run = replace(run, started_at=change.started_at)
            self._open[change.run_id] = OpenRun(run=run, status=RunStatus.RUNNING, pid=change.pid)

    def _run_stopping(self, change: RunStopping) -> None:
        found = self._open.get(change.run_id)
        if found is not None:
            cause = read_stop_cause(change.cause)
            run = replace(found.run, stopping=cause, stop_asked_at=change.asked_at)
            self._open[change.run_id] = replace(found, run=run)

    def _run_ended(self, change: RunEnded) -> None:
        result = change.result
        run_id = result.key.run_id
        if run_id in self._ended:
            return
        found = self._open.pop(run_id, None)
        self.outcomes[result.key.task, result.outcome] += 1
        if not self._keep_rows:
            self._planned_at.pop(run_id, None)
            return
        self._ended.add(run_id)
        if found is None:
            self._planned_at[run_id] = (
                result.started_at or result.ended_at or datetime.max.replace(tzinfo=UTC)
            )
        self.results.append(result)

    def _record(self, change: RecordSaved) -> None:
        self._records[change.task] = change.record

    def _blocked(self, change: BlockedSaved) -> None:
        self.counts["decisions"] += 1
        if self._keep_rows:
            self.decisions.append(change)

    def _event(self, change: EventLogged) -> None:
        self.counts["events"] += 1
        if self._keep_rows:
            self.events.append(change)

    def _alert(self, change: AlertSaved) -> None:
        raised = self._open_alerts.get(change.key)
        if change.cleared:
            if change.key not in self._open_alerts:
                return
            del self._open_alerts[change.key]
            self.acknowledged.pop(change.key, None)
            self._swap_alert(raised, replace(change, cleared=True))
            return
        if change.key in self._open_alerts:
            change = replace(change, at=raised.at) if raised else change
            self._swap_alert(raised, change)
        else:
            self.counts["alerts"] += 1
            if self._keep_rows:
                self.alerts.append(change)
        self._open_alerts[change.key] = change

    def _acknowledged(self, change: AlertAcknowledged) -> None:
        if change.key in self._open_alerts:
            self.acknowledged.setdefault(change.key, change.at)

    def _swap_alert(self, old: AlertSaved | None, new: AlertSaved) -> None:
        if self._keep_rows:
            self.alerts = [new if alert is old else alert for alert in self.alerts]

    def _value(self, change: ValueSaved) -> None:
        self._values[change.key] = change.value

    def _session_table(self, change: SessionsSaved) -> None:
        self._sessions[change.exchange] = tuple(sorted(change.sessions, key=lambda session: session.day))
        self._sources[change.exchange] = change.source
