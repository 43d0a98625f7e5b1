"""The days of a year that a schedule is most easily wrong about: half days, clock changes, holidays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from orchestration.market_calendar import Calendars
from orchestration.simulation.research_windows import ResearchWindow

MONDAY, THURSDAY, FRIDAY = 0, 3, 4
DAY = timedelta(days=1)


class SpecialDay(NamedTuple):
    """One day, what it is, and the research window that it lies in, or (a half day) leads into."""

    day: date
    what: str
    window: ResearchWindow


def special_days(calendars: Calendars, windows: Sequence[ResearchWindow]) -> list[SpecialDay]:
    """Return the special days of the windows' stretch, the first first."""
    found: list[SpecialDay] = []
    for window in windows:
        first = calendars.home.local_date(window.start)
        for ahead in range((window.cycle - first).days):
            day = first + ahead * DAY
            what = _what(calendars, day)
            if what is not None:
                found.append(SpecialDay(day, what, window))
    return found


def _what(calendars: Calendars, day: date) -> str | None:
    """Return what is special about a day, None if nothing is."""
    if calendars.is_early_close(day):
        return "half day"
    if calendars.is_holiday(day):
        return holiday_name(day)
    zone = calendars.home.zone
    midnight, next_midnight = (datetime(d.year, d.month, d.day, tzinfo=zone) for d in (day, day + DAY))
    change = (next_midnight.utcoffset() or timedelta(0)) - (midnight.utcoffset() or timedelta(0))
    if change:
        return "clocks go forward" if change > timedelta(0) else "clocks go back"
    return None


def holiday_name(day: date) -> str:
    """Return what a New York holiday is called, "holiday" where the rules below do not know it.

    One that falls on a Sunday is kept on the Monday, on a Saturday on the Friday.
    """
    if day == easter(day.year) - 2 * DAY:
        return "Good Friday"
    fixed = {(1, 1): "New Year", (6, 19): "Juneteenth", (7, 4): "Independence Day", (12, 25): "Christmas"}
    kept_for = {MONDAY: (day - DAY, day), FRIDAY: (day, day + DAY)}.get(day.weekday(), (day,))
    for name in (fixed.get((d.month, d.day)) for d in kept_for):
        if name is not None:
            return name
    nth, is_last = (day.day + 6) // 7, (day + timedelta(days=7)).month != day.month
    if day.weekday() == THURSDAY and (day.month, nth) == (11, 4):
        return "Thanksgiving"
    if day.weekday() != MONDAY:
        return "holiday"
    if day.month == 5 and is_last:
        return "Memorial Day"
    mondays = {(1, 3): "Martin Luther King Day", (2, 3): "Presidents' Day", (9, 1): "Labor Day"}
    return mondays.get((day.month, nth), "holiday")


def easter(year: int) -> date:
    """Return Easter Sunday (J.-M. Oudin's algorithm of 1940, as the US Naval Observatory gives it)."""
    century, golden = year // 100, year % 19
    skipped = (century - 17) // 25
    moon = (century - century // 4 - (century - skipped) // 3 + 19 * golden + 15) % 30
    moon -= moon // 28 * (1 - moon // 28 * (29 // (moon + 1)) * ((21 - golden) // 11))
    weekday = (year + year // 4 + moon + 2 - century + century // 4) % 7
    step = moon - weekday
    month = 3 + (step + 40) // 44
    return date(year, month, step + 28 - 31 * (month // 4))
