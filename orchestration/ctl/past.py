"""What was recorded of a task: why it did not run at an instant, or since one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestration.slots import iso
from orchestration.state.codec import gate_to_dict
from orchestration.state.history import RunRow, WaitRow, recent_runs, why_rows

if TYPE_CHECKING:
    from sqlalchemy import Engine

INSTANT = timedelta(microseconds=1)
LOOK_AHEAD = timedelta(days=7)
NEAR = timedelta(hours=1)
"""A skipped slot this near the asked instant is part of the answer: it is recorded when it has passed."""
MANY = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """What is recorded of a task at an instant.

    running: the run that was on its way then. waits: the reason in force, and the slots skipped near it.
    following: the next run after it. recorded: False when nothing reaches back that far.
    """

    task: str
    at: datetime
    running: RunRow | None
    waits: tuple[WaitRow, ...]
    following: RunRow | None

    @property
    def recorded(self) -> bool:
        return self.running is not None or bool(self.waits)


def what_was(engine: Engine, task: str, at: datetime) -> Then:
    """Return what is recorded of `task` at `at`."""
    rows = why_rows(engine, task, since=at, until=at + INSTANT)
    skipped = [row for row in why_rows(engine, task, since=at - NEAR, until=at + LOOK_AHEAD) if row.slot]
    before = recent_runs(engine, task, limit=1, until=at + INSTANT)
    after = recent_runs(engine, task, limit=MANY, since=at + INSTANT, until=at + LOOK_AHEAD)
    running = before[0] if before and (before[0].ended_at is None or before[0].ended_at > at) else None
    return Then(
        task=task,
        at=at,
        running=running,
        waits=(*(r for r in rows if r.slot is None), *(r for r in skipped if _is_near(r, at))),
        following=after[-1] if after else None,
    )


def _is_near(row: WaitRow, at: datetime) -> bool:
    try:
        slot = datetime.fromisoformat(row.slot or "")
    except ValueError:
        return abs(row.at - at) <= NEAR
    return slot.tzinfo is not None and abs(slot - at) <= NEAR


def wait_dict(row: WaitRow) -> dict[str, Any]:
    """Return a recorded reason as JSON-ready values; reason null: it no longer waited."""
    return {
        "at": iso(row.at),
        "slot": row.slot,
        "reason": row.reason,
        "failures": [gate_to_dict(gate) for gate in row.failures],
        "until": None if row.until is None else iso(row.until),
    }


def run_dict(row: RunRow) -> dict[str, Any]:
    """Return a recorded run as JSON-ready values."""

    def instant(at: datetime | None) -> str | None:
        return None if at is None else iso(at)

    return {
        "run_id": row.run_id,
        "task": row.key.task,
        "cycle": row.key.cycle,
        "slot": row.key.slot,
        "attempt": row.key.attempt,
        "status": row.status.value,
        "outcome": None if row.outcome is None else row.outcome.value,
        "planned_at": iso(row.planned_at),
        "started_at": instant(row.started_at),
        "ended_at": instant(row.ended_at),
        "duration_s": row.duration_s,
        "predicted_minutes": row.predicted_minutes,
        "peak_memory_mb": row.peak_memory_mb,
        "reserved_mb": row.reserved_mb,
        "exit_code": row.exit_code,
        "stop_cause": None if row.stop_cause is None else row.stop_cause.value,
        "detail": row.detail,
        "pool": row.pool,
        "pid": row.pid,
        "log": row.log,
    }


def then_dict(then: Then) -> dict[str, Any]:
    """Return it as JSON-ready values."""
    return {
        "task": then.task,
        "at": iso(then.at),
        "recorded": then.recorded,
        "running": None if then.running is None else run_dict(then.running),
        "waits": [wait_dict(row) for row in then.waits],
        "next_run": None if then.following is None else run_dict(then.following),
    }


def since_dict(task: str, since: datetime, waits: Sequence[WaitRow]) -> dict[str, Any]:
    """Return the reasons recorded since an instant as JSON-ready values."""
    return {"task": task, "since": iso(since), "waits": [wait_dict(row) for row in waits]}
