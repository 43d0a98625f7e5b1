"""Where a task may run (modes, phases, days, windows), with the reason and the next instant if not. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta

from orchestration import windows
from orchestration.compiled import CompiledSpec, KnownPlace, Place
from orchestration.decisions import RANK, Gate, Reason
from orchestration.market_calendar import Calendars
from orchestration.types import Interval, ShortDay, Stretch

ONE_DAY = timedelta(days=1)
LOOK_AHEAD_DAYS = 10
FAR = datetime.max.replace(tzinfo=UTC)


def find_place(c: CompiledSpec, now: datetime, calendars: Calendars, ahead: Sequence[Stretch]) -> Place:
    """Return whether `c` may run where `now` is, and if not why. ahead: as for `slots.timing`."""
    known = c.place
    if known is None or not known.since <= now < known.until or known.farthest is not ahead[-1]:
        place = _place(c, now, calendars, ahead)
        # Each local day looks at the windows of the days around it.
        tomorrow = windows.resolve_local(
            datetime.combine(c.exchange.local_date(now) + ONE_DAY, time()), c.exchange.zone
        )
        known = c.place = KnownPlace(place, now, min(place.valid_until, tomorrow), ahead[-1])
    return known.place


def _place(c: CompiledSpec, now: datetime, calendars: Calendars, ahead: Sequence[Stretch]) -> Place:
    stretch = ahead[0]
    failures: list[Gate] = []
    if c.modes and stretch.mode.value not in c.modes:
        detail = f"runs in {_listed(c.modes)}; the mode is {stretch.mode}"
        clears = next_start(ahead, lambda s: s.mode.value in c.modes)
        failures.append(Gate(Reason.WRONG_MODE, False, detail, clears_at=clears))
    if c.phases and stretch.phase.value not in c.phases:
        detail = f"runs in {_listed(c.phases)}; the phase is {stretch.phase}"
        clears = next_start(ahead, lambda s: s.phase.value in c.phases)
        failures.append(Gate(Reason.WRONG_PHASE, False, detail, clears_at=clears))
    start, end, change = stretch.window.start or stretch.start, stretch.end, stretch.end
    interval, gate, day_change = _interval_at(c, now, calendars)
    change = min(change, day_change)
    if interval is not None:
        start, end = interval.start, interval.end
    elif gate is not None:
        failures.append(gate)
    clears_at = [g.clears_at for g in failures]
    next_at = max((t for t in clears_at if t is not None), default=None)
    return Place(tuple(sorted(failures, key=_rank)), change, start, end, next_at)


def _rank(gate: Gate) -> int:
    return RANK[gate.reason]


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def next_start(ahead: Sequence[Stretch], wanted: Callable[[Stretch], bool]) -> datetime | None:
    return next((s.start for s in ahead[1:] if wanted(s)), None)


def _interval_at(
    c: CompiledSpec, now: datetime, calendars: Calendars
) -> tuple[Interval | None, Gate | None, datetime]:
    """Return the window's interval at `now`, else the gate that says why there is none; and until when."""
    if c.timetabled or (c.spec.window is None and c.spec.on == "all" and c.spec.short_day is ShortDay.RUN):
        return None, None, FAR
    today = c.exchange.local_date(now)
    why: str | None = None
    skips = ""
    for offset in (-1, 0, 1):
        intervals, reason = intervals_on(c, today + offset * ONE_DAY, calendars)
        if offset == 0:
            why = reason
            skips = today.isoformat() if not intervals and _is_short_of(c, today) else ""
        for interval in intervals:
            if interval.start <= now < interval.end:
                return interval, None, interval.end
    next_start = _next_interval_start(c, now, today, calendars)
    tomorrow = windows.resolve_local(datetime.combine(today + ONE_DAY, time()), c.exchange.zone)
    detail = why or f"outside {c.spec.window or c.spec.on}"
    gate = Gate(Reason.OUTSIDE_WINDOW, False, detail, clears_at=next_start, skips=skips)
    return None, gate, min(t for t in (next_start, tomorrow) if t is not None)


def _is_short_of(c: CompiledSpec, day: date) -> bool:
    """Whether a day on which the task would run, and with a session, has no instant of its window."""
    on_its_day = c.spec.on == "all" or windows.matches(windows.parse_on(c.spec.on), day, c.exchange)
    return c.spec.window is not None and on_its_day and c.exchange.on(day) is not None


def _next_interval_start(
    c: CompiledSpec, now: datetime, today: date, calendars: Calendars
) -> datetime | None:
    for offset in range(-1, LOOK_AHEAD_DAYS):
        for interval in intervals_on(c, today + offset * ONE_DAY, calendars)[0]:
            if interval.start > now:
                return interval.start
    return None


def intervals_on(c: CompiledSpec, day: date, calendars: Calendars) -> tuple[tuple[Interval, ...], str | None]:
    """Return when `c` may run on `day` as far as its days and its window say, or why it may not."""
    known = c.days.get(day)
    if known is None:
        if len(c.days) > 40:
            c.days.clear()
        known = c.days[day] = _computed_intervals(c, day, calendars)
    return known


def _computed_intervals(
    c: CompiledSpec, day: date, calendars: Calendars
) -> tuple[tuple[Interval, ...], str | None]:
    refused = day_refused(c, day)
    if refused is not None:
        return (), refused
    if c.spec.window is None:
        zone = c.exchange.zone
        start = windows.resolve_local(datetime.combine(day, time()), zone)
        return (Interval(start, windows.resolve_local(datetime.combine(day + ONE_DAY, time()), zone)),), None
    return windows.window_on(windows.parse_window(c.spec.window), day, c.exchange, calendars)


def day_refused(c: CompiledSpec, day: date) -> str | None:
    if c.spec.on != "all" and not windows.matches(windows.parse_on(c.spec.on), day, c.exchange):
        return f"{day} is not one of its days ({c.spec.on})"
    if c.spec.short_day is ShortDay.SKIP:
        session = c.exchange.on(day)
        if session is not None and session.is_early_close:
            return f"{day} closes early and short_day = skip"
    return None
