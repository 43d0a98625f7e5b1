"""What a turn writes: each class is one kind of row. A turn's changes are committed in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from orchestration.decisions import Blocked
from orchestration.runs import ActiveRun, RunStatus, TaskRecord, TaskResult
from orchestration.types import NO_ENV, Session


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlanned:
    """A run is about to be spawned; its row exists before its process. log: the path of its output."""

    run: ActiveRun
    pool: str = "local"
    predicted_minutes: float = 0.0
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """Its process exists. pid: of the supervisor."""

    run_id: str
    pid: int
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStopping:
    """It was asked to stop."""

    run_id: str
    cause: str
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """It has ended; nothing acts on the result before this row is committed."""

    result: TaskResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSaved:
    """What is remembered of a task from now on."""

    task: str
    record: TaskRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedSaved:
    """The reason why a task waits has changed (a row per change, never per turn). blocked: None when it
    no longer waits. slot: the skipped slot this explains, None while it merely waits."""

    task: str
    at: datetime
    blocked: Blocked | None
    slot: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLogged:
    """Something worth keeping beyond the log: a mode change, a clock step, a command, an adoption."""

    at: datetime
    name: str
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSaved:
    """An alert was raised, or (cleared=True) has cleared."""

    at: datetime
    key: str
    severity: str
    text: str
    task: str | None = None
    cleared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertAcknowledged:
    """A person has seen the alert that stands under `key`; it stands all the same."""

    at: datetime
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSaved:
    """One key of `scheduler_state`; value: JSON text."""

    key: str
    value: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsSaved:
    """A new session table of one exchange, accepted; it replaces the old one whole. source: who said so,
    with its version."""

    exchange: str
    sessions: tuple[Session, ...]
    source: str
    at: datetime


Change = (
    RunPlanned
    | RunStarted
    | RunStopping
    | RunEnded
    | RecordSaved
    | BlockedSaved
    | EventLogged
    | AlertSaved
    | AlertAcknowledged
    | ValueSaved
    | SessionsSaved
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run whose row says that it has not ended."""

    run: ActiveRun
    status: RunStatus
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Everything that is read back at a start. sessions: by exchange; session_source: by exchange."""

    records: Mapping[str, TaskRecord] = field(default_factory=dict)
    open_runs: tuple[OpenRun, ...] = ()
    values: Mapping[str, str] = field(default_factory=lambda: NO_ENV)
    sessions: Mapping[str, tuple[Session, ...]] = field(default_factory=dict)
    session_source: Mapping[str, str] = field(default_factory=lambda: NO_ENV)
    alerts: frozenset[str] = frozenset()
