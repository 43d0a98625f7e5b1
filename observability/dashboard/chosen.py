"""Which past stretch is looked at: the closed window before a trading day, or that day. Values alone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from observability.dashboard.timeline import Span
from orchestration.market_calendar import Calendars
from orchestration.sessions import local_midnight
from orchestration.simulation.research_windows import mode_spans
from orchestration.types import Stretch

WINDOW, DAY = "window", "day"
PARTS: Mapping[str, str] = {WINDOW: "the closed window before it", DAY: "the trading day"}
ONE_DAY = timedelta(days=1)
JUST = timedelta(microseconds=1)
FIRST_YEAR, LAST_YEAR = 1900, 2999
"""The years that can be asked for: beside the very last date that there is lies no other one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The stretch [start, end) of a part of a cycle.

    day: the cycle's trading day, or a date beyond the calendar. part: of `PARTS`. kind: the window's budget
    type, empty for a trading day and where the calendar is not known. before, after: the neighbours' days.
    """

    day: date
    part: str
    start: datetime
    end: datetime
    kind: str
    before: date | None
    after: date | None

    @property
    def title(self) -> str:
        """Its name for people."""
        if self.part == DAY:
            return f"Trading day {self.day:%a %Y-%m-%d}"
        kind = f"{self.kind.replace('_', ' ')} window" if self.kind else "closed hours"
        return f"{kind[:1].upper()}{kind[1:]} before {self.day:%a %Y-%m-%d}"

    def spans(self, calendars: Calendars) -> list[Span]:
        """Return its modes for the timeline."""
        return [
            Span(start=span.start, end=span.end, name=span.mode.value, shaded=span.mode.value == "prep")
            for span in mode_spans(calendars, self.start, self.end)
        ]


def choose(calendars: Calendars, now: datetime, day: str = "", part: str = "") -> Chosen:
    """Return the stretch that a reader asks for; without a day the last window that is over.

    day: an ISO date; one without a session means the next that has one.

    Raises:
        LookupError: if `day` is no date, or `part` no part; the message says what was expected.
    """
    if part and part not in PARTS:
        raise LookupError(f"there is no part {part[:20]!r} of a cycle: expected {' or '.join(PARTS)}")
    try:
        wanted = date.fromisoformat(day) if day else None
    except ValueError:
        raise LookupError(f"{day[:20]!r} is no date: expected one as 2026-11-20") from None
    if wanted is not None and not FIRST_YEAR <= wanted.year <= LAST_YEAR:
        raise LookupError(f"{day} is too far away: expected a year from {FIRST_YEAR} to {LAST_YEAR}")
    days = [session.day for session in calendars.home.table]
    at = _last_over(calendars, now) if wanted is None else bisect_left(days, wanted)
    if not 0 <= at < len(days):
        return _unknown(calendars, wanted or now.astimezone(calendars.home.zone).date(), days)
    return _known(calendars, at, part or WINDOW)


def _last_over(calendars: Calendars, now: datetime) -> int:
    """Return the index of the trading day whose window was the last to end; -1 if there is none."""
    home = calendars.home
    at = bisect_left(home.closes, now)
    if at < len(home.table) and calendars.pre(home.table[at], home) <= now:
        return at
    return min(at, len(home.table)) - 1


def _known(calendars: Calendars, at: int, part: str) -> Chosen:
    home = calendars.home
    session = home.table[at]
    pre, kind = calendars.pre(session, home), ""
    if part == DAY:
        start, end = pre, calendars.post(session)
    else:
        night = calendars.stretch(pre - JUST)
        start, end, kind = _window(night)
    days = [each.day for each in home.table[max(0, at - 1) : at + 2]]
    return Chosen(
        day=session.day,
        part=part,
        start=start,
        end=end,
        kind=kind,
        before=days[0] if at > 0 else None,
        after=days[-1] if at + 1 < len(home.table) else None,
    )


def _window(night: Stretch) -> tuple[datetime, datetime, str]:
    """Return a closed window; where there is no room for one, or nothing is known, the stretch itself."""
    if night.is_known and night.research_start < night.research_end:
        return night.research_start, night.research_end, night.budget_type
    return night.start, night.end, ""


def _unknown(calendars: Calendars, day: date, days: list[date]) -> Chosen:
    """Return a date of which the calendar knows nothing, as the hours from midnight to midnight."""
    zone = calendars.home.zone
    return Chosen(
        day=day,
        part=WINDOW,
        start=local_midnight(day, zone),
        end=local_midnight(day + ONE_DAY, zone),
        kind="",
        before=days[-1] if days and days[-1] < day else None,
        after=days[0] if days and days[0] > day else None,
    )
