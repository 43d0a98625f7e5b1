"""The meters of a simulated stretch: each follows one question and keeps a few figures, no events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestration.decisions import RANK, Blocked, Reason, SkipSlot, StartRun
from orchestration.runs import Outcome, RunKey
from orchestration.simulation.research_windows import (
    BUDGET_TYPES,
    HOUR,
    ModeSpan,
    ResearchWindow,
    by_mode,
    covered,
    union,
)
from orchestration.types import Interval, OperatingMode, TaskSpec

WAITING = frozenset(reason for reason in Reason if RANK[reason] >= RANK[Reason.BACKOFF])
"""Reasons of a task that is due."""
NOT_READY = frozenset(
    {
        Reason.BACKOFF,
        Reason.DEPENDENCY_FAILED,
        Reason.DEPENDENCY,
        Reason.CONFLICT,
        Reason.MEMORY,
        Reason.SLOTS,
    }
)
"""Reasons for which hours pass idle without anything to be said against it."""
STARVED_HOURS = 24.0
SHORT = timedelta(minutes=10)
"""What recurs more often is left out of a timeline."""
ROUNDING_MB = 1e-6
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the simulated box has. MB; reserve_mb: never promised; foreign_mb: taken by others."""

    slots: int
    total_mb: float
    foreign_mb: float
    reserve_mb: float

    @property
    def promised_most_mb(self) -> float:
        """The most that may be promised to runs at once."""
        return self.total_mb - self.foreign_mb - self.reserve_mb

    @property
    def used_most_mb(self) -> float:
        """The most that runs can use at once."""
        return self.total_mb - self.foreign_mb


@dataclass
class ResearchMeter:
    """The spans of useful research runs, and what they cover of the research windows."""

    windows: Sequence[ResearchWindow]
    core: list[Interval] = field(default_factory=list)
    filler: list[Interval] = field(default_factory=list)

    def note_useful(self, spec: TaskSpec, span: Interval) -> None:
        """A run of research succeeded or checkpointed."""
        (self.filler if spec.opportunistic else self.core).append(span)

    def share_of(self, window: ResearchWindow) -> float:
        """Return the share of one window's simulated hours that was used."""
        used = covered(union([*self.core, *self.filler]), window.open, window.close)
        return used / (window.close - window.open)

    def report(self) -> dict[str, object]:
        """Return research hours by budget type, and the shares of them in use; None of a type there is not.

        The union of the spans: two runs at once use an hour once.
        """
        everything, core = union([*self.core, *self.filler]), union(self.core)
        hours, used, by_core = (dict.fromkeys((*BUDGET_TYPES, "all"), 0.0) for _ in range(3))
        for window in self.windows:
            for kind in (window.kind, "all"):
                hours[kind] += window.hours
                used[kind] += covered(everything, window.open, window.close) / HOUR
                by_core[kind] += covered(core, window.open, window.close) / HOUR
        kinds = [kind for kind in hours if hours[kind]]
        none = dict.fromkeys(hours)
        return {
            "utilisation": none | {kind: used[kind] / hours[kind] for kind in kinds},
            "core_utilisation": none | {kind: by_core[kind] / hours[kind] for kind in kinds},
            "filler_utilisation": none | {kind: (used[kind] - by_core[kind]) / hours[kind] for kind in kinds},
            "research_hours": hours,
        }


@dataclass
class DutyMeter:
    """How late duties start, and whether research is why.

    A duty is late if it starts later than its instant and the spec's tolerance. Where its slot has no instant
    (once in a window), it is due when nothing but others' runs stands in its way any more. It is late because
    of research if, while it waited for room or for a conflict, a research run was under way. One that waited
    for all of its tolerance and then could no longer be started is late, too.
    """

    late: int = 0
    late_for_research: int = 0
    worst_s: dict[str, float] = field(default_factory=dict)
    _since: dict[str, datetime] = field(default_factory=dict)
    _known: dict[str, TaskSpec] = field(default_factory=dict)
    _held: set[str] = field(default_factory=set)

    def note_start(self, spec: TaskSpec, start: StartRun, at: datetime) -> None:
        """A duty has started."""
        since = self._since.pop(spec.name, at)
        self._known.pop(spec.name, None)
        lateness = at - (since if start.due_at is None else start.due_at)
        self.worst_s[spec.name] = max(lateness.total_seconds(), self.worst_s.get(spec.name, 0.0))
        self._judge(spec, lateness > spec.tolerance)

    def note_turn(self, waiting: Mapping[str, TaskSpec], at: datetime, beside_research: bool) -> None:
        """These duties wait for others' runs after a turn, and no others do."""
        if not waiting and not self._since:
            return  # as after nearly every turn of a year
        for task in [task for task in self._since if task not in waiting]:
            spec = self._known.pop(task)
            self._judge(spec, at - self._since.pop(task) >= spec.tolerance)
        for task, spec in waiting.items():
            self._since.setdefault(task, at)
            self._known[task] = spec
            if beside_research:
                self._held.add(task)

    def _judge(self, spec: TaskSpec, is_late: bool) -> None:
        self.late += is_late
        self.late_for_research += is_late and spec.name in self._held
        self._held.discard(spec.name)


@dataclass
class WaitMeter:
    """Hours in which due tasks waited, by their first reason; and who was starved."""

    hours: dict[Reason, float] = field(default_factory=lambda: defaultdict(float))
    idle_hours: float = 0.0
    _passed_over: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _longest: dict[str, float] = field(default_factory=dict)

    def note_start(self, task: str) -> None:
        """A task has started: what it waited until now is over."""
        self._passed_over.pop(task, None)

    def note_passed(self, waiting: Iterable[Blocked], hours: float) -> None:
        """So many hours have passed in which these tasks were due and waited."""
        for blocked in waiting:
            self.hours[blocked.reason] += hours
            if blocked.waits_its_turn:
                waited = self._passed_over[blocked.task] = self._passed_over[blocked.task] + hours
                self._longest[blocked.task] = max(waited, self._longest.get(blocked.task, 0.0))

    def starved(self, specs: Mapping[str, TaskSpec]) -> list[str]:
        """Return the tasks that were passed over for more than 24 h of their own windows before they
        started. What only fills time left over has no claim and is not among them."""
        long = (task for task, hours in self._longest.items() if hours > STARVED_HOURS)
        return sorted(task for task in long if not specs[task].opportunistic)


@dataclass
class BoxMeter:
    """Memory and slots over time."""

    room: Room
    memory_conflicts: int = 0
    promised_peak_mb: float = 0.0
    used_peak_mb: float = 0.0
    available_least_mb: float = float("inf")
    _seconds: float = 0.0
    _promised_mb_s: float = 0.0
    _used_slot_s: float = 0.0
    _research_s: float = 0.0
    _research_slot_s: float = 0.0

    def note_turn(self, promised_mb: float, used_mb: float, available_mb: float) -> None:
        """After a turn so much is promised to the running ones; before it they used so much."""
        self.promised_peak_mb = max(self.promised_peak_mb, promised_mb)
        self.available_least_mb = min(self.available_least_mb, available_mb)
        self.memory_conflicts += (
            promised_mb > self.room.promised_most_mb + ROUNDING_MB
            or used_mb > self.room.used_most_mb + ROUNDING_MB
        )

    def note_use(self, used_mb: float) -> None:
        """So much is used between two turns."""
        self.used_peak_mb = max(self.used_peak_mb, used_mb)
        self.available_least_mb = min(self.available_least_mb, max(0.0, self.room.used_most_mb - used_mb))
        self.memory_conflicts += used_mb > self.room.used_most_mb + ROUNDING_MB

    def note_passed(self, seconds: float, promised_mb: float, slots: int, in_research: bool) -> None:
        """So many seconds have passed with so much promised and so many slots taken."""
        self._seconds += seconds
        self._promised_mb_s += seconds * promised_mb
        self._used_slot_s += seconds * slots
        if in_research:
            self._research_s += seconds
            self._research_slot_s += seconds * slots

    def report(self) -> dict[str, object]:
        """Return memory and slots; None where no time has passed."""
        mean_used = self._used_slot_s / self._seconds if self._seconds else None
        research_used = self._research_slot_s / self._research_s if self._research_s else None
        slots = self.room.slots
        return {
            "memory": {
                "promised_peak_mb": self.promised_peak_mb,
                "promised_mean_mb": self._promised_mb_s / self._seconds if self._seconds else None,
                "available_least_mb": self.available_least_mb,
            },
            "slots": {
                "mean_used": mean_used,
                "share": None if mean_used is None else mean_used / slots,
                "research_share": None if research_used is None else research_used / slots,
            },
        }


@dataclass
class DeadlineMeter:
    """Occasions with a deadline: met if a run of theirs succeeded by it."""

    met: int = 0
    missed: int = 0
    _open: dict[str, tuple[RunKey, datetime]] = field(default_factory=dict)

    def note_start(self, start: StartRun) -> None:
        """A run with a deadline has started."""
        assert start.must_end_by is not None
        known = self._open.get(start.key.task)
        if known is not None and known[0][:3] != start.key[:3]:
            self.missed += 1
        self._open[start.key.task] = start.key, start.must_end_by

    def note_end(self, task: str, at: datetime, outcome: Outcome) -> None:
        """A run with a deadline has ended; after a failure its occasion may still be met."""
        known = self._open.get(task)
        if known is not None and outcome is Outcome.SUCCEEDED:
            self.met += at <= known[1]
            self.missed += at > known[1]
            del self._open[task]

    def note_skip(self, skip: SkipSlot) -> None:
        """A slot is not run because its deadline has passed."""
        if skip.gate.reason is Reason.DEADLINE_PASSED:
            self._open.pop(skip.task, None)
            self.missed += 1

    def finish(self, at: datetime) -> None:
        """The stretch is over: what is open and past its deadline was missed."""
        self.missed += sum(deadline < at for _, deadline in self._open.values())
        self._open.clear()


@dataclass
class IntrusionMeter:
    """Research runs in hours that are not for research."""

    spans: Sequence[ModeSpan]
    runs: int = 0
    hours: dict[OperatingMode, float] = field(default_factory=lambda: defaultdict(float))

    def note_end(self, start: datetime, end: datetime) -> None:
        """A research run has ended."""
        outside = [
            (mode, hours)
            for mode, hours in by_mode(self.spans, start, end)
            if mode is not OperatingMode.RESEARCH
        ]
        self.runs += bool(outside)
        for mode, hours in outside:
            self.hours[mode] += hours

    def report(self) -> dict[str, object]:
        """Return the hours by mode, and how many runs there were."""
        return {
            "trading_hours": self.hours[OperatingMode.TRADING],
            "prep_hours": self.hours[OperatingMode.PREP],
            "runs": self.runs,
        }


@dataclass
class Timeline:
    """The runs and modes of one chosen stretch, without what recurs every few minutes."""

    chosen: Interval
    spans: Sequence[ModeSpan]
    runs: list[dict[str, str]] = field(default_factory=list)

    def note_end(self, spec: TaskSpec, kind: str, start: datetime, end: datetime, outcome: str) -> None:
        """A run has ended, or the simulation has with it under way."""
        if start >= self.chosen.end or end <= self.chosen.start or (spec.every and spec.every < SHORT):
            return
        self.runs.append(
            {
                "task": spec.name,
                "start": start.isoformat(),
                "end": end.isoformat(),
                "kind": kind,
                "outcome": outcome,
            }
        )

    def report(self) -> dict[str, object]:
        """Return it, with runs in the order of their starts; modes are cut to it, runs are not."""
        chosen = self.chosen
        touched = [span for span in self.spans if span.start < chosen.end and span.end > chosen.start]
        return {
            "from": chosen.start.isoformat(),
            "to": chosen.end.isoformat(),
            "runs": sorted(self.runs, key=lambda run: (run["start"], run["task"])),
            "modes": [
                {
                    "mode": span.mode.value,
                    "start": max(span.start, chosen.start).isoformat(),
                    "end": min(span.end, chosen.end).isoformat(),
                }
                for span in touched
            ],
        }
