"""How the state changes: after a start, a result, a skip, a new window. Pure: a new state for an old one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from orchestration import estimates
from orchestration.changes import Stored
from orchestration.decisions import SkipSlot, StartRun
from orchestration.ports import RunExit
from orchestration.runs import (
    EX_TEMPFAIL,
    FAILURES,
    QUARANTINE_AFTER,
    QUARANTINE_WITHIN,
    ActiveRun,
    Estimate,
    Outcome,
    RunKey,
    SchedulerState,
    StopCause,
    TaskRecord,
    TaskResult,
    week_of,
)
from orchestration.types import OncePer, Stretch, TaskSpec

V = TypeVar("V")

QUARANTINE_FOR = timedelta(minutes=30)
LONGEST_QUARANTINE = timedelta(days=1)
OUT_OF_MEMORY_BACKOFF = timedelta(minutes=10)
RERUNS_AFTER_LOSS = 1
MANUAL = "manual:"
NEVER_STARTED = "it had not been started"
DID_NOT_SPEAK_FOR_ITSELF = frozenset(
    {Outcome.KILLED, Outcome.TIMED_OUT, Outcome.OUT_OF_MEMORY, Outcome.UNKNOWN}
)


def outcome_of(exit_: RunExit, spec: TaskSpec | None) -> Outcome:
    """Say how a run ended, by who ended it and not by its exit code alone."""
    if exit_.exit_code is None:
        return Outcome.INTERRUPTED if spec is not None and spec.idempotent else Outcome.UNKNOWN
    if exit_.out_of_memory or exit_.stop_cause is StopCause.MEMORY:
        return Outcome.OUT_OF_MEMORY
    if exit_.exit_code == 0:
        return Outcome.SUCCEEDED
    if exit_.exit_code == EX_TEMPFAIL:
        return Outcome.CHECKPOINTED
    if exit_.stop_cause is StopCause.TIMEOUT:
        return Outcome.TIMED_OUT
    return Outcome.KILLED if exit_.stop_cause is not None else Outcome.FAILED


def result_of(exit_: RunExit, run: ActiveRun, spec: TaskSpec | None) -> TaskResult:
    """Return the result of a run from what its process left."""
    return TaskResult(
        key=run.key,
        outcome=outcome_of(exit_, spec),
        ended_at=exit_.ended_at,
        started_at=run.started_at,
        duration_s=exit_.duration_s,
        peak_memory_mb=exit_.peak_memory_mb,
        exit_code=exit_.exit_code,
        detail=exit_.detail,
        report=exit_.report,
        stop_cause=exit_.stop_cause or run.stopping,
    )


def never_started(run: ActiveRun, now: datetime) -> TaskResult:
    """Return the result of a run whose row was committed and whose process never came to be."""
    return TaskResult(
        key=run.key,
        outcome=Outcome.INTERRUPTED,
        ended_at=now,
        started_at=run.started_at,
        detail=NEVER_STARTED,
    )


def restored(stored: Stored) -> SchedulerState:
    """Return the state of a daemon that has read `stored` and not yet looked what became of its runs."""
    runs = {open_.run.task: open_.run for open_ in stored.open_runs}
    return SchedulerState(
        records=dict(stored.records),
        running_tasks=runs,
        estimated_memory_used=sum(run.reserved_mb for run in runs.values()),
        paused=stored.values.get("paused") or None,
    )


def after_start(state: SchedulerState, start: StartRun, run: ActiveRun) -> SchedulerState:
    """A run was planned: it holds memory and a slot, and its slot is in use."""
    key = start.key
    record = state.record(key.task)
    if is_manual(key):
        # A run by hand is an occasion of its own; the one being tried keeps its count.
        record = replace(record, last_started_at=run.started_at)
    else:
        record = _after_attempt(record, start, run)
    return replace(
        state,
        running_tasks={**state.running_tasks, key.task: run},
        records={**state.records, key.task: record},
        waiting_since=_without(state.waiting_since, key.task),
        manual=_without(state.manual, key.task),
        estimated_memory_used=state.estimated_memory_used + run.reserved_mb,
    )


def _after_attempt(record: TaskRecord, start: StartRun, run: ActiveRun) -> TaskRecord:
    key = start.key
    same = record.attempt_cycle == key.cycle and record.attempt_slot == key.slot
    return replace(
        record,
        last_started_at=run.started_at,
        last_slot=_newer(record.last_slot, start.due_at),
        attempt_cycle=key.cycle,
        attempt_slot=key.slot,
        attempts=key.attempt,
        failures=record.failures if same else 0,
        interruptions=record.interruptions if same else 0,
        settled=False,
        not_before=None,
    )


def after_stop_asked(state: SchedulerState, task: str, cause: StopCause, now: datetime) -> SchedulerState:
    """A run was asked to stop; it holds its place until it has ended."""
    run = replace(state.running_tasks[task], stopping=cause, stop_asked_at=now)
    return replace(state, running_tasks={**state.running_tasks, task: run})


def after_result(
    state: SchedulerState,
    spec: TaskSpec | None,
    result: TaskResult,
    stretch: Stretch,
    now: datetime,
    clears: frozenset[str] = frozenset(),
) -> SchedulerState:
    """A run has ended: its memory and slot are free, and its task's record knows how it went.

    clears: the tasks whose unknown runs a success of this one clears (their `reconciled_by`).
    """
    task = result.key.task
    run = state.running_tasks.get(task)
    record = state.record(task)
    if spec is not None:
        record = record_after(record, spec, result, stretch, now)
    records = {**state.records, task: record}
    averages, completions = state.avg_durations, state.phase_completions
    if result.success and spec is not None:
        averages = {**averages, task: estimates.median_minutes(spec, record.estimate)}
        done = completions.get(stretch.phase.value, set())
        if task not in done and _cycle_of(result.key, stretch) == stretch.cycle.isoformat():
            completions = {**completions, stretch.phase.value: done | {task}}
        records = _reconciled(records, clears, result)
    reserved = run.reserved_mb if run is not None else 0.0
    return replace(
        state,
        running_tasks=_without(state.running_tasks, task),
        records=records,
        avg_durations=averages,
        phase_completions=completions,
        estimated_memory_used=max(0.0, state.estimated_memory_used - reserved),
    )


def record_after(
    record: TaskRecord, spec: TaskSpec, result: TaskResult, stretch: Stretch, now: datetime
) -> TaskRecord:
    """Return what is remembered of a task after one more result."""
    if result.detail == NEVER_STARTED:
        return replace(record, last_ended_at=now, last_outcome=result.outcome)
    before, taught = record, _taught(record, spec, result)
    if result.success:
        return _succeeded(record, spec, result, stretch, now, taught)
    record = replace(record, last_ended_at=now, last_outcome=result.outcome, estimate=taught)
    if result.outcome in FAILURES:
        record = _failed(record, spec, result, now)
    elif result.outcome in (Outcome.INTERRUPTED, Outcome.UNKNOWN):
        lost = record.interruptions + 1
        record = replace(record, interruptions=lost, settled=lost > RERUNS_AFTER_LOSS)
    elif result.stop_cause is StopCause.OPERATOR:
        record = replace(record, settled=True)
    elif result.outcome is Outcome.CHECKPOINTED and result.stop_cause is None:
        record = replace(record, not_before=now + spec.backoff)
    elif result.outcome is Outcome.CHECKPOINTED and result.stop_cause is StopCause.TIMEOUT:
        # It has had its time: what it kept is for its next slot, where it has no attempt left in this one.
        tries = record.failures + 1
        record = replace(record, failures=tries, settled=tries >= spec.max_attempts)
    if is_manual(result.key):
        record = replace(
            record,
            settled=before.settled,
            failures=before.failures,
            interruptions=before.interruptions,
        )
    elif record.settled:
        record = replace(record, failed_cycle=_cycle_of(result.key, stretch))
    if _leaves_doubt(spec, result):
        settled = record.settled and is_manual(result.key)
        record = replace(record, unknown_since=result.started_at or now, settled=settled)
    if record.settled and result.outcome in FAILURES:
        record = replace(record, given_up=record.given_up + 1)
    return record


def _succeeded(
    record: TaskRecord,
    spec: TaskSpec,
    result: TaskResult,
    stretch: Stretch,
    now: datetime,
    taught: Estimate,
) -> TaskRecord:
    return replace(
        record,
        last_ended_at=now,
        last_outcome=result.outcome,
        estimate=taught,
        last_success_at=now,
        last_success_cycle=_cycle_of(result.key, stretch),
        last_success_window=stretch.window.id,
        last_success_period=_period_of(spec, result.key, stretch),
        settled=True,
        failures=0,
        interruptions=0,
        not_before=None,
        recent_failures=(),
        quarantined_until=None,
        quarantine_level=0,
        failed_cycle=None,
        given_up=0,
    )


def _failed(record: TaskRecord, spec: TaskSpec, result: TaskResult, now: datetime) -> TaskRecord:
    failures = record.failures + 1
    wait = spec.backoff * 2 ** min(failures - 1, 10)
    if result.outcome is Outcome.OUT_OF_MEMORY:
        wait = max(wait, OUT_OF_MEMORY_BACKOFF)
    recent = (*(t for t in record.recent_failures if now - t <= QUARANTINE_WITHIN), now)
    record = replace(
        record,
        failures=failures,
        settled=failures >= spec.max_attempts,
        not_before=now + wait,
        recent_failures=recent,
    )
    if len(recent) < QUARANTINE_AFTER:
        return record
    rest = min(LONGEST_QUARANTINE, QUARANTINE_FOR * 2 ** min(record.quarantine_level, 10))
    return replace(
        record,
        quarantined_until=now + rest,
        quarantine_level=record.quarantine_level + 1,
        recent_failures=(),
    )


def _leaves_doubt(spec: TaskSpec, result: TaskResult) -> bool:
    """Whether a run of a task that must not be repeated blindly ended without saying what it did."""
    if spec.idempotent:
        return False
    if result.outcome is Outcome.UNKNOWN:
        return True
    # A signal of a stranger's (the kernel's, a person's) lets a run say as little as one of ours.
    was_signalled = result.outcome is Outcome.FAILED and (result.exit_code or 0) < 0
    did_not_speak = was_signalled or result.outcome in DID_NOT_SPEAK_FOR_ITSELF
    return spec.reconciled_by is not None and did_not_speak


def _taught(record: TaskRecord, spec: TaskSpec, result: TaskResult) -> Estimate:
    estimate = record.estimate
    minutes = None if result.duration_s is None else max(result.duration_s, 1e-3) / 60
    if result.peak_memory_mb is not None and result.peak_memory_mb > 0:
        estimate = estimates.after_peak(estimate, result.peak_memory_mb)
    if result.outcome is Outcome.OUT_OF_MEMORY:
        limit = max(result.peak_memory_mb or 0.0, estimates.reserve_mb(spec, record.estimate))
        estimate = estimates.after_out_of_memory(estimate, limit)
    if minutes is None:
        return estimate
    if result.success and result.stop_cause is None:
        return estimates.after_duration(estimate, minutes)
    if result.outcome is Outcome.TIMED_OUT:
        return estimates.after_lower_bound(estimate, minutes)
    return estimate


def is_manual(key: RunKey) -> bool:
    """Whether the operator asked for the run."""
    return key.slot.startswith(MANUAL)


def _cycle_of(key: RunKey, stretch: Stretch) -> str:
    """The cycle that a run belongs to: its key's, where that names a day."""
    return key.cycle if len(key.cycle) == len("2026-11-20") else stretch.cycle.isoformat()


def _period_of(spec: TaskSpec, key: RunKey, stretch: Stretch) -> str:
    if spec.once_per is OncePer.PHASE:
        return stretch.window.id
    if spec.once_per in (OncePer.WEEK, OncePer.MONTH) and len(key.cycle) == len("2026-11-20"):
        return week_of(stretch.cycle) if spec.once_per is OncePer.WEEK else f"{stretch.cycle:%Y-%m}"
    return key.cycle


def _reconciled(
    records: dict[str, TaskRecord], clears: frozenset[str], result: TaskResult
) -> dict[str, TaskRecord]:
    """A reconciliation newer than an unknown run clears it."""
    for task in clears:
        record = records.get(task)
        since = record.unknown_since if record is not None else None
        if record is not None and since is not None and result.started_at and result.started_at > since:
            records = {**records, task: replace(record, unknown_since=None)}
    return records


def after_skip(state: SchedulerState, skip: SkipSlot) -> SchedulerState:
    """A slot will not be run: a changed grid starts after it. Attempts of another slot are none of it."""
    record = state.record(skip.task)
    same = record.attempt_cycle == skip.cycle and record.attempt_slot == skip.slot
    record = replace(
        record,
        last_slot=_newer(record.last_slot, skip.last_slot),
        attempt_cycle=skip.cycle,
        attempt_slot=skip.slot,
        attempts=record.attempts if same else 0,
        failures=record.failures if same else 0,
        interruptions=record.interruptions if same else 0,
        settled=True,
    )
    return replace(state, records={**state.records, skip.task: record})


def after_window(state: SchedulerState, stretch: Stretch) -> SchedulerState:
    """The window has changed: the new one's completions start empty, and with a new cycle all do."""
    old, new = state.window, stretch.window
    if old is new or (old is not None and old.day == new.day and old.phase == new.phase):
        return state
    fresh = state.cycle != stretch.cycle
    completions = {} if fresh else _without(state.phase_completions, stretch.phase.value)
    return replace(state, phase_completions=completions, window=stretch.window, cycle=stretch.cycle)


def after_waits(state: SchedulerState, waiting: frozenset[str], now: datetime) -> SchedulerState:
    """Remember since when each due task has been passed over. waiting: the tasks this turn passed over."""
    if state.waiting_since.keys() == waiting:
        return state
    since = {task: state.waiting_since.get(task, now) for task in sorted(waiting)}
    return replace(state, waiting_since=since)


def after_command(
    state: SchedulerState,
    *,
    paused: str | None = None,
    resume: bool = False,
    task: str | None = None,
) -> SchedulerState:
    """The operator paused or resumed one task, or all ("research": all but duties; "all")."""
    if task is None:
        return replace(state, paused=None if resume else paused or "research")
    record = replace(state.record(task), paused=not resume)
    return replace(state, records={**state.records, task: record})


def after_reconcile(state: SchedulerState, task: str) -> SchedulerState:
    """The operator says that an unknown run has been looked into."""
    record = replace(state.record(task), unknown_since=None)
    return replace(state, records={**state.records, task: record})


def with_manual(state: SchedulerState, task: str, command_id: str) -> SchedulerState:
    """The operator asked for a run now."""
    return replace(state, manual={**state.manual, task: f"{MANUAL}{command_id}"})


def _newer(one: datetime | None, other: datetime | None) -> datetime | None:
    known = [t for t in (one, other) if t is not None]
    return max(known) if known else None


def _without(mapping: dict[str, V], key: str) -> dict[str, V]:
    return {k: v for k, v in mapping.items() if k != key} if key in mapping else mapping
