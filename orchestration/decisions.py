"""What one turn of the loop chose, and why not the rest. Pure: standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from orchestration.runs import RunKey, StopCause
from orchestration.types import OperatingMode, ResearchBudget, Stretch, TimeWindow


class Reason(StrEnum):
    """Why a task does not start, from the worst to the mildest: misconfigured, can never fit, not now,
    waiting its turn. The order of the members is their rank."""

    DISABLED = "DISABLED"
    QUARANTINED = "QUARANTINED"
    NEEDS_RECONCILE = "NEEDS_RECONCILE"
    CALENDAR_STALE = "CALENDAR_STALE"
    CLOCK_UNSYNCED = "CLOCK_UNSYNCED"
    DEADLINE_PASSED = "DEADLINE_PASSED"
    PAUSED = "PAUSED"
    WRONG_MODE = "WRONG_MODE"
    WRONG_PHASE = "WRONG_PHASE"
    OUTSIDE_WINDOW = "OUTSIDE_WINDOW"
    ALREADY_RAN = "ALREADY_RAN"
    NOT_DUE = "NOT_DUE"
    BACKOFF = "BACKOFF"
    DEPENDENCY_FAILED = "DEPENDENCY_FAILED"
    DEPENDENCY = "DEPENDENCY"
    THERMAL = "THERMAL"
    NO_NETWORK = "NO_NETWORK"
    WONT_FIT = "WONT_FIT"
    CONFLICT = "CONFLICT"
    MEMORY = "MEMORY"
    SLOTS = "SLOTS"
    RESERVED = "RESERVED"


WAITS_ITS_TURN = frozenset({Reason.CONFLICT, Reason.MEMORY, Reason.SLOTS, Reason.RESERVED})
"""Reasons of a task that is passed over: others have what it needs."""
RANK = {reason: rank for rank, reason in enumerate(Reason)}


class Gate(NamedTuple):
    """One gate's answer for one task.

    needed, available: the numbers compared, in the unit the detail names; None where there is no number.
    clears_at: the first instant at which this gate may pass; None: not known, it waits for an event.
    skips: the day on which the task's window has no instant at all (a short day), else empty.
    """

    reason: Reason
    passed: bool
    detail: str = ""
    needed: float | None = None
    available: float | None = None
    clears_at: datetime | None = None
    skips: str = ""


class Blocked(NamedTuple):
    """A task left out. failures: every gate that failed, the worst first; until: the next instant at which
    it could run, as far as is known."""

    task: str
    failures: tuple[Gate, ...]
    until: datetime | None = None

    @property
    def reason(self) -> Reason:
        return self.failures[0].reason

    @property
    def waits_its_turn(self) -> bool:
        """Whether it is only passed over: nothing but the others' runs stands in its way."""
        # A loop, as it is asked of every task in every turn and a generator costs three times as much.
        for gate in self.failures:  # noqa: SIM110
            if gate.reason not in WAITS_ITS_TURN:
                return False
        return True


class Prediction(NamedTuple):
    """Minutes: the median, and the high quantile that gates use."""

    median: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun:
    """Start a run. memory_mb: reserved for it. stop_at: when it will be stopped at the latest.
    deadline: the instant the job is told to be done by (ORCHESTRATOR_DEADLINE). must_end_by: its task's own
    deadline, None if it has none."""

    key: RunKey
    memory_mb: float
    cpus: int
    prediction: Prediction
    predicted_end: datetime
    stop_at: datetime | None = None
    deadline: datetime | None = None
    filler: bool = False
    due_at: datetime | None = None
    pool: str = "local"
    must_end_by: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRun:
    """Ask a run to stop. for_task: the duty it makes room for."""

    run_id: str
    task: str
    cause: StopCause
    for_task: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipSlot:
    """A slot that will not be run; recorded with its reason. last_slot: the newest slot it covers."""

    task: str
    cycle: str
    slot: str
    last_slot: datetime | None
    gate: Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseAlert:
    """Something the operator must see. key: the same thing is raised once until it clears."""

    key: str
    text: str
    task: str | None = None
    severity: str = "warning"


Action = StartRun | StopRun | SkipSlot | RaiseAlert


class Room(NamedTuple):
    """What a pool other than the local one has: slots, and MB of memory."""

    slots: int
    memory_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the box has, as seen at one instant. MB; None: unknown, which is never taken for fine.

    total_mb: memory of the pool; available_mb: what the kernel says a new process could get now.
    slots: cores of the pool. used_mb: resident memory of each run, by run id.
    clock_synced, network_up, too_hot: None when unknown. broker: whether a broker is configured.
    pressure: PSI memory avg10 in percent, None when the kernel has none. pools: room elsewhere, by name.
    """

    total_mb: float
    available_mb: float
    slots: int = 1
    used_mb: Mapping[str, float] = field(default_factory=dict)
    clock_synced: bool | None = True
    network_up: bool | None = True
    too_hot: bool | None = None
    temperature_c: float | None = None
    broker: bool = False
    pressure: float | None = None
    pools: Mapping[str, Room] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The numbers that decisions turn on.

    reserve_mb: never given away. duty_reserve_mb, duty_slots: kept free for duties in TRADING and PREP.
    high_quantile: of the predicted duration, for gates. finish_probability: least chance of finishing that a
        backfill needs. alert_probability: chance of missing a deadline that raises the alert before the miss.
    stop_grace: from SIGTERM to SIGKILL. rise_every: a task passed over this long rises one step.
    """

    reserve_mb: float = 300.0
    duty_reserve_mb: float = 200.0
    duty_slots: int = 1
    high_quantile: float = 0.9
    finish_probability: float = 0.8
    alert_probability: float = 0.3
    stop_grace: timedelta = timedelta(seconds=20)
    rise_every: timedelta = timedelta(hours=2)
    max_temperature_c: float = 80.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a flag setting decides: which gates apply, and where slots come from.

    timetable: cron expressions (local time) and minutes allowed, by task; None: slots come from the specs.
        Tasks of research that it does not name never start.
    by_mode: modes and budgets hold (fit, reservation, backfill, extension, checkpoint at PREP).
    """

    name: str
    rules: Rules = Rules()
    timetable: Mapping[str, TimetableEntry] | None = None
    by_mode: bool = True
    backfill: bool = True
    reserve: bool = True
    extend: bool = True
    learn: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TimetableEntry:
    """One line of the fixed timetable. minutes: the longest it may run; None: the spec's timeout."""

    cron: str
    minutes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one turn chose. wake_at: the next instant at which anything could change without an event.
    polls: a gate that clears outside us (memory, network, heat, clock) blocks something."""

    at: datetime
    stretch: Stretch
    budget: ResearchBudget
    actions: tuple[Action, ...]
    blocked: Mapping[str, Blocked]
    wake_at: datetime
    polls: bool = False

    @property
    def mode(self) -> OperatingMode:
        return self.stretch.mode

    @property
    def window(self) -> TimeWindow:
        return self.stretch.window

    @property
    def starts(self) -> tuple[StartRun, ...]:
        return tuple(a for a in self.actions if isinstance(a, StartRun))

    @property
    def stops(self) -> tuple[StopRun, ...]:
        return tuple(a for a in self.actions if isinstance(a, StopRun))
