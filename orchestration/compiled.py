"""Specs made ready for the hot path: expressions parsed once, sets frozen, caches by day. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

from orchestration.decisions import Gate, Policy, Prediction
from orchestration.market_calendar import Calendars, Sessions
from orchestration.runs import Estimate
from orchestration.types import Interval, OperatingMode, Stretch, TaskCategory, TaskSpec

RESEARCH_ONLY = frozenset({OperatingMode.RESEARCH.value})


class Place(NamedTuple):
    """Whether a task may run where now is (no failures), or why not; true until `valid_until`.

    start, end: of the stretch of time in which it may run now. next_at: when it may at the earliest.
    """

    failures: tuple[Gate, ...]
    valid_until: datetime
    start: datetime
    end: datetime | None
    next_at: datetime | None = None


class KnownPlace(NamedTuple):
    """A place found before: it holds from `since` to `until`, with the same look ahead."""

    place: Place
    since: datetime
    until: datetime
    farthest: Stretch


class Needs(NamedTuple):
    """What a run is expected to need, by what was learned: MB to promise to it, and minutes."""

    estimate: Estimate
    memory_mb: float
    prediction: Prediction


@dataclass(slots=True)
class CompiledSpec:
    """A spec with its expressions parsed and its sets ready for the hot path.

    days, deadlines, place, needs: what was worked out before, kept while it holds.
    """

    spec: TaskSpec
    name: str
    modes: frozenset[str]
    phases: frozenset[str]
    exchange: Sessions
    cron: str | None
    every: timedelta | None
    timetabled: bool
    timetable_minutes: float | None
    unnamed: bool
    needs_calendar: bool
    is_duty: bool
    is_research: bool
    chain: int = 0
    conflicts: frozenset[str] = frozenset()
    days: dict[date, tuple[tuple[Interval, ...], str | None]] = field(default_factory=dict)
    deadlines: dict[datetime, datetime | None] = field(default_factory=dict)
    place: KnownPlace | None = None
    needs: Needs | None = None


def compile_spec(spec: TaskSpec, calendars: Calendars, policy: Policy) -> CompiledSpec:
    """Parse what `spec` says once. Raises WhenError or CalendarError, unless the registry checked it."""
    entry = policy.timetable.get(spec.name) if policy.timetable is not None else None
    by_spec = entry is None
    modes = frozenset(spec.modes) if by_spec and policy.by_mode else frozenset()
    if policy.by_mode and spec.is_research and not modes:
        modes = RESEARCH_ONLY
    return CompiledSpec(
        spec=spec,
        name=spec.name,
        modes=modes,
        phases=frozenset(spec.phases) if by_spec else frozenset(),
        exchange=calendars.exchange(spec.calendar),
        cron=spec.cron if entry is None else entry.cron,
        every=spec.every if by_spec else None,
        timetabled=not by_spec,
        timetable_minutes=entry.minutes if entry else None,
        unnamed=policy.timetable is not None and by_spec and spec.is_research,
        needs_calendar=spec.category in (TaskCategory.TRADING, TaskCategory.RISK) or "broker" in spec.needs,
        is_duty=spec.is_duty,
        is_research=spec.is_research,
    )


def conflicts_of(specs: Mapping[str, TaskSpec]) -> dict[str, frozenset[str]]:
    """Return each task's conflicts, symmetric, itself included."""
    found = {name: {name, *spec.conflicts} for name, spec in specs.items()}
    for name, spec in specs.items():
        for other in spec.conflicts:
            if other in found:
                found[other].add(name)
    return {name: frozenset(others) for name, others in found.items()}


def chain_lengths(specs: Mapping[str, TaskSpec]) -> dict[str, int]:
    """Return how many tasks, one after another, wait behind each task."""
    behind: dict[str, list[str]] = {name: [] for name in specs}
    for name, spec in specs.items():
        for dependency in spec.dependencies:
            behind.setdefault(dependency, []).append(name)
    lengths: dict[str, int] = {}

    def length(name: str) -> int:
        if name not in lengths:
            lengths[name] = 0
            lengths[name] = max((1 + length(other) for other in behind[name]), default=0)
        return lengths[name]

    return {name: length(name) for name in specs}
