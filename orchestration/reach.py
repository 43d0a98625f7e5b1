"""Whether a task can ever run: its days, windows, phases and modes laid over the calendar. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from orchestration import windows
from orchestration.market_calendar import Calendars
from orchestration.sessions import local_midnight
from orchestration.types import Interval, OperatingMode, ShortDay, Stretch, TaskSpec

HORIZON_DAYS = 400
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)


class Timeline:
    """The box's stretches over the 400 days from `first`, worked out only as far as they are asked for."""

    def __init__(self, calendars: Calendars, first: date) -> None:
        self.calendars = calendars
        self.first = first
        self._stretches: list[Stretch] = []
        self._starts: list[datetime] = []
        self._next = local_midnight(first, calendars.home.zone)

    def overlapping(self, start: datetime, end: datetime) -> Iterator[Stretch]:
        """Yield the stretches that share an instant with [start, end), in order."""
        at = max(0, bisect_right(self._starts, start) - 1)
        while True:
            if at == len(self._stretches):
                self._extend()
            stretch = self._stretches[at]
            if stretch.start >= end:
                return
            if stretch.end > start:
                yield stretch
            at += 1

    def _extend(self) -> None:
        stretch = self.calendars.stretch(self._next)
        self._stretches.append(stretch)
        self._starts.append(stretch.start)
        self._next = stretch.end


def can_run(spec: TaskSpec, timeline: Timeline) -> bool | None:
    """Whether `spec` has an instant to run at within 400 days; None: the session tables end too early."""
    is_known = True
    for day in (timeline.first + i * DAY for i in range(HORIZON_DAYS)):
        for span, stretch in _spans(spec, day, timeline):
            if not stretch.is_known:
                is_known = False
            elif _has_slot(spec, day, span, timeline.calendars):
                return True
        is_known = is_known and timeline.calendars.exchange(spec.calendar).covers(day)
    return False if is_known else None


def _spans(spec: TaskSpec, day: date, timeline: Timeline) -> Iterator[tuple[Interval, Stretch]]:
    """Yield the parts of `day`'s window that lie in the phases and modes of `spec`."""
    modes = frozenset(spec.modes) or (
        frozenset({OperatingMode.RESEARCH}) if spec.is_research else frozenset()
    )
    for whole in intervals_on(spec, day, timeline.calendars)[0]:
        for stretch in timeline.overlapping(whole.start, whole.end):
            fits = (not spec.phases or stretch.phase in spec.phases) and (not modes or stretch.mode in modes)
            if fits or not stretch.is_known:
                yield Interval(max(whole.start, stretch.start), min(whole.end, stretch.end)), stretch


def intervals_on(spec: TaskSpec, day: date, calendars: Calendars) -> tuple[tuple[Interval, ...], str | None]:
    """Return when `spec` may run on `day` as far as `on`, `short_day` and `window` say, or why it may not."""
    exchange = calendars.exchange(spec.calendar)
    session = exchange.on(day)
    if not windows.matches(windows.parse_on(spec.on), day, exchange):
        return (), f"{day} is not one of its days"
    if spec.short_day is ShortDay.SKIP and session is not None and session.is_early_close:
        return (), f"{day} closes early"
    if spec.window is not None:
        return windows.window_on(windows.parse_window(spec.window), day, exchange, calendars)
    return (Interval(local_midnight(day, exchange.zone), local_midnight(day + DAY, exchange.zone)),), None


def _has_slot(spec: TaskSpec, day: date, span: Interval, calendars: Calendars) -> bool:
    """Whether a slot of `spec` lies in `span`; a task without `at` and `cron` may start anywhere in it."""
    exchange = calendars.exchange(spec.calendar)
    if spec.at is not None:
        instant = windows.instant_on(windows.parse_instant(spec.at), day, exchange, calendars)[0]
        return instant is not None and instant in span
    if spec.cron is not None:
        fires = windows.cron_next(spec.cron, span.start - TICK, exchange.zone)
        return fires is not None and fires in span
    return True


def empty_days(spec: TaskSpec, first: date, calendars: Calendars) -> tuple[date, ...]:
    """Return the days of the 400 from `first` on which the task's window, or its `at`, has no instant."""
    exchange = calendars.exchange(spec.calendar)
    on = windows.parse_on(spec.on)
    if spec.window is not None:
        return tuple(windows.check(windows.parse_window(spec.window), on, first, exchange, calendars))
    if spec.at is not None:
        return tuple(windows.check(windows.parse_instant(spec.at), on, first, exchange, calendars))
    return ()
