"""The research windows of a simulated stretch, its modes, and the time that runs cover of them. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import attrgetter

from orchestration.market_calendar import Calendars
from orchestration.types import Interval, OperatingMode

BUDGET_TYPES = ("overnight", "weekend", "holiday", "holiday_weekend")
NO_TIME = timedelta(0)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchWindow:
    """The RESEARCH hours of one closed window.

    cycle: the trading day it leads up to; kind: its budget type. start, prep: when research begins and PREP
    ends it. open, close: the same, cut to the simulated stretch.
    """

    cycle: date
    kind: str
    start: datetime
    prep: datetime
    open: datetime
    close: datetime

    @property
    def name(self) -> str:
        """Its name in reports, as `2026-11-20/overnight`."""
        return f"{self.cycle}/{self.kind}"

    @property
    def is_whole(self) -> bool:
        """Whether all of it was simulated."""
        return self.open == self.start and self.close == self.prep

    @property
    def hours(self) -> float:
        """The simulated research hours in it."""
        return (self.close - self.open) / HOUR


@dataclass(frozen=True, slots=True)
class ModeSpan:
    """A stretch of one operating mode."""

    start: datetime
    end: datetime
    mode: OperatingMode


def mode_spans(calendars: Calendars, begin: datetime, end: datetime) -> list[ModeSpan]:
    """Return the modes of [begin, end) in order, neighbours of the same mode as one."""
    found: list[ModeSpan] = []
    at = begin
    while at < end:
        stretch = calendars.stretch(at)
        until = min(stretch.end, end)
        if found and found[-1].mode is stretch.mode:
            at, found[-1] = until, ModeSpan(found[-1].start, until, stretch.mode)
        else:
            found.append(ModeSpan(at, until, stretch.mode))
            at = until
    return found


def research_windows(calendars: Calendars, begin: datetime, end: datetime) -> list[ResearchWindow]:
    """Return the windows of which some research time lies in [begin, end), the first first."""
    found: dict[date, ResearchWindow] = {}
    at = begin
    while at < end:
        stretch = calendars.stretch(at)
        at = stretch.end
        start, prep = max(stretch.research_start, begin), min(stretch.prep_start, end)
        if stretch.mode is OperatingMode.RESEARCH and stretch.is_known and start < prep:
            found[stretch.cycle] = ResearchWindow(
                cycle=stretch.cycle,
                kind=stretch.budget_type,
                start=stretch.research_start,
                prep=stretch.prep_start,
                open=start,
                close=prep,
            )
    return list(found.values())


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Return disjoint intervals in order that cover the same time."""
    found: list[Interval] = []
    for interval in sorted(intervals, key=attrgetter("start", "end")):
        if found and interval.start <= found[-1].end:
            found[-1] = Interval(found[-1].start, max(found[-1].end, interval.end))
        elif interval.start < interval.end:
            found.append(interval)
    return found


def covered(disjoint: Sequence[Interval], start: datetime, end: datetime) -> timedelta:
    """Return how much of [start, end) is covered by disjoint intervals in order."""
    first = max(0, bisect_right(disjoint, start, key=attrgetter("start")) - 1)
    total = NO_TIME
    for interval in disjoint[first:]:
        if interval.start >= end:
            break
        total += max(NO_TIME, min(interval.end, end) - max(interval.start, start))
    return total


def by_mode(
    spans: Sequence[ModeSpan], start: datetime, end: datetime
) -> Iterator[tuple[OperatingMode, float]]:
    """Yield the hours of [start, end) in each of the modes that it touches."""
    for span in spans[max(0, bisect_right(spans, start, key=attrgetter("start")) - 1) :]:
        if span.start >= end:
            break
        hours = (min(span.end, end) - max(span.start, start)) / HOUR
        if hours > 0:
            yield span.mode, hours
