"""What the daemon's database says of a stretch of time, read only and through nothing but sqlite3.

A missing file or table is a note in the facts, never an error: the first report is written early.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestration.decisions import Reason
from orchestration.types import Session

WAITING = frozenset(
    {
        Reason.QUARANTINED,
        Reason.NEEDS_RECONCILE,
        Reason.CALENDAR_STALE,
        Reason.CLOCK_UNSYNCED,
        Reason.DEADLINE_PASSED,
        Reason.PAUSED,
        Reason.BACKOFF,
        Reason.DEPENDENCY_FAILED,
        Reason.DEPENDENCY,
        Reason.THERMAL,
        Reason.NO_NETWORK,
        Reason.WONT_FIT,
        Reason.CONFLICT,
        Reason.MEMORY,
        Reason.SLOTS,
        Reason.RESERVED,
    }
)
"""The reasons that hold up something which is due; the others only say that it is not its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFact:
    """One row of task_runs. Seconds, MB, minutes; None: unknown or not yet."""

    run_id: str
    task: str
    attempt: int
    status: str
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    exit_code: int | None
    duration_s: float | None
    peak_memory_mb: float | None
    predicted_minutes: float | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFact:
    """That a task waited for one reason: for how long in all, how often, the latest detail.

    skipped: how many slots were given up for it.
    """

    task: str
    reason: str
    waited: timedelta
    times: int
    skipped: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFact:
    """One alert. cleared_at: None while it is open."""

    severity: str
    text: str
    task: str | None
    raised_at: datetime
    cleared_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything read. notes: what could not be, one sentence each."""

    runs: tuple[RunFact, ...] = ()
    waits: tuple[WaitFact, ...] = ()
    alerts: tuple[AlertFact, ...] = ()
    sessions: tuple[Session, ...] = ()
    notes: tuple[str, ...] = ()


def read_facts(database: Path, since: datetime, until: datetime) -> Facts:
    """Return the runs that overlap [since, until), the waits and alerts in it, and what is still open."""
    notes: list[str] = []
    if not database.exists():
        return Facts(notes=(f"There is no {database.name} yet: the daemon has not run here.",))
    return Facts(
        runs=tuple(_runs(database, since, until, notes)),
        waits=tuple(_waits(database, since, until, notes)),
        alerts=tuple(_alerts(database, since, until, notes)),
        notes=tuple(notes),
    )


def _runs(database: Path, since: datetime, until: datetime, notes: list[str]) -> Iterable[RunFact]:
    query = """SELECT run_id, task, attempt, status, started_at, ended_at, outcome, exit_code, duration_s,
        peak_memory_mb, predicted_minutes, detail FROM task_runs
        WHERE planned_at < ? AND (ended_at IS NULL OR ended_at >= ?) ORDER BY planned_at, run_id"""
    for row in _rows(database, query, (stamp(until), stamp(since)), notes):
        yield RunFact(
            run_id=str(row[0]),
            task=str(row[1]),
            attempt=int(str(row[2])),
            status=str(row[3]),
            started_at=_instant(row[4]),
            ended_at=_instant(row[5]),
            outcome=None if row[6] is None else str(row[6]),
            exit_code=None if row[7] is None else int(str(row[7])),
            duration_s=_number(row[8]),
            peak_memory_mb=_number(row[9]),
            predicted_minutes=_number(row[10]),
            detail=str(row[11] or ""),
        )


def _waits(database: Path, since: datetime, until: datetime, notes: list[str]) -> Iterable[WaitFact]:
    query = """SELECT at, task, slot, reason, failures FROM decisions WHERE at < ? AND (at >= ? OR id IN
        (SELECT max(id) FROM decisions WHERE at < ? GROUP BY task)) ORDER BY task, at, id"""
    rows = _rows(database, query, (stamp(until), stamp(since), stamp(since)), notes)
    seen: dict[tuple[str, str], WaitFact] = {}
    for number, (at, task, slot, reason, failures) in enumerate(rows):
        if reason not in WAITING:
            continue
        following = rows[number + 1] if number + 1 < len(rows) else None
        end = _needed(following[0]) if following and following[1] == task else until
        waited = timedelta(0) if slot else end - max(_needed(at), since)
        key = (str(task), str(reason))
        before = seen.get(key)
        seen[key] = WaitFact(
            task=key[0],
            reason=key[1],
            waited=waited + (before.waited if before else timedelta(0)),
            times=1 + (before.times if before else 0),
            skipped=int(bool(slot)) + (before.skipped if before else 0),
            detail=_detail(failures, key[1]) or (before.detail if before else ""),
        )
    return sorted(seen.values(), key=lambda wait: (-wait.waited, wait.task))


def _alerts(database: Path, since: datetime, until: datetime, notes: list[str]) -> Iterable[AlertFact]:
    query = """SELECT severity, text, task, raised_at, cleared_at FROM alerts
        WHERE raised_at < ? AND (cleared_at IS NULL OR cleared_at >= ?) ORDER BY raised_at"""
    for severity, text, task, raised, cleared in _rows(database, query, (stamp(until), stamp(since)), notes):
        yield AlertFact(
            severity=str(severity),
            text=str(text),
            task=None if task is None else str(task),
            raised_at=_needed(raised),
            cleared_at=_instant(cleared),
        )


def _rows(
    database: Path, query: str, parameters: tuple[object, ...], notes: list[str]
) -> list[tuple[object, ...]]:
    uri = f"{database.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=5.0)) as connection:
            return connection.execute(query, parameters).fetchall()
    except sqlite3.Error as error:
        notes.append(f"{database.name} could not be read in part ({error}).")
        return []


def stamp(instant: datetime) -> str:
    """Return an aware instant as the database writes it, so that texts compare as instants do."""
    utc = instant.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _detail(failures: object, reason: str) -> str:
    try:
        gates = json.loads(str(failures))
        return next((str(g.get("detail", "")) for g in gates if g.get("reason") == reason), "")
    except (ValueError, AttributeError, TypeError):
        return ""


def _needed(text: object) -> datetime:
    return datetime.fromisoformat(str(text))


def _instant(text: object) -> datetime | None:
    return None if text is None else _needed(text)


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))
