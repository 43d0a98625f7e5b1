"""Specs made ready for the hot path: expressions parsed once, sets frozen, caches by day. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from orchestration.decisions import Policy
from orchestration.market_calendar import Calendars, Sessions
from orchestration.types import Interval, OperatingMode, TaskCategory, TaskSpec

RESEARCH_ONLY = frozenset({OperatingMode.RESEARCH.value})


@dataclass(slots=True)
class CompiledSpec:
    """A spec with its expressions parsed and its sets ready for the hot path; holds caches by day."""

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
