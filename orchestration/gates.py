"""The gates of a due task: each a small pure function from values to a `Gate`.

A gate says what it needs, what there is, and when it may clear. `decide` decides from these, the store
keeps them and `why` prints them: one evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestration import estimates
from orchestration.compiled import CompiledSpec
from orchestration.decisions import Gate, Prediction, Reason, Resources, Room, Rules
from orchestration.runs import ActiveRun, SchedulerState
from orchestration.slots import Slot
from orchestration.types import OperatingMode, Stretch

HIGH_PRESSURE = 10.0
"""PSI memory avg10 in percent above which no heavy task starts (a thrashing box showed 13 to 48)."""
HEAVY_MB = 200.0
OVERRUN_ALLOWANCE = timedelta(minutes=5)
"""A run past its prediction is expected to need this much longer when a reservation is computed."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation for a more important task that waits for memory, a slot or a conflict.

    at: when it is expected to start; spare_slots, spare_mb: what it will leave free then; conflicts: the
    tasks that may not run beside it.
    """

    task: str
    at: datetime
    spare_slots: int
    spare_mb: float
    conflicts: frozenset[str]


@dataclass(slots=True)
class Ledger:
    """Memory and slots of one pool as this turn gives them away. free_mb: what may still be promised.
    running: the runs of every pool, since conflicts hold between them all."""

    free_mb: float
    free_slots: int
    kept_mb: float
    kept_slots: int
    running: dict[str, ActiveRun]
    holds: list[Hold] = field(default_factory=list)
    pool: str = "local"

    def give(self, run: ActiveRun) -> None:
        """Promise a run its memory and slots."""
        self.free_mb -= run.reserved_mb
        self.free_slots -= run.cpus
        self.running[run.task] = run

    def promise(self, c: CompiledSpec, need_mb: float) -> None:
        """Set aside what a duty will start with: the next one must find room beside it."""
        self.free_mb -= need_mb
        self.free_slots -= c.spec.cpus

    def freed_by(self, run: ActiveRun, used_mb: Mapping[str, float]) -> tuple[int, float]:
        """Return the slots and MB that the end of a run gives back here: what it uses, and what was still
        promised to it; nothing if it runs in another pool."""
        if run.pool != self.pool:
            return 0, 0.0
        return run.cpus, max(run.reserved_mb, used_mb.get(run.run_id, 0.0))


def open_ledger(state: SchedulerState, resources: Resources, rules: Rules, stretch: Stretch) -> Ledger:
    """Return what is free: available - reserve - the sum of max(0, reserved - used) over the running ones."""
    promised = known = 0.0
    used_slots, used_mb = 0, resources.used_mb
    for run in state.running_tasks.values():
        known += run.reserved_mb
        if run.pool == "local":
            promised += max(0.0, run.reserved_mb - used_mb.get(run.run_id, 0.0))
            used_slots += run.cpus
    # A caller may have assigned a larger figure than the runs it lists account for.
    promised += max(0.0, state.estimated_memory_used - known)
    in_session = stretch.mode is not OperatingMode.RESEARCH
    return Ledger(
        free_mb=resources.available_mb - rules.reserve_mb - promised,
        free_slots=resources.slots - used_slots,
        kept_mb=rules.duty_reserve_mb if in_session else 0.0,
        kept_slots=min(rules.duty_slots, resources.slots - 1) if in_session else 0,
        running=dict(state.running_tasks),
    )


def remote_ledger(pool: str, room: Room, running: dict[str, ActiveRun]) -> Ledger:
    """Return what is free in a pool elsewhere: all that is not promised to our own runs."""
    there = [run for run in running.values() if run.pool == pool]
    return Ledger(
        free_mb=room.memory_mb - sum(run.reserved_mb for run in there),
        free_slots=room.slots - sum(run.cpus for run in there),
        kept_mb=0.0,
        kept_slots=0,
        running=running,
        pool=pool,
    )


def clock_gate(c: CompiledSpec, slot: Slot, now: datetime, resources: Resources) -> Gate | None:
    """Until the clock is known to be right no trading task starts and nothing is caught up."""
    if resources.clock_synced is True:
        return None
    if "clock" in c.spec.needs or c.needs_calendar:
        return Gate(Reason.CLOCK_UNSYNCED, False, "the clock is not known to be right")
    if slot.expires is not None and slot.at is not None and now - slot.at > c.spec.tolerance:
        return Gate(Reason.CLOCK_UNSYNCED, False, "nothing is caught up until the clock is known to be right")
    return None


def network_gate(c: CompiledSpec, resources: Resources) -> Gate | None:
    """What it needs of the world outside."""
    if "network" in c.spec.needs and resources.network_up is not True:
        what = "is down" if resources.network_up is False else "is not known to be up"
        return Gate(Reason.NO_NETWORK, False, f"the network {what}")
    if "broker" in c.spec.needs and not resources.broker:
        return Gate(Reason.NO_NETWORK, False, "no broker is configured")
    return None


def thermal_gate(c: CompiledSpec, resources: Resources, rules: Rules) -> Gate | None:
    """A hot box starts duties only."""
    if resources.too_hot is not True or c.is_duty:
        return None
    return Gate(
        Reason.THERMAL, False, "the box is too hot (C)", rules.max_temperature_c, resources.temperature_c
    )


def dependency_gate(c: CompiledSpec, state: SchedulerState, stretch: Stretch, now: datetime) -> Gate | None:
    """Met by a success in the same cycle, or by one no older than its max_age; never by yesterday's."""
    if not c.spec.dependencies:
        return None
    cycle = stretch.cycle.isoformat()
    missing: list[str] = []
    failed: list[str] = []
    for name in sorted(c.spec.dependencies):
        record = state.record(name)
        max_age = c.spec.dependency_max_age.get(name)
        if max_age is not None:
            met = record.last_success_at is not None and now - record.last_success_at <= max_age
        else:
            met = record.last_success_cycle == cycle or _completed(state, name)
        if not met:
            (failed if record.failed_cycle == cycle else missing).append(name)
    if failed:
        return Gate(Reason.DEPENDENCY_FAILED, False, f"failed in this cycle: {', '.join(failed)}")
    if missing:
        return Gate(Reason.DEPENDENCY, False, f"waits for {', '.join(missing)}")
    return None


def _completed(state: SchedulerState, name: str) -> bool:
    return any(name in done for done in state.phase_completions.values())


def conflict_gate(c: CompiledSpec, ledger: Ledger) -> Gate | None:
    """Every task conflicts with itself, and with what its spec or another's names."""
    if c.conflicts.isdisjoint(ledger.running):
        return None
    others = [ledger.running[name] for name in c.conflicts if name in ledger.running]
    names = ", ".join(sorted(run.task for run in others))
    return Gate(Reason.CONFLICT, False, f"running: {names}", clears_at=max(r.predicted_end for r in others))


def slots_gate(c: CompiledSpec, ledger: Ledger) -> Gate | None:
    """Enough cores of the pool; one is kept for duties in TRADING and PREP. A task that takes none waits for
    none."""
    free = ledger.free_slots - (0 if c.is_duty else ledger.kept_slots)
    if c.spec.cpus == 0 or c.spec.cpus <= free:
        return None
    return Gate(Reason.SLOTS, False, f"free slots{_kept(c, ledger.kept_slots)}", c.spec.cpus, max(0, free))


def _kept(c: CompiledSpec, kept: float) -> str:
    return f", {kept:g} kept for trading duties" if kept and not c.is_duty else ""


def memory_gate(c: CompiledSpec, need_mb: float, ledger: Ledger, resources: Resources) -> Gate | None:
    """Enough memory for what it is expected to need, beside what is promised to the running ones."""
    free = ledger.free_mb - (0.0 if c.is_duty else ledger.kept_mb)
    if need_mb > free:
        detail = f"MB of memory{_kept(c, ledger.kept_mb)}"
        return Gate(Reason.MEMORY, False, detail, round(need_mb, 1), round(max(0.0, free), 1))
    if (
        need_mb >= HEAVY_MB
        and not c.is_duty
        and ledger.pool == "local"
        and (resources.pressure or 0.0) > HIGH_PRESSURE
    ):
        detail = "memory pressure (PSI avg10, %)"
        return Gate(Reason.MEMORY, False, detail, HIGH_PRESSURE, resources.pressure)
    return None


def fit_gate(c: CompiledSpec, now: datetime, stretch: Stretch, fit: Fit) -> Gate | None:
    """Research must fit before PREP: its high quantile, or a slice of it when it checkpoints."""
    if not c.is_research or stretch.mode is not OperatingMode.RESEARCH:
        return None
    left = (stretch.prep_start - now).total_seconds() / 60
    if c.spec.interruptible:
        need = c.spec.min_slice_minutes + fit.stop_minutes
        if left >= need and left > fit.stop_minutes:
            return None
    else:
        need = fit.minutes
        if left >= need:
            return None
    return Gate(Reason.WONT_FIT, False, "minutes until PREP", round(need, 1), round(max(0.0, left), 1))


@dataclass(frozen=True, slots=True)
class Fit:
    """minutes: by which it has ended with the chance a start asks for; stop_minutes: to checkpoint."""

    minutes: float
    stop_minutes: float


def fit_of(c: CompiledSpec, state: SchedulerState, rules: Rules) -> Fit:
    """Return how long `c` must be given for a start to be worth it."""
    minutes = estimates.quantile_minutes(c.spec, state.record(c.name).estimate, rules.finish_probability)
    return Fit(minutes, rules.stop_grace.total_seconds() / 60)


def reserved_gate(
    c: CompiledSpec, need_mb: float, prediction: Prediction, now: datetime, holds: list[Hold]
) -> Gate | None:
    """A lesser task starts only if it ends before a reservation, or does not touch it (EASY backfill)."""
    if not holds:
        return None
    ends = now + timedelta(minutes=prediction.high)
    for hold in holds:
        if ends <= hold.at or hold.task == c.name:
            continue
        beside = c.name not in hold.conflicts and c.spec.cpus <= hold.spare_slots and need_mb <= hold.spare_mb
        if not beside:
            detail = f"reserved for {hold.task} (minutes until it starts)"
            left = (hold.at - now).total_seconds() / 60
            return Gate(Reason.RESERVED, False, detail, round(prediction.high, 1), round(left, 1), hold.at)
    return None


def hold_for(
    c: CompiledSpec, need_mb: float, now: datetime, ledger: Ledger, resources: Resources
) -> Hold | None:
    """Return the reservation of a task blocked by memory, slots or a conflict: the earliest instant at which
    enough runs are predicted to have ended. None when no end of ours would help."""
    slots = ledger.free_slots - (0 if c.is_duty else ledger.kept_slots)
    memory = ledger.free_mb - (0.0 if c.is_duty else ledger.kept_mb)
    waiting = {name for name in c.conflicts if name in ledger.running}
    at = now
    for run in sorted(ledger.running.values(), key=lambda r: r.predicted_end):
        if not waiting and slots >= c.spec.cpus and memory >= need_mb:
            break
        at = max(run.predicted_end, now + OVERRUN_ALLOWANCE if run.predicted_end <= now else now)
        waiting.discard(run.task)
        freed = ledger.freed_by(run, resources.used_mb)
        slots, memory = slots + freed[0], memory + freed[1]
    if waiting or slots < c.spec.cpus or memory < need_mb:
        return None
    return Hold(c.name, at, slots - c.spec.cpus, memory - need_mb, c.conflicts)
