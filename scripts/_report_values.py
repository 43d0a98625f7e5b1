"""What a report is made of, and how its figures are written. Standard library only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from hardware.health import BoxHealth
from observability.report_document import FAIL, INFO, OK, WARN
from observability.report_facts import Facts, RunFact
from orchestration.types import Session
from trading.marketdata.findings import Finding
from trading.marketdata.index import Entry

LEVELS = {
    "succeeded": OK,
    "checkpointed": OK,
    "interrupted": WARN,
    "killed": WARN,
    "failed": FAIL,
    "timed_out": FAIL,
    "out_of_memory": FAIL,
    "unknown": FAIL,
}


class Window(NamedTuple):
    """A research window [start, prep), named by the trading day it leads up to."""

    name: str
    start: datetime
    prep: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All that a report is made of. windows: research windows that ended in its time, the oldest first.

    next_session: None when the calendar does not know. zone: in which instants are shown.
    """

    since: datetime
    until: datetime
    now: datetime
    zone: ZoneInfo
    facts: Facts
    window_runs: Mapping[str, Sequence[RunFact]]
    windows: Sequence[Window]
    bars: Mapping[str, Entry]
    findings: Sequence[Finding]
    health: BoxHealth
    next_session: Session | None


def share_busy(runs: Iterable[RunFact], window: Window, now: datetime) -> timedelta:
    """Return how long at least one of `runs` was going inside `window` (a run still open: until `now`)."""
    spans = sorted(
        (max(run.started_at, window.start), min(run.ended_at or now, window.prep))
        for run in runs
        if run.started_at is not None
    )
    busy, reached = timedelta(0), window.start
    for start, end in spans:
        if end > reached:
            busy += end - max(start, reached)
            reached = end
    return busy


def by_task(runs: Iterable[RunFact]) -> dict[str, list[RunFact]]:
    groups: dict[str, list[RunFact]] = defaultdict(list)
    for run in runs:
        groups[run.task].append(run)
    return groups


def level_of(run: RunFact) -> str:
    return LEVELS.get(run.outcome or "", INFO if run.status != "ended" else WARN)


def some_of(symbols: Sequence[str]) -> str:
    return ", ".join(symbols[:12]) + (f" and {len(symbols) - 12} more" if len(symbols) > 12 else "")


def shown(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).strftime("%a %Y-%m-%d %H:%M")


def shown_short(instant: datetime | None, zone: ZoneInfo) -> str:
    """Shown in a narrow column: not broken over lines."""
    return (
        "–" if instant is None else instant.astimezone(zone).strftime("%a %m-%d %H:%M").replace(" ", "\u00a0")
    )


def shown_seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else shown_span(timedelta(seconds=seconds))


def shown_span(duration: timedelta) -> str:
    minutes, seconds = divmod(round(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
