"""A calendar without holidays for unit tests: New York, every weekday from 9:30 to 16:00."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from orchestration.market_calendar import Calendars
from orchestration.sessions import Sessions
from orchestration.types import Session

NEW_YORK = ZoneInfo("America/New_York")


def weekday_calendars(first: date, days: int, short: frozenset[date] = frozenset()) -> Calendars:
    """Return the calendars of `days` days from `first`; the days in `short` close at 13:00."""
    dates = [first + timedelta(days=i) for i in range(days)]
    sessions = [
        Session(
            exchange="XNYS",
            day=day,
            open=datetime.combine(day, time(9, 30), NEW_YORK),
            close=datetime.combine(day, time(13) if day in short else time(16), NEW_YORK),
            is_early_close=day in short,
        )
        for day in dates
        if day.weekday() < 5
    ]
    table = Sessions("XNYS", NEW_YORK, sessions, (dates[0], dates[-1]) if dates else None)
    return Calendars({"XNYS": table})
