"""Runs and what is remembered of them. Pure: standard library only; values that can be printed and saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from orchestration.types import NO_ENV, TimeWindow

EX_TEMPFAIL = 75
"""A job's exit code for "try later": no failure is counted (sysexits.h)."""


class Outcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    CHECKPOINTED = "checkpointed"  # asked to stop, or exit 75: not a success, resumes in the same cycle
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    KILLED = "killed"  # stopped by the operator, a shutdown or a duty, without a checkpoint
    OUT_OF_MEMORY = "out_of_memory"
    INTERRUPTED = "interrupted"  # lost (crash, power cut); idempotent, so it may run again
    UNKNOWN = "unknown"  # lost, and not idempotent: blocks until reconciled


FAILURES = frozenset({Outcome.FAILED, Outcome.TIMED_OUT, Outcome.OUT_OF_MEMORY})
"""The outcomes that count against `max_attempts` and towards quarantine."""


class StopCause(StrEnum):
    """Why a run was asked to stop."""

    TIMEOUT = "timeout"
    WINDOW_END = "window_end"  # the research window ends
    RECLAIM = "reclaim"  # a duty needs its memory, slot or conflict
    MEMORY = "memory"  # it grew beyond its limit
    OPERATOR = "operator"
    SHUTDOWN = "shutdown"


class RunStatus(StrEnum):
    """Where a run stands in the store."""

    PLANNED = "planned"  # the row is committed, the process may not exist yet
    RUNNING = "running"
    ENDED = "ended"


class RunKey(NamedTuple):
    """A run's identity: never two runs with the same one.

    cycle: ISO date of the cycle; of what runs once a week or month that week or month (2026-W47, 2026-11).
    slot: the nominal UTC instant (ISO, Z), "once", or "manual:<command id>". attempt: from 1.
    """

    task: str
    cycle: str
    slot: str
    attempt: int

    @property
    def run_id(self) -> str:
        """A name usable as a file name, e.g. `daily_report.2026-11-20.once.1`."""
        return _run_id(*self)


def week_of(day: date) -> str:
    """Return a day's ISO week as the cycle of a weekly run names it: `2026-W47`."""
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


@lru_cache(maxsize=1024)
def _run_id(task: str, cycle: str, slot: str, attempt: int) -> str:
    slot = slot.replace(":", "").replace("-", "").replace("+0000", "Z")
    return f"{task}.{cycle}.{slot}.{attempt}"


NO_KEY = RunKey("", "", "once", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRun:
    """A run that has been planned or is running.

    started_at: when it was started (UTC); predicted_end: by the high quantile.
    reserved_mb: memory promised to it. stop_at: when it must be stopped at the latest (timeout; None: never).
    stopping: why it was asked to stop, if it was; stop_asked_at: when. pool: where it runs.
    deadline: by when it must be done, None if it has none.
    """

    key: RunKey
    started_at: datetime
    predicted_end: datetime
    reserved_mb: float
    cpus: int = 1
    stop_at: datetime | None = None
    stopping: StopCause | None = None
    stop_asked_at: datetime | None = None
    filler: bool = False
    pool: str = "local"
    deadline: datetime | None = None

    @property
    def run_id(self) -> str:
        return self.key.run_id

    @property
    def task(self) -> str:
        return self.key.task


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """How a run ended.

    duration_s: monotonic seconds of the run's own process; None if it is not known (lost).
    peak_memory_mb: of the whole tree; None if it was never measured.
    exit_code: as waited for (negative: the signal); None if unknown.
    detail: one line for people. report: the JSON object the job wrote, empty when it wrote none.
    """

    key: RunKey = NO_KEY
    outcome: Outcome = Outcome.SUCCEEDED
    ended_at: datetime | None = None
    started_at: datetime | None = None
    duration_s: float | None = None
    peak_memory_mb: float | None = None
    exit_code: int | None = None
    detail: str = ""
    report: Mapping[str, object] = field(default_factory=lambda: NO_ENV)
    stop_cause: StopCause | None = None

    @property
    def success(self) -> bool:
        return self.outcome is Outcome.SUCCEEDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is learned of a task's needs; the two numbers of its duration are of the natural log of minutes.

    log_mean, log_error: exponential mean and mean absolute error of ln(duration in minutes); runs: how many
        taught it (0: nothing is known, the spec's figure holds).
    memory_mb: decaying high quantile of the peaks (0: nothing known). memory_floor_mb: a lower bound learnt
        from an out-of-memory kill (0: none).
    """

    log_mean: float = 0.0
    log_error: float = 0.0
    runs: int = 0
    memory_mb: float = 0.0
    memory_floor_mb: float = 0.0
    at_least_minutes: float = 0.0


NO_ESTIMATE = Estimate()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """What the daemon remembers of one task between runs.

    last_success_at/_cycle/_window/_period: of the latest SUCCEEDED run (window: the id of its phase window;
        period: the cycle, phase, week or month that `once_per` counts).
    last_slot: the newest slot that was started or skipped (UTC); a changed grid starts after it.
    attempt_cycle, attempt_slot, attempts: the slot being tried, and how many attempts it has had; failures:
        how many of these failed. settled: the slot needs no further attempt (it succeeded or was given up).
        interruptions: how often the slot's run was lost; it is run again once.
    not_before: backoff. recent_failures: for the quarantine; quarantined_until, quarantine_level.
    unknown_since: a run of it is UNKNOWN since then; blocks until reconciled.
    failed_cycle: the cycle in which its latest attempt failed for good, until a success. given_up: how many
        occasions in a row have failed for good.
    paused: by the operator. preference: learned, 0 to 1; among tasks otherwise equal more goes first.
    """

    last_success_at: datetime | None = None
    last_success_cycle: str | None = None
    last_success_window: str | None = None
    last_success_period: str | None = None
    last_started_at: datetime | None = None
    last_ended_at: datetime | None = None
    last_outcome: Outcome | None = None
    last_slot: datetime | None = None
    attempt_cycle: str | None = None
    attempt_slot: str | None = None
    attempts: int = 0
    failures: int = 0
    settled: bool = False
    interruptions: int = 0
    not_before: datetime | None = None
    recent_failures: tuple[datetime, ...] = ()
    quarantined_until: datetime | None = None
    quarantine_level: int = 0
    unknown_since: datetime | None = None
    failed_cycle: str | None = None
    given_up: int = 0
    paused: bool = False
    estimate: Estimate = NO_ESTIMATE
    preference: float = 0.0


NO_RECORD = TaskRecord()


@dataclass(slots=True)
class SchedulerState:
    """What the scheduler knows. Plain, and its public fields may be assigned by callers.

    running_tasks: by task name. phase_completions: a phase's name to the tasks that succeeded in its present
        window (cleared when the window changes). avg_durations: median predictions in minutes, by task.
    estimated_memory_used: MB promised to the running ones.
    records: by task. waiting_since: since when a due task has been passed over, by task.
    paused: the operator stopped new research and maintenance ("research") or everything ("all"); else None.
    """

    running_tasks: dict[str, ActiveRun] = field(default_factory=dict)
    phase_completions: dict[str, set[str]] = field(default_factory=dict)
    avg_durations: dict[str, float] = field(default_factory=dict)
    estimated_memory_used: float = 0.0
    records: dict[str, TaskRecord] = field(default_factory=dict)
    waiting_since: dict[str, datetime] = field(default_factory=dict)
    manual: dict[str, str] = field(default_factory=dict)
    paused: str | None = None
    window: TimeWindow | None = None
    cycle: date | None = None

    def record(self, task: str) -> TaskRecord:
        """Return what is remembered of `task`, an empty record if nothing is."""
        return self.records.get(task, NO_RECORD)


QUARANTINE_AFTER = 3
QUARANTINE_WITHIN = timedelta(minutes=10)
